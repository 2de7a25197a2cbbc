package simhv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestTheAdaptersSideRefuses(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	with := func(good, bad string) string {
		return strings.Replace(createBody("id-2", "n", "node-1"), good, bad, 1)
	}
	for _, tc := range []struct {
		op, body string
		want     int
	}{
		{"melt", `{}`, 404},
		{"info", `{"x":1}`, 400},
		{"info", `{}{}`, 400},
		{"info", ``, 400},
		{"info", strings.Repeat(" ", 2<<20), 400},
		{"create_vm", createBody("id-1", "again", "node-1"), 409},
		{"create_vm", createBody("id-2", "n", "node-99"), 404},
		{"create_vm", createBody("", "n", "node-1"), 400},
		{"create_vm", with(`"tiny"`, `"huge"`), 404},
		{"create_vm", with(`"tiny"`, `"debian-12"`), 400}, // 2 GiB on a disk of 1
		{"create_vm", with(`"net0"`, `"net9"`), 404},
		{"create_vm", with(`52:54`, `5x:54`), 400},
		{"create_vm", with(`"vcpus":1`, `"vcpus":0`), 400},
		{"create_vm", with(`"vcpus":1`, `"vcpus":65`), 507},
		{"set_power", `{"vm":{"native_id":"none","uuid":"x","mark":null},"power":"running"}`, 404},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":null},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"j"}},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-9","mark":{"vm_id":"id-1","installation_id":"i"}},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"power":"melted"}`, 400},
		{"delete_vm", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-2","installation_id":"i"}}}`, 412},
		{"delete_vm", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"},"revision":99}}`, 412},
		{"reboot", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"token":""}`, 400},
		{"reboot", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"token":"t"}`, 409},
		{"poll_task", `{"task":"none"}`, 404},
		{"list_vms", `{"installation_id":"i","limit":0}`, 400},
		{"list_vms", `{"installation_id":"i","limit":1001}`, 400},
		{"list_vms", `{"installation_id":"i","limit":1,"page_token":"x"}`, 400},
	} {
		status, body := s.op(tc.op, tc.body)
		require.Equal(t, tc.want, status, "%s %.200s: %s", tc.op, tc.body, body)
	}
	status, _, _ := s.send("GET", "/v1/info", "")
	require.Equal(t, 404, status)
	s.token = "made up"
	status, _ = s.op("info", `{}`)
	require.Equal(t, 401, status)
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1)
	require.Equal(t, "stopped", vms[0].Power)
}
