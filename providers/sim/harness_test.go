package sim_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// installation is ours; another is anybody else's.
const (
	installation = "installation-1"
	another      = "installation-2"
)

// peer is a hypervisor under test.
type peer struct {
	simadmin.Admin
	options map[string]string // of the adapters that open makes
	creds   models.Credentials
}

func start(tb testing.TB, opts simhv.Options) *peer {
	tb.Helper()
	hv, err := simhv.New(opts)
	require.NoError(tb, err)
	srv := httptest.NewServer(hv)
	tb.Cleanup(func() {
		require.NoError(tb, hv.Close())
		srv.Close()
	})
	return &peer{
		Admin:   simadmin.Admin{URL: srv.URL, Client: srv.Client()},
		options: map[string]string{},
		creds:   models.Credentials{Username: "hcp", Password: "secret"},
	}
}

func (p *peer) config() providers.Config {
	return providers.Config{
		ProviderID: "provider-1", InstallationID: installation, URL: p.URL, Options: p.options, Credentials: p.creds,
	}
}

func (p *peer) open(tb testing.TB) providers.Provider {
	tb.Helper()
	a, err := sim.Factory().Open(context.WithoutCancel(tb.Context()), p.config())
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, a.Close()) })
	return a
}

func request() providers.CreateVMRequest {
	id := models.NewID()
	return providers.CreateVMRequest{
		VMID: id, Name: "vm-of-" + id[30:], Node: "node-1", VCPUs: 1, MemoryMiB: 128, DiskGiB: 2,
		Image: models.ImageBinding{Ref: "tiny"},
		NICs:  []providers.NIC{{Network: models.NetworkBinding{Ref: "net0"}, MAC: "52:54:00:" + mac(id)}},
		CloudInit: providers.CloudInit{
			Hostname: "guest", UserData: []byte("#cloud-config\n"), SSHKeys: []string{"ssh-ed25519 AAAA test"},
		},
	}
}

// mac makes the last three bytes of a MAC of the last six digits of an ID.
func mac(id string) string {
	end := id[len(id)-6:]
	return strings.Join([]string{end[:2], end[2:4], end[4:]}, ":")
}

func (p *peer) harness() providertest.Harness {
	return providertest.Harness{
		Open:         func(_ context.Context, t *testing.T) providers.Provider { t.Helper(); return p.open(t) },
		Request:      func(*testing.T) providers.CreateVMRequest { return request() },
		Foreign:      p.foreign,
		Capabilities: everything(),
		PollEvery:    time.Millisecond,
		Disks:        p,
		Boots:        p,
		Serial:       providertest.Dialogue{Type: "echo mellon | boot\r", Answer: "\nmellon | boot\r"},
		LoseAnswer:   p.loseAnswer,
	}
}

// everything is what a simulated hypervisor can do from the start.
func everything() []models.Capability {
	return slices.DeleteFunc(models.Capabilities(), func(c models.Capability) bool {
		return c == models.CapConsoleRDP || c == models.CapGPUPassthrough
	})
}

// WriteDisk implements providertest.DiskProbe.
func (p *peer) WriteDisk(ctx context.Context, t *testing.T, vmID, diskID, text string) {
	t.Helper()
	set := simadmin.VMChange{RootData: &text}
	if diskID != "" {
		set = simadmin.VMChange{DiskData: map[string]string{diskID: text}}
	}
	_, err := p.PatchVM(ctx, p.one(t, vmID).NativeID, set)
	require.NoError(t, err)
}

// ReadDisk implements providertest.DiskProbe.
func (p *peer) ReadDisk(_ context.Context, t *testing.T, vmID, diskID string) string {
	t.Helper()
	vm := p.one(t, vmID)
	if diskID == "" {
		return vm.RootData
	}
	i := slices.IndexFunc(vm.DataDisks, func(d simadmin.Disk) bool { return d.ID == diskID })
	require.GreaterOrEqual(t, i, 0, "the VM has no disk %s", diskID)
	return vm.DataDisks[i].Data
}

