package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/propagation"

	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
	"github.com/hypervisor-control-plane/hcp/models"
)

// observe is the outermost layer of every request: it gives it an ID, answers
// errors and panics, and tells the log and the metrics what happened.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		id, ok := requestIDOf(r.Header)
		if !ok {
			id = models.NewID()
		}
		info := &request{ID: id, Method: r.Method, Path: redacted(r.URL.Path), Start: time.Now()}
		ctx := telemetry.Continue(r.Context(), propagation.HeaderCarrier(r.Header))
		c.SetRequest(r.WithContext(context.WithValue(ctx, requestKey{}, info)))
		s.secure(c.Response().Header(), r, id)
		err := s.run(next, c)
		if err != nil {
			c.Error(err)
		}
		s.record(c, info, err)
		return nil
	}
}

// panicked is a panic of a handler as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// run turns a panic into an error: one request fails, not the process.
func (*Server) run(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is panicked with, never wrapped
				panic(v)
			}
			err = &panicked{value: v, stack: debug.Stack()}
		}
	}()
	return next(c)
}

// onError answers an error as a problem.
func (s *Server) onError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	r := c.Request()
	p, info := asProblem(err), requestOf(r.Context())
	if hoisted := r.URL.Path != info.Path && strings.HasPrefix(r.URL.Path, apiBase+"/"+hoist); hoisted && info.Operation == nil && p.Code == CodeNotFound {
		p = unknownAction()
	}
	if err := p.write(c, info); err != nil {
		s.logger.WarnContext(r.Context(), "an error could not be answered", "request_id", info.ID, "error", err)
	}
}

// record writes the access log and counts. It knows no token, no query and no
// body, so that none can be logged.
func (s *Server) record(c echo.Context, info *request, err error) {
	took := time.Since(info.Start)
	name := "unmatched"
	if info.Operation != nil {
		name = info.Operation.ID
	}
	status := c.Response().Status
	s.metrics.observe(name, status, took)

	ctx := c.Request().Context()
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("request_id", info.ID), slog.String("operation", name), slog.String("method", info.Method),
		slog.String("path", info.Path), slog.Int("status", status), slog.Duration("took", took),
	}
	if info.Principal.Subject != "" {
		attrs = append(attrs, slog.String("subject", info.Principal.ID()))
	}
	if info.Console != "" {
		attrs = append(attrs, slog.String("session_id", info.Console))
	}
	if err != nil && status >= http.StatusInternalServerError {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
		var p *panicked
		if errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
	}
	s.logger.LogAttrs(ctx, level, "request", attrs...)
}
