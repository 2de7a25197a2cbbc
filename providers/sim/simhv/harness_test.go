package simhv_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// side is a hypervisor and a raw client of both its sides.
type side struct {
	simadmin.Admin
	t     *testing.T
	token string
}

func serve(t *testing.T, opts simhv.Options) *side {
	t.Helper()
	hv, err := simhv.New(opts)
	require.NoError(t, err)
	srv := httptest.NewServer(hv)
	t.Cleanup(func() {
		require.NoError(t, hv.Close())
		srv.Close()
	})
	s := &side{Admin: simadmin.Admin{URL: srv.URL}, t: t}
	s.login()
	return s
}

func (s *side) login() {
	s.t.Helper()
	status, body := s.op("login", `{"username":"u","password":"p"}`)
	require.Equal(s.t, 200, status, body)
	var out struct{ Token string }
	require.NoError(s.t, json.Unmarshal([]byte(body), &out))
	s.token = out.Token
}

// send makes one HTTP call and returns the answer.
func (s *side) send(method, path, body string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("User-Agent", "test")
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(b), res.Header
}

func (s *side) op(name, body string) (int, string) {
	s.t.Helper()
	status, answer, _ := s.send("POST", "/v1/"+name, body)
	return status, answer
}

func createBody(id, name, node string) string {
	return fmt.Sprintf(`{"uuid":%q,"name":%q,"mark":{"vm_id":%q,"installation_id":"i"},"node":%q,"vcpus":1,"memory_mib":64,"disk_gib":1,`+
		`"image":"tiny","nics":[{"network":"net0","mac":"52:54:00:00:00:09"}],"cloud_init":{"hostname":"h","user_data":null,"ssh_keys":null}}`,
		id, name, id, node)
}

// create makes a VM by the adapter's side and returns its native ID and task.
func (s *side) create(id string) (native, task string) {
	s.t.Helper()
	status, body := s.op("create_vm", createBody(id, "name-"+id, "node-1"))
	require.Equal(s.t, 200, status, body)
	var out struct {
		NativeID string `json:"native_id"`
		Task     string `json:"task"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(body), &out))
	return out.NativeID, out.Task
}

func (s *side) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			s.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
