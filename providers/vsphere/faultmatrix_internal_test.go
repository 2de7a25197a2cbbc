package vsphere

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// faultsOfCalls are the faults of the matrix, and what each means wherever no operation
// knows better.
func faultsOfCalls() []faultRow {
	return []faultRow{
		{&types.InsufficientResourcesFault{}, providers.ResourceExhausted, "InsufficientResourcesFault"},
		{&types.NoDiskSpace{}, providers.ResourceExhausted, "NoDiskSpace"},
		{&types.NotEnoughLicenses{}, providers.ResourceExhausted, "NotEnoughLicenses"},
		{&types.NoPermission{}, providers.PermissionDenied, "NoPermission"},
		{&types.TaskInProgress{}, providers.Aborted, "TaskInProgress"},
		{&types.ConcurrentAccess{}, providers.Aborted, "ConcurrentAccess"},
		{&types.ManagedObjectNotFound{}, providers.Aborted, "ManagedObjectNotFound"},
		{&types.FileAlreadyExists{}, providers.AlreadyExists, "FileAlreadyExists"},
		{&types.DuplicateName{}, providers.AlreadyExists, "DuplicateName"},
		{&types.ToolsUnavailable{}, providers.FailedPrecondition, "ToolsUnavailable"},
		{&types.InvalidState{}, providers.FailedPrecondition, "InvalidState"},
		{&types.InvalidPowerState{}, providers.FailedPrecondition, "InvalidPowerState"},
		{&types.RestrictedVersion{}, providers.Unimplemented, "RestrictedVersion"},
		{&types.HostNotConnected{}, providers.Unavailable, "HostNotConnected"},
		{&types.HostCommunication{}, providers.Unavailable, "HostCommunication"},
		{&types.Timedout{}, providers.DeadlineExceeded, "Timedout"},
		{&types.SystemError{}, providers.Unknown, "SystemError"},
	}
}

// attempt asks for something of a VM.
type attempt func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error)

// faulted is an operation whose call, or the task of it, fails.
type faulted struct {
	name    string
	call    string
	prepare []attempt
	do      attempt
	undo    attempt // what takes back what was begun; nil where nothing was
	// byCall and byTask are the codes of faults that the operation knows better. "ok" says
	// that it goes on, and "-" that the fault is left out.
	byCall, byTask map[string]providers.Code
	noTask         bool // the call begins none
	unseen         bool // what it does is not seen of the simulator's VM
}

const (
	goesOn  providers.Code = "ok"
	leftOut providers.Code = "-"
)

// The disk and the snapshot of the operations.
const (
	faultedDisk     = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71c6"
	faultedSnapshot = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71c7"
)

// insistOn asks until what was asked for is done, as a workflow does.
func insistOn(t *testing.T, p *Provider, do func(ctx context.Context, p *Provider) (providers.TaskRef, error)) {
	t.Helper()
	require.NoError(t, persistently(do)(t.Context(), p))
}

func attachOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	return p.AttachDisk(ctx, target(req), providers.DataDisk{ID: faultedDisk, SizeGiB: 1})
}

func detachOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	return p.DetachDisk(ctx, target(req), faultedDisk)
}

func createOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	_, task, err := p.CreateVM(ctx, req)
	return task, err
}

func startOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	return p.StartVM(ctx, target(req))
}

func deleteOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	return p.DeleteVM(ctx, target(req))
}

func snapshotOne(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
	return p.CreateSnapshot(ctx, target(req), providers.SnapshotRequest{ID: faultedSnapshot, Name: "s"})
}

func migrateOne(live bool) attempt {
	return func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
		return p.MigrateVM(ctx, target(req), providers.Migration{Node: "DC0_C0_H1", Live: live})
	}
}

func stopOne(mode models.PowerMode) attempt {
	return func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
		return p.StopVM(ctx, target(req), mode)
	}
}

// onlyOnce are the codes of a call that is not repeated where the VM is found otherwise.
func onlyOnce() map[string]providers.Code {
	return map[string]providers.Code{"InvalidPowerState": providers.Aborted}
}

func faultedMaking() []faulted {
	return []faulted{
		{name: "create", call: "CloneVM_Task", do: createOne, undo: deleteOne},
		{name: "create, its last write", call: "ReconfigVM_Task", do: createOne, undo: deleteOne},
		{name: "delete", call: "Destroy_Task", prepare: []attempt{createOne}, do: deleteOne, byCall: onlyOnce(), byTask: onlyOnce()},
		{name: "start", call: "PowerOnVM_Task", prepare: []attempt{createOne}, do: startOne, byCall: onlyOnce()},
		{name: "stop", call: "PowerOffVM_Task", prepare: []attempt{createOne, startOne}, do: stopOne(models.ModeForce), byCall: onlyOnce()},
		{
			name: "ask to stop", call: "ShutdownGuest", prepare: []attempt{createOne, startOne}, noTask: true, unseen: true,
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				_, err := p.StopVM(ctx, target(req), models.ModeGraceful)
				return "", err // the guest takes its time
			},
			byCall: map[string]providers.Code{"InvalidPowerState": providers.Aborted, "ToolsUnavailable": goesOn},
		},
		{
			name: "reboot", call: "ResetVM_Task", prepare: []attempt{createOne, startOne}, unseen: true,
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.RebootVM(ctx, target(req), models.ModeForce, "token")
			},
		},
		{
			name: "suspend", call: "SuspendVM_Task", prepare: []attempt{createOne, startOne}, byCall: onlyOnce(),
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.SuspendVM(ctx, target(req))
			},
		},
		{name: "migrate", call: "RelocateVM_Task", prepare: []attempt{createOne}, do: migrateOne(false)},
		{name: "migrate while it runs", call: "RelocateVM_Task", prepare: []attempt{createOne, startOne}, do: migrateOne(true)},
	}
}

