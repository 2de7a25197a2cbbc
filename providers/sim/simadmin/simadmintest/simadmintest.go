// Package simadmintest is what the admin side of every simulated hypervisor does, as
// tests that each simulator runs.
package simadmintest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Simulator is one that was just started, without VMs but its templates.
type Simulator struct {
	// Handler serves both of its sides, and Admin drives the one that is tested.
	Handler http.Handler
	Admin   simadmin.Admin
	// Nodes are two of its nodes. VMs that name none are made on the first.
	Nodes [2]string
	// ListNodes lists the nodes as an adapter does, logging in first where it has to. It
	// fails where a call is refused or not answered.
	ListNodes func(ctx context.Context) error
}

const (
	wait  = time.Minute // a guard against a test that hangs
	every = 5 * time.Millisecond
	op    = "list_nodes"
)

// Run tests a simulator. start makes one for each test.
func Run(t *testing.T, start func(t *testing.T) Simulator) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Simulator){
		"a foreign VM is made, changed and lost":   foreignVM,
		"nonsense is refused":                      nonsense,
		"others are refused":                       others,
		"faults are reported":                      reported,
		"faults happen, and end":                   happen,
		"a hang lasts until it is cleared":         hang,
		"a latency delays calls":                   latency,
		"calls are listed":                         calls,
		"credentials are refused, and taken again": credentials,
		"nodes change":                             nodes,
		"VMs are counted by power":                 counted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func foreignVM(t *testing.T, s Simulator) {
	ctx := t.Context()
	vm, err := s.Admin.CreateVM(ctx, simadmin.NewVM{Name: "theirs", Node: s.Nodes[1], VCPUs: 3, MemoryMiB: 2048, DiskGiB: 2, Power: simadmin.PowerSuspended})
	require.NoError(t, err)
	require.Nil(t, vm.Mark)
	require.NotEmpty(t, vm.NativeID)
	require.NotEmpty(t, vm.UUID)
	require.Equal(t, []any{"theirs", s.Nodes[1], 3, 2048, 2, simadmin.PowerSuspended, 1}, []any{
		vm.Name, vm.Node, vm.VCPUs, vm.MemoryMiB, vm.DiskGiB, vm.Power, vm.Boots,
	})

	const id = "0b9d3a6e-0000-4000-8000-000000000001"
	name, power, node, vcpus, memory, written, snapshot := "n", simadmin.PowerStopped, s.Nodes[0], 4, 1024, "written", "before"
	changed, err := s.Admin.PatchVM(ctx, vm.NativeID, simadmin.VMChange{
		Name: &name, Power: &power, Node: &node, VCPUs: &vcpus, MemoryMiB: &memory, RootData: &written, Snapshot: &snapshot,
		Mark: json.RawMessage(`{"vm_id":"` + id + `","installation_id":"i"}`),
	})
	require.NoError(t, err)
	got := only(t, s)
	require.Equal(t, changed, got)
	require.Equal(t, []any{vm.NativeID, name, power, node, vcpus, memory, written, simadmin.Mark{VMID: id, InstallationID: "i"}}, []any{
		got.NativeID, got.Name, got.Power, got.Node, got.VCPUs, got.MemoryMiB, got.RootData, *got.Mark,
	})
	require.Equal(t, []any{1, snapshot, ""}, []any{len(got.Snapshots), got.Snapshots[0].Name, got.Snapshots[0].ID})

	_, err = s.Admin.PatchVM(ctx, vm.NativeID, simadmin.VMChange{Mark: json.RawMessage("null")})
	require.NoError(t, err)
	require.Nil(t, only(t, s).Mark)
	require.NoError(t, s.Admin.DeleteVM(ctx, vm.NativeID))
	vms, err := s.Admin.VMs(ctx)
	require.NoError(t, err)
	require.Empty(t, vms)
	err = s.Admin.DeleteVM(ctx, vm.NativeID)
	var refused *simadmin.Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, simadmin.NoVM(), refused)
}

// only is the one VM that is there. Its times are those of the list.
func only(t *testing.T, s Simulator) simadmin.VM {
	t.Helper()
	vms, err := s.Admin.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1)
	return vms[0]
}

