package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// TestBadInput sends what no client should, and sees the code of each and that
// nothing has changed.
func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "target")
		path := vmsPath + "/" + vm.ID
		valid := `"name":"x","image_id":"debian","flavor_id":"small"`
		nested := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
		before := w.state(t)
		type c struct {
			method, target, body string
			status               int
			code, pointer        string
		}
		get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
		bad, notFound := http.StatusBadRequest, http.StatusNotFound
		for name, tc := range map[string]c{
			"unknown field":              {post, vmsPath, `{` + valid + `,"color":"red"}`, bad, "UNKNOWN_FIELD", "/color"},
			"unknown nested field":       {post, vmsPath, `{` + valid + `,"networks":[{"network_id":"net-1","vlan":1}]}`, bad, "UNKNOWN_FIELD", "/networks/0/vlan"},
			"unknown placement":          {post, vmsPath, `{` + valid + `,"placement":{"node":"n1"}}`, bad, "UNKNOWN_FIELD", "/placement/node"},
			"other case":                 {post, vmsPath, `{"Name":"x","image_id":"debian","flavor_id":"small"}`, bad, "UNKNOWN_FIELD", ""},
			"unknown field of an action": {post, path + ":stop", `{"force":true}`, bad, "UNKNOWN_FIELD", "/force"},
			"field where none is":        {post, path + ":start", `{"mode":"force"}`, bad, "UNKNOWN_FIELD", "/mode"},
			"missing field":              {post, vmsPath, `{"name":"x"}`, bad, "INVALID_ARGUMENT", "/image_id"},
			"empty body":                 {post, vmsPath, ``, bad, "INVALID_ARGUMENT", ""},
			"null":                       {post, vmsPath, `null`, bad, "INVALID_ARGUMENT", ""},
			"a list":                     {post, vmsPath, `[]`, bad, "INVALID_ARGUMENT", ""},
			"a null field":               {post, vmsPath, `{` + valid + `,"description":null}`, bad, "INVALID_ARGUMENT", "/description"},
			"bad JSON":                   {post, vmsPath, `{"name":`, bad, "MALFORMED_JSON", ""},
			"single quotes":              {post, vmsPath, `{'name':'x'}`, bad, "MALFORMED_JSON", ""},
			"trailing comma":             {post, vmsPath, `{` + valid + `,}`, bad, "MALFORMED_JSON", ""},
			"trailing data":              {post, vmsPath, `{` + valid + `} {}`, bad, "MALFORMED_JSON", ""},
			"duplicate key":              {post, vmsPath, `{` + valid + `,"name":"y"}`, bad, "MALFORMED_JSON", "/name"},
			"duplicate nested key":       {post, vmsPath, `{` + valid + `,"placement":{"zone":"a","zone":"b"}}`, bad, "MALFORMED_JSON", "/placement/zone"},
			"duplicate by escape":        {post, vmsPath, `{` + valid + `,"n\u0061me":"y"}`, bad, "MALFORMED_JSON", "/name"},
			"not UTF-8":                  {post, vmsPath, "{\"name\":\"\xff\"}", bad, "MALFORMED_JSON", ""},
			"half a surrogate":           {post, vmsPath, `{"name":"\ud800"}`, bad, "MALFORMED_JSON", ""},
			"byte order mark":            {post, vmsPath, "\ufeff{" + valid + "}", bad, "MALFORMED_JSON", ""},
			"deep nesting":               {post, vmsPath, nested, bad, "MALFORMED_JSON", ""},
			"a body over 1 MiB":          {post, vmsPath, `{` + valid + `,"user_data":"` + strings.Repeat("a", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", ""},
			"exactly over the limit":     {post, vmsPath, strings.Repeat(" ", 1<<20) + "1", http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", ""},
			"user data over 64 KiB":      {post, vmsPath, `{` + valid + `,"user_data":"` + strings.Repeat("a", 64<<10+1) + `"}`, bad, "INVALID_ARGUMENT", "/user_data"},
			"user data over in bytes":    {post, vmsPath, `{` + valid + `,"user_data":"` + strings.Repeat("ä", 40<<10) + `"}`, bad, "INVALID_ARGUMENT", "/user_data"},
			"wrong type":                 {post, vmsPath, `{"name":5,"image_id":"debian","flavor_id":"small"}`, bad, "INVALID_ARGUMENT", "/name"},
			"a text for a bool":          {post, vmsPath, `{` + valid + `,"start":"yes"}`, bad, "INVALID_ARGUMENT", "/start"},
			"a fraction for a size":      {post, vmsPath, `{` + valid + `,"disk_gib":1.5}`, bad, "INVALID_ARGUMENT", "/disk_gib"},
			"a huge size":                {post, vmsPath, `{` + valid + `,"disk_gib":1e300}`, bad, "INVALID_ARGUMENT", "/disk_gib"},
			"size zero":                  {post, vmsPath, `{` + valid + `,"disk_gib":0}`, bad, "INVALID_ARGUMENT", "/disk_gib"},
			"a size below zero":          {post, vmsPath, `{` + valid + `,"disk_gib":-1}`, bad, "INVALID_ARGUMENT", "/disk_gib"},
			"a name with a slash":        {post, vmsPath, `{"name":"a/b","image_id":"debian","flavor_id":"small"}`, bad, "INVALID_ARGUMENT", "/name"},
			"a name with a newline":      {post, vmsPath, `{"name":"a\n","image_id":"debian","flavor_id":"small"}`, bad, "INVALID_ARGUMENT", "/name"},
			"a name too long":            {post, vmsPath, `{"name":"` + strings.Repeat("a", 64) + `","image_id":"debian","flavor_id":"small"}`, bad, "INVALID_ARGUMENT", "/name"},
			"an empty name":              {post, vmsPath, `{"name":"","image_id":"debian","flavor_id":"small"}`, bad, "INVALID_ARGUMENT", "/name"},
			"a key with a newline":       {post, vmsPath, `{` + valid + `,"ssh_keys":["a\nb"]}`, bad, "INVALID_ARGUMENT", "/ssh_keys/0"},
			"NUL in a description":       {post, vmsPath, `{` + valid + `,"description":"a\u0000"}`, bad, "INVALID_ARGUMENT", "/description"},
			"NUL in metadata":            {post, vmsPath, `{` + valid + `,"metadata":{"a":"\u0000"}}`, bad, "INVALID_ARGUMENT", "/metadata/a"},
			"a bad label key":            {post, vmsPath, `{` + valid + `,"tags":{"a:b":"c"}}`, bad, "INVALID_ARGUMENT", "/tags/a:b"},
			"a NUL label key":            {post, vmsPath, `{` + valid + `,"tags":{"a\u0000":"c"}}`, bad, "INVALID_ARGUMENT", ""},
			"not an address":             {post, vmsPath, `{` + valid + `,"networks":[{"network_id":"net-1","ip_address":"10.0.0.1/24"}]}`, bad, "INVALID_ARGUMENT", "/networks/0/ip_address"},
			"an address of nobody":       {post, vmsPath, `{` + valid + `,"networks":[{"network_id":"net-1","ip_address":"0.0.0.0"}]}`, bad, "INVALID_ARGUMENT", "/networks/0/ip_address"},
			"an unknown mode":            {post, path + ":stop", `{"mode":"gently"}`, bad, "INVALID_ARGUMENT", "/mode"},
			"a mode of another action":   {post, path + ":reboot", `{"mode":"graceful_then_force"}`, bad, "INVALID_ARGUMENT", "/mode"},

			"unknown verb":             {post, path + ":explode", ``, notFound, "UNKNOWN_ACTION", ""},
			"unknown verb, escaped":    {post, path + "%3Aexplode", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb in capitals":         {post, path + ":START", ``, notFound, "UNKNOWN_ACTION", ""},
			"empty verb":               {post, path + ":", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb of nothing":          {post, vmsPath + "/:start", ``, notFound, "UNKNOWN_ACTION", ""},
			"two verbs":                {post, path + ":stop:start", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb on the list":         {post, vmsPath + ":start", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb on a project":        {post, tenantBase + "/projects/" + storetest.Project + ":start", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb that is not there":   {post, path + ":teleport", ``, notFound, "UNKNOWN_ACTION", ""},
			"verb inside of the path":  {post, tenantBase + "/projects/p:start/vms", ``, notFound, "NOT_FOUND", ""},
			"the router's inner form":  {post, "/api/hcp/@start/tenant/v1/projects/" + storetest.Project + "/vms/" + vm.ID, ``, notFound, "NOT_FOUND", ""},
			"the inner form, escaped":  {post, "/api/hcp/%40start/tenant/v1/projects/" + storetest.Project + "/vms/" + vm.ID, ``, notFound, "NOT_FOUND", ""},
			"a slash at the end":       {get, path + "/", ``, notFound, "NOT_FOUND", ""},
			"an ID with a slash":       {get, vmsPath + "/a/b", ``, notFound, "NOT_FOUND", ""},
			"an escaped slash":         {get, vmsPath + "/a%2Fb", ``, bad, "INVALID_ARGUMENT", ""},
			"an escaped slash, small":  {get, vmsPath + "/a%2fb", ``, bad, "INVALID_ARGUMENT", ""},
			"an ID with a colon":       {get, vmsPath + "/a:b", ``, notFound, "UNKNOWN_ACTION", ""},
			"an ID with a colon, 3A":   {get, vmsPath + "/a%3Ab", ``, notFound, "UNKNOWN_ACTION", ""},
			"an ID with an escape":     {get, vmsPath + "/%2e%2e", ``, notFound, "NOT_FOUND", ""},
			"an ID escaped twice":      {get, vmsPath + "/a%252Fb", ``, notFound, "NOT_FOUND", ""},
			"an ID with a space":       {get, vmsPath + "/a%20b", ``, notFound, "NOT_FOUND", ""},
			"an ID with a NUL":         {get, vmsPath + "/a%00b", ``, notFound, "NOT_FOUND", ""},
			"an ID too long":           {get, vmsPath + "/" + strings.Repeat("a", 65), ``, notFound, "NOT_FOUND", ""},
			"an ID with a quote":       {get, vmsPath + "/'%20OR%201=1--", ``, notFound, "NOT_FOUND", ""},
			"a project with a dot dot": {get, tenantBase + "/projects/../projects", ``, notFound, "NOT_FOUND", ""},
			"two slashes":              {get, "/api/hcp/tenant//v1/projects", ``, notFound, "NOT_FOUND", ""},
			"an unknown path":          {get, tenantBase + "/nothing", ``, notFound, "NOT_FOUND", ""},
			"outside of the API":       {get, "/etc/passwd", ``, notFound, "NOT_FOUND", ""},
			"a method of no route":     {http.MethodPut, path, `{}`, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", ""},
			"a read of an action":      {get, path + ":start", ``, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", ""},
			"a change of the catalog":  {post, commonBase + "/images", `{}`, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", ""},

			"unknown query parameter":  {get, vmsPath + "?verbose=1", ``, bad, "UNKNOWN_FIELD", "/query/verbose"},
			"a query where none is":    {get, path + "?a=b", ``, bad, "UNKNOWN_FIELD", "/query/a"},
			"a query of an action":     {post, path + ":stop?mode=force", ``, bad, "UNKNOWN_FIELD", "/query/mode"},
			"a semicolon":              {get, vmsPath + "?limit=1;limit=2", ``, bad, "INVALID_ARGUMENT", ""},
			"a broken escape":          {get, vmsPath + "?name=%zz", ``, bad, "INVALID_ARGUMENT", ""},
			"a NUL in the query":       {get, vmsPath + "?name=a%00", ``, bad, "INVALID_ARGUMENT", "/query/name"},
			"not UTF-8 in the query":   {get, vmsPath + "?name=%ff", ``, bad, "INVALID_ARGUMENT", "/query/name"},
			"the same parameter twice": {get, vmsPath + "?limit=1&limit=2", ``, bad, "INVALID_ARGUMENT", "/query/limit"},
			"limit zero":               {get, vmsPath + "?limit=0", ``, bad, "INVALID_ARGUMENT", "/query/limit"},
			"limit too large":          {get, vmsPath + "?limit=201", ``, bad, "INVALID_ARGUMENT", "/query/limit"},
			"limit a text":             {get, vmsPath + "?limit=ten", ``, bad, "INVALID_ARGUMENT", "/query/limit"},
			"an unknown order":         {get, vmsPath + "?sort=id;drop", ``, bad, "INVALID_ARGUMENT", ""},
			"an order of a column":     {get, vmsPath + "?sort=tenant_id", ``, bad, "INVALID_ARGUMENT", "/query/sort"},
			"an unknown status":        {get, vmsPath + "?status=GONE", ``, bad, "INVALID_ARGUMENT", "/query/status"},
			"a tag without a colon":    {get, vmsPath + "?tag=env", ``, bad, "INVALID_ARGUMENT", "/query/tag"},
			"a tag with two values":    {get, vmsPath + "?tag=env:a&tag=env:b", ``, bad, "INVALID_ARGUMENT", "/query/tag"},
			"a bad time":               {get, vmsPath + "?created_after=yesterday", ``, bad, "INVALID_ARGUMENT", "/query/created_after"},
			"a page token of nobody":   {get, vmsPath + "?page_token=abc", ``, bad, "INVALID_PAGE_TOKEN", "/query/page_token"},
			"a body with a read":       {get, path, `{}`, bad, "INVALID_ARGUMENT", ""},
			"a body with a delete":     {del, path, `{"force":true}`, bad, "INVALID_ARGUMENT", ""},
		} {
			t.Run(name, func(t *testing.T) {
				var body any
				if tc.body != "" {
					body = tc.body
				}
				p := w.do(t, owner(), tc.method, tc.target, body).requireProblem(t, tc.status, tc.code)
				if tc.pointer != "" {
					require.NotNil(t, p["errors"], "%v", p)
					require.Equal(t, tc.pointer, p["errors"].([]any)[0].(map[string]any)["pointer"], "%v", p)
				}
				if tc.status == http.StatusMethodNotAllowed {
					return
				}
				require.NotContains(t, p["detail"], "hunter2")
			})
		}
		require.Equal(t, before, w.state(t))
		require.Empty(t, w.dispatcher.jobs())
	})
}

func TestMediaTypes(t *testing.T) {
	w := onSQLite(t)
	before := w.state(t)
	for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"} {
		w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Content-Type", mediaType).
			requireProblem(t, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
	}
	require.Equal(t, before, w.state(t))
	res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Content-Type", "application/json; charset=utf-8")
	require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
}

func TestMethodNotAllowedNamesTheAllowed(t *testing.T) {
	w := onSQLite(t)
	res := w.do(t, owner(), http.MethodPatch, vmsPath, `{}`)
	require.Contains(t, res.Header.Get("Allow"), "GET")
	require.Contains(t, res.Header.Get("Allow"), "POST")
}

func TestEveryDefectIsNamed(t *testing.T) {
	w := onSQLite(t)
	p := w.do(t, owner(), http.MethodPost, vmsPath, `{"name":"a b","image_id":5,"start":1}`).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	var pointers []string
	for _, e := range p["errors"].([]any) {
		pointers = append(pointers, e.(map[string]any)["pointer"].(string))
	}
	require.ElementsMatch(t, []string{"/name", "/image_id", "/start", "/flavor_id"}, pointers)
}