func faultedParts() []faulted {
	deleteSnapshot := func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
		return p.DeleteSnapshot(ctx, target(req), faultedSnapshot)
	}
	return []faulted{
		{name: "take a snapshot", call: "CreateSnapshot_Task", prepare: []attempt{createOne}, do: snapshotOne, undo: deleteSnapshot},
		{
			name: "delete a snapshot", call: "RemoveSnapshot_Task", prepare: []attempt{createOne, snapshotOne}, do: deleteSnapshot,
			// One that is gone is looked for anew, and found: no server says both for long.
			byCall: map[string]providers.Code{"ManagedObjectNotFound": leftOut}, byTask: map[string]providers.Code{"ManagedObjectNotFound": leftOut},
		},
		{
			name: "return to a snapshot", call: "RevertToSnapshot_Task", prepare: []attempt{createOne, snapshotOne},
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.RevertSnapshot(ctx, target(req), faultedSnapshot, "token")
			},
		},
		{
			name: "resize", call: "ReconfigVM_Task", prepare: []attempt{createOne},
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.ResizeVM(ctx, target(req), providers.Shape{VCPUs: 4, MemoryMiB: 1024, DiskGiB: 5})
			},
		},
		{name: "attach a disk", call: "ReconfigVM_Task", prepare: []attempt{createOne}, do: attachOne},
		{
			name: "delete a disk", call: "DeleteVirtualDisk_Task", prepare: []attempt{createOne, attachOne, detachOne},
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.DeleteDisk(ctx, target(req), faultedDisk)
			},
		},
		{
			name: "attach an interface", call: "ReconfigVM_Task", prepare: []attempt{createOne},
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.AttachNIC(ctx, target(req), providers.NIC{MAC: "00:50:56:aa:bb:01", Network: models.NetworkBinding{Ref: vspheresim.Network}})
			},
		},
		{
			name: "rebuild", call: "CopyVirtualDisk_Task", prepare: []attempt{createOne},
			do: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.RebuildVM(ctx, req, "token")
			},
			undo: func(ctx context.Context, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				return p.RevertRebuild(ctx, target(req), "token")
			},
		},
	}
}

// TestFaultMatrix has each fault refuse the call of each operation, and then fail its
// task. The code is the fault's, what was begun can be taken back, the VM then is as it
// was, and in the end the operation is done.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	for _, f := range append(faultedMaking(), faultedParts()...) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{})
			req := newRequest()
			for _, step := range f.prepare {
				insistOn(t, p, func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return step(ctx, p, req) })
			}
			before := looks(t, p, req.VMID)
			for _, row := range faultsOfCalls() {
				f.refused(t, s, p, req, row, before)
			}
			insistOn(t, p, func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return f.do(ctx, p, req) })
			if !f.unseen {
				require.NotEqual(t, before, looks(t, p, req.VMID), "the operation changed nothing")
			}
		})
	}
}

func (f faulted) refused(t *testing.T, s *vspheresim.Server, p *Provider, req providers.CreateVMRequest, row faultRow, before string) {
	t.Helper()
	for _, place := range []string{"call", "task"} {
		want, special := row.code, f.byCall
		if place == "task" {
			special = f.byTask
		}
		if code, ok := special[row.message]; ok {
			want = code
		}
		if want == leftOut || place == "task" && f.noTask {
			continue
		}
		if place == "call" {
			s.Service.AddFaultRule(faultOf(f.call, row.fault))
		} else {
			s.FailTask(f.call, row.fault)
		}
		task, err := f.do(t.Context(), p, req)
		if err == nil {
			err = outcome(t, p, task)
		}
		s.Service.ClearFaultRules()
		s.FailTask(f.call, nil)
		what := fmt.Sprintf("%s of %s in the %s", row.message, f.call, place)
		if want == goesOn {
			require.NoError(t, err, what)
		} else {
			wantCode(t, what, err, want)
		}
		if f.undo != nil {
			insistOn(t, p, func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return f.undo(ctx, p, req) })
		}
		require.Equal(t, before, looks(t, p, req.VMID), what)
	}
}

// looks is what a VM is, for comparison; "" where there is none. That it was to be
// rebooted, or that a disk is to go, is left out: a repetition goes on from there.
func looks(t *testing.T, p *Provider, vmID string) string {
	t.Helper()
	m, err := p.find(t.Context(), "Test", vmID)
	require.Nil(t, err)
	if m == nil {
		gone(t, p, vmID)
		return ""
	}
	hw := m.VM.Config.Hardware
	out := []string{fmt.Sprintf("%s on %v, %d CPUs, %d MiB, making %v", m.power(), m.VM.Runtime.Host, hw.NumCPU, hw.MemoryMB, m.Mark.Making)}
	for _, d := range m.disks() {
		out = append(out, fmt.Sprintf("%s %d", fileOf(d), diskBytes(d)))
	}
	for _, c := range cards(&m.VM) {
		out = append(out, macOf(c))
	}
	for _, s := range m.snapshots() {
		out = append(out, s.Name)
	}
	out = append(out, m.keptFiles()...)
	if boot := m.VM.Runtime.BootTime; boot != nil {
		out = append(out, boot.String())
	}
	return strings.Join(append(out, m.rebuilding().Token, m.reverted()), "\n")
}
