package vsphere

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// A rebuild copies the image's disk to a new file beside the VM's, and then changes
// the root disk, what cloud-init says and the note of it by one write. So there is no
// moment at which the VM has the one without the other. Where the copy goes to, and
// which task makes it, is noted before.

// RebuildVM puts a copy of the image's disk in place of the root disk. It goes on
// in the background.
func (p *Provider) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	return boundary(p.rebuild(ctx, "RebuildVM", req, token))
}

func (p *Provider) rebuild(ctx context.Context, op string, req providers.CreateVMRequest, token string) (providers.TaskRef, *providers.Error) {
	if err := checkToken(op, token); err != nil {
		return "", err
	}
	if p.cfg.customization != "" {
		return "", fail(op, providers.Unimplemented, nil, "a guest that a specification customizes is not rebuilt")
	}
	o, err := p.check(op, req)
	if err != nil {
		return "", err
	}
	// Another instance ID: cloud-init is to set the new disk up.
	var guestErr error
	if o.guest, guestErr = guestInfoOf(req, rebuiltInstance(req.VMID, token)); guestErr != nil {
		return "", fail(op, providers.InvalidArgument, nil, guestErr.Error())
	}
	m, err := p.mine(ctx, op, req.VMID)
	if err != nil {
		return "", err
	}
	r := rebuildOrder{op: op, order: o, token: token}
	switch note := m.rebuilding(); {
	case note.Token != "" && note.Token != token:
		return "", fail(op, providers.FailedPrecondition, nil, "another rebuild of the VM is not finished")
	case note.Ending && !note.Swapped:
		return "", fail(op, providers.FailedPrecondition, nil, "the rebuild is being taken back")
	case note.Swapped && m.rebuiltWhole():
		return "", p.rests(ctx, op, m)
	case !note.Swapped:
		if err := m.rebuildable(op); err != nil {
			return "", err
		}
		var task providers.TaskRef
		if r.from, task, err = p.rebuildSource(ctx, r); err != nil || r.from == nil {
			return task, err
		}
	}
	return p.carry(ctx, op, workTask(req.VMID, workRebuild, token), func(ctx context.Context) *providers.Error {
		return p.carryRebuild(ctx, m, r)
	})
}

// rebuildSource is what a VM is rebuilt from; nil with the task of an import that comes
// first.
func (p *Provider) rebuildSource(ctx context.Context, r rebuildOrder) (*mo.VirtualMachine, providers.TaskRef, *providers.Error) {
	src, err := p.origin(ctx, r.op, r.order.req.Image.Ref)
	if err != nil {
		return nil, "", err
	}
	from, task := src.vm, providers.TaskRef("")
	if src.item != nil {
		from, task, err = p.importFirst(ctx, r.op, r.order, *src.item, workTask(r.order.req.VMID, workRebuild, r.token))
		if err != nil || from == nil {
			return nil, task, err
		}
	}
	if from == nil {
		return nil, "", fail(r.op, providers.InvalidArgument, nil, "the image has no disk")
	}
	return from, "", fits(r.op, r.order, from)
}

// rebuiltInstance is what cloud-init takes for another machine than before.
func rebuiltInstance(vmID, token string) string {
	sum := sha256.Sum256([]byte(token))
	return vmID + "-" + hex.EncodeToString(sum[:8])
}

// rebuildOrder is a rebuild at work.
type rebuildOrder struct {
	op    string
	order order
	from  *mo.VirtualMachine // nil once its disk is in place
	token string
}

func (m *machine) rebuildable(op string) *providers.Error {
	switch {
	case m.Mark.Making || m.rootDisk() == nil:
		return fail(op, providers.FailedPrecondition, nil, "the VM is not complete")
	case m.power() != models.PowerStopped:
		return fail(op, providers.FailedPrecondition, nil, "the VM has to be off to be rebuilt")
	case m.hasSnapshots():
		return fail(op, providers.FailedPrecondition, nil, "the VM has snapshots")
	}
	return nil
}

func (p *Provider) carryRebuild(ctx context.Context, m *machine, r rebuildOrder) *providers.Error {
	var err *providers.Error
	fresh := m.rebuilding().Token == ""
	if fresh {
		root := m.rootDisk()
		note := rebuildNote{
			Token: r.token, New: m.rootFile(), Size: r.order.req.DiskGiB,
			Old: fileOf(root), OldBytes: diskBytes(root), Init: map[string]string{},
		}
		was := extraOf(m.VM.Config.ExtraConfig)
		for _, o := range r.order.guest {
			key := o.GetOptionValue().Key
			note.Init[key] = was[key]
		}
		if m, err = p.noted(ctx, r.op, m, noteRebuild, note); err != nil {
			return err
		}
	}
	if !m.rebuilding().Swapped {
		if m, err = p.copyRoot(ctx, m, r, fresh); err != nil {
			return err
		}
		if m, err = p.swapRoot(ctx, m, r); err != nil {
			return err
		}
	}
	if m.rebuiltWhole() {
		return nil
	}
	spec := types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{enlarged(m.rootDisk(), m.rebuilding().Size)}}
	_, err = p.configure(ctx, r.op, m, spec)
	return err
}

