package server

import (
	"cmp"
	_ "embed" // the description is part of the binary
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

//go:embed openapi.yaml
var openAPI []byte

// plane is the side of the API that an operation belongs to: the first segment
// of its path.
type plane string

const (
	planeTenant plane = "tenant"
	planeOps    plane = "ops"
	planeCommon plane = "common"
)

// admits says whether a principal of a plane may use the operations of this one.
func (p plane) admits(of auth.Plane) bool {
	return p == planeCommon || string(p) == string(of)
}

// operation is one row of the table of what the API can do, read from its
// description.
type operation struct {
	ID         string
	Method     string
	Path       string // as in the description, without apiBase
	Plane      plane
	Permission string

	route      *routers.Route
	pathParams map[string]*regexp.Regexp
	query      map[string]queryParam
	mutates    bool
	// waits says that the operation may wait for a change, streams that it sends
	// events until the client or their end comes.
	waits, streams bool
	// narrows says that a role in one project is enough: the operation keeps to
	// the projects that its author may see into. Without it, an operation whose
	// path names no project needs a role in the whole tenant.
	narrows bool
}

// queryParam is a query parameter; one with many values may be repeated.
type queryParam struct{ many bool }

// describe loads and checks the API's description.
func describe() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, fmt.Errorf("server: openapi.yaml: %w", err)
	}
	return doc, nil
}

// operationsOf reads the operation table, ordered by path and method. It fails
// when an operation lacks what its guard needs.
func operationsOf(doc *openapi3.T) ([]*operation, error) {
	var (
		out  []*operation
		errs []error
	)
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op, err := operationOf(doc, path, method, item, o)
			if err != nil {
				errs = append(errs, fmt.Errorf("server: openapi.yaml: %s %s: %w", method, path, err))
				continue
			}
			out = append(out, op)
		}
	}
	slices.SortFunc(out, func(a, b *operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return out, errors.Join(errs...)
}

func operationOf(doc *openapi3.T, path, method string, item *openapi3.PathItem, o *openapi3.Operation) (*operation, error) {
	permission, _ := o.Extensions["x-permission"].(string)
	if o.OperationID == "" || permission == "" {
		return nil, errors.New("operationId and x-permission are required")
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	op := &operation{
		ID: o.OperationID, Method: method, Path: path, Plane: plane(first), Permission: permission,
		pathParams: map[string]*regexp.Regexp{}, query: map[string]queryParam{},
		mutates: method != "GET",
		route:   &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: o},
	}
	switch op.Plane {
	case planeTenant, planeOps:
	case planeCommon:
		if op.mutates {
			return nil, errors.New("the common plane is read-only")
		}
	default:
		return nil, fmt.Errorf("no plane %q", first)
	}
	if op.narrows, _ = o.Extensions["x-project-roles"].(bool); op.narrows && op.Plane != planeTenant {
		return nil, errors.New("x-project-roles is for the tenant plane")
	}
	op.narrows = op.narrows || op.Plane == planeCommon
	for _, parameters := range []openapi3.Parameters{item.Parameters, o.Parameters} {
		for _, p := range parameters {
			if err := op.parameter(p.Value); err != nil {
				return nil, err
			}
		}
	}
	_, op.waits = op.query["wait"]
	if ok := o.Responses.Status(http.StatusOK); ok != nil {
		op.streams = ok.Value.Content["text/event-stream"] != nil
	}
	return op, nil
}

func (o *operation) parameter(p *openapi3.Parameter) error {
	switch p.In {
	case openapi3.ParameterInQuery:
		o.query[p.Name] = queryParam{many: p.Schema.Value.Type.Is(openapi3.TypeArray)}
	case openapi3.ParameterInPath:
		pattern := p.Schema.Value.Pattern
		if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") {
			return fmt.Errorf("path parameter %s needs a pattern", p.Name)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return fmt.Errorf("path parameter %s: %w", p.Name, err)
		}
		o.pathParams[p.Name] = re
	}
	return nil
}
