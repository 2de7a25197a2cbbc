package ctltest

import (
	"github.com/getkin/kin-openapi/openapi3"
)

// IDs and times of the samples.
const (
	SampleID   = "0198c2de-0000-7000-8000-000000000001"
	SampleJob  = "0198c2de-0000-7000-8000-000000000002"
	SampleName = "example"
	SampleTime = "2026-01-02T03:04:05Z"
)

// Sample makes a value that a schema describes. name is the member that the
// value is for.
func Sample(ref *openapi3.SchemaRef, name string) any {
	if ref == nil || ref.Value == nil {
		return nil
	}
	s := ref.Value
	if len(s.AllOf) > 0 {
		out := map[string]any{}
		for _, part := range s.AllOf {
			v := Sample(part, name)
			m, ok := v.(map[string]any)
			if !ok {
				return v
			}
			for k, x := range m {
				out[k] = x
			}
		}
		object(s, out)
		return out
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is("array"):
		return []any{Sample(s.Items, name)}
	case s.Type.Is("object"):
		out := map[string]any{}
		object(s, out)
		if s.AdditionalProperties.Schema != nil {
			out["key"] = "value"
		}
		return out
	case s.Type.Is("integer"):
		return 1
	case s.Type.Is("number"):
		return 1.5
	case s.Type.Is("boolean"):
		return false
	}
	return text(s, name)
}

// object fills in the members. A report has no report of its own kind in it.
func object(s *openapi3.Schema, out map[string]any) {
	for member, schema := range s.Properties {
		if member == "parent" {
			continue
		}
		out[member] = Sample(schema, member)
	}
}

func text(s *openapi3.Schema, name string) any {
	switch {
	case name == "id" || name == "vm_id" || name == "resource_id":
		return SampleID
	case name == "job_id":
		return SampleJob
	case name == "cidr":
		return "10.20.0.0/24"
	case name == "next_page_token" || name == "current_job_id":
		return ""
	case s.Format == "date-time":
		return SampleTime
	case s.Example != nil:
		return s.Example
	case name == "code":
		return "EXAMPLE"
	}
	return SampleName
}
