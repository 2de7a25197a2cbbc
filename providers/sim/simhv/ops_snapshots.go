package simhv

import (
	"net/http"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	createSnapshot struct{ wire.SnapshotRequest }
	listSnapshots  struct{ wire.VMRequest }
	revertSnapshot struct{ wire.SnapshotRefRequest }
	deleteSnapshot struct{ wire.SnapshotRefRequest }
)

func (r createSnapshot) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r createSnapshot) run(s *Server, p simadmin.Plan) (any, error) {
	if err := validID("a snapshot's ID", r.ID); err != nil {
		return nil, err
	}
	if len(r.Name) > maxName {
		return nil, invalid("the name is too long")
	}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapSnapshot, op: wire.OpSnapshotCreate, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if i := v.snapshot(r.ID); i >= 0 && !v.Snapshots[i].Incomplete {
				return nil, nil
			}
			t.Snapshot = &snapshotRecord{
				ID: r.ID, Name: r.Name, Memory: r.Memory,
				NativeName: "snapshot-" + strconv.FormatUint(v.Seq, 10) + "-" + strconv.FormatUint(v.Revision, 10),
			}
			return t, s.maySnapshot(v, r.Memory)
		},
	}, p)
}

func (s *Server) maySnapshot(v *vmRecord, memory bool) error {
	switch {
	case len(v.Disks) == 0 || v.Aside != nil:
		return wrongState("a rebuild has not been finished, or the VM is not whole")
	case v.Power == wire.PowerSuspended:
		return wrongState("the VM is suspended")
	case v.Power == wire.PowerStopped && memory:
		return wrongState("a VM that is off has no memory")
	case v.Power == wire.PowerRunning && memory:
		return s.offers(wire.CapSnapshotMemory)
	case v.Power == wire.PowerRunning:
		return s.offers(wire.CapSnapshotLive)
	}
	return nil
}

func (r listSnapshots) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r listSnapshots) run(s *Server, _ simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.offers(wire.CapSnapshot); err != nil {
		return nil, err
	}
	v, err := s.expected(r.VM)
	if err != nil {
		return nil, err
	}
	out := wire.SnapshotsResponse{Snapshots: []wire.Snapshot{}}
	for _, snapshot := range v.Snapshots {
		out.Snapshots = append(out.Snapshots, wire.Snapshot{
			ID: snapshot.ID, Memory: snapshot.Memory, Incomplete: snapshot.Incomplete, CreatedAt: snapshot.CreatedAt,
		})
	}
	return out, nil
}

func (r revertSnapshot) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r revertSnapshot) run(s *Server, p simadmin.Plan) (any, error) {
	if err := validID("a token", r.Token); err != nil {
		return nil, err
	}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapSnapshot, op: wire.OpSnapshotRevert, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			i := v.snapshot(r.ID)
			switch {
			case i < 0:
				return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoSnapshot, Message: "no such snapshot"}
			case v.RevertToken == r.Token:
				return nil, nil
			case v.Snapshots[i].Incomplete:
				return nil, wrongState("the snapshot is incomplete")
			case !v.Snapshots[i].Memory && v.Power != wire.PowerStopped:
				return nil, wrongState("the VM must be off")
			case s.state.shortOf(v.Node, v.Snapshots[i].VCPUs-v.VCPUs, v.Snapshots[i].MemoryMiB-v.MemoryMiB) != "":
				return nil, full()
			}
			v.RevertToken = r.Token
			return t, nil
		},
	}, p)
}

func (r deleteSnapshot) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r deleteSnapshot) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, op: wire.OpSnapshotDelete, arg: r.ID,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if v.snapshot(r.ID) < 0 {
				return nil, nil
			}
			return t, nil
		},
	}, p)
}
