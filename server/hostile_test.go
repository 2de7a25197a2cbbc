package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// sweepTarget is one operation of the description with all that it takes to
// ask for it.
type sweepTarget struct {
	target
	op     *openapi3.Operation
	params openapi3.Parameters
}

// sweep lists every operation, with IDs that exist where there are any.
func (w *world) sweep(t *testing.T, ids map[string]string) []sweepTarget {
	t.Helper()
	described := map[string]sweepTarget{}
	for _, item := range w.doc.Paths.Map() {
		for _, op := range item.Operations() {
			described[op.OperationID] = sweepTarget{op: op, params: append(append(openapi3.Parameters{}, item.Parameters...), op.Parameters...)}
		}
	}
	var out []sweepTarget
	for _, r := range w.targets(ids) {
		s := described[r.id]
		s.target = r
		out = append(out, s)
	}
	require.Greater(t, len(out), 40)
	return out
}

// as is somebody who may ask for the operation.
func (r sweepTarget) as() who {
	if r.plane == "ops" {
		return admin()
	}
	return owner()
}

// hostile are values that would be something else in SQL, a path, a template,
// a header or a log.
var hostile = []string{
	"1 OR 1=1", "' OR '1'='1", "\" OR \"\"=\"", "'; DROP TABLE vms;--", "1) UNION SELECT sealed_credentials FROM providers--",
	"%", "_", "%25", "a%b", "a_b", "\\", "\\' OR 1=1", "*", "?", "$1", ":id", "@p1", "{{.}}", "${jndi:ldap://x}", "../../etc/passwd", "..", ".", "a/b", "a\nb", "a\r\nSet-Cookie: x=y",
	"\u202egnp", "ａｄｍｉｎ", "demo\u200b", "demo\u0000", "é", "e\u0301", "İ", "ﬀ", "9999999999999999999999", "-1", "1e9", "NaN", "null", "true", "[]", "{}", "",
	strings.Repeat("a", 5000),
}

// TestHostileQueryParameters: whatever stands in a query, it is a value or it
// is refused, and never an error of ours; no filter that cannot match finds
// anything.
func TestHostileQueryParameters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "target")
		targets := w.sweep(t, seededIDs(vm.ID, w.AcceptVM(t, "b").ID))
		before := w.state(t)
		for _, r := range targets {
			if r.method != http.MethodGet {
				continue
			}
			for _, p := range r.params {
				if p.Value.In != openapi3.ParameterInQuery || p.Value.Name == "wait" {
					continue
				}
				for _, value := range hostile {
					target := r.path + "?" + url.Values{p.Value.Name: {value}}.Encode()
					res := w.do(t, r.as(), r.method, target, nil)
					switch res.StatusCode {
					case http.StatusOK:
						var page struct{ Items []any }
						res.into(t, &page)
						if narrows(p.Value.Name) {
							require.Empty(t, page.Items, "%s found something", target)
						}
					case http.StatusBadRequest, http.StatusNotFound:
					default:
						t.Fatalf("%s: %d %s", target, res.StatusCode, res.body)
					}
					require.NotContains(t, strings.ToLower(string(res.body)), "sql", target)
				}
			}
		}
		require.NotContains(t, w.logs.String(), `"level":"ERROR"`)
		require.Equal(t, before, w.state(t))
	})
}

// narrows says whether a query parameter is a filter by a value that no row of
// the test has in common with the hostile ones.
func narrows(parameter string) bool {
	return slices.Contains([]string{"name", "name_prefix", "zone", "tag", "resource_id", "tenant_id", "provider_id"}, parameter)
}

// TestWildcardsAreLetters: in a filter % and _ are what they are.
func TestWildcardsAreLetters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"ab", "axb", "a-b"} {
			w.AcceptVM(t, name)
		}
		w.DB.WithContext(t.Context()).Exec("UPDATE vms SET name = 'a%b' WHERE name = 'axb'")
		for filter, want := range map[string][]string{
			"name_prefix=a": {"a%b", "a-b", "ab"}, "name_prefix=a%25": {"a%b"}, "name_prefix=%25": {}, "name_prefix=_": {}, "name_prefix=a_b": {}, "name=a%25b": {"a%b"}, "name=a_b": {}, "name_prefix=A": {},
		} {
			got := []string{}
			for _, item := range w.do(t, owner(), http.MethodGet, vmsPath+"?sort=name&"+filter, nil).items(t) {
				got = append(got, item["name"].(string))
			}
			slices.Sort(got)
			require.Equal(t, want, got, filter)
		}
	})
}

