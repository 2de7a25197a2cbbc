package proxmoxsim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

//go:embed facts.json
var factsJSON []byte

// factTable says what requests the simulated API takes: names, types and ranges
// of every parameter of the endpoints it serves, as the published schema of
// Proxmox VE has them. facts_test.go compares it with the schema.
type factTable struct {
	// Formats are the sub-keys of property strings, by the name that Sub gives.
	Formats map[string]map[string]paramFacts `json:"formats"`
	// Endpoints are by "METHOD /path/{template}".
	Endpoints map[string]map[string]paramFacts `json:"endpoints"`

	// patterns are those of the parameters, compiled.
	patterns map[string]*regexp.Regexp
	routes   []route
}

// paramFacts is one parameter, or one sub-key of a property string. A name that
// ends in "[n]" stands for that name with any number.
type paramFacts struct {
	Type      string   `json:"type,omitempty"`
	Required  bool     `json:"required,omitempty"`
	Default   bool     `json:"default_key,omitempty"` // its name may be left out in a property string
	Enum      []string `json:"enum,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	MinLength int      `json:"min_length,omitempty"`
	MaxLength int      `json:"max_length,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	Format    string   `json:"format,omitempty"`
	Sub       string   `json:"sub,omitempty"`      // the format of a property string
	Requires  string   `json:"requires,omitempty"` // may be given only together with that one
	Alias     string   `json:"alias,omitempty"`
	KeyAlias  string   `json:"key_alias,omitempty"` // its name is the value of that key
}

// route is an endpoint in the shape that paths are matched with.
type route struct {
	method   string
	template string
	segments []string
}

// loadFacts reads the table.
func loadFacts() (*factTable, error) {
	t := &factTable{patterns: map[string]*regexp.Regexp{}}
	if err := json.Unmarshal(factsJSON, t); err != nil {
		return nil, fmt.Errorf("proxmoxsim: the table of facts: %w", err)
	}
	for key, params := range t.Endpoints {
		method, template, ok := strings.Cut(key, " ")
		if !ok {
			return nil, fmt.Errorf("proxmoxsim: the table of facts names an endpoint %q", key)
		}
		t.routes = append(t.routes, route{method, template, strings.Split(strings.Trim(template, "/"), "/")})
		if err := t.compile(params); err != nil {
			return nil, err
		}
	}
	for _, keys := range t.Formats {
		if err := t.compile(keys); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *factTable) compile(params map[string]paramFacts) error {
	for name, p := range params {
		if p.Pattern == "" || t.patterns[p.Pattern] != nil {
			continue
		}
		re, err := regexp.Compile("^(?:" + p.Pattern + ")$")
		if err != nil {
			return fmt.Errorf("proxmoxsim: the pattern of %s: %w", name, err)
		}
		t.patterns[p.Pattern] = re
	}
	return nil
}

// match finds the endpoint of a request: its template, and the values that the
// path holds. known says that the path has an endpoint with another method.
func (t *factTable) match(method, path string) (template string, values map[string]string, known bool) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	fixed := -1
	for _, r := range t.routes {
		got, n := r.bind(segments)
		if got == nil {
			continue
		}
		known = true
		if r.method == method && n > fixed {
			template, values, fixed = r.template, got, n
		}
	}
	return template, values, known
}

// bind returns the path's values and how many segments are fixed; nil where the
// path is not of this route. Only a volume may hold slashes, at the end.
func (r route) bind(segments []string) (map[string]string, int) {
	last := r.segments[len(r.segments)-1]
	if len(segments) != len(r.segments) && (last != "{volume}" || len(segments) < len(r.segments)) {
		return nil, 0
	}
	values, fixed := map[string]string{}, 0
	for i, want := range r.segments {
		if !strings.HasPrefix(want, "{") {
			if segments[i] != want {
				return nil, 0
			}
			fixed++
			continue
		}
		value := segments[i]
		if i == len(r.segments)-1 {
			value = strings.Join(segments[i:], "/")
		}
		values[strings.Trim(want, "{}")] = value
	}
	return values, fixed
}

// param finds the facts of a parameter by the name that a request gives.
func param(facts map[string]paramFacts, name string) (paramFacts, bool) {
	if p, ok := facts[name]; ok && !strings.HasSuffix(name, "[n]") {
		return p, true
	}
	base := strings.TrimRight(name, "0123456789")
	if base == name {
		return paramFacts{}, false
	}
	digits := name[len(base):]
	if len(digits) > 1 && digits[0] == '0' {
		return paramFacts{}, false
	}
	var n int
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || n >= indexes(base) {
		return paramFacts{}, false
	}
	p, ok := facts[base+"[n]"]
	return p, ok
}

// indexes is how many there may be of a numbered parameter.
func indexes(base string) int {
	switch base {
	case "ide":
		return 4
	case "sata":
		return 6
	case "scsi":
		return 31
	case "virtio":
		return 16
	case "net", "ipconfig":
		return 32
	case "unused":
		return 256
	case "serial":
		return 4
	case "parallel":
		return 3
	case "usb":
		return 14
	case "hostpci":
		return 16
	case "numa":
		return 8
	case "virtiofs":
		return 10
	default:
		return 1000
	}
}
