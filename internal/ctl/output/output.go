// Package output prints what the API answered: as a table, as JSON, YAML or
// CSV, as names, or as what a JSONPath selects. It imports of ours only
// packages fail and terminal.
package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ohler55/ojg/jp"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

// Formats that -o takes; jsonpath is followed by "=" and the expression.
const (
	Table    = "table"
	Wide     = "wide"
	JSON     = "json"
	YAML     = "yaml"
	CSV      = "csv"
	Name     = "name"
	JSONPath = "jsonpath"
)

// Formats lists them as they are typed.
func Formats() []string { return []string{Table, Wide, JSON, YAML, CSV, Name, JSONPath + "="} }

// Printer prints in one format.
type Printer struct {
	W         io.Writer
	Format    string
	Columns   []string // chosen by header or path; none for the default ones
	NoHeaders bool
	Style     terminal.Style
	Now       time.Time // what ages are counted from

	path jp.Expr
}

// New checks the format and returns its printer.
func New(p Printer) (*Printer, error) {
	format, expr, given := strings.Cut(p.Format, "=")
	switch {
	case format == JSONPath && given:
		path, err := parsePath(expr)
		if err != nil {
			return nil, fail.Usagef("-o jsonpath: %v", err)
		}
		p.Format, p.path = JSONPath, path
	case given:
		return nil, fail.Usagef("-o %s takes no argument", format)
	case format == "":
		p.Format = Table
	case format == Table, format == Wide, format == JSON, format == YAML, format == CSV, format == Name:
	default:
		return nil, fail.Usagef("-o %s is not known: %s", p.Format, strings.Join(Formats(), ", ")+"EXPRESSION")
	}
	if len(p.Columns) > 0 && p.Format != Table && p.Format != Wide && p.Format != CSV {
		return nil, fail.Usagef("--columns is for table, wide and csv")
	}
	return &p, nil
}

// parsePath takes $.items[*].id, and {.items[*].id} as others write it.
func parsePath(s string) (jp.Expr, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		s = s[1 : len(s)-1]
	}
	if !strings.HasPrefix(s, "$") {
		s = "$" + ensureDot(s)
	}
	return jp.ParseString(s)
}

func ensureDot(s string) string {
	if s == "" || s[0] == '.' || s[0] == '[' {
		return s
	}
	return "." + s
}

// Human reports whether people are to read the output.
func (p *Printer) Human() bool { return p.Format == Table || p.Format == Wide }

// Resource says how resources of one kind are shown.
type Resource struct {
	Kind    string // as -o name writes it, before the slash
	Columns []Column
}

// List prints items, each as the API sent it.
func (p *Printer) List(r Resource, items []json.RawMessage) error {
	switch p.Format {
	case JSON, YAML, JSONPath:
		if items == nil {
			items = []json.RawMessage{}
		}
		raw, err := json.Marshal(map[string]any{"items": items})
		if err != nil {
			return err
		}
		return p.document(raw)
	}
	objects := make([]any, len(items))
	for i, raw := range items {
		var err error
		if objects[i], err = decode(raw); err != nil {
			return err
		}
	}
	switch p.Format {
	case Name:
		return p.names(r, objects)
	case CSV:
		return p.csv(r, objects)
	default:
		return p.table(r, objects)
	}
}

// One prints one resource.
func (p *Printer) One(r Resource, raw json.RawMessage) error {
	switch p.Format {
	case JSON, YAML, JSONPath:
		return p.document(raw)
	}
	object, err := decode(raw)
	if err != nil {
		return err
	}
	switch p.Format {
	case Name:
		return p.names(r, []any{object})
	case CSV:
		return p.csv(r, []any{object})
	default:
		return p.fields(r, object)
	}
}

// document prints JSON as it is, indented, or in the format asked for.
func (p *Printer) document(raw json.RawMessage) error {
	switch p.Format {
	case YAML:
		return p.yaml(raw)
	case JSONPath:
		return p.selected(raw)
	default:
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := io.WriteString(p.W, escape(b.String()))
		return err
	}
}

// escape writes what could steer a terminal as JSON's own escapes: the value
// stays the same. Such runes stand in strings alone.
func escape(doc string) string {
	if !strings.ContainsFunc(doc, steers) {
		return doc
	}
	var b strings.Builder
	for _, r := range doc {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// steers reports the control characters that JSON allows in strings, and those
// that turn the direction of text.
func steers(r rune) bool {
	return (r >= 0x7f && r <= 0x9f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// yaml keeps the order of the members: JSON is read as the YAML that it is.
func (p *Printer) yaml(raw json.RawMessage) error {
	var n yaml.Node
	if err := yaml.Unmarshal(raw, &n); err != nil {
		return err
	}
	plain(&n)
	enc := yaml.NewEncoder(p.W)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(&n), enc.Close())
}

// plain drops the JSON style; strings keep quotes where YAML needs them.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// selected prints each match on a line: strings bare, anything else as JSON.
func (p *Printer) selected(raw json.RawMessage) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	for _, m := range p.path.Get(v) {
		s, ok := m.(string)
		if !ok {
			raw, err := json.Marshal(m)
			if err != nil {
				return err
			}
			s = string(raw)
		}
		if _, err := fmt.Fprintln(p.W, fail.Clean(s)); err != nil {
			return err
		}
	}
	return nil
}

func (p *Printer) names(r Resource, objects []any) error {
	for _, o := range objects {
		id := Value(o, "id")
		if id == "" {
			id = Value(o, "name")
		}
		if _, err := fmt.Fprintln(p.W, r.Kind+"/"+fail.Clean(id)); err != nil {
			return err
		}
	}
	return nil
}

func decode(raw json.RawMessage) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return v, dec.Decode(&v)
}
