package sim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func target(vm providers.VM) providers.Target { return providers.Target{VMID: vm.VMID, Ref: vm.Ref} }

func TestAVMThatLostItsMarkIsOursAndIncomplete(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	made := create(t, a, request())
	_, err := p.PatchVM(t.Context(), string(made.Ref), simadmin.VMChange{Mark: []byte("null")})
	require.NoError(t, err)

	vm, err := a.FindVM(t.Context(), made.VMID)
	require.NoError(t, err)
	require.True(t, vm.Incomplete)
	left, err := a.Leftovers(t.Context(), made.VMID)
	require.NoError(t, err)
	require.Len(t, left, 2)
	task, err := a.DeleteVM(t.Context(), target(vm))
	require.NoError(t, err)
	settle(t, a, task)
	require.Empty(t, p.of(t, made.VMID))
}

// TestAnIncompleteVMThatRunsIsNotRemade protects what a guest may have written.
func TestAnIncompleteVMThatRunsIsNotRemade(t *testing.T) {
	p := start(t, simhv.Options{})
	a, req := p.open(t), request()
	made := create(t, a, req)
	running := "running"
	_, err := p.PatchVM(t.Context(), string(made.Ref), simadmin.VMChange{Mark: []byte("null"), Power: &running})
	require.NoError(t, err)
	_, _, err = a.CreateVM(t.Context(), req)
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))
	require.Equal(t, string(made.Ref), p.of(t, req.VMID)[0].NativeID)
}

func TestAVMTakenOverByAnotherInstallationIsNotThere(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	made := create(t, a, request())
	_, err := p.PatchVM(t.Context(), string(made.Ref), simadmin.VMChange{
		Mark: []byte(`{"vm_id":"` + made.VMID + `","installation_id":"` + another + `"}`),
	})
	require.NoError(t, err)
	before := p.vm(t, string(made.Ref))

	_, err = a.FindVM(t.Context(), made.VMID)
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	task, err := a.DeleteVM(t.Context(), target(made))
	require.NoError(t, err)
	require.Empty(t, task)
	require.Equal(t, before, p.vm(t, string(made.Ref)))
}

func TestAReidentifiedVMIsFoundByItsMark(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	made := create(t, a, request())
	id := "vm-after-restore"
	_, err := p.PatchVM(t.Context(), string(made.Ref), simadmin.VMChange{NativeID: &id})
	require.NoError(t, err)
	vm, err := a.FindVM(t.Context(), made.VMID)
	require.NoError(t, err)
	require.Equal(t, providers.VMRef(id), vm.Ref)
	task, err := a.StartVM(t.Context(), target(made)) // by the old ref
	require.NoError(t, err)
	settle(t, a, task)
	require.Equal(t, "running", p.vm(t, id).Power)
}

// TestACopiedMarkIsDeletedToTheLast has somebody clone a VM, mark and all.
func TestACopiedMarkIsDeletedToTheLast(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	made := create(t, a, request())
	_, err := p.CreateVM(t.Context(), simadmin.NewVM{Name: "copy", Mark: &simadmin.Mark{VMID: made.VMID, InstallationID: installation}})
	require.NoError(t, err)
	require.Len(t, p.of(t, made.VMID), 2)
	for range 2 {
		left, err := a.Leftovers(t.Context(), made.VMID)
		require.NoError(t, err)
		require.NotEmpty(t, left)
		task, err := a.DeleteVM(t.Context(), target(made))
		require.NoError(t, err)
		settle(t, a, task)
	}
	require.Empty(t, p.of(t, made.VMID))
}

func TestDeleteStopsACreateAtWork(t *testing.T) {
	p := start(t, simhv.Options{})
	a, req := p.open(t), request()
	require.NoError(t, p.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"create_vm": simadmin.Duration(time.Hour)}}))
	_, task, err := a.CreateVM(t.Context(), req)
	require.NoError(t, err)
	vm, err := a.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.True(t, vm.Incomplete, "a VM that is being made is not complete")
	_, again, err := a.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, task, again, "the task at work is returned")

	gone, err := a.DeleteVM(t.Context(), target(vm))
	require.NoError(t, err)
	settle(t, a, gone)
	st, err := a.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.True(t, st.Done)
	require.Equal(t, providers.Aborted, providers.CodeOf(st.Err))
	require.Empty(t, p.of(t, req.VMID))
}

func TestForceOverrulesAGracefulStop(t *testing.T) {
	p := start(t, simhv.Options{GuestShutdown: time.Hour})
	a := p.open(t)
	vm := create(t, a, request())
	task, err := a.StartVM(t.Context(), target(vm))
	require.NoError(t, err)
	settle(t, a, task)
	graceful, err := a.StopVM(t.Context(), target(vm), models.ModeGraceful)
	require.NoError(t, err)
	again, err := a.StopVM(t.Context(), target(vm), models.ModeGraceful)
	require.NoError(t, err)
	require.Equal(t, graceful, again)
	st, err := a.PollTask(t.Context(), graceful)
	require.NoError(t, err)
	require.False(t, st.Done)
	force, err := a.StopVM(t.Context(), target(vm), models.ModeForce)
	require.NoError(t, err)
	settle(t, a, force)
	require.Equal(t, "stopped", p.vm(t, string(vm.Ref)).Power)
}

