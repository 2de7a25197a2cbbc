package server

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// TestEveryCodeIsInTheTable: a code that is not answered as INTERNAL.
func TestEveryCodeIsInTheTable(t *testing.T) {
	table := map[string]bool{}
	for _, c := range problemCodes() {
		require.False(t, table[string(c.Code)], "%s is there twice", c.Code)
		table[string(c.Code)] = true
		require.NotZero(t, c.Status)
		require.NotEmpty(t, c.Description)
	}
	declared := constants(t, "codes.go", "Code")
	require.NotEmpty(t, declared)
	for _, c := range declared {
		require.True(t, table[c], "%s is not in the error table", c)
	}
	require.Len(t, declared, len(table))

	jobs := map[string]bool{}
	for _, c := range jobCodes() {
		jobs[string(c.Code)] = true
		require.NotEmpty(t, c.Description)
	}
	declared = constants(t, "../models/operation.go", "JobErrorCode")
	require.Len(t, declared, len(jobs))
	for _, c := range declared {
		require.True(t, jobs[c], "%s is not in the table of a job's errors", c)
	}
	for _, reason := range []models.JobErrorCode{jobview.ReasonLock, jobview.ReasonControlPlane} {
		require.True(t, table[string(reason)], "%s, for which a job waits, is in no table", reason)
	}
}

// constants lists the values of a file's constants of one type.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			out = append(out, value)
		}
		return true
	})
	return out
}

func TestInnerPath(t *testing.T) {
	for _, tc := range []struct{ path, raw, want string }{
		{"/api/hcp/tenant/v1/projects/p/vms/v:start", "", "/api/hcp/@start/tenant/v1/projects/p/vms/v"},
		{"/api/hcp/tenant/v1/projects/p/vms/v:start", "/api/hcp/tenant/v1/projects/p/vms/v%3Astart", "/api/hcp/@start/tenant/v1/projects/p/vms/v"},
		{"/api/hcp/ops/v1/providers/p:rotate-credentials", "", "/api/hcp/@rotate-credentials/ops/v1/providers/p"},
		{"/api/hcp/tenant/v1/projects", "", "/api/hcp/tenant/v1/projects"},
		{"/livez", "", "/livez"},
		{"/temporal/a%2Fb", "/temporal/a%252Fb", "/temporal/a%2Fb"},
	} {
		got, p := innerPath(tc.path, tc.raw)
		require.Nil(t, p)
		require.Equal(t, tc.want, got)
	}
}

// FuzzInnerPath: whatever a client sends, it reaches the inner form of an
// action only by that action's public path.
func FuzzInnerPath(f *testing.F) {
	for _, seed := range []string{
		"/api/hcp/tenant/v1/projects/p/vms/v:start", "/api/hcp/@start/x", "/api/hcp//x:y", "/api/hcp/x:", "/api/hcp/:x", "/api/hcp/a:b:c",
		"/api/hcp/a/../b:c", "/api/hcp/x:a@b", "/api/hcp/x:@start",
	} {
		f.Add(seed, "")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, path, raw string) {
		inner, p := innerPath(path, raw)
		if p != nil {
			if p.Status != http.StatusNotFound && p.Status != http.StatusBadRequest {
				t.Fatalf("%q: %d", path, p.Status)
			}
			return
		}
		rest, hoisted := strings.CutPrefix(inner, apiBase+"/"+hoist)
		if !hoisted {
			if inner != path {
				t.Fatalf("%q became %q", path, inner)
			}
			return
		}
		verb, resource, ok := strings.Cut(rest, "/")
		if !ok || !isVerb(verb) || apiBase+"/"+resource+":"+verb != path {
			t.Fatalf("%q became %q", path, inner)
		}
	})
}

// FuzzPageToken: nothing opens but what was sealed, for the list that it was
// sealed for.
func FuzzPageToken(f *testing.F) {
	tokens := pageTokens{key: make([]byte, 32)}
	l := listing{binding: "list"}
	cursor := store.Cursor{Sort: store.SortName, Key: "k", ID: "i"}
	good, err := tokens.seal(l, cursor)
	require.NoError(f, err)
	f.Add(good, "list")
	f.Add(good, "other")
	f.Add("", "list")
	f.Add("AQ", "list")
	f.Fuzz(func(t *testing.T, token, binding string) {
		got, err := tokens.open(listing{binding: binding}, &token)
		if sealed := token == good && binding == "list"; sealed != (err == nil) || sealed && got != cursor {
			t.Fatalf("%q of %q: %v, %v", token, binding, got, err)
		}
	})
}

