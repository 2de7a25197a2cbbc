package vsphere

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// A snapshot of ours is named by its ID; what the tenant calls it is its
// description.

const snapshotPrefix = "hcp-"

func snapshotName(id string) string { return snapshotPrefix + id }

// snapshotID returns the ID that a name bears, "" for a foreign one.
func snapshotID(name string) string {
	id, ok := strings.CutPrefix(name, snapshotPrefix)
	if !ok || !vmid.Valid(id) {
		return ""
	}
	return id
}

// snapshots are the VM's, oldest first: by time, and parents before children.
func (m *machine) snapshots() []types.VirtualMachineSnapshotTree {
	if m.VM.Snapshot == nil {
		return nil
	}
	var out []types.VirtualMachineSnapshotTree
	var walk func(list []types.VirtualMachineSnapshotTree)
	walk = func(list []types.VirtualMachineSnapshotTree) {
		for _, s := range list {
			out = append(out, s)
			walk(s.ChildSnapshotList)
		}
	}
	walk(m.VM.Snapshot.RootSnapshotList)
	slices.SortStableFunc(out, func(a, b types.VirtualMachineSnapshotTree) int {
		return cmp.Or(a.CreateTime.Compare(b.CreateTime), cmp.Compare(a.Id, b.Id))
	})
	return out
}

func (m *machine) hasSnapshots() bool { return len(m.snapshots()) > 0 }

// snapshotsOf are those of ours with an ID, oldest first. There is one that counts.
func (m *machine) snapshotsOf(id string) []types.VirtualMachineSnapshotTree {
	return slices.DeleteFunc(m.snapshots(), func(s types.VirtualMachineSnapshotTree) bool {
		return id == "" || snapshotID(s.Name) != id
	})
}

// snapshot looks for one of ours. nil if it is not there.
func (m *machine) snapshot(id string) *types.VirtualMachineSnapshotTree {
	all := m.snapshotsOf(id)
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

// holdsMemory reports whether a return to the snapshot makes the VM run.
func holdsMemory(s *types.VirtualMachineSnapshotTree) bool {
	return s.State != types.VirtualMachinePowerStatePoweredOff
}

// ListSnapshots reads every snapshot of the VM.
func (p *Provider) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	m, err := p.mine(ctx, "ListSnapshots", t.VMID)
	if err != nil {
		return nil, err
	}
	out := []providers.Snapshot{}
	listed := map[string]bool{}
	for _, s := range m.snapshots() {
		id := snapshotID(s.Name)
		if id != "" && listed[id] {
			continue // a second one, which is to be removed
		}
		listed[id] = true
		out = append(out, providers.Snapshot{ID: id, Memory: holdsMemory(&s), CreatedAt: s.CreateTime.UTC().Truncate(time.Microsecond)})
	}
	return out, nil
}

// CreateSnapshot keeps the disks' state, and the memory of a running VM where it
// is asked for. Without memory, a guest whose tools run is asked to write down
// what it has not yet.
func (p *Provider) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	return boundary(p.createSnapshot(ctx, "CreateSnapshot", t.VMID, s))
}

func (p *Provider) createSnapshot(ctx context.Context, op, vmID string, s providers.SnapshotRequest) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(s.ID) || !isText(s.Name) {
		return "", fail(op, providers.InvalidArgument, nil, "the snapshot's ID must be a UUID in canonical form, and its name plain text")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil || len(m.snapshotsOf(s.ID)) == 1 {
		return "", err
	}
	if m.snapshot(s.ID) == nil {
		if err := m.takesSnapshot(op, s.Memory); err != nil {
			return "", err
		}
	}
	return p.carry(ctx, op, workTask(vmID, workSnapshot, s.ID), func(ctx context.Context) *providers.Error {
		return p.takeSnapshot(ctx, op, vmID, s)
	})
}

// takeSnapshot sees to it that there is one snapshot with the ID. A request that was
// long on its way, or another process, may make a second one at any time: whoever has
// made one looks, and all of them keep the oldest.
func (p *Provider) takeSnapshot(ctx context.Context, op, vmID string, s providers.SnapshotRequest) *providers.Error {
	made := false
	for range snapshotLooks {
		m, err := p.rested(ctx, op, vmID)
		if err == nil && m == nil {
			err = notFound(op)
		}
		if err != nil {
			return err
		}
		all := m.snapshotsOf(s.ID)
		switch {
		case len(all) == 1:
			return nil
		case len(all) > 1:
			err = p.removeSnapshot(ctx, op, all[len(all)-1].Snapshot)
		case made:
			return fail(op, providers.Aborted, nil, "the snapshot was removed while it was being made")
		default:
			made, err = true, p.makeSnapshot(ctx, op, m, s)
		}
		if err != nil {
			return err
		}
	}
	return fail(op, providers.Aborted, nil, busyVM)
}

