package server

import (
	"fmt"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/server/docs"
)

// docsRoutes are the routes of the reference page. They need no token: they
// hold nothing but the description, which is public with the source, and what
// shows it. What a token may use of it is GET common/v1/openapi.json.
func (s *Server) docsRoutes(assets fs.FS) ([]rootRoute, error) {
	if s.config.HideDocs {
		return nil, nil
	}
	if assets == nil {
		var err error
		if assets, err = docs.Embedded(); err != nil {
			return nil, fmt.Errorf("server: the reference page: %w", err)
		}
	}
	page, document := docs.Page(assets), docs.Document(s.descriptions[auth.PlaneOps])
	return []rootRoute{
		{http.MethodGet, "/docs", s.named("docs", echo.WrapHandler(page))},
		{http.MethodGet, "/docs/openapi.json", s.named("docsDescription", echo.WrapHandler(document))},
		{http.MethodGet, "/docs/assets/:name", s.named("docsAsset", func(c echo.Context) error {
			asset := docs.Asset(assets, c.Param("name"))
			if asset == nil {
				return notFound()
			}
			asset.ServeHTTP(c.Response(), c.Request())
			return nil
		})},
	}, nil
}