func TestTheGuestIsTold(t *testing.T) {
	p := start(t, simhv.Options{})
	a, req := p.open(t), request()
	req.NICs[0].IPAddress, req.NICs[0].PrefixLength, req.NICs[0].Gateway = "192.0.2.7", 24, "192.0.2.1"
	req.NICs[0].DNSServers = []string{"192.0.2.53"}
	req.NICs = append(req.NICs, providers.NIC{Network: models.NetworkBinding{Ref: "net1"}, MAC: "52:54:00:01:02:03"})
	vm := create(t, a, req)
	require.Empty(t, vm.Addresses, "a stopped guest has no address")
	task, err := a.StartVM(t.Context(), target(vm))
	require.NoError(t, err)
	settle(t, a, task)
	vm, err = a.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []models.Address{{MAC: req.NICs[0].MAC, IP: "192.0.2.7"}, {MAC: "52:54:00:01:02:03", IP: "10.1.2.3"}}, vm.Addresses)

	require.Equal(t, []simadmin.NIC{
		{Network: "net0", MAC: req.NICs[0].MAC, IP: "192.0.2.7", PrefixLength: 24, Gateway: "192.0.2.1", DNSServers: []string{"192.0.2.53"}},
		{Network: "net1", MAC: "52:54:00:01:02:03"},
	}, p.vm(t, string(vm.Ref)).NICs)
	told := p.vm(t, string(vm.Ref)).CloudInit
	require.NotNil(t, told)
	require.Equal(t, "guest", told.Hostname)
	require.Equal(t, 1, told.SSHKeys)
	sum := sha256.Sum256(req.CloudInit.UserData)
	require.Equal(t, hex.EncodeToString(sum[:]), told.UserDataSHA256)
}

func TestANodeThatIsFullDownOrInMaintenance(t *testing.T) {
	p := start(t, simhv.Options{Nodes: 1, NodeVCPUs: 2, NodeMemoryMiB: 256})
	a := p.open(t)
	first := create(t, a, request())
	create(t, a, request())
	_, _, err := a.CreateVM(t.Context(), request())
	require.Equal(t, providers.ResourceExhausted, providers.CodeOf(err))

	state := "maintenance"
	require.NoError(t, p.SetNode(t.Context(), "node-1", simadmin.NodeChange{State: &state}))
	_, err = a.StartVM(t.Context(), target(first))
	require.Equal(t, providers.FailedPrecondition, providers.CodeOf(err))

	state = "down"
	require.NoError(t, p.SetNode(t.Context(), "node-1", simadmin.NodeChange{State: &state}))
	nodes, err := a.ListNodes(t.Context())
	require.NoError(t, err)
	require.Equal(t, models.NodeDown, nodes[0].State)
	vm, err := a.FindVM(t.Context(), first.VMID)
	require.NoError(t, err)
	require.Equal(t, models.PowerUnknown, vm.Power, "nobody knows what runs on a node that is down")
	for _, try := range []func() error{
		func() error { _, _, err := a.CreateVM(t.Context(), request()); return err },
		func() error { _, err := a.StartVM(t.Context(), target(first)); return err },
		func() error { _, err := a.DeleteVM(t.Context(), target(first)); return err },
	} {
		require.Equal(t, providers.Unavailable, providers.CodeOf(try()))
	}
	state = "up"
	require.NoError(t, p.SetNode(t.Context(), "node-1", simadmin.NodeChange{State: &state}))
	task, err := a.DeleteVM(t.Context(), target(first))
	require.NoError(t, err)
	settle(t, a, task)
	create(t, a, request())
}

func TestAVMThatIsBeingDeletedIsNotCreated(t *testing.T) {
	p := start(t, simhv.Options{})
	a, req := p.open(t), request()
	made := create(t, a, req)
	require.NoError(t, p.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"delete_vm": simadmin.Duration(time.Hour)}}))
	first, err := a.DeleteVM(t.Context(), target(made))
	require.NoError(t, err)
	again, err := a.DeleteVM(t.Context(), target(made))
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, _, err = a.CreateVM(t.Context(), req)
	require.Equal(t, providers.Aborted, providers.CodeOf(err))
	_, err = a.StartVM(t.Context(), target(made))
	require.Equal(t, providers.Aborted, providers.CodeOf(err))
}

// TestAnIncompleteVMThatWasCompletedMeanwhileIsKept has a create that was
// thought dead end between the find and the removal of what it left.
func TestAnIncompleteVMThatWasCompletedMeanwhileIsKept(t *testing.T) {
	p := start(t, simhv.Options{TaskDelay: 100 * time.Millisecond})
	a, req := p.open(t), request()
	require.NoError(t, p.SetFaults(t.Context(),
		simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultForgetTask},
		simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultHang, Delay: simadmin.Duration(500 * time.Millisecond)},
	))
	_, _, err := a.CreateVM(t.Context(), req)
	require.NoError(t, err)
	before := p.of(t, req.VMID)
	require.Len(t, before, 1)
	require.Empty(t, before[0].Disks)

	ref, task, err := a.CreateVM(t.Context(), req) // finds it incomplete, without a task
	require.NoError(t, err)
	require.Empty(t, task)
	require.Equal(t, before[0].NativeID, string(ref))
	vm, err := a.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.False(t, vm.Incomplete)
}
