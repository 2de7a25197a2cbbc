package proxmoxsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// cluster is a simulated cluster with a raw client of its API.
type cluster struct {
	simadmin.Admin
	t      *testing.T
	header http.Header
}

// reply is an answer of the API.
type reply struct {
	status int
	reason string // of the status line
	Data   any
	Errors map[string]string
}

func serve(t *testing.T, opts proxmoxsim.Options) (*cluster, *proxmoxsim.Server) {
	t.Helper()
	pve, err := proxmoxsim.New(opts)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(pve)
	t.Cleanup(func() {
		require.NoError(t, pve.Close())
		srv.Close()
	})
	c := &cluster{Admin: simadmin.Admin{URL: srv.URL, Client: srv.Client()}, t: t, header: http.Header{}}
	c.header.Set("Authorization", "PVEAPIToken="+proxmoxsim.DefaultToken)
	return c, pve
}

// with is the same cluster for a caller with other headers.
func (c *cluster) with(headers map[string]string) *cluster {
	other := *c
	other.header = http.Header{}
	for name, value := range headers {
		other.header.Set(name, value)
	}
	return &other
}

func (c *cluster) token(token string) *cluster {
	return c.with(map[string]string{"Authorization": "PVEAPIToken=" + token})
}

func (c *cluster) send(method, path, contentType string, body io.Reader) (reply, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+"/api2/json"+path, body)
	require.NoError(c.t, err)
	maps.Copy(req.Header, c.header)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.Client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { require.NoError(c.t, res.Body.Close()) }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	out := reply{status: res.StatusCode, reason: strings.TrimPrefix(res.Status[3:], " ")}
	if len(raw) > 0 {
		require.NoError(c.t, json.Unmarshal(raw, &out), string(raw))
	}
	return out, nil
}

// do makes a call with a form, or with a query for GET and DELETE.
func (c *cluster) do(method, path string, pairs ...string) reply {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	var body io.Reader
	kind := ""
	switch {
	case len(pairs) == 0:
	case method == http.MethodGet || method == http.MethodDelete:
		path += "?" + form.Encode()
	default:
		body, kind = strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	}
	out, err := c.send(method, path, kind, body)
	require.NoError(c.t, err)
	return out
}

func (c *cluster) get(path string, pairs ...string) any {
	c.t.Helper()
	out := c.do(http.MethodGet, path, pairs...)
	require.Equal(c.t, 200, out.status, out.reason)
	return out.Data
}

func (c *cluster) rows(path string, pairs ...string) []map[string]any {
	c.t.Helper()
	list, ok := c.get(path, pairs...).([]any)
	require.True(c.t, ok)
	out := make([]map[string]any, len(list))
	for i := range list {
		out[i], ok = list[i].(map[string]any)
		require.True(c.t, ok)
	}
	return out
}

func column(rows []map[string]any, name string) []any {
	out := make([]any, len(rows))
	for i, row := range rows {
		out[i] = row[name]
	}
	return out
}

// ended waits until a task is over and returns its exit status.
func (c *cluster) ended(upid any) string {
	c.t.Helper()
	text, ok := upid.(string)
	require.True(c.t, ok, upid)
	node := strings.Split(text, ":")[1]
	var exit string
	require.Eventually(c.t, func() bool {
		status, ok := c.get("/nodes/" + node + "/tasks/" + text + "/status").(map[string]any)
		if !ok || status["status"] == "running" {
			return false
		}
		exit, ok = status["exitstatus"].(string)
		return ok
	}, 30*time.Second, 5*time.Millisecond)
	return exit
}

// upload sends a file and returns the answer.
func (c *cluster) upload(storage, content, name, data string) reply {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(c.t, form.WriteField("content", content))
	part, err := form.CreateFormFile("filename", name)
	require.NoError(c.t, err)
	_, err = part.Write([]byte(data))
	require.NoError(c.t, err)
	require.NoError(c.t, form.Close())
	out, err := c.send(http.MethodPost, "/nodes/pve1/storage/"+storage+"/upload", form.FormDataContentType(), &body)
	require.NoError(c.t, err)
	return out
}

