package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// exampleOf is the example of a schema as a reader of the description sees it:
// its own, or, for a page of a list, one made of its items'.
func exampleOf(t testing.TB, schema *openapi3.SchemaRef) any {
	t.Helper()
	if schema.Value.Example != nil {
		return schema.Value.Example
	}
	items, paged := schema.Value.Properties["items"], schema.Value.Properties["next_page_token"]
	if items == nil || paged == nil || items.Value.Items == nil {
		return nil
	}
	item := exampleOf(t, items.Value.Items)
	if item == nil {
		return nil
	}
	return map[string]any{"items": []any{item}, "next_page_token": "AWx0b2tlbg"}
}

// TestEveryRouteHasExamples: of each body that it takes and each that it
// answers, and they are what the description says.
func TestEveryRouteHasExamples(t *testing.T) {
	checked := 0
	for path, item := range description(t).Paths.Map() {
		for method, op := range item.Operations() {
			check := func(what string, content openapi3.Content, options ...openapi3.SchemaValidationOption) {
				media := content.Get("application/json")
				if media == nil {
					return
				}
				example := exampleOf(t, media.Schema)
				require.NotNil(t, example, "%s %s: the %s has no example", method, path, what)
				raw, err := json.Marshal(example)
				require.NoError(t, err)
				var value any
				require.NoError(t, json.Unmarshal(raw, &value))
				require.NoError(t, media.Schema.Value.VisitJSON(value, append(options, openapi3.EnableFormatValidation())...), "%s %s: the example of the %s", method, path, what)
				requireKnown(t, fmt.Sprintf("%s %s: %s", method, path, what), media.Schema.Value, value)
				checked++
			}
			if op.RequestBody != nil {
				check("request", op.RequestBody.Value.Content, openapi3.VisitAsRequest())
			}
			for status, response := range op.Responses.Map() {
				if strings.HasPrefix(status, "2") {
					check(status, response.Value.Content, openapi3.VisitAsResponse())
				}
			}
		}
	}
	require.Greater(t, checked, 100)
}

// requireKnown refuses members that the schema does not name: answers allow
// more, but an example shows nothing that does not exist.
func requireKnown(t testing.TB, at string, schema *openapi3.Schema, value any) {
	t.Helper()
	if list, ok := value.([]any); ok {
		for _, one := range list {
			requireKnown(t, at, schema.Items.Value, one)
		}
		return
	}
	members, ok := value.(map[string]any)
	known := propertiesOf(schema)
	if !ok || len(known) == 0 {
		return
	}
	for name, member := range members {
		require.Contains(t, known, name, at)
		requireKnown(t, at+"/"+name, known[name].Value, member)
	}
}

func propertiesOf(schema *openapi3.Schema) openapi3.Schemas {
	all := openapi3.Schemas{}
	for name, p := range schema.Properties {
		all[name] = p
	}
	for _, part := range schema.AllOf {
		for name, p := range propertiesOf(part.Value) {
			all[name] = p
		}
	}
	return all
}
