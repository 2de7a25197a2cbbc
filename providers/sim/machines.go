package sim

import (
	"context"
	"errors"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// CreateVM implements providers.Machines.
func (p *Provider) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	const op = "CreateVM"
	if err := p.usable(ctx, op); err != nil {
		return "", "", err
	}
	if err := validate(op, req); err != nil {
		return "", "", err
	}
	return p.makeVM(ctx, op, wire.OpCreateVM, req, p.createRequest(req))
}

// makeVM makes req's VM by an operation, unless it is there. It finds first, and
// where the answer was lost, finds again before it says so.
func (p *Provider) makeVM(
	ctx context.Context, op, operation string, req providers.CreateVMRequest, request any,
) (providers.VMRef, providers.TaskRef, error) {
	vm, err := p.find(ctx, op, req.VMID)
	if err != nil {
		return "", "", err
	}
	if vm != nil && !settled(vm) {
		if vm, err = p.clear(ctx, op, req.VMID, vm); err != nil {
			return "", "", err
		}
	}
	if vm == nil {
		var out wire.WorkResponse
		err := p.call(ctx, op, operation, request, &out)
		if err == nil && out.NativeID != "" {
			return providers.VMRef(out.NativeID), providers.TaskRef(out.Task), nil
		}
		if err == nil {
			err = misunderstood(op, errors.New("it does not name the VM"))
		}
		if vm = p.madeAfterAll(ctx, op, req.VMID, err); vm == nil {
			return "", "", err
		}
	}
	return providers.VMRef(vm.NativeID), createTask(vm), nil
}

// settled reports whether a VM is what CreateVM makes, or on its way there. One
// that is being deleted is neither, whatever is still there of it.
func settled(vm *wire.VM) bool {
	switch vm.TaskOp {
	case wire.OpCreateVM, wire.OpCloneVM:
		return true
	case wire.OpDeleteVM:
		return false
	}
	return !incomplete(vm)
}

func createTask(vm *wire.VM) providers.TaskRef {
	if vm.TaskOp != wire.OpCreateVM && vm.TaskOp != wire.OpCloneVM {
		return ""
	}
	return providers.TaskRef(vm.Task)
}

// clear removes what an interrupted create left, to make the VM anew. It
// returns nil once that is gone. What has been running since is not a leftover
// of a create, and never removed here; nor is what changed since it was found,
// as a create that was thought dead may have completed it.
func (p *Provider) clear(ctx context.Context, op, vmID string, vm *wire.VM) (*wire.VM, *providers.Error) {
	if vm.TaskOp == wire.OpDeleteVM {
		return nil, fail(op, providers.Aborted, nil, "the VM is being removed")
	}
	if vm.Power != wire.PowerStopped || vm.Aside != nil {
		return nil, fail(op, providers.FailedPrecondition, nil, "the VM is incomplete, and more than a create left of it")
	}
	unchanged := expect(vm)
	unchanged.Revision = vm.Revision
	var out wire.WorkResponse
	err := p.call(ctx, op, wire.OpDeleteVM, wire.DeleteVMRequest{VM: unchanged}, &out)
	if err != nil && err.Code != providers.NotFound {
		return nil, err
	}
	left, err := p.find(ctx, op, vmID)
	if err != nil {
		return nil, err
	}
	if left != nil && !settled(left) {
		return nil, fail(op, providers.Aborted, nil, "an incomplete VM is being removed")
	}
	return left, nil
}

// madeAfterAll finds the VM of a create that was answered with an error, where
// the error leaves open whether the VM was made, or says that another process
// made it.
func (p *Provider) madeAfterAll(ctx context.Context, op, vmID string, why *providers.Error) *wire.VM {
	if !why.Code.Retryable() && why.Code != providers.AlreadyExists {
		return nil
	}
	vm, err := p.find(ctx, op, vmID)
	if err != nil || vm == nil || !settled(vm) {
		return nil
	}
	return vm
}

func validate(op string, req providers.CreateVMRequest) *providers.Error {
	if req.VMID != "" && req.Image.Ref == "" {
		return fail(op, providers.InvalidArgument, nil, "the image is required")
	}
	return validateShape(op, req)
}

// validateShape checks all of a request but its image.
func validateShape(op string, req providers.CreateVMRequest) *providers.Error {
	bad := func(message string) *providers.Error { return fail(op, providers.InvalidArgument, nil, message) }
	switch {
	case req.VMID == "":
		return bad("the VM ID is required")
	case req.Node == "":
		return bad("a place for the VM is required")
	case req.VCPUs < 1 || req.MemoryMiB < 1 || req.DiskGiB < 1:
		return bad("vCPUs, memory and disk must be positive")
	}
	for _, n := range req.NICs {
		if n.Network.Type != "" && n.Network.Type != models.NetworkNetwork {
			return bad("this hypervisor has no such type of network")
		}
	}
	return nil
}

func (p *Provider) createRequest(req providers.CreateVMRequest) wire.CreateVMRequest {
	out := wire.CreateVMRequest{
		UUID: req.VMID, Mark: p.mark(req.VMID), Name: req.Name, Node: req.Node, VCPUs: req.VCPUs, MemoryMiB: req.MemoryMiB,
		DiskGiB: req.DiskGiB, Image: req.Image.Ref, CloudInit: cloudInit(req.CloudInit),
	}
	for _, n := range req.NICs {
		out.NICs = append(out.NICs, wireNIC(n))
	}
	return out
}

func cloudInit(c providers.CloudInit) wire.CloudInit {
	return wire.CloudInit{Hostname: c.Hostname, UserData: c.UserData, SSHKeys: c.SSHKeys}
}

func wireNIC(n providers.NIC) wire.NIC {
	return wire.NIC{
		Network: n.Network.Ref, MAC: n.MAC, IP: n.IPAddress, PrefixLength: n.PrefixLength, Gateway: n.Gateway, DNSServers: n.DNSServers,
	}
}

// expect names a VM as it was found, so that the hypervisor refuses to act on
// another one.
func expect(vm *wire.VM) wire.Expect {
	return wire.Expect{NativeID: vm.NativeID, UUID: vm.UUID, Mark: vm.Mark}
}

// DeleteVM implements providers.Machines.
func (p *Provider) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	task, err := p.act(ctx, "DeleteVM", wire.OpDeleteVM, t.VMID, func(e wire.Expect) any { return wire.DeleteVMRequest{VM: e} })
	switch {
	case err == nil:
		return task, nil
	case err.Code == providers.NotFound:
		return "", nil
	}
	return "", err
}