func TestPageTokenRoundTrip(t *testing.T) {
	tokens := pageTokens{key: make([]byte, 32)}
	l := listingOf(&request{Operation: &operation{ID: "listVMs"}, Principal: auth.Principal{TenantID: "t"}, Path: "/p"})
	for _, c := range []store.Cursor{{ID: "x"}, {Sort: store.SortName, Key: "ä\"", ID: "y"}, {Sort: store.SortNewest, Key: "1", ID: strings.Repeat("z", 36)}} {
		token, err := tokens.seal(l, c)
		require.NoError(t, err)
		got, err := tokens.open(l, &token)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	end, err := tokens.seal(l, store.Cursor{})
	require.NoError(t, err)
	require.Empty(t, end)
}

func TestETags(t *testing.T) {
	p := func(s string) *string { return &s }
	require.False(t, noneMatch(nil, `"1"`))
	for header, want := range map[string]bool{`"1"`: true, `W/"1"`: true, `"2", "1"`: true, `*`: true, `"2"`: false, `1`: false, `"11"`: false, ``: false} {
		require.Equal(t, want, noneMatch(p(header), `"1"`), header)
	}
	got, err := ifMatch(p("*"))
	require.NoError(t, err)
	require.Nil(t, got)
	for header, want := range map[string]int{`"7"`: 7, `"7.abc"`: 7, `"8.7"`: 8, `"7"x`: -1, `"x.7"`: -1, `".7"`: -1, ` "7" `: 7, `"7.k3f"`: 7, `"07"`: -1, `"07.k3f"`: -1, `".k3f"`: -1, `"+7"`: -1, `W/"7"`: -1, `7`: -1, `"`: -1, `""`: -1} {
		got, err := ifMatch(p(header))
		require.NoError(t, err)
		require.Equal(t, want, *got, header)
	}
}

func TestISODuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT60S": time.Minute, "PT1M30S": 90 * time.Second, "PT1H": time.Hour, "PT2H3M4S": 2*time.Hour + 3*time.Minute + 4*time.Second, "PT": 0, "P1D": 0, "": 0,
	} {
		require.Equal(t, want, isoDuration(s), s)
	}
}

// TestUnknownFieldText pins the validator's wording, by which unknown fields
// are told from other defects: see unknownField.
func TestUnknownFieldText(t *testing.T) {
	doc, err := describe()
	require.NoError(t, err)
	schema := doc.Components.Schemas["NoParameters"].Value
	p := fromValidation(schema.VisitJSON(map[string]any{"a/b": 1}))
	require.Equal(t, CodeUnknownField, p.Code)
	require.Equal(t, []fieldError{{Pointer: "/a~1b", Detail: "unknown field"}}, p.Errors)
}

func TestUnguardedRoutesAreFound(t *testing.T) {
	var unguarded []string
	s := newEcho()
	verbRouter{echo: s, unguarded: &unguarded}.POST("/tenant/v1/x", nil)
	require.Equal(t, []string{"POST /tenant/v1/x"}, unguarded)
}

func TestOperationsNeedPermissionAndPattern(t *testing.T) {
	doc, err := describe()
	require.NoError(t, err)
	doc.Paths.Value("/tenant/v1/projects").Get.Extensions = nil
	_, err = operationsOf(doc)
	require.ErrorContains(t, err, "x-permission")

	doc, err = describe()
	require.NoError(t, err)
	doc.Components.Schemas["ID"].Value.Pattern = ""
	_, err = operationsOf(doc)
	require.ErrorContains(t, err, "needs a pattern")

	doc, err = describe()
	require.NoError(t, err)
	doc.Paths.Value("/ops/v1/providers").Get.Extensions["x-project-roles"] = true
	_, err = operationsOf(doc)
	require.ErrorContains(t, err, "x-project-roles")
}

// keySource is a source of policies that knows one key.
type keySource struct{ down error }

func (k keySource) PolicyVersion(context.Context) (int64, error) { return 1, k.down }

func (k keySource) PolicySet(context.Context) (models.PolicySet, error) {
	return models.PolicySet{Version: 1, LiveKeys: []string{"live"}}, k.down
}

// TestWithdrawnKeys: a token of a service account counts as long as its key.
func TestWithdrawnKeys(t *testing.T) {
	live := func(source keySource, key string) (bool, error) {
		e, err := policies.New(policies.Options{Source: source})
		require.NoError(t, err)
		return newGuard(nil, e, nil).keyLive(t.Context(), auth.Principal{KeyID: key})
	}
	for key, want := range map[string]bool{"live": true, "": true, "withdrawn": false} { // "": a token of another issuer
		got, err := live(keySource{}, key)
		require.NoError(t, err)
		require.Equal(t, want, got, key)
	}
	_, err := live(keySource{down: errors.New("down")}, "live")
	require.Equal(t, CodeControlPlaneUnavailable, asProblem(err).Code)
	require.Equal(t, CodeUnauthenticated, withdrawn().Code)
	require.Contains(t, withdrawn().header["WWW-Authenticate"], "invalid_token")
}
