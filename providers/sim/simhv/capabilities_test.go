package simhv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestWithdrawnCapabilities(t *testing.T) {
	s := serve(t, simhv.Options{Capabilities: simadmin.Capabilities{Withdraw: []string{"suspend", "hot_resize"}}})
	s.create("id-1")
	_, body := s.op("info", `{}`)
	require.NotContains(t, body, `"suspend"`)
	require.NotContains(t, body, `"console_rdp"`)
	require.Contains(t, body, `"clone"`)
	s.want(501, "unsupported", "suspend_vm", "id-1", "")
	s.power("id-1", "running")
	s.want(409, "wrong_state", "resize_vm", "id-1", `"vcpus":2,"memory_mib":64,"disk_gib":1`)

	require.NoError(t, s.SetCapabilities(t.Context(), simadmin.Capabilities{
		Withdraw: []string{"snapshot_memory", "snapshot_live", "cloud_init"}, RDPOnly: true,
	}))
	_, body = s.op("info", `{}`)
	for name, listed := range map[string]bool{
		"suspend": true, "snapshot": true, "snapshot_memory": false, "console_vnc": false, "console_serial": false, "console_rdp": true,
	} {
		require.Equal(t, listed, strings.Contains(body, `"`+name+`"`), name)
	}
	s.want(501, "unsupported", "snapshot_create", "id-1", `"id":"s","name":"","memory":true`)
	s.want(501, "unsupported", "snapshot_create", "id-1", `"id":"s","name":"","memory":false`)
	s.want(501, "unsupported", "open_console", "id-1", `"type":"vnc"`)
	status, body := s.op("console_info", on(s.native("id-1"), "id-1", ""))
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{"types":["rdp"],"descriptor":{"host":"node-1","port":"2179","pre_connection_blob":"id-1"}}`, body)
	status, body = s.op("create_vm", strings.Replace(createBody("id-2", "n", "node-1"), `"ssh_keys":null`, `"ssh_keys":["k"]`, 1))
	require.Equal(t, 501, status, body)
	require.NoError(t, s.SetCapabilities(t.Context(), simadmin.Capabilities{Withdraw: []string{"console_vnc", "console_serial"}}))
	s.want(501, "unsupported", "console_info", "id-1", "")

	require.Error(t, s.SetCapabilities(t.Context(), simadmin.Capabilities{Withdraw: []string{"flying"}}))
	_, err := simhv.New(simhv.Options{Capabilities: simadmin.Capabilities{Withdraw: []string{"flying"}}})
	require.Error(t, err)
}

func TestTheAdminSideOfGuestsRefuses(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, _ := s.create("id-1")
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/_admin/vms/none/screen", "", 404},
		{"GET", "/_admin/vms/" + native + "/screen", "", 409},
		{"PATCH", "/_admin/vms/" + native, `{"root_data":"` + strings.Repeat("x", 65) + `"}`, 400},
		{"PATCH", "/_admin/vms/" + native, `{"disk_data":{"d":"x"}}`, 400},
		{"PUT", "/_admin/capabilities", `{"withdraw":["flying"]}`, 400},
		{"PUT", "/_admin/capabilities", `{"offer":["flying"]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"resize_vm","kind":"partial"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"rebuild_vm","kind":"partial","part":"mark"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"snapshot_list","kind":"task_fails"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"rebuild_vm","kind":"partial"}]}`, 200},
		{"PUT", "/_admin/latency", `{"task":{"migrate_vm":"1s"}}`, 200},
		{"PUT", "/_admin/latency", `{"task":{"open_console":"1s"}}`, 400},
	} {
		status, body, _ := s.send(tc.method, tc.path, tc.body)
		require.Equal(t, tc.want, status, "%s %s %s: %s", tc.method, tc.path, tc.body, body)
	}
}
