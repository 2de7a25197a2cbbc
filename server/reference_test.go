package server_test

import (
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server"
)

func TestReferencePage(t *testing.T) {
	w := onSQLite(t)
	assets := fstest.MapFS{}
	w.rebuilt(t, func(d *server.Deps) { d.Docs = assets })
	const csp = "Content-Security-Policy"

	res := w.send(t, http.MethodGet, "/docs", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, string(res.body), "task web", "a page that was not built says how to build it")
	require.Contains(t, res.Header.Get(csp), "script-src 'self'")

	assets["index.html"] = &fstest.MapFile{Data: []byte("<title>built</title>")}
	assets["page.js"] = &fstest.MapFile{Data: []byte("1")}
	assets[".keep"] = &fstest.MapFile{}
	assets["sub/x.js"] = &fstest.MapFile{Data: []byte("1")}
	res = w.send(t, http.MethodGet, "/docs", nil)
	require.Equal(t, "<title>built</title>", string(res.body))
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	for _, directive := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		require.Contains(t, res.Header.Get(csp), directive)
	}
	require.NotContains(t, res.Header.Get(csp), "unsafe")
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	again := w.send(t, http.MethodGet, "/docs", nil, "If-None-Match", res.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.StatusCode)
	require.Empty(t, again.body)

	res = w.send(t, http.MethodGet, "/docs/assets/page.js", nil)
	require.Equal(t, "text/javascript; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, "default-src 'none'; frame-ancestors 'none'", res.Header.Get(csp))
	for _, name := range []string{"absent.js", ".keep", "", "sub", "sub/x.js", "sub%2Fx.js", "..%2Fdocs.go", "%2e%2e", "..", "a%00"} {
		w.send(t, http.MethodGet, "/docs/assets/"+name, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	}
}

// TestTheReferenceShowsEveryPlane: it needs no token, and is the whole
// description; what a tenant's token may use has no operators' routes.
func TestTheReferenceShowsEveryPlane(t *testing.T) {
	w := onSQLite(t)
	res := w.send(t, http.MethodGet, "/docs/openapi.json", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	doc, err := openapi3.NewLoader().LoadFromData(res.body)
	require.NoError(t, err)
	require.Len(t, doc.Paths.Map(), len(w.doc.Paths.Map()))
	require.NotNil(t, doc.Components.Schemas["VM"].Value.Example)

	w.send(t, http.MethodGet, commonBase+"/openapi.json", nil).requireProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	doc, err = openapi3.NewLoader().LoadFromData(w.do(t, owner(), http.MethodGet, commonBase+"/openapi.json", nil).body)
	require.NoError(t, err)
	require.Nil(t, doc.Paths.Value("/ops/v1/vms"))
	require.NotNil(t, doc.Paths.Value("/tenant/v1/jobs"))
}

func TestHiddenReference(t *testing.T) {
	w := onSQLite(t)
	w.rebuilt(t, func(d *server.Deps) { d.Config.HideDocs = true })
	for _, path := range []string{"/docs", "/docs/openapi.json", "/docs/assets/page.js"} {
		w.send(t, http.MethodGet, path, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	}
}
