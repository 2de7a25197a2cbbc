package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// face is what one listener serves: the operations of some planes. Routes of
// the others are not there at all, so that nothing tells them from any path
// that does not exist.
type face []plane

func (f face) shows(p plane) bool {
	for _, own := range f {
		if own == p {
			return true
		}
	}
	return false
}

// faces are the three ways to listen.
type faces struct {
	all, tenant, ops *echo.Echo
}

// Handler is the whole server: the API, /livez, /readyz, /metrics, the token
// endpoint, and the Temporal Web UI where there is one.
func (s *Server) Handler() http.Handler { return s.faces.all }

// TenantHandler is the server without what is the operators': no ops routes, no
// /metrics, no Temporal Web UI.
func (s *Server) TenantHandler() http.Handler { return s.faces.tenant }

// OpsHandler is the server without what is the tenants'.
func (s *Server) OpsHandler() http.Handler { return s.faces.ops }

// routes registers what the description and the table of root routes name.
func (s *Server) routes(d Deps) error {
	doc, err := describe()
	if err != nil {
		return err
	}
	if s.descriptions, err = newDescriptions(doc); err != nil {
		return err
	}
	if s.operations, err = operationsOf(doc); err != nil {
		return err
	}
	s.grantable = grantableOf(s.operations)
	reference, err := s.docsRoutes(d.Docs)
	if err != nil {
		return err
	}
	root := append(s.rootRoutes(d), reference...)
	for _, one := range []struct {
		echo **echo.Echo
		face face
	}{
		{&s.faces.all, face{planeTenant, planeOps, planeCommon}},
		{&s.faces.tenant, face{planeTenant, planeCommon}},
		{&s.faces.ops, face{planeOps, planeCommon}},
	} {
		if *one.echo, err = s.router(one.face, root); err != nil {
			return err
		}
	}
	return nil
}

// router registers the routes of one face.
func (s *Server) router(f face, root []rootRoute) (*echo.Echo, error) {
	e := newEcho()
	e.HTTPErrorHandler = s.onError
	e.Pre(s.observe, s.cors, splitVerb)

	guards := make(map[string][]echo.MiddlewareFunc, len(s.operations))
	for _, op := range s.operations {
		guards[op.ID] = []echo.MiddlewareFunc{s.guard.middleware(op)}
	}
	var unguarded []string
	api.RegisterHandlersWithOptions(verbRouter{echo: e, face: f, unguarded: &unguarded}, api.NewStrictHandler(s, nil),
		api.RegisterHandlersOptions{OperationMiddlewares: guards})
	if len(unguarded) > 0 {
		return nil, fmt.Errorf("server: routes without a guard: %s", strings.Join(unguarded, ", "))
	}
	for _, r := range root {
		if f.shows(r.plane) {
			e.Add(r.method, r.path, r.handler)
		}
	}
	return e, nil
}

func newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	return e
}
