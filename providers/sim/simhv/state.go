package simhv

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// keepTasks is how many ended tasks are remembered; older ones are forgotten.
const keepTasks = 50_000

// change is one mutation, all of it or nothing, and one line of the journal.
type change struct {
	Next  uint64        `json:"next,omitempty"` // the last number that was given out
	VMs   []*vmRecord   `json:"vms,omitempty"`
	Gone  []uint64      `json:"gone,omitempty"` // VMs by Seq
	Tasks []*taskRecord `json:"tasks,omitempty"`
	Nodes []*nodeRecord `json:"nodes,omitempty"`
}

// load is what the VMs of a node take.
type load struct{ vcpus, memoryMiB int }

// state is everything that outlives the process, with its indexes.
type state struct {
	journal *journal // nil: in memory

	next     uint64
	vms      map[uint64]*vmRecord
	order    []*vmRecord // by Seq
	byNative map[string]*vmRecord
	byUUID   map[string]*vmRecord
	byMark   map[wire.Mark][]*vmRecord // by Seq; a mark that was copied has many
	nodes    map[string]*nodeRecord
	nodeList []string // in order
	loads    map[string]load
	tasks    map[string]*taskRecord
	ended    []string          // tasks, oldest first
	copied   map[string]uint64 // by task at work: the VM that it copies

	cpuOvercommit float64
}

func openState(opts Options) (*state, error) {
	st := &state{
		vms: map[uint64]*vmRecord{}, byNative: map[string]*vmRecord{}, byUUID: map[string]*vmRecord{},
		byMark: map[wire.Mark][]*vmRecord{}, nodes: map[string]*nodeRecord{}, loads: map[string]load{},
		tasks: map[string]*taskRecord{}, copied: map[string]uint64{}, cpuOvercommit: opts.CPUOvercommit,
	}
	for i := range opts.Nodes {
		st.applyNode(&nodeRecord{
			Name: "node-" + strconv.Itoa(i+1), State: simadmin.NodeUp, VCPUs: opts.NodeVCPUs, MemoryMiB: opts.NodeMemoryMiB,
		})
	}
	if opts.StateFile == "" {
		return st, nil
	}
	j, err := openJournal(opts.StateFile, st.apply)
	if err != nil {
		return nil, fmt.Errorf("simhv: state file: %w", err)
	}
	st.journal = j
	return st, nil
}

func (st *state) close() error {
	if st.journal == nil {
		return nil
	}
	return st.journal.close()
}

// commit makes a change true: first in the journal, then in memory. On an error
// nothing has changed.
func (st *state) commit(c change) error {
	if st.journal != nil {
		if err := st.journal.append(c); err != nil {
			return fmt.Errorf("write the state file: %w", err)
		}
	}
	st.apply(c)
	if st.journal != nil && st.journal.wantsCompaction(len(st.vms)+len(st.tasks)) {
		st.journal.tryCompact(st.snapshot)
	}
	return nil
}

func (st *state) apply(c change) {
	st.next = max(st.next, c.Next)
	for _, n := range c.Nodes {
		st.applyNode(n)
	}
	for _, v := range c.VMs {
		st.put(v)
	}
	for _, seq := range c.Gone {
		if v, ok := st.vms[seq]; ok {
			st.unindex(v)
			delete(st.vms, seq)
			if i, found := st.place(seq); found {
				st.order = slices.Delete(st.order, i, i+1)
			}
		}
	}
	for _, t := range c.Tasks {
		st.putTask(t)
	}
}

func (st *state) applyNode(n *nodeRecord) {
	if _, known := st.nodes[n.Name]; !known {
		st.nodeList = append(st.nodeList, n.Name)
	}
	st.nodes[n.Name] = n
}

func (st *state) place(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(st.order, seq, func(v *vmRecord, seq uint64) int { return cmp.Compare(v.Seq, seq) })
}

func (st *state) put(v *vmRecord) {
	if old, ok := st.vms[v.Seq]; ok {
		st.unindex(old)
	}
	i, found := st.place(v.Seq)
	if found {
		st.order[i] = v
	} else {
		st.order = slices.Insert(st.order, i, v)
	}
	st.vms[v.Seq], st.byNative[v.NativeID], st.byUUID[v.UUID] = v, v, v
	if v.Mark != nil {
		same := append(st.byMark[*v.Mark], v)
		slices.SortFunc(same, func(a, b *vmRecord) int { return cmp.Compare(a.Seq, b.Seq) })
		st.byMark[*v.Mark] = same
	}
	st.weigh(v, 1)
}

