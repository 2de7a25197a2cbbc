package proxmox_test

import (
	"context"
	"net/http/httptest"
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

const (
	coreInstallation = "installation-1"
	coreOther        = "installation-2"
)

// cluster is a simulated one, and the options of the adapters that open makes.
type cluster struct {
	simadmin.Admin
	pve     *proxmoxsim.Server
	options map[string]string
}

func startCluster(t *testing.T, opts proxmoxsim.Options) *cluster {
	t.Helper()
	if opts.TaskDelay == 0 {
		opts.TaskDelay = 20 * time.Millisecond
	}
	pve, err := proxmoxsim.New(opts)
	require.NoError(t, err)
	srv := httptest.NewServer(pve)
	t.Cleanup(func() {
		require.NoError(t, pve.Close())
		srv.Close()
	})
	return &cluster{pve: pve, Admin: simadmin.Admin{URL: srv.URL, Client: srv.Client()}, options: map[string]string{}}
}

func (c *cluster) open(t *testing.T) *proxmox.Provider {
	t.Helper()
	p, err := proxmox.Open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: "provider-1", InstallationID: coreInstallation, URL: c.URL, Options: c.options,
		Credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func coreRequest() providers.CreateVMRequest {
	id := models.NewID()
	end := id[len(id)-6:]
	return providers.CreateVMRequest{
		VMID: id, Name: "VM of " + end, Node: "pve1", VCPUs: 1, MemoryMiB: 256, DiskGiB: 3,
		Image:     models.ImageBinding{Ref: "9000"},
		NICs:      []providers.NIC{{Network: models.NetworkBinding{Ref: "vmbr0.20"}, MAC: "52:54:00:" + end[:2] + ":" + end[2:4] + ":" + end[4:]}},
		CloudInit: providers.CloudInit{Hostname: "guest", SSHKeys: []string{"ssh-ed25519 AAAA test"}},
	}
}

// foreign puts another installation's VM on the cluster that has our VM ID
// wherever one can stand.
func (c *cluster) foreign(ctx context.Context, t *testing.T, vmID string) func(*testing.T) {
	t.Helper()
	vm, err := c.CreateVM(ctx, simadmin.NewVM{
		Name: "foreign", UUID: vmID, Mark: &simadmin.Mark{VMID: vmID, InstallationID: coreOther}, Power: "running",
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.DeleteVM(context.WithoutCancel(ctx), vm.NativeID)) })
	before := c.native(ctx, t, vm.NativeID)
	return func(t *testing.T) {
		t.Helper()
		require.Equal(t, before, c.native(ctx, t, vm.NativeID))
	}
}

func (c *cluster) native(ctx context.Context, t *testing.T, id string) simadmin.VM {
	t.Helper()
	vms, err := c.VMs(ctx)
	require.NoError(t, err)
	for _, vm := range vms {
		if vm.NativeID == id {
			return vm
		}
	}
	require.Fail(t, "the VM is gone", id)
	return simadmin.VM{}
}

// TestFullClonesConform runs the contract's suite with disks that are copied in
// full.
func TestFullClonesConform(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{StatusLag: time.Hour})
	info, err := c.open(t).Info(t.Context())
	require.NoError(t, err)
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider { t.Helper(); return c.open(t) },
		Request: func(*testing.T) providers.CreateVMRequest {
			req := coreRequest()
			req.Image.CloneMode = models.CloneFull
			req.NICs[0].Network = models.NetworkBinding{Ref: "vmbr0", Type: models.NetworkBridge}
			return req
		},
		Foreign:      c.foreign,
		Capabilities: info.Capabilities,
		PollEvery:    20 * time.Millisecond,
	})
}

// settle asks until it succeeds, as an activity does, and polls the task.
func settle(t *testing.T, p providers.Provider, ask func() (providers.TaskRef, error)) {
	t.Helper()
	task, err := ask()
	require.Eventually(t, func() bool {
		var st providers.TaskStatus
		if err == nil && task != "" {
			if st, err = p.PollTask(t.Context(), task); err == nil && !st.Done {
				return false
			}
			task = ""
			if err == nil {
				err = st.Err
			}
		}
		if err != nil {
			if code := providers.CodeOf(err); !code.Retryable() && code != providers.NotFound {
				return true
			}
			task, err = ask()
		}
		return err == nil && task == ""
	}, 60*time.Second, 20*time.Millisecond)
	require.NoError(t, err)
}

// TestRacingCreates gives 30 VMs a range that has room for few more: each gets a
// VMID of its own.
func TestRacingCreates(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	c.options["vmid_range"] = "200-231"
	probe := c.foreign(t.Context(), t, models.NewID())
	p := c.open(t)
	reqs := make([]providers.CreateVMRequest, 30)
	t.Run("all", func(t *testing.T) {
		for i := range reqs {
			reqs[i] = coreRequest()
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				settle(t, p, func() (providers.TaskRef, error) {
					_, task, err := p.CreateVM(t.Context(), reqs[i])
					return task, err
				})
			})
		}
	})
	seen := map[providers.VMRef]string{}
	for _, req := range reqs {
		vm, err := p.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.False(t, vm.Incomplete)
		require.Empty(t, seen[vm.Ref], "two VMs have the VMID %s", vm.Ref)
		seen[vm.Ref] = req.VMID
		require.Equal(t, req.Name, vm.Name)
		require.Equal(t, []string{strings.ToLower(req.NICs[0].MAC)}, vm.MACs)
	}
	require.Len(t, seen, 30)
	probe(t)
}
