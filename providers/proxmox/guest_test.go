package proxmox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestTheAgentTellsTheAddresses reads them of a guest that runs its agent: those of
// the VM's own interfaces that others can reach.
func TestTheAgentTellsTheAddresses(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{Templates: []proxmoxsim.Template{
		{VMID: 9000, Name: "debian-12", Storage: "shared", DiskGiB: 2, VCPUs: 1, MemoryMiB: 256, Agent: true},
	}, Roles: map[string][]string{"Look": {"VM.Audit"}}, Users: withRoot(proxmoxsim.User{
		ID: "look@pve", Grants: map[string]string{"/": "Look"}, Tokens: []proxmoxsim.Token{{Name: "hcp", Secret: "secret"}},
	})})
	p, req := c.open(t), coreRequest()
	req.NICs = []providers.NIC{
		{Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: "52:54:01:02:03:04"},
		{Network: models.NetworkBinding{Ref: "vmbr0"}, MAC: "52:54:01:02:03:05", IPAddress: "2001:db8::7/64"},
	}
	target, vm := made(t, p, req)
	require.Equal(t, []models.Address{}, vm.Addresses, "a VM that is off has none")
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	want := []models.Address{{MAC: "52:54:01:02:03:04", IP: "10.2.3.4"}, {MAC: "52:54:01:02:03:05", IP: "2001:db8::7"}}
	require.Equal(t, want, found(t, p, req.VMID).Addresses)
	asked := found(t, c.openAs(t, "look@pve!hcp=secret"), req.VMID)
	require.Equal(t, models.PowerRunning, asked.Power)
	require.Nil(t, asked.Addresses, "an account that may not ask the agent does not know them")
	settle(t, p, func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeForce) })
	require.Equal(t, []models.Address{}, found(t, p, req.VMID).Addresses)
}

// TestAGuestWithoutItsAgent has a template that promises an agent which does not
// run: the addresses are not known, and nothing fails.
func TestAGuestWithoutItsAgent(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p, req := c.open(t), coreRequest()
	target, vm := made(t, p, req)
	c.write(t, "/nodes/pve1/qemu/"+string(vm.Ref)+"/config", map[string]string{"agent": "1"})
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	running := found(t, p, req.VMID)
	require.Equal(t, models.PowerRunning, running.Power)
	require.Nil(t, running.Addresses)
}

// TestAStopOverrulesAShutdown asks a guest to stop that does not hear, twice, and
// then ends it: the hypervisor waits for the guest no longer.
func TestAStopOverrulesAShutdown(t *testing.T) {
	t.Parallel()
	c := deafCluster(t)
	p, other, req := c.open(t), c.open(t), coreRequest()
	target, vm := made(t, p, req)
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	atWork(t, p, func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeGraceful) })
	require.Len(t, c.shutdowns(t, vm), 1, "the guest is asked once at a time")
	require.Equal(t, models.PowerRunning, found(t, p, req.VMID).Power)

	task, err := other.StopVM(t.Context(), target, models.ModeGraceful)
	require.NoError(t, err)
	settle(t, other, func() (providers.TaskRef, error) { return other.StopVM(t.Context(), target, models.ModeForce) })
	require.Equal(t, models.PowerStopped, found(t, p, req.VMID).Power)
	require.Equal(t, []string{"interrupted by signal"}, c.shutdowns(t, vm))
	st, err := p.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.True(t, st.Done, "the guest is off, whoever did it")
	require.NoError(t, st.Err)
}

// shutdowns is how the requests to the guest ended; "" for one that goes on.
func (c *cluster) shutdowns(t *testing.T, vm providers.VM) []string {
	t.Helper()
	var rows []struct {
		Status string `json:"status"`
	}
	c.read(t, "/nodes/"+vm.Node+"/tasks?source=all&typefilter=qmshutdown&vmid="+string(vm.Ref), &rows)
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.Status
	}
	return out
}

// TestAStopMeetsAStart ends a suspended VM that another process is waking: the one
// start makes the other one fail, and the VM is off in the end.
func TestAStopMeetsAStart(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{TaskDelay: time.Second})
	p, other, req := c.open(t), c.open(t), coreRequest()
	target, vm := made(t, p, req)
	settle(t, p, func() (providers.TaskRef, error) { return p.StartVM(t.Context(), target) })
	settle(t, p, func() (providers.TaskRef, error) { return p.SuspendVM(t.Context(), target) })
	require.Equal(t, models.PowerSuspended, found(t, p, req.VMID).Power)

	_, err := other.StartVM(t.Context(), target)
	require.NoError(t, err)
	settle(t, p, func() (providers.TaskRef, error) { return p.StopVM(t.Context(), target, models.ModeForce) })
	require.Equal(t, models.PowerStopped, found(t, p, req.VMID).Power)
	require.Empty(t, c.config(t, vm)["lock"])
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Len(t, left, 3, "the VM, its disk and its medium, and no saved memory")
}