// snapshotLooks is how often is looked anew at a VM whose snapshots others change too.
const snapshotLooks = 20

// takesSnapshot is FailedPrecondition for a VM of which no snapshot can be made as it
// is.
func (m *machine) takesSnapshot(op string, memory bool) *providers.Error {
	state := m.power()
	if memory && state != models.PowerRunning || !memory && state != models.PowerRunning && state != models.PowerStopped {
		return fail(op, providers.FailedPrecondition, nil, "the VM's state does not allow for this snapshot")
	}
	return m.keepable(op, memory)
}

func (p *Provider) makeSnapshot(ctx context.Context, op string, m *machine, s providers.SnapshotRequest) *providers.Error {
	if err := m.takesSnapshot(op, s.Memory); err != nil {
		return err
	}
	quiesce := !s.Memory && m.power() == models.PowerRunning && m.toolsRun()
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CreateSnapshot_Task(ctx, c, &types.CreateSnapshot_Task{
			This: m.Ref, Name: snapshotName(s.ID), Description: s.Name, Memory: s.Memory, Quiesce: quiesce,
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return err
	}
	return p.await(ctx, op, string(task))
}

func (p *Provider) lookSnapshot(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || len(m.snapshotsOf(w.Argument)) != 1 {
		return providers.TaskStatus{}, interrupted(op)
	}
	// A second one may be at work.
	task, err := p.running(ctx, op, m, typeSnapshot, typeSnapshotSim)
	if task != "" || err != nil {
		return providers.TaskStatus{}, err
	}
	return background.Done(nil), nil
}

func (m *machine) toolsRun() bool {
	return m.VM.Guest != nil && m.VM.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
}

// DeleteSnapshot removes a snapshot, and with it the files that only it needs.
func (p *Provider) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	return boundary(p.deleteSnapshot(ctx, "DeleteSnapshot", t.VMID, snapshotID))
}

func (p *Provider) deleteSnapshot(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m == nil || !vmid.Valid(id) {
		return "", err
	}
	return p.carry(ctx, op, workTask(vmID, workSnapshots, id), func(ctx context.Context) *providers.Error {
		return p.dropSnapshot(ctx, op, vmID, id)
	})
}

// dropSnapshot removes a snapshot. There are more than one where two processes made
// it at once.
func (p *Provider) dropSnapshot(ctx context.Context, op, vmID, id string) *providers.Error {
	for range snapshotLooks {
		m, err := p.rested(ctx, op, vmID)
		if err != nil || m == nil {
			return err
		}
		s := m.snapshot(id)
		if s == nil {
			return p.consolidate(ctx, op, m)
		}
		if err := p.removeSnapshot(ctx, op, s.Snapshot); err != nil {
			return err
		}
	}
	return fail(op, providers.Aborted, nil, busyVM)
}

// rested reads a VM of which no snapshot is being made or removed: one that is, which
// may be the one in question, is waited for. nil if there is none of ours.
func (p *Provider) rested(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	for {
		m, err := p.find(ctx, op, vmID)
		if err != nil || m == nil {
			return nil, err
		}
		task, err := p.running(ctx, op, m, typeSnapshot, typeSnapshotSim, typeDropSnapshot, typeDropSnapshotSim)
		if err != nil {
			return nil, err
		}
		if task == "" {
			// One that ended between the two is in the VM's list now.
			return p.find(ctx, op, vmID)
		}
		if err := p.ended(ctx, op, string(task)); err != nil {
			return nil, err
		}
	}
}

// removeSnapshot is no error where somebody else has removed the snapshot, or does so.
func (p *Provider) removeSnapshot(ctx context.Context, op string, ref types.ManagedObjectReference) *providers.Error {
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		consolidate := true
		res, err := methods.RemoveSnapshot_Task(ctx, c, &types.RemoveSnapshot_Task{This: ref, Consolidate: &consolidate})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	switch {
	case isGone(err):
		return nil
	case isFaultOf(err, &types.TaskInProgress{}):
		return pause(ctx, op, background.FirstPause)
	}
	return err
}

func lookDropSnapshot(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || m.snapshot(w.Argument) == nil && !m.chained() {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}

var _ providers.Snapshotter = (*Provider)(nil)