func nonsense(t *testing.T, s Simulator) {
	vm, err := s.Admin.CreateVM(t.Context(), simadmin.NewVM{Name: "a"})
	require.NoError(t, err)
	require.Equal(t, []any{s.Nodes[0], 1, 512, 1, simadmin.PowerRunning}, []any{vm.Node, vm.VCPUs, vm.MemoryMiB, vm.DiskGiB, vm.Power})
	mine := "vms/" + vm.NativeID
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "nothing", "", 404},
		{"GET", "", "", 404},
		{"POST", "stats", "", 405},
		{"POST", "vms", `{`, 400},
		{"POST", "vms", `{"name":"x","colour":"red"}`, 400},
		{"POST", "vms", `{"name":"x"}{}`, 400},
		{"POST", "vms", `{}`, 400},
		{"POST", "vms", `{"name":"x","node":"none"}`, 400},
		{"POST", "vms", `{"name":"x","vcpus":-1}`, 400},
		{"POST", "vms", `{"name":"x","power":"melted"}`, 400},
		{"POST", "vms", `{"name":"x","mark":{"vm_id":"v"}}`, 400},
		{"PATCH", "vms/none", `{}`, 404},
		{"PATCH", mine, `{"uuid":"x"}`, 400},
		{"PATCH", mine, `{"name":""}`, 400},
		{"PATCH", mine, `{"node":"none"}`, 400},
		{"PATCH", mine, `{"power":"melted"}`, 400},
		{"PATCH", mine, `{"mark":{"owner":"x"}}`, 400},
		{"PATCH", mine, `{"mark":{"vm_id":"v"}}`, 400},
		{"PATCH", mine, `{"disk_data":{"none":"x"}}`, 400},
		{"PATCH", mine, `{"root_data":"` + strings.Repeat("x", simadmin.MaxData+1) + `"}`, 400},
		{"DELETE", "vms/none", "", 404},
		{"GET", "calls?since=x", "", 400},
		{"GET", "calls?before=1", "", 400},
		{"GET", "calls?since=1&since=2", "", 400},
		{"PUT", "faults", `{}`, 400},
		{"PUT", "faults", `{"faults":[{"op":"dance","kind":"hang"}]}`, 400},
		{"PUT", "faults", `{"faults":[{"op":"info","kind":"melt"}]}`, 400},
		{"PUT", "faults", `{"faults":[{"op":"info","kind":"hang","nth":0}]}`, 400},
		{"PUT", "latency", `{"call":{"dance":"1s"}}`, 400},
		{"PUT", "latency", `{"task":{"info":"1s"}}`, 400},
		{"PUT", "latency", `{"call":{"info":"soon"}}`, 400},
		{"PUT", "credentials", `{}`, 400},
		{"PUT", "credentials", `{"valid":"yes"}`, 400},
		{"PUT", "nodes/none", `{}`, 404},
		{"PUT", "nodes/" + s.Nodes[0], `{"state":"sideways"}`, 400},
		{"PUT", "nodes/" + s.Nodes[0], `{"vcpus":0}`, 400},
		{"PUT", "nodes/" + s.Nodes[0], `{"cpus":1}`, 400},
	} {
		status, body := send(t, s, tc.method, tc.path, tc.body)
		require.Equal(t, tc.want, status, "%s %s %s: %s", tc.method, tc.path, tc.body, body)
	}
	require.Equal(t, vm, only(t, s))
	faults, err := s.Admin.Faults(t.Context())
	require.NoError(t, err)
	require.Empty(t, faults)
}

// send makes a call of the admin side as it is written.
func send(t *testing.T, s Simulator, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Admin.URL+simadmin.Prefix+path, strings.NewReader(body))
	require.NoError(t, err)
	client := s.Admin.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(raw)
}

func others(t *testing.T, s Simulator) {
	for _, tc := range []struct {
		remote, origin string
		want           int
	}{
		{"192.0.2.1:1000", "", 403},
		{"nonsense", "", 403},
		{"127.0.0.1:1000", "https://example.org", 403},
		{"127.0.0.1:1000", "", 200},
		{"[::1]:1000", "", 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, simadmin.Prefix+"stats", nil)
		r.RemoteAddr = tc.remote
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		require.Equal(t, tc.want, w.Code, "%+v", tc)
	}
}

func nodes(t *testing.T, s Simulator) {
	for _, tc := range []struct{ set, state string }{
		{`{"state":"maintenance","vcpus":7,"memory_mib":4096}`, simadmin.NodeMaintenance},
		{`{"state":"down"}`, simadmin.NodeDown},
		{`{"state":"up"}`, simadmin.NodeUp},
		{`{}`, simadmin.NodeUp},
	} {
		status, body := send(t, s, http.MethodPut, "nodes/"+s.Nodes[1], tc.set)
		require.Equal(t, http.StatusOK, status, body)
		require.JSONEq(t, `{"name":"`+s.Nodes[1]+`","state":"`+tc.state+`","vcpus":7,"memory_mib":4096}`, body, tc.set)
	}
}

func counted(t *testing.T, s Simulator) {
	for _, power := range []string{simadmin.PowerRunning, simadmin.PowerSuspended, simadmin.PowerSuspended} {
		_, err := s.Admin.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs", Power: power})
		require.NoError(t, err)
	}
	stats, err := s.Admin.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"running": 1, "stopped": 0, "suspended": 2}, stats.VMs)
	require.Zero(t, stats.TasksRunning)
}
