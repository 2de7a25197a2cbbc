package simhv

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// VMs shows them all, whoever's they are.
func (s admin) VMs(context.Context) ([]simadmin.VM, error) {
	s.mu.Lock()
	order := slices.Clone(s.state.order)
	s.mu.Unlock()
	out := make([]simadmin.VM, 0, len(order))
	for _, v := range order {
		out = append(out, adminView(v))
	}
	return out, nil
}

// CreateVM does not look at capacity: that others take it is the point.
func (s admin) CreateVM(_ context.Context, n simadmin.NewVM) (simadmin.VM, error) {
	n, err := n.WithDefaults()
	if err != nil {
		return simadmin.VM{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &vmRecord{
		Name: n.Name, Node: cmp.Or(n.Node, s.state.nodeList[0]), VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB,
		rootRecord: rootRecord{DiskGiB: n.DiskGiB}, Power: wire.PowerStopped, UUID: cmp.Or(n.UUID, uuid.NewString()),
		Mark: (*wire.Mark)(n.Mark), CreatedAt: now(),
	}
	if n.Power != wire.PowerStopped {
		v.setPower(wire.PowerRunning)
	}
	v.setPower(n.Power)
	if err := s.plausible(v); err != nil {
		return simadmin.VM{}, err
	}
	if s.state.byUUID[v.UUID] != nil {
		return simadmin.VM{}, simadmin.Taken("this UUID is taken")
	}
	var c change
	s.identify(&c, v)
	v.Disks = []string{"disk-" + strconv.FormatUint(v.Seq, 10)}
	c.VMs = append(c.VMs, v)
	return adminView(v), s.commit(c)
}

// plausible refuses what no hypervisor could hold.
func (s admin) plausible(v *vmRecord) error {
	switch {
	case s.state.nodes[v.Node] == nil:
		return simadmin.Invalid("no such node")
	case v.VCPUs < 1 || v.MemoryMiB < 1:
		return simadmin.Invalid("vcpus and memory_mib must be positive")
	case !simadmin.IsPower(v.Power):
		return simadmin.NoPower()
	}
	return nil
}

// PatchVM changes a VM behind the control plane's back.
func (s admin) PatchVM(_ context.Context, nativeID string, set simadmin.VMChange) (simadmin.VM, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.adminFind(nativeID)
	if err != nil {
		return simadmin.VM{}, err
	}
	v := old.clone()
	simadmin.Assign(&v.Name, set.Name)
	if simadmin.Assign(&v.Node, set.Node); v.Node != old.Node {
		v.Process++
	}
	simadmin.Assign(&v.VCPUs, set.VCPUs)
	simadmin.Assign(&v.MemoryMiB, set.MemoryMiB)
	simadmin.Assign(&v.NativeID, set.NativeID)
	mark, changed, err := set.NewMark()
	if err != nil {
		return simadmin.VM{}, err
	}
	if changed {
		v.Mark = (*wire.Mark)(mark)
	}
	if err := patchContents(v, set); err != nil {
		return simadmin.VM{}, err
	}
	if v.Name == "" || v.NativeID == "" {
		return simadmin.VM{}, simadmin.Invalid("name and native_id must not be empty")
	}
	if other := s.state.byNative[v.NativeID]; other != nil && other.Seq != v.Seq {
		return simadmin.VM{}, simadmin.Taken("this native ID is taken")
	}
	if err := s.plausible(v); err != nil {
		return simadmin.VM{}, err
	}
	return adminView(v), s.commit(change{VMs: []*vmRecord{v}})
}

// patchContents changes what is on the VM's disks, its snapshots and its power.
func patchContents(v *vmRecord, set simadmin.VMChange) error {
	if set.Power != nil {
		v.setPower(*set.Power)
	}
	for id, text := range set.DiskData {
		i := v.disk(id)
		if i < 0 || len(text) > simadmin.MaxData {
			return simadmin.Invalid("disk_data names a disk that is not there, or is too long")
		}
		v.DataDisks[i].Data = text
	}
	if simadmin.Assign(&v.RootData, set.RootData); len(v.RootData) > simadmin.MaxData {
		return simadmin.Invalid("root_data is too long")
	}
	if set.Snapshot != nil {
		name := "foreign-" + strconv.FormatUint(v.Revision, 10)
		v.Snapshots = append(v.Snapshots, v.taken(snapshotRecord{NativeName: name, Name: *set.Snapshot}, false))
	}
	return nil
}

// DeleteVM loses a VM; a task at work on it fails.
func (s admin) DeleteVM(_ context.Context, nativeID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.adminFind(nativeID)
	if err != nil {
		return err
	}
	c := change{Gone: []uint64{v.Seq}}
	if t := s.state.tasks[v.Task]; t != nil && !t.Done {
		failed := *t
		failed.Done, failed.Code, failed.Ends = true, wire.CodeNoVM, now()
		c.Tasks = append(c.Tasks, &failed)
	}
	return s.commit(c)
}

func (s *Server) adminFind(nativeID string) (*vmRecord, error) {
	v := s.state.byNative[nativeID]
	if v == nil {
		return nil, simadmin.NoVM()
	}
	return v, nil
}
