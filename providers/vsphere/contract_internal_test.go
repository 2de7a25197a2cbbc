package vsphere

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// lossyCalls are the calls by which a method of the contract takes effect.
func lossyCalls() map[string]string {
	return map[string]string{
		"SuspendVM": "SuspendVM_Task", "ResizeVM": "ReconfigVM_Task", "RebuildVM": "ReconfigVM_Task",
		"CreateSnapshot": "CreateSnapshot_Task", "MigrateVM": "RelocateVM_Task", "AttachDisk": "ReconfigVM_Task", "AttachNIC": "ReconfigVM_Task",
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	everywhere := []models.Capability{
		models.CapCloudInit, models.CapSuspend, models.CapResize, models.CapHotResize, models.CapRebuild, models.CapClone,
		models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive,
		models.CapDataDisks, models.CapAttachNetwork, models.CapConsoleVNC,
	}
	t.Run("vCenter", func(t *testing.T) {
		t.Parallel()
		s := newPeer(t, vspheresim.Options{})
		contract(t, s, newRequest, "CloneVM_Task", append(slices.Clone(everywhere), models.CapColdMigration, models.CapLiveMigration))
	})
	t.Run("OVF item of a content library", func(t *testing.T) {
		t.Parallel()
		s, p, _ := libraryPeer(t)
		ofItem := func() providers.CreateVMRequest { return fromLibrary("ovf") }
		cfg := testConfig(s, nil)
		cfg.InstallationID = "installation-2"
		theirs := openWith(t, cfg)
		// Each installation imports the item once, and is to ask again after that.
		for _, p := range []*Provider{p, theirs} {
			makeAnyhow(t, func() *Provider { return p }, ofItem())
		}
		contract(t, s, ofItem, "CloneVM_Task", append(slices.Clone(everywhere), models.CapColdMigration, models.CapLiveMigration))
	})
	t.Run("ESXi", func(t *testing.T) {
		t.Parallel()
		contract(t, newPeer(t, vspheresim.Options{ESXi: true}), newHostRequest, "CreateVM_Task", everywhere)
	})
}

// briefly is how long a process takes another's work for going on that it sees nothing
// of: two that wait for each other in turn would need most of what the contract gives.
const briefly = 4 * time.Second

// contract runs the contract. cloning is the call by which a VM is copied.
func contract(
	t *testing.T, s *vspheresim.Server, request func() providers.CreateVMRequest, cloning string, capabilities []models.Capability,
) {
	t.Helper()
	providertest.Run(t, providertest.Harness{
		Open: func(ctx context.Context, t *testing.T) providers.Provider {
			t.Helper()
			p, err := Open(ctx, testConfig(s, nil))
			if err != nil {
				t.Fatal(err)
			}
			p.silence = briefly
			return p
		},
		Request: func(t *testing.T) providers.CreateVMRequest {
			t.Helper()
			req := request()
			req.VCPUs = 1
			return req
		},
		Foreign: func(ctx context.Context, t *testing.T, vmID string) func(t *testing.T) {
			t.Helper()
			req := request()
			req.VMID = vmID
			return foreign(ctx, t, s, req)
		},
		LoseAnswer: func(_ context.Context, t *testing.T, method string) {
			t.Helper()
			call, ok := lossyCalls()[method]
			if method == "CloneVM" {
				call, ok = cloning, true
			}
			if !ok {
				t.Fatalf("no call is known of %s", method)
			}
			s.LoseAnswer(call)
		},
		Capabilities: capabilities,
		Settle:       2 * time.Minute,
	})
}

// foreign makes a VM of another installation.
func foreign(ctx context.Context, t *testing.T, s *vspheresim.Server, req providers.CreateVMRequest) (probe func(t *testing.T)) {
	t.Helper()
	cfg := testConfig(s, nil)
	cfg.InstallationID = "installation-2"
	other, err := Open(ctx, cfg)
	require.NoError(t, err)
	was := made(t, other, req)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		task, err := other.DeleteVM(ctx, target(req))
		for err == nil && task != "" {
			st, pollErr := other.PollTask(ctx, task)
			require.NoError(t, pollErr)
			if st.Done {
				break
			}
		}
		require.NoError(t, err)
		require.NoError(t, other.Close())
	})
	return func(t *testing.T) {
		t.Helper()
		is := found(t, other, req.VMID)
		require.Equal(t, was.Ref, is.Ref)
		require.Equal(t, was.VM.Config.ChangeVersion, is.VM.Config.ChangeVersion)
		require.Equal(t, was.power(), is.power())
	}
}
