package vspheresim_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin/simadmintest"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// serve serves both sides over plain HTTP, as a process before it does.
func serve(t *testing.T, opts vspheresim.Options) (simadmin.Admin, providers.Provider) {
	t.Helper()
	s, err := vspheresim.Start(opts)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return behind(t, s)
}

func behind(t *testing.T, s *vspheresim.Server) (simadmin.Admin, providers.Provider) {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	p, err := vsphere.Open(t.Context(), providers.Config{
		ProviderID: "provider-1", InstallationID: installation, URL: srv.URL,
		Options:     map[string]string{"credential_cool_down": "1ms"},
		Credentials: models.Credentials{Username: vspheresim.Username, Password: vspheresim.Password},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return simadmin.Admin{URL: srv.URL, Client: srv.Client()}, p
}

func text(s string) *string { return &s }

// TestTheAdminSide runs what the admin side of every simulated hypervisor does.
func TestTheAdminSide(t *testing.T) {
	t.Parallel()
	simadmintest.Run(t, func(t *testing.T) simadmintest.Simulator {
		t.Helper()
		s, err := vspheresim.Start(vspheresim.Options{})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		admin, p := behind(t, s)
		return simadmintest.Simulator{
			Handler: s, Admin: admin, Nodes: [2]string{"DC0_C0_H0", "DC0_C0_H1"},
			ListNodes: func(ctx context.Context) error {
				_, err := p.ListNodes(ctx)
				return err
			},
		}
	})
}

// TestAForeignVMIsFoundByItsMark: the adapter sees what the admin side made.
func TestAForeignVMIsFoundByItsMark(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{})
	vm, err := admin.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs"})
	require.NoError(t, err)
	vcpus := 4
	const id = "0b9d3a6e-0000-4000-8000-000000000001"
	got, err := admin.PatchVM(t.Context(), vm.NativeID, simadmin.VMChange{
		Power: text("stopped"), VCPUs: &vcpus, Node: text("DC0_C0_H1"),
		Mark: json.RawMessage(`{"vm_id":"` + id + `","installation_id":"` + installation + `"}`),
	})
	require.NoError(t, err)
	require.Equal(t, id, got.UUID)
	found, err := p.FindVM(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{4, models.PowerStopped, "DC0_C0_H1"}, []any{found.VCPUs, found.Power, found.Node})

	_, err = admin.PatchVM(t.Context(), vm.NativeID, simadmin.VMChange{Mark: json.RawMessage("null")})
	require.NoError(t, err)
	_, err = p.FindVM(t.Context(), id)
	require.Equal(t, providers.NotFound, providers.CodeOf(err), "it is nobody's")
}

func TestTheAdminSideRefusesWhatAServerHasNot(t *testing.T) {
	t.Parallel()
	admin, _ := serve(t, vspheresim.Options{})
	vm, err := admin.CreateVM(t.Context(), simadmin.NewVM{Name: "a"})
	require.NoError(t, err)
	other := "vm-9"
	_, err = admin.PatchVM(t.Context(), vm.NativeID, simadmin.VMChange{NativeID: &other})
	require.ErrorContains(t, err, "the server gives references itself")
	for _, f := range []simadmin.Fault{
		{Op: "Dance_Task", Kind: simadmin.FaultHang, Nth: 1, Count: 1},
		{Op: "CloneVM_Task", Kind: simadmin.FaultHang, Nth: 1, Count: -2},
		{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Nth: 1, Count: 1, Code: "Melted"},
		{Op: "create_vm", Kind: simadmin.FaultPartial, Nth: 1, Count: 1},
	} {
		require.ErrorContains(t, admin.SetFaults(t.Context(), f), "400 invalid", "%+v", f)
	}
	require.NoError(t, admin.SetFaults(t.Context(), simadmin.Fault{Op: "CloneVM_Task", Kind: simadmin.FaultTaskFails, Code: "NoDiskSpace"}))
}

// TestFaultsAreInTheServersTerms: a fault has the type that it names, in the answer of
// a call and at the end of a task.
func TestFaultsAreInTheServersTerms(t *testing.T) {
	t.Parallel()
	admin, p := serve(t, vspheresim.Options{})
	for _, tc := range []struct {
		fault simadmin.Fault
		want  providers.Code
	}{
		{simadmin.Fault{Op: "CreateContainerView", Kind: simadmin.FaultThrottle}, providers.Throttled},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultErrorBefore, Code: "NoPermission"}, providers.PermissionDenied},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultErrorAfter, Code: "InsufficientResourcesFault"}, providers.ResourceExhausted},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultLocked}, providers.Aborted},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultErrorBefore}, providers.Unavailable},
		{simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultDropConnection, Count: simadmin.Always}, providers.DeadlineExceeded},
		{simadmin.Fault{Op: "list_nodes", Kind: simadmin.FaultErrorAfter}, providers.DeadlineExceeded},
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

	require.NoError(t, admin.SetNode(t.Context(), "DC0_C0_H1", simadmin.NodeChange{State: text("maintenance")}))
	require.NoError(t, admin.SetNode(t.Context(), "DC0_C0_H0", simadmin.NodeChange{State: text("down")}))
	nodes, err = p.ListNodes(t.Context())
	require.NoError(t, err)
	require.Equal(t, []models.NodeState{models.NodeDown, models.NodeMaintenance}, []models.NodeState{nodes[0].State, nodes[1].State})
}
