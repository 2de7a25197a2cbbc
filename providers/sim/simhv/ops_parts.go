package simhv

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	rebuildVM     struct{ wire.RebuildRequest }
	revertRebuild struct{ wire.TokenRequest }
	finishRebuild struct{ wire.TokenRequest }
	attachDisk    struct{ wire.DiskRequest }
	detachDisk    struct{ wire.DiskRequest }
	deleteDisk    struct{ wire.DiskRequest }
	attachNIC     struct{ wire.AttachNICRequest }
	detachNIC     struct{ wire.DetachNICRequest }
)

// maxID bounds what callers name things by, in bytes.
const maxID = 256

func validID(what, id string) error {
	if id == "" || len(id) > maxID {
		return invalid(what + " of 1 to 256 bytes is required")
	}
	return nil
}

func (r rebuildVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

// run makes a new root disk, and keeps the old one under the token. A rebuild
// that ended halfway is gone on with.
func (r rebuildVM) run(s *Server, p simadmin.Plan) (any, error) {
	if err := validID("a token", r.Token); err != nil {
		return nil, err
	}
	if r.DiskGiB < 1 {
		return nil, invalid("disk_gib must be positive")
	}
	if err := imageFits(r.Image, r.DiskGiB); err != nil {
		return nil, err
	}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapRebuild, op: wire.OpRebuildVM, arg: r.Token,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			switch {
			case v.Aside != nil && v.Aside.Token != r.Token:
				return nil, wrongState("another rebuild has not been finished")
			case v.Aside != nil && len(v.Disks) > 0, v.RebuildToken == r.Token:
				return nil, nil
			case v.Power != wire.PowerStopped:
				return nil, wrongState("the VM must be off")
			case len(v.Snapshots) > 0:
				return nil, wrongState("the VM has snapshots")
			case v.Aside == nil && len(v.Disks) == 0:
				return nil, wrongState("the VM has no disk")
			}
			if v.Aside == nil {
				v.Aside = &asideRecord{Token: r.Token, rootRecord: v.rootRecord}
			}
			v.Disks, v.RootData = nil, ""
			t.Root = &rootRecord{
				Disks: []string{"disk-" + strconv.FormatUint(v.Seq, 10) + "-" + strconv.FormatUint(v.Revision, 10)},
				Image: r.Image, DiskGiB: r.DiskGiB, CloudInit: cloudInitOf(r.CloudInit),
			}
			return t, nil
		},
	}, p)
}

func (r revertRebuild) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

// run puts back what the token's rebuild set aside, also while that is at work.
func (r revertRebuild) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, op: wire.OpRevertRebuild, arg: r.Token, cancels: wire.OpRebuildVM,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			switch busy := s.state.tasks[v.Task]; {
			case v.Aside == nil || v.Aside.Token != r.Token:
				return nil, nil
			case busy != nil && !busy.Done && busy.Arg != r.Token:
				return nil, locked()
			case v.Power != wire.PowerStopped:
				return nil, wrongState("the VM must be off")
			}
			return t, nil
		},
	}, p)
}

func (r finishRebuild) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r finishRebuild) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, op: wire.OpFinishRebuild, arg: r.Token,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			switch {
			case v.Aside == nil || v.Aside.Token != r.Token:
				return nil, nil
			case len(v.Disks) == 0:
				return nil, wrongState("the new disk was not made: what is aside is all that there is")
			}
			return t, nil
		},
	}, p)
}

func (r attachDisk) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r attachDisk) run(s *Server, p simadmin.Plan) (any, error) {
	if err := validID("a disk's ID", r.ID); err != nil {
		return nil, err
	}
	if r.SizeGiB < 1 {
		return nil, invalid("size_gib must be positive")
	}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapDataDisks, op: wire.OpAttachDisk, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			t.Disk = &diskRecord{ID: r.ID, Name: "disk-" + strconv.FormatUint(v.Seq, 10) + "-" + r.ID, SizeGiB: r.SizeGiB}
			if i := v.disk(r.ID); i >= 0 {
				if v.DataDisks[i].Attached {
					return nil, attached()
				}
				t.Disk.SizeGiB = v.DataDisks[i].SizeGiB
			}
			if len(v.Snapshots) > 0 {
				return nil, wrongState("the VM has snapshots")
			}
			return t, awake(v)
		},
	}, p)
}

func (r detachDisk) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r detachDisk) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, capability: wire.CapDataDisks, op: wire.OpDetachDisk, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if i := v.disk(r.ID); i < 0 || !v.DataDisks[i].Attached {
				return nil, notAttached()
			}
			return t, awake(v)
		},
	}, p)
}

func (r deleteDisk) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r deleteDisk) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, op: wire.OpDeleteDisk, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			i := v.disk(r.ID)
			switch {
			case i < 0:
				return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoDisk, Message: "no such disk"}
			case v.DataDisks[i].Attached:
				return nil, wrongState("the disk is attached")
			}
			for _, snapshot := range v.Snapshots {
				if slices.ContainsFunc(snapshot.DataDisks, func(d diskRecord) bool { return d.ID == r.ID }) {
					return nil, wrongState("a snapshot has the disk")
				}
			}
			return t, nil
		},
	}, p)
}

func (r attachNIC) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r attachNIC) run(s *Server, p simadmin.Plan) (any, error) {
	if err := validNICs(r.NIC); err != nil {
		return nil, err
	}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapAttachNetwork, op: wire.OpAttachNIC, arg: r.NIC.MAC,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if v.nic(r.NIC.MAC) >= 0 {
				return nil, attached()
			}
			t.NIC = &r.NIC
			return t, awake(v)
		},
	}, p)
}

func (r detachNIC) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r detachNIC) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, capability: wire.CapAttachNetwork, op: wire.OpDetachNIC, arg: r.MAC,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if v.nic(r.MAC) < 0 {
				return nil, notAttached()
			}
			return t, awake(v)
		},
	}, p)
}

// awake refuses a change of devices whose guest sleeps.
func awake(v *vmRecord) error {
	if v.Power == wire.PowerSuspended {
		return wrongState("the VM is suspended")
	}
	return nil
}

func attached() *apiError {
	return &apiError{status: http.StatusConflict, Code: wire.CodeAttached, Message: "the VM has this device"}
}

func notAttached() *apiError {
	return &apiError{status: http.StatusConflict, Code: wire.CodeNotAttached, Message: "the VM does not have this device"}
}
