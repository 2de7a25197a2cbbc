package simhv

import (
	"slices"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// taskRecord is one piece of work.
type taskRecord struct {
	ID      string    `json:"id"`
	Op      string    `json:"op"`
	VM      uint64    `json:"vm"`
	Started time.Time `json:"started"`
	Ends    time.Time `json:"ends"`
	Power   string    `json:"power,omitempty"`   // set_power: what it ends in
	NoDisk  bool      `json:"no_disk,omitempty"` // create_vm: a fault withholds the disk
	Fail    string    `json:"fail,omitempty"`    // the code that a fault makes it fail with
	Hidden  bool      `json:"hidden,omitempty"`  // a fault makes the hypervisor forget it
	Done    bool      `json:"done,omitempty"`
	Code    string    `json:"code,omitempty"` // done: why it failed

	// Arg is what the work is about beside the VM (a token, a snapshot, a disk, a
	// MAC, a node): a call for the same work is answered with the same task.
	Arg      string          `json:"arg,omitempty"`
	Source   uint64          `json:"source,omitempty"` // clone_vm: the VM that is copied
	Shape    *shape          `json:"shape,omitempty"`
	Root     *rootRecord     `json:"root,omitempty"` // rebuild_vm: what it makes
	Snapshot *snapshotRecord `json:"snapshot,omitempty"`
	Disk     *diskRecord     `json:"disk,omitempty"`
	NIC      *wire.NIC       `json:"nic,omitempty"`
	Partial  bool            `json:"partial,omitempty"` // a fault lets it leave off halfway
}

// shape is a size.
type shape struct {
	VCPUs     int `json:"vcpus"`
	MemoryMiB int `json:"memory_mib"`
	DiskGiB   int `json:"disk_gib"`
}

// progress is the share of the task's time that has passed, in percent.
func (t *taskRecord) progress(now time.Time) int {
	total := t.Ends.Sub(t.Started)
	if t.Done || total <= 0 {
		return 100
	}
	return min(99, max(0, int(100*now.Sub(t.Started)/total)))
}

// effect is what the task makes of its VM when it ends; nil means that the VM
// is gone. It returns a record of its own, and sets the task's code where the
// world no longer lets it succeed.
func (t *taskRecord) effect(st *state, v *vmRecord) *vmRecord {
	v = v.clone()
	v.Task = ""
	if t.Code = t.Fail; t.Code == "" {
		t.Code = t.hindered(st, v)
	}
	if t.Code != "" {
		t.undo(v)
		return v
	}
	switch t.Op {
	case wire.OpDeleteVM:
		return nil
	case wire.OpCreateVM, wire.OpCloneVM:
		if !t.NoDisk {
			v.Disks = []string{"disk-" + strconv.FormatUint(v.Seq, 10)}
		}
	case wire.OpSetPower:
		v.setPower(t.Power)
	case wire.OpSuspendVM:
		v.setPower(wire.PowerSuspended)
	case wire.OpResumeVM:
		v.setPower(wire.PowerRunning)
	case wire.OpReboot:
		v.boot()
	case wire.OpResizeVM:
		v.VCPUs, v.MemoryMiB, v.DiskGiB = t.Shape.VCPUs, t.Shape.MemoryMiB, t.Shape.DiskGiB
	case wire.OpMigrateVM:
		v.Node, v.MovingTo = v.MovingTo, ""
		v.Process++
	case wire.OpAbortMigration:
		v.MovingTo = ""
	default:
		t.changeParts(v)
	}
	return v
}

// setPower changes the power. Who wakes goes on; who was off boots.
func (v *vmRecord) setPower(power string) {
	if power == v.Power {
		return
	}
	switch {
	case power == wire.PowerRunning && v.Power == wire.PowerSuspended:
		v.Process++
	case power == wire.PowerRunning:
		v.boot()
		v.Process++
	case power == wire.PowerStopped:
		v.guestRecord = guestRecord{}
	}
	v.Power = power
}

// hindered says why a task cannot succeed that could when it began.
func (t *taskRecord) hindered(st *state, v *vmRecord) string {
	switch t.Op {
	case wire.OpMigrateVM:
		for _, name := range []string{v.Node, v.MovingTo} {
			if n := st.nodes[name]; n == nil || n.State == simadmin.NodeDown {
				return wire.CodeNodeDown
			}
		}
		if t.Partial {
			return wire.CodeTaskFailed
		}
	case wire.OpResizeVM:
		return st.shortOf(v.Node, t.Shape.VCPUs-v.VCPUs, t.Shape.MemoryMiB-v.MemoryMiB)
	case wire.OpSnapshotRevert:
		if i := v.snapshot(t.Arg); i >= 0 {
			return st.shortOf(v.Node, v.Snapshots[i].VCPUs-v.VCPUs, v.Snapshots[i].MemoryMiB-v.MemoryMiB)
		}
	}
	return ""
}

// undo takes back what the beginning of a task that failed or was cancelled did
// to its VM.
func (t *taskRecord) undo(v *vmRecord) {
	switch t.Op {
	case wire.OpReboot:
		v.RebootToken = ""
	case wire.OpSnapshotRevert:
		v.RevertToken = ""
	case wire.OpMigrateVM:
		if !t.Partial {
			v.MovingTo = ""
		}
	}
}

// changeParts carries out what changes a VM's disks, snapshots and interfaces.
func (t *taskRecord) changeParts(v *vmRecord) {
	switch t.Op {
	case wire.OpRebuildVM:
		v.rootRecord = *t.Root
		if t.Partial {
			v.Disks = nil
		}
	case wire.OpRevertRebuild:
		if v.Aside != nil {
			v.rootRecord, v.Aside = v.Aside.rootRecord, nil
		}
	case wire.OpFinishRebuild:
		v.Aside, v.RebuildToken = nil, t.Arg
	case wire.OpSnapshotCreate:
		v.Snapshots = slices.DeleteFunc(v.Snapshots, func(s snapshotRecord) bool { return s.ID == t.Arg }) // an incomplete one
		v.Snapshots = append(v.Snapshots, v.taken(*t.Snapshot, t.Partial))
	case wire.OpSnapshotRevert:
		if i := v.snapshot(t.Arg); i >= 0 {
			v.revert(v.Snapshots[i])
		}
	case wire.OpSnapshotDelete:
		v.Snapshots = slices.DeleteFunc(v.Snapshots, func(s snapshotRecord) bool { return s.ID == t.Arg })
	case wire.OpAttachDisk:
		disk := *t.Disk
		disk.Attached = !t.Partial
		if i := v.disk(disk.ID); i >= 0 {
			disk.Data = v.DataDisks[i].Data
			v.DataDisks[i] = disk
		} else {
			v.DataDisks = append(v.DataDisks, disk)
		}
	case wire.OpDetachDisk:
		if i := v.disk(t.Arg); i >= 0 {
			v.DataDisks[i].Attached = false
		}
	case wire.OpDeleteDisk:
		v.DataDisks = slices.DeleteFunc(v.DataDisks, func(d diskRecord) bool { return d.ID == t.Arg })
	case wire.OpAttachNIC:
		v.NICs = append(v.NICs, *t.NIC)
	case wire.OpDetachNIC:
		if i := v.nic(t.Arg); i >= 0 {
			v.NICs = slices.Delete(v.NICs, i, i+1)
		}
	}
}

// taken is a snapshot of the VM as it is now.
func (v *vmRecord) taken(s snapshotRecord, incomplete bool) snapshotRecord {
	s.Incomplete, s.CreatedAt = incomplete, now()
	s.VCPUs, s.MemoryMiB, s.Root, s.NICs = v.VCPUs, v.MemoryMiB, v.rootRecord, slices.Clone(v.NICs)
	for _, d := range v.DataDisks {
		if d.Attached {
			s.DataDisks = append(s.DataDisks, d)
		}
	}
	if s.Memory {
		s.Guest = v.guestRecord
	}
	return s
}

// revert takes the VM back to a snapshot: its disks and what is on them, its
// size, its devices and its power. A disk that has been kept since stays.
func (v *vmRecord) revert(s snapshotRecord) {
	v.VCPUs, v.MemoryMiB, v.rootRecord, v.NICs = s.VCPUs, s.MemoryMiB, s.Root, slices.Clone(s.NICs)
	kept := slices.DeleteFunc(v.DataDisks, func(d diskRecord) bool {
		return slices.ContainsFunc(s.DataDisks, func(o diskRecord) bool { return o.ID == d.ID })
	})
	for i := range kept {
		kept[i].Attached = false
	}
	v.DataDisks = append(kept, s.DataDisks...)
	v.Power, v.guestRecord = wire.PowerStopped, guestRecord{}
	if s.Memory {
		v.Power, v.guestRecord = wire.PowerRunning, s.Guest
		v.Process++
	}
}
