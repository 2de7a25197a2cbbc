package proxmox_test

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
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// The installation is ours; the stranger is anybody else.
const (
	installation = "installation-1"
	stranger     = "installation-2"
)

// peer is a simulated cluster under test.
type peer struct{ simadmin.Admin }

func startPeer(t *testing.T, opts proxmoxsim.Options) *peer {
	t.Helper()
	opts.TaskDelay = 10 * time.Millisecond
	pve, err := proxmoxsim.New(opts)
	require.NoError(t, err)
	srv := httptest.NewServer(pve)
	t.Cleanup(func() {
		require.NoError(t, pve.Close())
		srv.Close()
	})
	return &peer{simadmin.Admin{URL: srv.URL, Client: srv.Client()}}
}

func (p *peer) open(t *testing.T) *proxmox.Provider {
	t.Helper()
	a, err := proxmox.Open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: "provider-1", InstallationID: installation, URL: p.URL,
		Credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func peerRequest() providers.CreateVMRequest {
	id := models.NewID()
	end := id[len(id)-6:]
	return providers.CreateVMRequest{
		VMID: id, Name: "VM of " + end, Node: "pve1", VCPUs: 1, MemoryMiB: 512, DiskGiB: 3,
		Image: models.ImageBinding{Ref: "9000"},
		NICs: []providers.NIC{{
			Network: models.NetworkBinding{Ref: "vmbr0", Type: models.NetworkBridge}, MAC: "52:54:00:" + end[:2] + ":" + end[2:4] + ":" + end[4:],
		}},
		CloudInit: providers.CloudInit{Hostname: "guest", SSHKeys: []string{"ssh-ed25519 AAAA test"}},
	}
}

// TestOptionalOperations runs the whole contract, the optional interfaces too.
func TestOptionalOperations(t *testing.T) {
	t.Parallel()
	p := startPeer(t, proxmoxsim.Options{})
	providertest.Run(t, providertest.Harness{
		Open:         func(_ context.Context, t *testing.T) providers.Provider { t.Helper(); return p.open(t) },
		Request:      func(*testing.T) providers.CreateVMRequest { return peerRequest() },
		Foreign:      p.foreign,
		Capabilities: p.everything(),
		PollEvery:    10 * time.Millisecond,
		Settle:       30 * time.Second,
		Disks:        p,
		Boots:        p,
		Serial:       providertest.Dialogue{Type: "echo mellon | boot\r", Answer: "\nmellon | boot\r"},
		LoseAnswer:   p.loseAnswer,
	})
}

// loseAnswer loses the answer to the call that a method begins its work with.
func (p *peer) loseAnswer(ctx context.Context, t *testing.T, method string) {
	t.Helper()
	op, ok := map[string]string{
		"SuspendVM": "suspend_vm", "ResizeVM": "resize_vm", "RebuildVM": "rebuild_vm", "CloneVM": "clone_vm",
		"CreateSnapshot": "snapshot_create", "MigrateVM": "migrate_vm", "AttachDisk": "attach_disk", "AttachNIC": "attach_nic",
	}[method]
	require.True(t, ok, method)
	require.NoError(t, p.SetFaults(ctx, simadmin.Fault{Op: op, Kind: simadmin.FaultErrorAfter}))
	t.Cleanup(func() { require.NoError(t, p.ClearFaults(context.WithoutCancel(ctx))) })
}

// everything is what the adapter can do with an account that may do all.
func (p *peer) everything() []models.Capability {
	return []models.Capability{
		models.CapCloudInit, models.CapSuspend, models.CapResize, models.CapRebuild, models.CapClone,
		models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive, models.CapLiveMigration, models.CapColdMigration,
		models.CapDataDisks, models.CapAttachNetwork, models.CapConsoleVNC, models.CapConsoleSerial,
	}
}

// foreign puts a stranger's VM on the cluster under our VM ID.
func (p *peer) foreign(ctx context.Context, t *testing.T, vmID string) func(*testing.T) {
	t.Helper()
	vm, err := p.CreateVM(ctx, simadmin.NewVM{
		Name: "foreign", UUID: vmID, Mark: &simadmin.Mark{VMID: vmID, InstallationID: stranger}, Power: "running",
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.DeleteVM(context.WithoutCancel(ctx), vm.NativeID)) })
	find := func(t *testing.T) simadmin.VM {
		t.Helper()
		return p.one(t, func(v simadmin.VM) bool { return v.NativeID == vm.NativeID })
	}
	before := find(t)
	return func(t *testing.T) {
		t.Helper()
		require.Equal(t, before, find(t))
	}
}

func (p *peer) one(t *testing.T, is func(simadmin.VM) bool) simadmin.VM {
	t.Helper()
	vms, err := p.VMs(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	found := slices.DeleteFunc(vms, func(v simadmin.VM) bool { return !is(v) })
	require.Len(t, found, 1)
	return found[0]
}

func (p *peer) ours(t *testing.T, vmID string) simadmin.VM {
	t.Helper()
	return p.one(t, func(v simadmin.VM) bool {
		return v.Mark != nil && v.Mark.VMID == vmID && v.Mark.InstallationID == installation
	})
}

// WriteDisk implements providertest.DiskProbe.
func (p *peer) WriteDisk(ctx context.Context, t *testing.T, vmID, diskID, text string) {
	t.Helper()
	set := simadmin.VMChange{RootData: &text}
	if diskID != "" {
		set = simadmin.VMChange{DiskData: map[string]string{diskID: text}}
	}
	_, err := p.PatchVM(ctx, p.ours(t, vmID).NativeID, set)
	require.NoError(t, err)
}

// imageText is what the simulator has on a disk that was made from the template.
const imageText = "image debian-12"

// ReadDisk implements providertest.DiskProbe.
func (p *peer) ReadDisk(_ context.Context, t *testing.T, vmID, diskID string) string {
	t.Helper()
	vm := p.ours(t, vmID)
	if diskID == "" {
		return strings.TrimPrefix(vm.RootData, imageText)
	}
	i := slices.IndexFunc(vm.DataDisks, func(d simadmin.Disk) bool { return d.ID == diskID })
	require.GreaterOrEqual(t, i, 0, "the VM has no disk %s", diskID)
	return vm.DataDisks[i].Data
}

// Boot implements providertest.BootProbe.
func (p *peer) Boot(_ context.Context, t *testing.T, vmID string) string {
	t.Helper()
	vm := p.ours(t, vmID)
	require.Equal(t, "running", vm.Power)
	return fmt.Sprint(vm.Boot)
}
