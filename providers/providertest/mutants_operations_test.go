package providertest_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// How the mutants break the rules of what is optional.

// runs reports whether a VM of ours runs.
func (m *mutant) runs(ctx context.Context, t providers.Target) bool {
	vm, err := m.Provider.FindVM(ctx, t.VMID)
	return err == nil && vm.Power == models.PowerRunning
}

// off pulls the plug; the tasks of this hypervisor are done at once.
func (m *mutant) off(ctx context.Context, t providers.Target) {
	_, _ = m.Provider.StopVM(ctx, t, models.ModeForce)
}

func (m *mutant) holds(ctx context.Context, vmID, kind string) bool {
	left, _ := m.Provider.Leftovers(ctx, vmID)
	return slices.ContainsFunc(left, func(o providers.Object) bool { return o.Type == kind })
}

func (m *mutant) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	vm, err := m.Provider.FindVM(ctx, t.VMID)
	switch {
	case m.is("delete does nothing"):
		return "", nil
	case m.is("delete of an absent VM fails") && err != nil:
		return "", m.fail(providers.NotFound)
	case m.is("delete needs a stopped VM") && vm.Power == models.PowerRunning,
		m.is("delete needs a VM that is awake") && vm.Power == models.PowerSuspended,
		m.is("delete needs a finished rebuild") && m.holds(ctx, t.VMID, "disk set aside"),
		m.is("delete needs a VM without snapshots") && m.holds(ctx, t.VMID, "snapshot"),
		m.is("delete needs a VM without data disks") && len(vm.DataDisks) > 0:
		return "", m.fail(providers.FailedPrecondition)
	}
	return m.Provider.DeleteVM(ctx, t)
}

func (m *mutant) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	if m.is("leftovers are hidden") {
		return nil, nil
	}
	left, err := m.Provider.Leftovers(ctx, vmID)
	if m.is("what a rebuild set aside is hidden") {
		left = slices.DeleteFunc(left, func(o providers.Object) bool { return o.Type == "disk set aside" })
	}
	return left, err
}

func (m *mutant) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	if m.is("a listed capability is not there") {
		return "", m.fail(providers.Unimplemented)
	}
	task, err := m.Provider.SuspendVM(ctx, t)
	switch code := providers.CodeOf(err); {
	case code == providers.FailedPrecondition && m.is("suspend of a stopped VM is success"):
		return "", nil
	case code == providers.NotFound && m.is("suspend looks at the UUID alone"):
		vms, _ := m.hv.VMs(ctx)
		for _, v := range vms {
			if power := "suspended"; v.UUID == t.VMID {
				_, err := m.hv.PatchVM(ctx, v.NativeID, simadmin.VMChange{Power: &power})
				return "", err
			}
		}
	}
	return task, err
}

func (m *mutant) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	if m.is("resume begins anew") {
		m.off(ctx, t)
		return m.Provider.StartVM(ctx, t)
	}
	return m.Provider.ResumeVM(ctx, t)
}

func (m *mutant) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	vm, _ := m.Provider.FindVM(ctx, t.VMID)
	switch {
	case m.is("resize forgets the memory"):
		to.MemoryMiB = vm.MemoryMiB
	case m.is("a smaller disk is an error") && to.DiskGiB < vm.DiskGiB:
		return "", m.fail(providers.InvalidArgument)
	case m.is("resize to nothing is success") && to.VCPUs < 1:
		return "", nil
	}
	task, err := m.Provider.ResizeVM(ctx, t, to)
	if err == nil && m.is("hot resize reboots") {
		return m.Provider.RebootVM(ctx, t, models.ModeForce, models.NewID())
	}
	return task, err
}

func (m *mutant) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	if m.is("rebuild stops the VM first") {
		m.off(ctx, providers.Target{VMID: req.VMID})
	}
	return m.Provider.RebuildVM(ctx, req, token)
}

func (m *mutant) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	if m.is("revert of a rebuild does nothing") {
		return "", nil
	}
	return m.Provider.RevertRebuild(ctx, t, token)
}

func (m *mutant) CloneVM(
	ctx context.Context, source providers.Target, req providers.CreateVMRequest,
) (providers.VMRef, providers.TaskRef, error) {
	if m.is("a clone is made of the image") || m.is("a running VM's clone is a fresh VM") && m.runs(ctx, source) {
		return m.Provider.CreateVM(ctx, req)
	}
	return m.Provider.CloneVM(ctx, source, req)
}

func (m *mutant) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	if m.is("a live snapshot stops the VM") && !s.Memory {
		m.off(ctx, t)
	}
	if m.is("a snapshot's name is its ID") {
		s.ID = s.Name
	}
	task, err := m.Provider.CreateSnapshot(ctx, t, s)
	if err == nil && m.is("a memory snapshot suspends the VM") {
		return m.Provider.SuspendVM(ctx, t)
	}
	return task, err
}

