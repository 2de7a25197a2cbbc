package proxmoxsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func text(s string) *string { return &s }

func TestAForeignVMIsMadeChangedAndLost(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	vm, err := c.CreateVM(t.Context(), simhv.NewVM{Name: "theirs", Node: "pve2", VCPUs: 3, MemoryMiB: 2048, Power: "suspended"})
	require.NoError(t, err)
	require.Nil(t, vm.Mark)
	require.Equal(t, []any{"100", "theirs", "pve2", 3, 2048, "suspended", 1}, []any{
		vm.NativeID, vm.Name, vm.Node, vm.VCPUs, vm.MemoryMiB, vm.Power, vm.Boots,
	})
	vcpus := 4
	_, err = c.PatchVM(t.Context(), "100", simhv.VMChange{
		Power: text("stopped"), Name: text("n"), VCPUs: &vcpus, RootData: text("written"), Snapshot: text("before"), NativeID: text("777"),
		Mark: json.RawMessage(`{"vm_id":"0b9d3a6e-0000-4000-8000-000000000001","installation_id":"i"}`),
	})
	require.NoError(t, err)
	vms, err := c.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1, "a template is not among them")
	got := vms[0]
	require.Equal(t, []any{"777", "n", "stopped", 4, "written", "0b9d3a6e-0000-4000-8000-000000000001", "i", got.Mark.VMID}, []any{
		got.NativeID, got.Name, got.Power, got.VCPUs, got.RootData, got.Mark.VMID, got.Mark.InstallationID, got.UUID,
	})
	require.Equal(t, []any{1, "before", "written"}, []any{len(got.Snapshots), got.Snapshots[0].Name, got.Snapshots[0].RootData})
	row := c.rows("/cluster/resources", "type", "vm")[0]
	require.Equal(t, "hcp;hcp-i-de7d1b721a1e;hcp-vm-0b9d3a6e-0000-4000-8000-000000000001", row["tags"])

	_, err = c.PatchVM(t.Context(), "777", simhv.VMChange{Mark: json.RawMessage("null")})
	require.NoError(t, err)
	require.NotContains(t, c.rows("/cluster/resources", "type", "vm")[0], "tags")
	require.NoError(t, c.DeleteVM(t.Context(), "777"))
	vms, err = c.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, vms)
	require.Len(t, c.rows("/nodes/pve1/storage/shared/content", "content", "images"), 2, "its disk went too: the template's are left")
}

func TestTheAdminSideRefuses(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	_, err := c.CreateVM(t.Context(), simhv.NewVM{Name: "a"})
	require.NoError(t, err)
	_, err = c.CreateVM(t.Context(), simhv.NewVM{Name: "b"})
	require.NoError(t, err)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/_admin/nothing", "", 404},
		{"POST", "/_admin/vms", `{`, 400},
		{"POST", "/_admin/vms", `{"name":"x","colour":"red"}`, 400},
		{"POST", "/_admin/vms", `{}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","node":"pve9"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","power":"melted"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","mark":{"vm_id":"v"}}`, 400},
		{"PATCH", "/_admin/vms/999", `{}`, 404},
		{"PATCH", "/_admin/vms/9000", `{}`, 404},
		{"PATCH", "/_admin/vms/100", `{"native_id":"101"}`, 409},
		{"PATCH", "/_admin/vms/100", `{"native_id":"x"}`, 400},
		{"PATCH", "/_admin/vms/100", `{"disk_data":{"none":"x"}}`, 400},
		{"DELETE", "/_admin/vms/999", "", 404},
		{"PUT", "/_admin/nodes/pve9", `{}`, 404},
		{"PUT", "/_admin/nodes/pve1", `{"state":"asleep"}`, 400},
		{"PUT", "/_admin/storage/none", `{}`, 404},
		{"PUT", "/_admin/latency", `{"call":{"dance":"1s"}}`, 400},
		{"PUT", "/_admin/credentials", `{}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"dance","kind":"hang"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"GET /nodes","kind":"hang","nth":0}]}`, 400},
		{"GET", "/_admin/calls?since=x", "", 400},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, c.URL+tc.path, strings.NewReader(tc.body))
		require.NoError(t, err)
		res, err := c.Client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, tc.want, res.StatusCode, tc.method+" "+tc.path+" "+tc.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/_admin/vms", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://example.org")
	res, err := c.Client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 403, res.StatusCode, "a page in a browser")
}

func TestFaultsAreInTheClustersTerms(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{SnippetUpload: true})
	for _, tc := range []struct {
		fault  simhv.Fault
		status int
		reason string
	}{
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultThrottle}, 503, "Service Unavailable"},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultErrorBefore, Status: 500, Code: "got no worker upid"}, 500, "got no worker upid"},
		{simhv.Fault{Op: simhv.AnyOp, Kind: simhv.FaultErrorAfter, Status: 502}, 502, "an injected fault"},
		{simhv.Fault{Op: "GET /nodes", Kind: simhv.FaultLocked}, 500, "can't lock file '/var/lock/qemu-server/lock-0.conf' - got timeout"},
	} {
		require.NoError(t, c.SetFaults(t.Context(), tc.fault))
		out := c.do(http.MethodGet, "/nodes")
		require.Equal(t, []any{tc.status, tc.reason}, []any{out.status, out.reason}, tc.fault.Kind)
		require.Equal(t, 200, c.do(http.MethodGet, "/nodes").status, "it fires once")
	}
	require.NoError(t, c.SetFaults(t.Context(), simhv.Fault{Op: "info", Kind: simhv.FaultDropConnection, Count: 2}))
	_, err := c.send(http.MethodGet, "/version", "", nil)
	require.Error(t, err)
	report, err := c.Faults(t.Context())
	require.NoError(t, err)
	require.Positive(t, report[0].Fired)

	const upload = "POST /nodes/{node}/storage/{storage}/upload"
	require.NoError(t, c.SetFaults(t.Context(), simhv.Fault{Op: upload, Kind: simhv.FaultTaskFails, Code: "no space left on device"}))
	require.Equal(t, "no space left on device", c.ended(c.upload("shared", "snippets", "a", "x").Data))
	require.Empty(t, c.rows("/nodes/pve1/storage/shared/content", "content", "snippets"), "a task that fails has no effect")

	require.NoError(t, c.SetFaults(t.Context(), simhv.Fault{Op: upload, Kind: simhv.FaultForgetTask}))
	upid, ok := c.upload("shared", "snippets", "a", "x").Data.(string)
	require.True(t, ok)
	out := c.do(http.MethodGet, "/nodes/pve1/tasks/"+upid+"/status")
	require.Equal(t, map[string]string{"upid": "no such task"}, out.Errors)
	require.Eventually(t, func() bool {
		return len(c.rows("/nodes/pve1/storage/shared/content", "content", "snippets")) == 1
	}, 30*time.Second, 5*time.Millisecond, "its work goes on")
}

func TestAHangLastsUntilItIsCleared(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	require.NoError(t, c.SetFaults(t.Context(), simhv.Fault{Op: "list_nodes", Kind: simhv.FaultHang}))
	answered := make(chan int, 1)
	go func() {
		out, err := c.send(http.MethodGet, "/nodes", "", nil)
		if err != nil {
			out.status = 0
		}
		answered <- out.status
	}()
	require.Eventually(t, func() bool {
		report, err := c.Faults(t.Context())
		return err == nil && report[0].Fired == 1
	}, 30*time.Second, 5*time.Millisecond)
	require.Empty(t, answered)
	require.NoError(t, c.ClearFaults(t.Context()))
	require.Equal(t, 200, <-answered)
}

func TestCallsAreListedByTheirCommonNames(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	c.get("/version")
	c.get("/cluster/nextid")
	c.with(nil).do(http.MethodGet, "/nodes")
	calls, err := c.Calls(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, calls, 3)
	require.Equal(t, []any{"info", 200, "GET /cluster/nextid", 200, "list_nodes", 401},
		[]any{calls[0].Op, calls[0].Status, calls[1].Op, calls[1].Status, calls[2].Op, calls[2].Status})
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(1), stats.Calls["info"])
}
