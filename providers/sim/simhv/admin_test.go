package simhv_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin/simadmintest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestVMsAreShownAsDocumented(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, _ := s.create("id-1")
	_, body, _ := s.send("GET", "/_admin/vms", "")
	var out struct{ VMs []map[string]any }
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	require.Len(t, out.VMs, 1)
	vm := out.VMs[0]
	created, ok := vm["created_at"].(string)
	require.True(t, ok)
	_, err := time.Parse(time.RFC3339, created)
	require.NoError(t, err)
	for field, want := range map[string]any{
		"native_id": native, "name": "name-id-1", "mark": map[string]any{"vm_id": "id-1", "installation_id": "i"}, "power": "stopped",
		"vcpus": 1.0, "memory_mib": 64.0, "disk_gib": 1.0, "node": "node-1", "snapshots": []any{}, "uuid": "id-1",
	} {
		require.Equal(t, want, vm[field], field)
	}
	require.Len(t, vm["disks"], 1)
}

// TestTheAdminSide runs what the admin side of every simulated hypervisor does.
func TestTheAdminSide(t *testing.T) {
	simadmintest.Run(t, func(t *testing.T) simadmintest.Simulator {
		t.Helper()
		hv, err := simhv.New(simhv.Options{})
		require.NoError(t, err)
		srv := httptest.NewServer(hv)
		t.Cleanup(func() {
			require.NoError(t, hv.Close())
			srv.Close()
		})
		a := &adapter{url: srv.URL + "/v1/"}
		return simadmintest.Simulator{
			Handler: hv, Admin: simadmin.Admin{URL: srv.URL}, Nodes: [2]string{"node-1", "node-2"}, ListNodes: a.listNodes,
		}
	})
}

// adapter calls a hypervisor as an adapter does.
type adapter struct{ url, token string }

func (a *adapter) listNodes(ctx context.Context) error {
	if a.token == "" {
		var out struct{ Token string }
		if err := a.call(ctx, "login", `{"username":"u","password":"p"}`, &out); err != nil {
			return err
		}
		a.token = out.Token
	}
	return a.call(ctx, "list_nodes", `{}`, nil)
}

func (a *adapter) call(ctx context.Context, op, body string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+op, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusUnauthorized {
		a.token = ""
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

func TestAForeignVMIsGivenAnotherNativeID(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	vm, err := s.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs"})
	require.NoError(t, err)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/elsewhere", "", 404},
		{"POST", "/_admin/vms", `{"name":"x","uuid":"id-1"}`, 409},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"native_id":"vm-1"}`, 409},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"native_id":""}`, 400},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"memory_mib":0}`, 400},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"native_id":"renamed"}`, 200},
		{"DELETE", "/_admin/vms/" + vm.NativeID, "", 404}, // the old one is gone
		{"DELETE", "/_admin/vms/renamed", "", 204},
	} {
		status, body, _ := s.send(tc.method, tc.path, tc.body)
		require.Equal(t, tc.want, status, "%s %s %s: %s", tc.method, tc.path, tc.body, body)
	}
}