func TestTheClusterTellsWhatThereIs(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{Nodes: 2})
	vm, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs", Node: "pve2", VCPUs: 2, MemoryMiB: 1024, DiskGiB: 3})
	require.NoError(t, err)

	require.Equal(t, proxmoxsim.Version, c.get("/version").(map[string]any)["version"])
	require.Equal(t, []any{"pve1", "pve2"}, column(c.rows("/nodes"), "node"))
	guests := c.rows("/cluster/resources", "type", "vm")
	require.Equal(t, []any{"theirs", "debian-12"}, column(guests, "name"))
	require.Equal(t, []any{0.0, 1.0}, column(guests, "template"))
	require.Equal(t, []any{"pve2", "running", 2.0, float64(1024 << 20), float64(3 << 30), "qemu"}, []any{
		guests[0]["node"], guests[0]["status"], guests[0]["maxcpu"], guests[0]["maxmem"], guests[0]["maxdisk"], guests[0]["type"],
	})
	require.Len(t, c.rows("/cluster/resources", "type", "storage"), 6, "three storages on two nodes")
	require.Equal(t, []any{"cluster", "node", "node"}, column(c.rows("/cluster/status"), "type"))
	require.Equal(t, []any{"vmbr0", "vmbr1"}, column(c.rows("/nodes/pve1/network", "type", "any_bridge"), "iface"))
	require.Equal(t, []any{"local-lvm", "shared"}, column(c.rows("/nodes/pve1/storage", "content", "images"), "storage"))

	require.Equal(t, "101", c.get("/cluster/nextid"), "100 is "+vm.NativeID)
	require.Equal(t, "101", c.get("/cluster/nextid"), "nothing was reserved")
	taken := c.do(http.MethodGet, "/cluster/nextid", "vmid", "100")
	require.Equal(t, []any{400, map[string]string{"vmid": "VM 100 already exists"}}, []any{taken.status, taken.Errors})
}

func TestTheTextOfARefusalIsInTheStatusLine(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	for _, tc := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"GET", "/nodes/nope/status", 500, "hostname lookup 'nope' failed - failed to get address info for: nope: Name or service not known"},
		{"GET", "/nodes/pve1/storage/nope/status", 500, "storage 'nope' does not exist"},
		{"GET", "/nodes/pve1/storage?colour=red", 400, "Parameter verification failed."},
		{"GET", "/nothing", 501, "Method 'GET /nothing' not implemented"},
		{"DELETE", "/version", 501, "Method 'DELETE /version' not implemented"},
	} {
		out := c.do(tc.method, tc.path)
		require.Equal(t, []any{tc.status, tc.reason}, []any{out.status, out.reason}, tc.path)
	}
}

func TestJSONBodiesAreReadAsForms(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	body := `{"username":"root@pam","password":"` + proxmoxsim.DefaultPassword + `"}`
	out, err := c.with(nil).send(http.MethodPost, "/access/ticket", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.Equal(t, 200, out.status, out.reason)
}

func TestANodeThatIsDownIsNotReached(t *testing.T) {
	c, pve := serve(t, proxmoxsim.Options{})
	_, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs", Node: "pve2"})
	require.NoError(t, err)
	one := httptest.NewServer(pve.Endpoint("pve2"))
	t.Cleanup(one.Close)
	direct := &cluster{Admin: simadmin.Admin{URL: one.URL, Client: one.Client()}, t: t, header: c.header}
	require.Equal(t, 200, direct.do(http.MethodGet, "/version").status)

	down := "down"
	require.NoError(t, c.SetNode(t.Context(), "pve2", simadmin.NodeChange{State: &down}))
	out := c.do(http.MethodGet, "/nodes/pve2/status")
	require.Equal(t, []any{595, "No route to host"}, []any{out.status, out.reason})
	require.Equal(t, []any{"online", "offline", "online"}, column(c.rows("/nodes"), "status"))
	require.Equal(t, "unknown", c.rows("/cluster/resources", "type", "vm")[0]["status"])
	_, err = direct.send(http.MethodGet, "/version", "", nil)
	require.Error(t, err, "the node's own API is gone")
}

func TestSnippetsComeAndGo(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{SnippetUpload: true})
	out := c.upload("shared", "snippets", "hcp-user.yaml", "#cloud-config\n")
	require.Equal(t, 200, out.status, out.reason)
	require.Equal(t, "OK", c.ended(out.Data))
	list := c.rows("/nodes/pve2/storage/shared/content", "content", "snippets")
	require.Equal(t, []any{"shared:snippets/hcp-user.yaml"}, column(list, "volid"))

	gone := c.do(http.MethodDelete, "/nodes/pve1/storage/shared/content/shared:snippets/hcp-user.yaml")
	require.Equal(t, 200, gone.status, gone.reason)
	require.Equal(t, "OK", c.ended(gone.Data))
	require.Empty(t, c.rows("/nodes/pve1/storage/shared/content", "content", "snippets"))
	again := c.do(http.MethodDelete, "/nodes/pve1/storage/shared/content/shared:snippets/hcp-user.yaml")
	require.Equal(t, "volume 'shared:snippets/hcp-user.yaml' does not exist", c.ended(again.Data))
	require.Equal(t, 400, c.upload("local-lvm", "snippets", "x.yaml", "x").status, "it holds no snippets")
}

func TestAReleaseWithoutSnippetUploadRefusesIt(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	out := c.upload("shared", "snippets", "x.yaml", "x")
	require.Equal(t, 400, out.status)
	require.Equal(t, []string{"content"}, slices.Collect(maps.Keys(out.Errors)))
}
