package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// order is a request that was checked: what it takes can be written into a
// specification.
type order struct {
	req   providers.CreateVMRequest
	name  string                  // that the VM has on the hypervisor
	guest []types.BaseOptionValue // what cloud-init reads in the guest
	// rootOnly says that the other disks of what is cloned are not wanted.
	rootOnly bool
}

// What the hypervisor takes in one VM.
const (
	maxNICs      = 10
	maxCPUs      = 768
	maxMemoryMiB = 24 << 20
)

// check turns a request into an order. What a tenant wrote that cannot be carried
// is InvalidArgument.
func (p *Provider) check(op string, req providers.CreateVMRequest) (order, *providers.Error) {
	o := order{req: req}
	wrong := ""
	switch {
	case !vmid.Valid(req.VMID):
		wrong = "the VM ID is not a UUID in its canonical form"
	case req.VCPUs <= 0 || req.MemoryMiB <= 0 || req.DiskGiB <= 0:
		wrong = "vCPUs, memory and disk must be positive"
	case req.Image.Ref == "":
		wrong = "the image is missing"
	case len(req.Name) > maxName:
		wrong = "the name is too long"
	case !isText(req.Name):
		wrong = "the name holds characters that the hypervisor cannot store"
	case req.VCPUs > maxCPUs || req.MemoryMiB > maxMemoryMiB:
		wrong = "the hypervisor has no VMs of this size"
	case req.MemoryMiB%4 != 0:
		wrong = "the hypervisor wants the memory in multiples of 4 MiB"
	case len(req.NICs) > maxNICs:
		wrong = "the hypervisor takes no more than 10 interfaces"
	case !validMACs(req.NICs):
		wrong = "an interface needs a MAC address and a network"
	}
	if wrong != "" {
		return o, fail(op, providers.InvalidArgument, nil, wrong)
	}
	o.name = displayName(req)
	tell := guestInfo
	if p.cfg.customization != "" {
		tell = withoutCloudInit
	}
	var err error
	if o.guest, err = tell(req); err != nil {
		return o, fail(op, providers.InvalidArgument, nil, err.Error())
	}
	return o, nil
}

// CreateVM clones the template into a VM that is ours from its birth, with its
// size, interfaces and cloud-init. In the background it is then read back, what is
// not as asked for is put right, and the last write takes "making" out of the mark:
// a VM without it is complete.
func (p *Provider) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	const op = "CreateVM"
	task, err := p.create(ctx, op, req)
	if err != nil {
		return "", "", elsewhere(err)
	}
	return refOf(req.VMID), task, nil
}

// refOf is the reference of a VM: its instance UUID, which stays where the managed
// object's reference does not.
func refOf(vmID string) providers.VMRef { return providers.VMRef(vmID) }

func (p *Provider) create(ctx context.Context, op string, req providers.CreateVMRequest) (providers.TaskRef, *providers.Error) {
	o, err := p.check(op, req)
	if err != nil {
		return "", err
	}
	if isISO(req.Image.Ref) {
		return p.makeFrom(ctx, op, o, nil)
	}
	return p.makeFrom(ctx, op, o, func() (origin, *providers.Error) { return p.origin(ctx, op, req.Image.Ref) })
}

// makeFrom makes the VM of an order from a source, or goes on with what there is of
// it. The source is read only where it is needed; nil for an empty VM with a medium.
func (p *Provider) makeFrom(
	ctx context.Context, op string, o order, source func() (origin, *providers.Error),
) (providers.TaskRef, *providers.Error) {
	m, cloning, err := p.settled(ctx, op, o.req.VMID)
	if err != nil {
		return "", err
	}
	alone, err := p.alone(ctx, op)
	switch {
	case err != nil:
		return "", err
	case m != nil && (!alone || !m.Mark.Making):
		return p.goOn(ctx, op, o, m)
	case cloning != "" && !alone && source != nil:
		return p.carryOn(ctx, op, o, cloning)
	case m == nil && cloning == "":
		if err := p.unclaimed(ctx, op, o.req.VMID); err != nil {
			return "", err
		}
	}
	if err := p.customizable(op, o, alone); err != nil {
		return "", err
	}
	if source == nil {
		return p.empty(ctx, op, o, cloning)
	}
	src, err := source()
	switch {
	case err != nil:
		return "", err
	case src.medium != "":
		o.req.Image.Ref = src.medium
		if err := p.customizable(op, o, alone); err != nil {
			return "", err
		}
		return p.empty(ctx, op, o, cloning)
	case src.item != nil:
		vm, task, err := p.importFirst(ctx, op, o, *src.item, workTask(o.req.VMID, workCreate, ""))
		if err != nil || vm == nil {
			return task, err
		}
		return p.cloneFrom(ctx, op, o, vm)
	case alone:
		return p.assemble(ctx, op, o, src.vm, cloning)
	}
	return p.cloneFrom(ctx, op, o, src.vm)
}