// Boot implements providertest.BootProbe.
func (p *peer) Boot(_ context.Context, t *testing.T, vmID string) string {
	t.Helper()
	vm := p.one(t, vmID)
	require.Equal(t, "running", vm.Power)
	require.NotNil(t, vm.UptimeSince)
	return fmt.Sprintf("%d since %v", vm.Boot, *vm.UptimeSince)
}

// loseAnswer loses the answer to the operation that a method calls.
func (p *peer) loseAnswer(ctx context.Context, t *testing.T, method string) {
	t.Helper()
	op := map[string]string{
		"SuspendVM": "suspend_vm", "ResizeVM": "resize_vm", "RebuildVM": "rebuild_vm", "CloneVM": "clone_vm",
		"CreateSnapshot": "snapshot_create", "MigrateVM": "migrate_vm", "AttachDisk": "attach_disk", "AttachNIC": "attach_nic",
	}[method]
	require.NoError(t, p.SetFaults(ctx, simadmin.Fault{Op: op, Kind: simadmin.FaultErrorAfter}))
	t.Cleanup(func() { require.NoError(t, p.ClearFaults(context.WithoutCancel(ctx))) })
}

// one is the VM of ours for a VM ID.
func (p *peer) one(t *testing.T, vmID string) simadmin.VM {
	t.Helper()
	all := p.of(t, vmID)
	require.Len(t, all, 1)
	return all[0]
}

// foreign makes a VM of another installation with our VM ID as its UUID.
func (p *peer) foreign(ctx context.Context, t *testing.T, vmID string) func(*testing.T) {
	t.Helper()
	made, err := p.CreateVM(ctx, simadmin.NewVM{
		Name: "foreign", Power: "running", UUID: vmID, Mark: &simadmin.Mark{VMID: vmID, InstallationID: another},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.DeleteVM(context.WithoutCancel(ctx), made.NativeID)) })
	return func(t *testing.T) {
		t.Helper()
		require.Equal(t, made, p.vm(t, made.NativeID), "the foreign VM was changed")
	}
}

// vm reads one VM by the admin side.
func (p *peer) vm(tb testing.TB, nativeID string) simadmin.VM {
	tb.Helper()
	vms, err := p.VMs(tb.Context())
	require.NoError(tb, err)
	for _, vm := range vms {
		if vm.NativeID == nativeID {
			return vm
		}
	}
	tb.Fatalf("the hypervisor has no VM %s", nativeID)
	return simadmin.VM{}
}

// of lists the VMs that bear our mark for a VM ID, or its UUID.
func (p *peer) of(tb testing.TB, vmID string) []simadmin.VM {
	tb.Helper()
	vms, err := p.VMs(tb.Context())
	require.NoError(tb, err)
	var out []simadmin.VM
	for _, vm := range vms {
		if vm.UUID == vmID || vm.Mark != nil && vm.Mark.VMID == vmID && vm.Mark.InstallationID == installation {
			out = append(out, vm)
		}
	}
	return out
}

// within waits for a condition.
func within(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited %v in vain until %s", limit, what)
		case <-tick.C:
		}
	}
}

// settle polls a task to its end.
func settle(tb testing.TB, a providers.Provider, task providers.TaskRef) {
	tb.Helper()
	within(tb, 10*time.Second, "the task is done", func() bool {
		st, err := a.PollTask(tb.Context(), task)
		require.NoError(tb, err)
		require.NoError(tb, st.Err)
		return st.Done
	})
}

// create makes a VM and returns it as read back.
func create(tb testing.TB, a providers.Provider, req providers.CreateVMRequest) providers.VM {
	tb.Helper()
	_, task, err := a.CreateVM(tb.Context(), req)
	require.NoError(tb, err)
	settle(tb, a, task)
	vm, err := a.FindVM(tb.Context(), req.VMID)
	require.NoError(tb, err)
	return vm
}
