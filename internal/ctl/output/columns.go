package output

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// Column is a column of a table, or a line of one resource.
type Column struct {
	Header string
	Path   string // members joined by dots; [] after one goes through a list
	Wide   bool   // left out of the narrow table
	Age    bool   // the value is a time and is shown as how long ago
	Flex   bool   // may be cut where the terminal is narrow
}

// Value is what a path selects in a decoded object, for people: lists are
// joined by commas, objects by commas as key:value, an absent member is empty.
func Value(object any, path string) string {
	if path == "" {
		return scalar(object)
	}
	head, rest, _ := strings.Cut(path, ".")
	name, each := strings.CutSuffix(head, "[]")
	members, ok := object.(map[string]any)
	if !ok {
		return ""
	}
	v, ok := members[name]
	if !ok {
		return ""
	}
	list, ok := v.([]any)
	if !each || !ok {
		return Value(v, rest)
	}
	parts := make([]string, 0, len(list))
	for _, item := range list {
		if s := Value(item, rest); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ",")
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = scalar(v[i])
		}
		return strings.Join(parts, ",")
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range sortedKeys(v) {
			parts = append(parts, k+":"+scalar(v[k]))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}

// choose returns the columns that are to be printed.
func (p *Printer) choose(r Resource, wide bool) []Column {
	if len(p.Columns) == 0 {
		var out []Column
		for _, c := range r.Columns {
			if wide || !c.Wide {
				out = append(out, c)
			}
		}
		return out
	}
	out := make([]Column, len(p.Columns))
	for i, want := range p.Columns {
		out[i] = Column{Header: strings.ToUpper(want), Path: want}
		for _, c := range r.Columns {
			if strings.EqualFold(c.Header, want) || c.Path == want {
				out[i] = c
				break
			}
		}
	}
	return out
}

// cell is the text of a column, harmless to a terminal.
func (p *Printer) cell(c Column, object any) string {
	v := Value(object, c.Path)
	if c.Age && v != "" {
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return Age(p.Now.Sub(at))
		}
	}
	return fail.Clean(v)
}

// Age writes a duration in its largest unit.
func Age(d time.Duration) string {
	d = max(0, d)
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}
