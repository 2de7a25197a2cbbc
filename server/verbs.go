package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// apiBase is the prefix of every route of the API's description.
const apiBase = "/api/hcp"

// hoist is the first byte of the inner segment that carries the verb: Echo
// cannot route a colon inside of a segment, so
// POST /api/hcp/tenant/v1/projects/p/vms/v:start is routed as
// POST /api/hcp/@start/tenant/v1/projects/p/vms/v. No public path may begin
// with it, so that the inner form cannot be asked for from outside.
const hoist = "@"

// verbRouter is what the generated code registers its routes on. It leaves out
// what its face does not show, moves `\:verb` to the front of the path, and
// collects routes without a guard.
type verbRouter struct {
	echo      *echo.Echo
	face      face
	unguarded *[]string
}

func (v verbRouter) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) *echo.Route {
	if len(m) == 0 { // the generated look-up of an operation's guard fails open
		*v.unguarded = append(*v.unguarded, method+" "+path)
	}
	if first, _, _ := strings.Cut(path[1:], "/"); !v.face.shows(plane(first)) {
		return &echo.Route{} // the generated code does not look at it
	}
	if head, verb, ok := strings.Cut(path, `\:`); ok {
		path = "/" + hoist + verb + head
	}
	return v.echo.Add(method, apiBase+path, h, m...)
}

func (v verbRouter) CONNECT(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodConnect, p, h, m)
}

func (v verbRouter) DELETE(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodDelete, p, h, m)
}

func (v verbRouter) GET(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodGet, p, h, m)
}

func (v verbRouter) HEAD(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodHead, p, h, m)
}

func (v verbRouter) OPTIONS(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodOptions, p, h, m)
}

func (v verbRouter) PATCH(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodPatch, p, h, m)
}

func (v verbRouter) POST(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodPost, p, h, m)
}

func (v verbRouter) PUT(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodPut, p, h, m)
}

func (v verbRouter) TRACE(p string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return v.add(http.MethodTrace, p, h, m)
}

// splitVerb brings the request's path into its one form and hoists the verb.
func splitVerb(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		inner, p := innerPath(u.Path, u.RawPath)
		if p != nil {
			return p
		}
		if inner != u.Path || u.RawPath != "" {
			u.Path, u.RawPath = inner, ""
		}
		return next(c)
	}
}

// innerPath is the router's path for a request's. rawPath is set only where
// the client has escaped something unusual: %3A then counts as a colon, and an
// escaped slash is refused, since it would be a slash to some and not to others.
func innerPath(path, rawPath string) (string, *problem) {
	rest, ok := strings.CutPrefix(path, apiBase+"/")
	if !ok {
		return path, nil
	}
	if strings.Contains(strings.ToLower(rawPath), "%2f") {
		return "", newProblem(CodeInvalidArgument, "an escaped slash is not allowed in a path")
	}
	last := rest[strings.LastIndexByte(rest, '/')+1:]
	if strings.HasPrefix(rest, hoist) || last == "" { // an inner path; a slash at the end
		return "", notFound()
	}
	i := strings.IndexByte(last, ':')
	if i < 0 {
		return path, nil
	}
	verb := last[i+1:]
	if i == 0 || !isVerb(verb) {
		return "", unknownAction()
	}
	return apiBase + "/" + hoist + verb + "/" + rest[:len(rest)-len(verb)-1], nil
}

// isVerb says whether the text may be the name of an action.
func isVerb(s string) bool {
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

func unknownAction() *problem {
	return newProblem(CodeUnknownAction, "the resource has no such action")
}