// weigh adds what a VM takes of its node, and of the one that it is moving to.
func (st *state) weigh(v *vmRecord, times int) {
	for _, node := range []string{v.Node, v.MovingTo} {
		if node != "" {
			l := st.loads[node]
			st.loads[node] = load{l.vcpus + times*v.VCPUs, l.memoryMiB + times*v.MemoryMiB}
		}
	}
}

// shortOf is the code that says that a node cannot take so much more; empty
// where it can. Less is always taken.
func (st *state) shortOf(node string, vcpus, memoryMiB int) string {
	n, l := st.nodes[node], st.loads[node]
	switch {
	case n == nil:
		return wire.CodeNoNode
	case vcpus > 0 && float64(l.vcpus+vcpus) > float64(n.VCPUs)*st.cpuOvercommit, memoryMiB > 0 && l.memoryMiB+memoryMiB > n.MemoryMiB:
		return wire.CodeNoCapacity
	}
	return ""
}

func (st *state) unindex(v *vmRecord) {
	delete(st.byNative, v.NativeID)
	delete(st.byUUID, v.UUID)
	if v.Mark != nil {
		rest := slices.DeleteFunc(st.byMark[*v.Mark], func(o *vmRecord) bool { return o.Seq == v.Seq })
		if st.byMark[*v.Mark] = rest; len(rest) == 0 {
			delete(st.byMark, *v.Mark)
		}
	}
	st.weigh(v, -1)
}

func (st *state) putTask(t *taskRecord) {
	old := st.tasks[t.ID]
	st.tasks[t.ID] = t
	if t.Source != 0 && !t.Done {
		st.copied[t.ID] = t.Source
	} else {
		delete(st.copied, t.ID)
	}
	if !t.Done || old != nil && old.Done {
		return
	}
	if st.ended = append(st.ended, t.ID); len(st.ended) > keepTasks {
		delete(st.tasks, st.ended[0])
		st.ended = st.ended[1:]
	}
}

// snapshot writes the state as changes of one record each.
func (st *state) snapshot(write func(change) error) error {
	if err := write(change{Next: st.next}); err != nil {
		return err
	}
	for _, name := range st.nodeList {
		if err := write(change{Nodes: []*nodeRecord{st.nodes[name]}}); err != nil {
			return err
		}
	}
	for _, v := range st.order {
		if err := write(change{VMs: []*vmRecord{v}}); err != nil {
			return err
		}
	}
	for _, id := range st.ended {
		if err := write(change{Tasks: []*taskRecord{st.tasks[id]}}); err != nil {
			return err
		}
	}
	for _, t := range st.tasks {
		if t.Done {
			continue
		}
		if err := write(change{Tasks: []*taskRecord{t}}); err != nil {
			return err
		}
	}
	return nil
}

// visibleTask is the task at work on a VM, nil if there is none or it was forgotten.
func (st *state) visibleTask(v *vmRecord) *taskRecord {
	if t := st.tasks[v.Task]; t != nil && !t.Hidden && !t.Done {
		return t
	}
	return nil
}

// onWire is a VM as the adapter sees it.
func (st *state) onWire(v *vmRecord) wire.VM {
	out := wire.VM{
		NativeID: v.NativeID, Revision: v.Revision, UUID: v.UUID, Name: v.Name, Mark: v.Mark, Node: v.Node, Power: v.Power,
		VCPUs: v.VCPUs, MemoryMiB: v.MemoryMiB, DiskGiB: v.DiskGiB, Disks: v.Disks, NICs: v.addresses(), MovingTo: v.MovingTo,
	}
	for _, d := range v.DataDisks {
		out.DataDisks = append(out.DataDisks, wire.Disk{ID: d.ID, Name: d.Name, SizeGiB: d.SizeGiB, Attached: d.Attached})
	}
	for _, snapshot := range v.Snapshots {
		out.Snapshots = append(out.Snapshots, snapshot.NativeName)
	}
	if v.Aside != nil {
		out.Aside = &wire.Aside{Token: v.Aside.Token, Disks: v.Aside.Disks}
	}
	if n := st.nodes[v.Node]; n == nil || n.State == simadmin.NodeDown {
		out.Power = wire.PowerUnknown
	}
	if t := st.visibleTask(v); t != nil {
		out.Task, out.TaskOp = t.ID, t.Op
	}
	return out
}

// number gives out the next number of this change.
func (st *state) number(c *change) uint64 {
	c.Next = max(c.Next, st.next) + 1
	return c.Next
}

// now is the clock of records: UTC, without the monotonic part that a file
// cannot hold.
func now() time.Time { return time.Now().UTC().Round(0) }
