package simhv

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	createVM struct{ wire.CreateVMRequest }
	setPower struct{ wire.SetPowerRequest }
	reboot   struct{ wire.RebootRequest }
	deleteVM struct{ wire.DeleteVMRequest }
)

// maxName bounds a VM's name in bytes.
const maxName = 1024

func (r createVM) target(*state) simadmin.Target {
	return simadmin.Target{VMID: r.Mark.VMID, Name: r.Name, Node: r.Node}
}

func (r createVM) run(s *Server, p simadmin.Plan) (any, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	if err := imageFits(r.Image, r.DiskGiB); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.vacant(r); err != nil {
		return nil, err
	}
	if len(r.CloudInit.UserData) > 0 || len(r.CloudInit.SSHKeys) > 0 {
		if err := s.offers(wire.CapCloudInit); err != nil {
			return nil, err
		}
	}
	v := r.record()
	if p.Part == simadmin.PartMark {
		v.Mark = nil
	}
	t := &taskRecord{Op: wire.OpCreateVM, NoDisk: p.Part == simadmin.PartDisk}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	return s.work(t, v, p)
}

// vacant refuses a VM whose identity is taken, or that its node cannot take.
func (s *Server) vacant(r createVM) error {
	if s.state.byUUID[r.UUID] != nil || len(s.state.byMark[r.Mark]) > 0 {
		return &apiError{status: http.StatusConflict, Code: wire.CodeExists, Message: "a VM with this UUID or mark exists"}
	}
	return s.room(r)
}

func (r createVM) record() *vmRecord {
	return &vmRecord{
		UUID: r.UUID, Name: r.Name, Mark: &r.Mark, Node: r.Node, Power: wire.PowerStopped, VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB,
		NICs: r.NICs, CreatedAt: now(),
		rootRecord: rootRecord{DiskGiB: r.DiskGiB, Image: r.Image, CloudInit: cloudInitOf(r.CloudInit)},
	}
}

// work begins a task and answers with it.
func (s *Server) work(t *taskRecord, v *vmRecord, p simadmin.Plan) (any, error) {
	if err := s.begin(t, v, p); err != nil {
		return nil, err
	}
	return wire.WorkResponse{NativeID: v.NativeID, Task: t.ID}, nil
}

func (r createVM) validate() error {
	switch {
	case r.UUID == "" || r.Mark.VMID == "" || r.Mark.InstallationID == "":
		return invalid("uuid and mark are required")
	case len(r.UUID) > 128 || len(r.Name) > maxName:
		return invalid("uuid or name is too long")
	case r.VCPUs < 1 || r.MemoryMiB < 1 || r.DiskGiB < 1:
		return invalid("vcpus, memory_mib and disk_gib must be positive")
	}
	return validNICs(r.NICs...)
}

// expected returns the VM of e, if it is still the one that is meant and its
// node can act on it. Callers hold mu.
func (s *Server) expected(e wire.Expect) (*vmRecord, error) {
	v := s.state.byNative[e.NativeID]
	if v == nil {
		return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoVM, Message: "no such VM"}
	}
	same := v.UUID == e.UUID && (v.Mark == nil) == (e.Mark == nil) && (e.Mark == nil || *v.Mark == *e.Mark)
	if !same || e.Revision != 0 && e.Revision != v.Revision {
		return nil, &apiError{status: http.StatusPreconditionFailed, Code: wire.CodeChanged, Message: "this is another VM, or another's"}
	}
	if n := s.state.nodes[v.Node]; n == nil || n.State == simadmin.NodeDown {
		return nil, &apiError{status: http.StatusServiceUnavailable, Code: wire.CodeNodeDown, Message: "the VM's node is down"}
	}
	return v, nil
}

// changeable is expected, for work that must not meet a clone's reading.
func (s *Server) changeable(e wire.Expect) (*vmRecord, error) {
	v, err := s.expected(e)
	if err != nil {
		return nil, err
	}
	for _, source := range s.state.copied {
		if source == v.Seq {
			return nil, locked()
		}
	}
	return v, nil
}

func expectTarget(st *state, e wire.Expect) simadmin.Target {
	t := simadmin.Target{NativeID: e.NativeID}
	if v := st.byNative[e.NativeID]; v != nil {
		t = targetOf(v)
	}
	if e.Mark != nil {
		t.VMID = e.Mark.VMID
	}
	return t
}