// TestHostileIDs: what cannot be an ID names nothing, on every route and in
// every place, and is refused before anything is done.
func TestHostileIDs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "target")
		ids := seededIDs(vm.ID, w.AcceptVM(t, "b").ID)
		before := w.state(t)
		dispatched := len(w.dispatcher.jobs())
		for _, r := range w.sweep(t, ids) {
			for _, p := range r.params {
				if p.Value.In != openapi3.ParameterInPath {
					continue
				}
				for _, value := range hostile {
					if value == "" || len(value) > 100 { // another path
						continue
					}
					replaced := maps.Clone(ids)
					replaced[p.Value.Name] = url.PathEscape(value)
					for _, again := range w.targets(replaced) {
						if again.id != r.id {
							continue
						}
						res := w.do(t, r.as(), r.method, again.path, r.body)
						require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusPreconditionRequired}, res.StatusCode, "%s %s: %s", r.method, again.path, res.body)
					}
				}
			}
		}
		require.Equal(t, before, w.state(t))
		require.Len(t, w.dispatcher.jobs(), dispatched)
		require.NotContains(t, w.logs.String(), `"level":"ERROR"`)
	})
}

// TestOnePathOneForm: of everything that might be read as the path of an
// action, only its own form and %3A reach it.
func TestOnePathOneForm(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "a")
	good := vmsPath + "/" + vm.ID
	before := w.state(t)
	for _, target := range []string{
		good + ":stop/", good + "/:stop", good + "//:stop", good + "/.:stop", good + "/./:stop", good + ":stop:", good + "::stop", good + ":stop%00", good + ":stop%20", good + "%20:stop",
		good + ":st%6Fp%2F", good + "%253Astop", good + "%25u003astop", good + "%EF%BC%9Astop" /* a fullwidth colon */, good + "%C0%BAstop" /* overlong */, good + "%E0%80%BAstop",
		good + ":STOP", good + ":stop;x=1", good + ";:stop", good + ":stop#", good + "%5C:stop", good + "%2e%2e:stop",
		vmsPath + "//" + vm.ID + ":stop", vmsPath + "/./" + vm.ID + ":stop", vmsPath + "/x/../" + vm.ID + ":stop", "/" + good + ":stop",
		"/api/hcp/@stop" + strings.TrimPrefix(good, "/api/hcp"), "/api/hcp/%40stop" + strings.TrimPrefix(good, "/api/hcp"), "/api/hcp//@stop" + strings.TrimPrefix(good, "/api/hcp"),
		"/api/hcp/tenant/v1/../../@stop" + strings.TrimPrefix(good, "/api/hcp"), strings.Replace(good, "/api/hcp", "/API/HCP", 1) + ":stop",
		strings.Replace(good, "/tenant/", "/TENANT/", 1) + ":stop", strings.Replace(good, "/vms/", "/vms%2F", 1) + ":stop", strings.Replace(good, "/vms/", "/vms%5c", 1) + ":stop",
	} {
		path, _, _ := strings.Cut(target, "#")
		if path == good+":stop" {
			continue
		}
		res := w.do(t, owner(), http.MethodPost, path, nil)
		require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed}, res.StatusCode, "%s: %s", path, res.body)
	}
	require.Equal(t, before, w.state(t))
	require.Empty(t, w.dispatcher.jobs())
	require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, good+"%3Astop", nil).StatusCode)
}

// TestNothingIsWrittenBeforeTheAuthorIsKnown: every change as nobody, with a
// valid body and an Idempotency-Key.
func TestNothingIsWrittenBeforeTheAuthorIsKnown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		targets := w.sweep(t, seededIDs(vm.ID, w.AcceptVM(t, "b").ID))
		before := w.state(t)
		for _, r := range targets {
			headers := []string{"Idempotency-Key", "k"}
			for _, authorization := range []string{"", "Bearer abc"} {
				if authorization != "" {
					headers = append(headers, "Authorization", authorization)
				}
				w.send(t, r.method, r.path, r.body, headers...).requireProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
			}
		}
		require.Equal(t, before, w.state(t))
	})
}

// TestEveryListHasItsOrderAndFiltersFromAList: what may be sorted and filtered
// by is named in the description, so that no column can be asked for.
func TestEveryListHasItsOrderAndFiltersFromAList(t *testing.T) {
	w := onSQLite(t)
	for _, r := range w.sweep(t, seededIDs("vm", "job")) {
		for _, p := range r.params {
			if p.Value.In == openapi3.ParameterInQuery && p.Value.Name == "sort" {
				require.NotEmpty(t, p.Value.Schema.Value.Enum, r.id)
			}
		}
		if r.method != http.MethodGet {
			continue
		}
		for _, column := range []string{"tenant_id", "sealed_credentials", "user_data"} {
			if r.op.Parameters.GetByInAndName("query", column) != nil {
				continue
			}
			res := w.do(t, r.as(), http.MethodGet, r.path+"?"+column+"=x", nil)
			res.requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
			raw, err := json.Marshal(res.json(t)["errors"])
			require.NoError(t, err)
			require.Contains(t, string(raw), "/query/"+column)
		}
	}
}