// cloneFrom clones a VM or template into the VM of an order, and finishes it.
func (p *Provider) cloneFrom(ctx context.Context, op string, o order, src *mo.VirtualMachine) (providers.TaskRef, *providers.Error) {
	if err := fits(op, o, src); err != nil {
		return "", err
	}
	at, err := p.place(ctx, op, o, src)
	if err != nil {
		return "", err
	}
	task, err := p.clone(ctx, op, o, src, at)
	if err != nil {
		return "", err
	}
	return p.carryOn(ctx, op, o, string(task))
}

// fits is InvalidArgument where the VM of an order cannot be made from a source.
func fits(op string, o order, src *mo.VirtualMachine) *providers.Error {
	root := firstDisk(src)
	switch {
	case root == nil:
		return fail(op, providers.InvalidArgument, nil, "the image has no disk")
	case diskSize(root) > o.req.DiskGiB:
		return fail(op, providers.InvalidArgument, nil, "the disk is smaller than the image")
	}
	return nil
}

// goOn goes on with a VM that is there already.
func (p *Provider) goOn(ctx context.Context, op string, o order, m *machine) (providers.TaskRef, *providers.Error) {
	cloning := ""
	if m.Mark.Making {
		var err *providers.Error
		if cloning, err = p.cloning(ctx, op, o.req.VMID); err != nil {
			return "", err
		}
	}
	switch {
	case cloning == "" && firstDisk(&m.VM) == nil:
		// Somebody took its disk away: it is removed, and made anew by the next call.
		if _, err := p.remove(ctx, op, o.req.VMID); err != nil {
			return "", err
		}
		return "", fail(op, providers.Aborted, nil, "the VM had lost its disk, and is made anew")
	case m.Mark.Making:
		return p.carryOn(ctx, op, o, cloning)
	}
	return "", nil
}

// carryOn finishes a VM in the background once its clone is done. task is the
// clone's, where one is known to be at work.
func (p *Provider) carryOn(ctx context.Context, op string, o order, task string) (providers.TaskRef, *providers.Error) {
	return p.carry(ctx, op, workTask(o.req.VMID, workCreate, task), func(ctx context.Context) *providers.Error {
		if task != "" {
			if err := p.cloned(ctx, op, o, p.await(ctx, op, task)); err != nil {
				return err
			}
		}
		return p.finish(ctx, op, o)
	})
}

// cloned judges the end of a clone. A name that is taken may be taken by this very
// VM, which another process was faster to make.
func (p *Provider) cloned(ctx context.Context, op string, o order, end *providers.Error) *providers.Error {
	if !hasCode(end, providers.AlreadyExists) {
		return end
	}
	m, cloning, err := p.settled(ctx, op, o.req.VMID)
	switch {
	case err != nil:
		return err
	case cloning != "":
		return fail(op, providers.Aborted, end, "the VM is being made by another process")
	case m == nil:
		return end
	}
	return nil
}

// lookCreate tells by the VM how its making stands.
func (p *Provider) lookCreate(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m != nil && !m.Mark.Making {
		return background.Done(nil), nil
	}
	st, err := p.lookTask(ctx, op, w)
	if failure := background.Failure(st); m != nil && failure != nil || hasCode(failure, providers.AlreadyExists) {
		return providers.TaskStatus{}, interrupted(op)
	}
	return st, err
}