func (r setPower) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r setPower) run(s *Server, p simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.changeable(r.VM)
	if err != nil {
		return nil, err
	}
	busy := s.state.tasks[v.Task]
	if busy != nil && !busy.Done && !r.Force {
		if busy.Op == wire.OpSetPower && busy.Power == r.Power && !busy.Hidden {
			return wire.WorkResponse{NativeID: v.NativeID, Task: busy.ID}, nil
		}
		return nil, locked()
	}
	if v.Power == r.Power && (busy == nil || busy.Done) {
		return wire.WorkResponse{NativeID: v.NativeID}, nil
	}
	if err := s.mayPower(v, r, busy); err != nil {
		return nil, err
	}
	t := &taskRecord{Op: wire.OpSetPower, Power: r.Power}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	if r.Power == wire.PowerStopped && !r.Force {
		p.Delay += s.opts.GuestShutdown
	}
	return s.work(t, v.clone(), p)
}

// mayPower refuses a power change that v cannot take. Pulling the plug stops
// whatever power change is at work.
func (s *Server) mayPower(v *vmRecord, r setPower, busy *taskRecord) error {
	if busy != nil && !busy.Done && !stopsForPower(busy.Op) {
		return locked()
	}
	switch r.Power {
	case wire.PowerRunning:
		if len(v.Disks) == 0 {
			return wrongState("the VM has no disk")
		}
		return s.state.nodes[v.Node].usable()
	case wire.PowerStopped:
		if v.Power == wire.PowerSuspended && !r.Force {
			return wrongState("the guest is suspended and cannot be asked")
		}
		return nil
	}
	return invalid(`power must be "running" or "stopped"`)
}

// stopsForPower reports whether pulling the plug ends work of this kind. What
// copies or replaces disks goes on to its end, or would leave half of one.
func stopsForPower(op string) bool {
	return slices.Contains([]string{
		wire.OpSetPower, wire.OpReboot, wire.OpSuspendVM, wire.OpResumeVM, wire.OpMigrateVM, wire.OpAbortMigration,
		wire.OpAttachDisk, wire.OpDetachDisk, wire.OpAttachNIC, wire.OpDetachNIC,
	}, op)
}

func (r reboot) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r reboot) run(s *Server, p simadmin.Plan) (any, error) {
	if r.Token == "" || len(r.Token) > 256 {
		return nil, invalid("a token of 1 to 256 bytes is required")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.changeable(r.VM)
	if err != nil {
		return nil, err
	}
	busy := s.state.visibleTask(v)
	if v.RebootToken == r.Token {
		out := wire.WorkResponse{NativeID: v.NativeID}
		if busy != nil && busy.Op == wire.OpReboot {
			out.Task = busy.ID
		}
		return out, nil
	}
	if busy != nil {
		return nil, locked()
	}
	if v.Power != wire.PowerRunning {
		return nil, wrongState("the VM is not running")
	}
	t := &taskRecord{Op: wire.OpReboot}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	if !r.Force {
		p.Delay += s.opts.GuestShutdown
	}
	v = v.clone()
	v.RebootToken = r.Token
	return s.work(t, v, p)
}

func (r deleteVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

// run removes a VM, whatever is at work on it: a VM that is being made must not
// outlive the wish to have it gone.
func (r deleteVM) run(s *Server, p simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.changeable(r.VM)
	if err != nil {
		return nil, err
	}
	if t := s.state.visibleTask(v); t != nil && t.Op == wire.OpDeleteVM {
		return wire.WorkResponse{NativeID: v.NativeID, Task: t.ID}, nil
	}
	t := &taskRecord{Op: wire.OpDeleteVM}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	return s.work(t, v.clone(), p)
}

func locked() *apiError {
	return &apiError{status: http.StatusConflict, Code: wire.CodeLocked, Message: "a task is at work on the VM"}
}

func wrongState(message string) *apiError {
	return &apiError{status: http.StatusConflict, Code: wire.CodeWrongState, Message: message}
}

func cloudInitOf(c wire.CloudInit) *simadmin.CloudInit {
	out := &simadmin.CloudInit{Hostname: c.Hostname, SSHKeys: len(c.SSHKeys)}
	if len(c.UserData) > 0 {
		sum := sha256.Sum256(c.UserData)
		out.UserDataSHA256 = hex.EncodeToString(sum[:])
	}
	return out
}
