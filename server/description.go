package server

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// descriptions are the API's description as each plane's principals see it: to
// a tenant there are no operators' routes.
type descriptions map[auth.Plane]json.RawMessage

func newDescriptions(doc *openapi3.T) (descriptions, error) {
	full, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("server: openapi.yaml: %w", err)
	}
	tenant, err := withoutOps(full)
	if err != nil {
		return nil, fmt.Errorf("server: openapi.yaml: %w", err)
	}
	return descriptions{auth.PlaneOps: full, auth.PlaneTenant: tenant}, nil
}

// withoutOps drops the operators' routes and every component that then nothing
// refers to.
func withoutOps(full json.RawMessage) (json.RawMessage, error) {
	var doc struct {
		OpenAPI    string                                `json:"openapi"`
		Info       json.RawMessage                       `json:"info"`
		Servers    json.RawMessage                       `json:"servers"`
		Security   json.RawMessage                       `json:"security"`
		Paths      map[string]json.RawMessage            `json:"paths"`
		Components map[string]map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(full, &doc); err != nil {
		return nil, err
	}
	var pending []json.RawMessage
	for path, item := range doc.Paths {
		if strings.HasPrefix(path, "/"+string(planeOps)+"/") {
			delete(doc.Paths, path)
			continue
		}
		pending = append(pending, item)
	}
	kept := map[string]map[string]json.RawMessage{"securitySchemes": doc.Components["securitySchemes"]}
	for len(pending) > 0 {
		var next any
		if err := json.Unmarshal(pending[0], &next); err != nil {
			return nil, err
		}
		pending = pending[1:]
		for _, ref := range refs(next) {
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
			if _, done := kept[kind][name]; done {
				continue
			}
			if kept[kind] == nil {
				kept[kind] = map[string]json.RawMessage{}
			}
			kept[kind][name] = doc.Components[kind][name]
			pending = append(pending, kept[kind][name])
		}
	}
	doc.Components = kept
	return json.Marshal(doc)
}

// refs lists what a piece of the description refers to.
func refs(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			out = append(out, ref)
		}
		for _, inner := range v {
			out = append(out, refs(inner)...)
		}
	case []any:
		for _, inner := range v {
			out = append(out, refs(inner)...)
		}
	}
	return out
}