func (m *mutant) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	list, err := m.Provider.ListSnapshots(ctx, t)
	switch {
	case m.is("snapshots are listed newest first"):
		slices.Reverse(list)
	case m.is("absent VMs have no snapshots") && providers.CodeOf(err) == providers.NotFound:
		return nil, nil
	}
	return list, err
}

func (m *mutant) RevertSnapshot(ctx context.Context, t providers.Target, id, token string) (providers.TaskRef, error) {
	vm, _ := m.Provider.FindVM(ctx, t.VMID)
	switch {
	case m.is("revert acts again"):
		token = models.NewID()
	case m.is("revert stops the VM first"):
		m.off(ctx, t)
	}
	task, err := m.Provider.RevertSnapshot(ctx, t, id, token)
	if err == nil && m.is("revert keeps the size") {
		return m.Provider.ResizeVM(ctx, t, providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB})
	}
	return task, err
}

func (m *mutant) MigrateVM(ctx context.Context, t providers.Target, to providers.Migration) (providers.TaskRef, error) {
	switch {
	case m.is("migration goes nowhere"):
		return "", nil
	case m.is("migration is live as it comes"):
		to.Live = m.runs(ctx, t)
	case m.is("cold migration stops the VM first") && !to.Live:
		m.off(ctx, t)
	case m.is("live migration is cold") && to.Live:
		m.off(ctx, t)
		to.Live = false
		if _, err := m.Provider.MigrateVM(ctx, t, to); err != nil {
			return "", err
		}
		return m.Provider.StartVM(ctx, t)
	}
	return m.Provider.MigrateVM(ctx, t, to)
}

func (m *mutant) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	if m.is("abort stops the VM") {
		m.off(ctx, t)
	}
	return m.Provider.AbortMigration(ctx, t)
}

func (m *mutant) AttachDisk(ctx context.Context, t providers.Target, d providers.DataDisk) (providers.TaskRef, error) {
	if m.is("disks need a stopped VM") && m.runs(ctx, t) {
		return "", m.fail(providers.FailedPrecondition)
	}
	if _, again := m.once.LoadOrStore("attach "+d.ID, true); again && m.is("a lost answer is an end") {
		return "", m.fail(providers.AlreadyExists)
	}
	return m.Provider.AttachDisk(ctx, t, d)
}

func (m *mutant) DetachDisk(ctx context.Context, t providers.Target, id string) (providers.TaskRef, error) {
	task, err := m.Provider.DetachDisk(ctx, t, id)
	if err == nil && m.is("detach loses the data") {
		return m.Provider.DeleteDisk(ctx, t, id)
	}
	return task, err
}

func (m *mutant) DeleteDisk(ctx context.Context, t providers.Target, id string) (providers.TaskRef, error) {
	if m.is("an attached disk is deleted") {
		if _, err := m.Provider.DetachDisk(ctx, t, id); err != nil {
			return "", err
		}
	}
	return m.Provider.DeleteDisk(ctx, t, id)
}

func (m *mutant) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	if m.is("interfaces need a stopped VM") && m.runs(ctx, t) {
		return "", m.fail(providers.FailedPrecondition)
	}
	if _, err := net.ParseMAC(nic.MAC); err != nil && m.is("any MAC will do") {
		return "", nil
	}
	return m.Provider.AttachNIC(ctx, t, nic)
}

func (m *mutant) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	if vm, err := m.Provider.FindVM(ctx, t.VMID); err == nil && m.is("detach takes the first interface") {
		mac = vm.MACs[0]
	}
	return m.Provider.DetachNIC(ctx, t, mac)
}

func (m *mutant) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	info, err := m.Provider.Consoles(ctx, t)
	switch {
	case m.is("consoles are not named"):
		info.Types = nil
	case m.is("a stopped VM has consoles") && providers.CodeOf(err) == providers.FailedPrecondition:
		return info, nil
	}
	return info, err
}

func (m *mutant) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	stream, err := m.Provider.OpenConsole(ctx, t, typ)
	switch {
	case err != nil:
		return nil, err
	case m.is("the screen speaks RFB 3.3"):
		return old{stream, io.MultiReader(strings.NewReader("RFB 003.003\n"), stream)}, nil
	case m.is("the serial line is output only"):
		return deaf{stream}, nil
	case m.is("the stream outlives the VM"):
		ours, _ := net.Pipe()
		return ours, stream.Close()
	}
	return stream, nil
}

// old reads something else.
type old struct {
	io.ReadWriteCloser
	from io.Reader
}

func (o old) Read(b []byte) (int, error) { return o.from.Read(b) }

// deaf forgets what is written.
type deaf struct{ io.ReadWriteCloser }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }
