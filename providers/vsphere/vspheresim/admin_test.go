package vspheresim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// serve serves both sides over plain HTTP, as a process before it does.
func serve(t *testing.T, opts vspheresim.Options) (simhv.Admin, providers.Provider) {
	t.Helper()
	s, err := vspheresim.Start(opts)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	p, err := vsphere.Open(t.Context(), providers.Config{
		ProviderID: "provider-1", InstallationID: installation, URL: srv.URL,
		Options:     map[string]string{"credential_cool_down": "1ms"},
		Credentials: models.Credentials{Username: vspheresim.Username, Password: vspheresim.Password},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return simhv.Admin{URL: srv.URL, Client: srv.Client()}, p
}

func text(s string) *string { return &s }

func TestAForeignVMIsMadeChangedAndLost(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{})
	vm, err := admin.CreateVM(t.Context(), simhv.NewVM{Name: "theirs", Node: "DC0_C0_H1", VCPUs: 3, MemoryMiB: 2048, Power: "suspended"})
	require.NoError(t, err)
	require.Nil(t, vm.Mark)
	require.Equal(t, []any{"theirs", "DC0_C0_H1", 3, 2048, 1, "suspended", 1}, []any{
		vm.Name, vm.Node, vm.VCPUs, vm.MemoryMiB, vm.DiskGiB, vm.Power, vm.Boots,
	})
	vcpus := 4
	const id = "0b9d3a6e-0000-4000-8000-000000000001"
	_, err = admin.PatchVM(t.Context(), vm.NativeID, simhv.VMChange{
		Power: text("stopped"), Name: text("n"), VCPUs: &vcpus, Node: text("DC0_C0_H0"), Snapshot: text("before"), RootData: text("written"),
		Mark: json.RawMessage(`{"vm_id":"` + id + `","installation_id":"` + installation + `"}`),
	})
	require.NoError(t, err)
	vms, err := admin.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1, "a template is not among them")
	got := vms[0]
	require.Equal(t, []any{"n", "stopped", 4, "DC0_C0_H0", id, installation, id, "before", "written"}, []any{
		got.Name, got.Power, got.VCPUs, got.Node, got.Mark.VMID, got.Mark.InstallationID, got.UUID, got.Snapshots[0].Name, got.RootData,
	})
	found, err := p.FindVM(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{4, models.PowerStopped, "DC0_C0_H0"}, []any{found.VCPUs, found.Power, found.Node})

	_, err = admin.PatchVM(t.Context(), vm.NativeID, simhv.VMChange{Mark: json.RawMessage("null")})
	require.NoError(t, err)
	_, err = p.FindVM(t.Context(), id)
	require.Equal(t, providers.NotFound, providers.CodeOf(err), "it is nobody's")
	require.NoError(t, admin.DeleteVM(t.Context(), vm.NativeID))
	vms, err = admin.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, vms)
}

func TestTheAdminSideRefuses(t *testing.T) {
	t.Parallel()
	admin, _ := serve(t, vspheresim.Options{})
	vm, err := admin.CreateVM(t.Context(), simhv.NewVM{Name: "a"})
	require.NoError(t, err)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/_admin/nothing", "", 404},
		{"POST", "/_admin/vms", `{`, 400},
		{"POST", "/_admin/vms", `{"name":"x","colour":"red"}`, 400},
		{"POST", "/_admin/vms", `{}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","node":"none"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","power":"melted"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","mark":{"vm_id":"v"}}`, 400},
		{"PATCH", "/_admin/vms/vm-9", `{}`, 404},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"native_id":"vm-9"}`, 400},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"node":"none"}`, 400},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"power":"melted"}`, 400},
		{"PATCH", "/_admin/vms/" + vm.NativeID, `{"disk_data":{"none":"x"}}`, 400},
		{"DELETE", "/_admin/vms/vm-9", "", 404},
		{"PUT", "/_admin/nodes/none", `{}`, 404},
		{"PUT", "/_admin/nodes/DC0_C0_H0", `{"state":"asleep"}`, 400},
		{"PUT", "/_admin/latency", `{"call":{"dance":"1s"}}`, 400},
		{"PUT", "/_admin/credentials", `{}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"dance","kind":"hang"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"CloneVM_Task","kind":"hang","nth":0}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"create_vm","kind":"error_before","code":"Melted"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"create_vm","kind":"partial"}]}`, 400},
		{"GET", "/_admin/calls?since=x", "", 400},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, admin.URL+tc.path, strings.NewReader(tc.body))
		require.NoError(t, err)
		res, err := admin.Client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, tc.want, res.StatusCode, tc.method+" "+tc.path+" "+tc.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin.URL+"/_admin/vms", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://example.org")
	res, err := admin.Client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 403, res.StatusCode, "a page in a browser")
}

// TestFaultsAreInTheServersTerms: a fault has the type that it names, in the answer of
// a call and at the end of a task.
func TestFaultsAreInTheServersTerms(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{})
	for _, tc := range []struct {
		fault simhv.Fault
		want  providers.Code
	}{
		{simhv.Fault{Op: "CreateContainerView", Kind: simhv.FaultThrottle}, providers.Throttled},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultErrorBefore, Code: "NoPermission"}, providers.PermissionDenied},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultErrorAfter, Code: "InsufficientResourcesFault"}, providers.ResourceExhausted},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultLocked}, providers.Aborted},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultErrorBefore}, providers.Unavailable},
		{simhv.Fault{Op: simhv.AnyOp, Kind: simhv.FaultDropConnection, Count: simhv.Always}, providers.DeadlineExceeded},
		{simhv.Fault{Op: "list_nodes", Kind: simhv.FaultErrorAfter}, providers.DeadlineExceeded},
	} {
		require.NoError(t, admin.SetFaults(t.Context(), tc.fault))
		_, err := p.ListNodes(t.Context())
		require.Equal(t, tc.want, providers.CodeOf(err), "%+v: %v", tc.fault, err)
		report, err := admin.Faults(t.Context())
		require.NoError(t, err)
		require.NotZero(t, report[0].Fired, "%+v", tc.fault)
	}
	require.NoError(t, admin.ClearFaults(t.Context()))
	nodes, err := p.ListNodes(t.Context())
	require.NoError(t, err)
	require.Len(t, nodes, 2)

	require.NoError(t, admin.SetCredentials(t.Context(), false))
	_, err = p.ListNodes(t.Context())
	require.Equal(t, providers.Unauthenticated, providers.CodeOf(err))
	stats, err := admin.Stats(t.Context())
	require.NoError(t, err)
	require.NotZero(t, stats.LoginsRefused)
	require.NoError(t, admin.SetCredentials(t.Context(), true))
	require.Eventually(t, func() bool { _, err = p.ListNodes(t.Context()); return err == nil }, wait, pollEvery)

	require.NoError(t, admin.SetNode(t.Context(), "DC0_C0_H1", simhv.NodeChange{State: text("maintenance")}))
	require.NoError(t, admin.SetNode(t.Context(), "DC0_C0_H0", simhv.NodeChange{State: text("down")}))
	nodes, err = p.ListNodes(t.Context())
	require.NoError(t, err)
	require.Equal(t, []models.NodeState{models.NodeDown, models.NodeMaintenance}, []models.NodeState{nodes[0].State, nodes[1].State})
}
