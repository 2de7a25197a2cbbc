package output_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

func resource() output.Resource {
	return output.Resource{Kind: "thing", Columns: []output.Column{
		{Header: "id", Path: "id"}, {Header: "description", Path: "description", Flex: true}, {Header: "on", Path: "on"}, {Header: "more", Path: "more.x", Wide: true},
	}}
}

func print1(t *testing.T, p output.Printer, one bool, items ...string) string {
	t.Helper()
	var b bytes.Buffer
	p.W = &b
	printer, err := output.New(p)
	require.NoError(t, err)
	if one {
		require.NoError(t, printer.One(resource(), json.RawMessage(items[0])))
		return b.String()
	}
	raws := make([]json.RawMessage, len(items))
	for i, s := range items {
		raws[i] = json.RawMessage(s)
	}
	require.NoError(t, printer.List(resource(), raws))
	return b.String()
}

const thing = `{"zeta":1,"id":"a-1","description":"a rather long description of the thing","on":true,"more":{"x":12345678901234567890},"list":["true","1"]}`

// A narrow terminal costs the flexible column, nothing else.
func TestTableFitsTheTerminal(t *testing.T) {
	out := print1(t, output.Printer{Style: terminal.Style{Width: 40}}, false, thing)
	for line := range strings.SplitSeq(out, "\n") {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 40)
	}
	require.Contains(t, out, "…   yes")
	require.Contains(t, print1(t, output.Printer{}, false, thing), "description of the thing   yes", "a pipe has no width")
}

// JSON is what the API sent: order, numbers and members that nobody knows.
func TestDocumentsAreFaithful(t *testing.T) {
	out := print1(t, output.Printer{Format: "json"}, true, thing)
	require.Less(t, strings.Index(out, "zeta"), strings.Index(out, `"id"`))
	require.Contains(t, out, "12345678901234567890")
	out = print1(t, output.Printer{Format: "json"}, true, "{\"id\":\"a\u009b2J\u202eb\"}")
	require.Equal(t, "{\n  \"id\": \"a\\u009b2J\\u202eb\"\n}\n", out, "nothing that could steer a terminal, the same value")
	out = print1(t, output.Printer{Format: "yaml"}, true, thing)
	require.Less(t, strings.Index(out, "zeta"), strings.Index(out, "id:"))
	var v map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(out), &v))
	require.Equal(t, []any{"true", "1"}, v["list"], "strings stay strings")
}

func TestOneResource(t *testing.T) {
	require.Equal(t, "id:          a-1\ndescription: a rather long description of the thing\non:          yes\nmore:        12345678901234567890\n", print1(t, output.Printer{}, true, thing))
	require.Equal(t, "a-1\n", print1(t, output.Printer{Columns: []string{"id"}, NoHeaders: true}, true, thing))
	require.Equal(t, "thing/a-1\n", print1(t, output.Printer{Format: "name"}, true, thing))
	require.Equal(t, "true\n1\n", print1(t, output.Printer{Format: "jsonpath=$.list[*]"}, true, thing))
	require.Equal(t, "id,description,on,more\na-1,a rather long description of the thing,yes,12345678901234567890\n", print1(t, output.Printer{Format: "csv"}, true, thing))
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Hour: "0s", 90 * time.Second: "90s", 5 * time.Minute: "5m", 47 * time.Hour: "47h", 72 * time.Hour: "3d"} {
		require.Equal(t, want, output.Age(d))
	}
}
