package vsphere

import (
	"context"
	"maps"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The names of what the optional interfaces note in the mark. A return to a
// snapshot takes the notes back as well, and is followed by a write of what they
// were.
const (
	noteDisks   = "disks"   // map[string]diskNote, by the disk's ID
	noteRebuild = "rebuild" // rebuildNote
	noteRevert  = "revert"  // the token of the last return to a snapshot
)

// diskNote is a data disk: one that is attached, by its place, or one that is
// kept, by its file.
type diskNote struct {
	SizeGiB    int    `json:"gib"`
	Controller int32  `json:"controller,omitempty"`
	Unit       int32  `json:"unit,omitempty"`
	UUID       string `json:"uuid,omitempty"` // the hypervisor's name for it, once it is known
	File       string `json:"file,omitempty"`
	// Ending is written before the file of one that is kept is removed: nobody
	// attaches it any more, whatever he has read before.
	Ending bool `json:"ending,omitempty"`
}

// rebuildNote is a rebuild that is not finished, with what it set aside. The very
// write that changes the VM's root disk marks it as swapped.
type rebuildNote struct {
	Token string `json:"token"`
	// New is the file that the image's disk is copied to, and Copy the task that
	// does so.
	New  string `json:"new"`
	Copy string `json:"copy,omitempty"`
	// Left are files of processes that did not live to note their copy's task. A
	// task that is not known may make them at any time.
	Left []string `json:"left,omitempty"`
	Size int      `json:"gib"` // of the new disk
	// Old is the file of the root disk that was, which stays beside.
	Old      string `json:"old"`
	OldBytes int64  `json:"old_bytes"`
	Swapped  bool   `json:"swapped,omitempty"`
	// Ending is written before a file is removed, New where it is not in place yet and
	// else Old: nobody makes it the root disk any more, whatever he has read before.
	Ending bool `json:"ending,omitempty"`
	// Init are the values of cloud-init as they were, by key.
	Init map[string]string `json:"init,omitempty"`
}

func (m *machine) notedDisks() map[string]diskNote {
	out := map[string]diskNote{}
	if !m.Mark.Notes.read(noteDisks, &out) {
		return nil
	}
	return out
}

// rebuilding is the rebuild that is not finished; its token is empty without one.
func (m *machine) rebuilding() rebuildNote {
	var out rebuildNote
	m.Mark.Notes.read(noteRebuild, &out)
	return out
}

// withDisk returns the notes of disks with another one; the zero value removes it.
func (m *machine) withDisk(id string, d diskNote) any {
	out := maps.Clone(m.notedDisks())
	if out == nil {
		out = map[string]diskNote{}
	}
	out[id] = d
	if d == (diskNote{}) {
		delete(out, id)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// keptFiles are the disks that the VM has beside those that are attached to it. It
// alone knows them, so they have to be removed before it is.
func (m *machine) keptFiles() []string {
	var out []string
	for _, d := range m.notedDisks() {
		if d.File != "" {
			out = append(out, d.File)
		}
	}
	switch r := m.rebuilding(); {
	case r.Token == "":
	case r.Swapped:
		out = append(out, r.Old)
	default:
		out = append(out, r.New)
	}
	out = append(out, m.rebuilding().Left...)
	slices.Sort(out)
	return out
}

// noteSpec is the write that changes one of the VM's notes; nil removes it.
func (m *machine) noteSpec(op, name string, value any) (types.VirtualMachineConfigSpec, *providers.Error) {
	next := m.Mark
	var err error
	if next.Notes, err = m.Mark.Notes.with(name, value); err != nil {
		return types.VirtualMachineConfigSpec{}, fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	return m.markSpec(op, next)
}

// markSpec is the write of a mark in place of what the VM has.
func (m *machine) markSpec(op string, next mark) (types.VirtualMachineConfigSpec, *providers.Error) {
	options, err := next.options()
	if err != nil {
		return types.VirtualMachineConfigSpec{}, fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	return types.VirtualMachineConfigSpec{ExtraConfig: changed(m.VM.Config.ExtraConfig, options)}, nil
}

// noted changes one of the VM's notes, and returns the VM as it is then.
func (p *Provider) noted(ctx context.Context, op string, m *machine, name string, value any) (*machine, *providers.Error) {
	if err := p.note(ctx, op, m, name, value); err != nil {
		return nil, err
	}
	return p.mine(ctx, op, m.Mark.VMID)
}
