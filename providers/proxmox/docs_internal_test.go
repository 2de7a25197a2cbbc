package proxmox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestOptionsAreDocumented holds the table of options against the settings: their
// names, and their defaults where they are values.
func TestOptionsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/providers/proxmox.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `?([^|`]*)`? \\|").FindAllSubmatch(doc, -1) {
		defaults[string(row[1])] = string(row[2])
	}
	if got, want := slices.Sorted(maps.Keys(defaults)), optionNames(t); !slices.Equal(got, want) {
		t.Errorf("the options in the documentation are %v, those of the settings %v", got, want)
	}
	cfg := testConfig("https://pve.example", nil)
	cfg.Options = nil
	s, err := parseSettings(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := strconv.Itoa(s.vmidMin) + "-" + strconv.Itoa(s.vmidMax); defaults[optVMIDRange] != want {
		t.Errorf("%s is %q, documented %q", optVMIDRange, want, defaults[optVMIDRange])
	}
	for name, want := range map[string]time.Duration{
		optCallTimeout: s.callTimeout, optConnectTimeout: s.connectTimeout, optTaskTimeout: s.taskTimeout, optCoolDown: s.coolDown,
	} {
		if got, err := time.ParseDuration(defaults[name]); err != nil || got != want {
			t.Errorf("%s is %s, documented %q", name, want, defaults[name])
		}
	}
}

// optionNames are the values of the constants opt*, in order.
func optionNames(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "settings.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !regexp.MustCompile(`^opt[A-Z]`).MatchString(v.Names[0].Name) {
			return true
		}
		name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
		return true
	})
	slices.Sort(out)
	return out
}
