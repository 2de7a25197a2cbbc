package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

func newHostRequest() providers.CreateVMRequest {
	req := newRequest()
	req.Node, req.NICs = "localhost.localdomain", req.NICs[:1]
	return req
}

// TestAHostThatStandsAloneClonesNothing shows that a VM is made of its parts there.
func TestAHostThatStandsAloneClonesNothing(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{ESXi: true})
	s.Service.AddFaultRule(faultOf("CloneVM_Task", &types.NotSupported{}))
	req := newHostRequest()
	wantAsAsked(t, made(t, p, req), req)
	require.Zero(t, s.Count("CloneVM_Task"))
	require.Empty(t, found(t, p, req.VMID).keptFiles())
	task, err := p.StartVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	task, err = p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	gone(t, p, req.VMID)
}

// TestAssemblyGoesOn shows that each answer that is lost on the way leaves one VM with
// one disk.
func TestAssemblyGoesOn(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"CreateVM_Task", "CopyVirtualDisk_Task", "ReconfigVM_Task"} {
		s, p := openPeer(t, vspheresim.Options{ESXi: true})
		req := newHostRequest()
		s.LoseAnswer(method)
		_, _, _ = p.CreateVM(t.Context(), req)
		next := openWith(t, testConfig(s, nil))
		require.NoError(t, p.Close())
		eventually(t, "the VM is made though the answer of "+method+" was lost", func() bool {
			_, task, err := next.CreateVM(t.Context(), req)
			if err == nil {
				err = outcome(t, next, task)
			}
			if err != nil {
				require.True(t, providers.CodeOf(err).Retryable(), "%v", err)
			}
			return err == nil
		})
		wantAsAsked(t, found(t, next, req.VMID), req)
		require.Equal(t, 1, machines(t, s))
	}
}

// TestAnImageOfAHostIsAVMThatIsOff shows which VMs can be one.
func TestAnImageOfAHostIsAVMThatIsOff(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{ESXi: true, Machines: 1})
	const name = "ha-host_VM1"
	src, err := p.template(t.Context(), "Test", name)
	require.Nil(t, err)
	require.False(t, src.Config.Template)
	c, failure := s.Client(t.Context())
	require.NoError(t, failure)
	res, failure := methods.PowerOnVM_Task(t.Context(), c, &types.PowerOnVM_Task{This: src.Self})
	require.NoError(t, failure)
	require.Nil(t, p.await(t.Context(), "Test", res.Returnval.Value))
	_, err = p.template(t.Context(), "Test", name)
	require.Equal(t, providers.NotFound, err.Code)
}