// copyRoot makes the noted file hold the image's disk. A copy that another process
// has begun is waited for. Where none is known to be at work, or it failed, the copy
// is begun anew in a file of another name: the one that is noted may have become the
// VM's disk since it was read, and may yet be made by a task that nobody has noted.
func (p *Provider) copyRoot(ctx context.Context, m *machine, r rebuildOrder, fresh bool) (*machine, *providers.Error) {
	note := m.rebuilding()
	if note.Copy != "" {
		err := p.await(ctx, r.op, note.Copy)
		if err == nil {
			return m, p.deleteLeft(ctx, r.op, m)
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	var err *providers.Error
	if !fresh {
		note.Left, note.New, note.Copy = append(note.Left, note.New), m.rootFile(), ""
		if m, err = p.noted(ctx, r.op, m, noteRebuild, note); err != nil {
			return nil, err
		}
	}
	task, err := p.copyFile(ctx, r.op, r.from.Self, fileOf(firstDisk(r.from)), m.Ref, note.New)
	if err != nil {
		return nil, err
	}
	note.Copy = string(task)
	was := m
	if m, err = p.noted(ctx, r.op, m, noteRebuild, note); err != nil {
		if isFaultOf(err, &types.ConcurrentAccess{}) || isFaultOf(err, &types.TaskInProgress{}) {
			// The VM was changed: the file is nobody's, and nobody else knows of it.
			if dropped := p.dropCopy(ctx, r.op, was, note); dropped != nil {
				return nil, dropped
			}
		}
		return nil, err
	}
	if err := p.await(ctx, r.op, note.Copy); err != nil {
		return nil, err
	}
	return m, p.deleteLeft(ctx, r.op, m)
}

// dropCopy removes the file of a copy that was not noted.
func (p *Provider) dropCopy(ctx context.Context, op string, m *machine, note rebuildNote) *providers.Error {
	if err := p.ended(ctx, op, note.Copy); err != nil {
		return err
	}
	return p.deleteFile(ctx, op, m, note.New)
}

// rootFile is a name for the file of a new root disk, that no other one has.
func (m *machine) rootFile() string { return m.beside("hcp-root-" + models.NewID() + ".vmdk") }

// deleteLeft removes the files of copies that were begun, and not noted.
func (p *Provider) deleteLeft(ctx context.Context, op string, m *machine) *providers.Error {
	left := m.rebuilding().Left
	if len(left) == 0 {
		return nil
	}
	if err := p.copiesEnded(ctx, op); err != nil {
		return err
	}
	for _, file := range left {
		if err := p.deleteFile(ctx, op, m, file); err != nil {
			return err
		}
	}
	return nil
}

// swapRoot is the write that changes the disk, cloud-init and the note.
func (p *Provider) swapRoot(ctx context.Context, m *machine, r rebuildOrder) (*machine, *providers.Error) {
	copied := m.rebuilding().New
	m, err := p.mine(ctx, r.op, m.Mark.VMID) // the copy took its time
	if err != nil {
		return nil, err
	}
	note := m.rebuilding()
	switch {
	case note.Token != r.token || note.Ending:
		return nil, fail(r.op, providers.Aborted, nil, "the rebuild was taken back")
	case note.Swapped:
		return m, nil
	case note.New != copied:
		return nil, fail(r.op, providers.Aborted, nil, "another process makes the VM's disk")
	}
	if err := m.rebuildable(r.op); err != nil {
		return nil, err
	}
	root := m.rootDisk()
	note.Swapped, note.Left = true, nil
	spec, err := m.noteSpec(r.op, noteRebuild, note)
	if err != nil {
		return nil, err
	}
	spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{
		withoutDevice(root), inPlaceOf(root, note.New, diskBytes(firstDisk(r.from))),
	}
	spec.ExtraConfig = append(spec.ExtraConfig, changed(m.VM.Config.ExtraConfig, slices.Clone(r.order.guest))...)
	return p.configure(ctx, r.op, m, spec)
}

// inPlaceOf is the change that puts a file that is there where a disk was.
func inPlaceOf(old *types.VirtualDisk, file string, size int64) types.BaseVirtualDeviceConfigSpec {
	unit := slot(old)
	return &types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationAdd,
		Device: &types.VirtualDisk{
			VirtualDevice: types.VirtualDevice{
				Key: -1, ControllerKey: old.ControllerKey, UnitNumber: &unit,
				Backing: &types.VirtualDiskFlatVer2BackingInfo{
					VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: file},
					DiskMode:                     string(types.VirtualDiskModePersistent),
				},
			},
			CapacityInBytes: size, CapacityInKB: size / 1024,
		},
	}
}

func (m *machine) rebuiltWhole() bool {
	root := m.rootDisk()
	return root != nil && diskSize(root) >= m.rebuilding().Size
}

// lookRebuild tells by the note, and while the disk is being copied by that task.
func (p *Provider) lookRebuild(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || m.rebuilding().Token != w.Argument {
		return providers.TaskStatus{}, interrupted(op)
	}
	note := m.rebuilding()
	switch {
	case note.Swapped && m.rebuiltWhole():
		return background.Done(nil), nil
	case note.Swapped || note.Copy == "":
		return providers.TaskStatus{}, interrupted(op)
	}
	st, err := p.pollMoref(ctx, op, note.Copy)
	if err == nil && st.Done {
		return providers.TaskStatus{}, interrupted(op)
	}
	return st, err
}

var _ providers.Rebuilder = (*Provider)(nil)
