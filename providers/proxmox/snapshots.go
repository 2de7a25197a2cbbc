package proxmox

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// A snapshot of ours is named by its ID; what the tenant calls it is its
// description. A return brings back the configuration of that time, but for the
// VM's description, and so leaves the mark as it is.

// snapshotPrefix begins the names of our snapshots: a name begins with a letter,
// and has 40 characters at most.
const snapshotPrefix = "hcp"

func snapshotName(id string) string { return snapshotPrefix + strings.ReplaceAll(id, "-", "") }

// snapshotID returns the ID that a name bears, "" for a foreign one.
func snapshotID(name string) string {
	raw, ok := strings.CutPrefix(name, snapshotPrefix)
	b, err := hex.DecodeString(raw)
	if !ok || err != nil || len(b) != len(uuid.UUID{}) {
		return ""
	}
	id := uuid.UUID(b).String()
	if snapshotName(id) != name {
		return "" // of other letters than ours
	}
	return id
}

// snapshotRow is a row of a VM's list of snapshots.
type snapshotRow struct {
	Name   string `json:"name"`
	Parent string `json:"parent"`
	Time   int64  `json:"snaptime"`
	Memory int    `json:"vmstate"`
	State  string `json:"snapstate"` // "prepare" or "delete" of one that is not whole
}

// currentRow is the row that stands for the VM as it is.
const currentRow = "current"

func (s snapshotRow) describe() providers.Snapshot {
	out := providers.Snapshot{ID: snapshotID(s.Name), Memory: s.Memory != 0, Incomplete: s.State != "" || s.Time == 0}
	if s.Time > 0 {
		out.CreatedAt = time.Unix(s.Time, 0).UTC()
	}
	return out
}

// snapshots lists a VM's snapshots, oldest first: by time, which counts seconds,
// and parents before their children.
func (p *Provider) snapshots(ctx context.Context, op string, m *machine) ([]snapshotRow, *providers.Error) {
	var rows []snapshotRow
	if err := p.get(ctx, op, vmPath(m, "snapshot"), nil, &rows); err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r snapshotRow) bool { return r.Name == currentRow })
	parents := make(map[string]string, len(rows))
	for _, r := range rows {
		parents[r.Name] = r.Parent
	}
	depth := func(name string) (n int) {
		for at := name; parents[at] != "" && n <= len(rows); at = parents[at] {
			n++
		}
		return n
	}
	slices.SortStableFunc(rows, func(a, b snapshotRow) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(depth(a.Name), depth(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return rows, nil
}

// snapshot looks for one of ours. nil if it is not there.
func (p *Provider) snapshot(ctx context.Context, op string, m *machine, id string) (*snapshotRow, *providers.Error) {
	if !vmid.Valid(id) {
		return nil, nil
	}
	rows, err := p.snapshots(ctx, op, m)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(rows, func(r snapshotRow) bool { return r.Name == snapshotName(id) }); i >= 0 {
		return &rows[i], nil
	}
	return nil, nil
}

// refuseSnapshots is FailedPrecondition for a VM that has any: they know its disks.
func (p *Provider) refuseSnapshots(ctx context.Context, op string, m *machine) *providers.Error {
	rows, err := p.snapshots(ctx, op, m)
	if err == nil && len(rows) > 0 {
		return fail(op, providers.FailedPrecondition, nil, "the VM has snapshots")
	}
	return err
}

// ListSnapshots reads every snapshot of the VM.
func (p *Provider) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	const op = "ListSnapshots"
	m, err := p.mine(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	rows, err := p.snapshots(ctx, op, m)
	if err != nil {
		return nil, elsewhere(err)
	}
	out := make([]providers.Snapshot, len(rows))
	for i, r := range rows {
		out[i] = r.describe()
	}
	return out, nil
}

// CreateSnapshot keeps the disks' state, and the memory of a running VM where it
// is asked for.
func (p *Provider) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	return boundary(p.createSnapshot(ctx, "CreateSnapshot", t.VMID, s))
}

func (p *Provider) createSnapshot(ctx context.Context, op, vmID string, s providers.SnapshotRequest) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(s.ID) || !isText(s.Name) {
		return "", fail(op, providers.InvalidArgument, nil, "the snapshot's ID must be a UUID in canonical form, and its name plain text")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if task, err := p.running(ctx, op, m, typeSnapshot); task != "" || err != nil {
		return providers.TaskRef(task), err
	}
	has, err := p.snapshot(ctx, op, m, s.ID)
	if err != nil {
		return "", err
	}
	if has != nil && has.State == "" {
		return "", nil
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	if has != nil {
		// What is left of one that was interrupted has to go first.
		if _, err := p.dropSnapshot(ctx, op, m, has); err != nil {
			return "", err
		}
		return "", fail(op, providers.Aborted, nil, "the rest of an interrupted snapshot is being removed")
	}
	state := m.power()
	if s.Memory && state != models.PowerRunning || !s.Memory && state != models.PowerRunning && state != models.PowerStopped {
		return "", fail(op, providers.FailedPrecondition, nil, "the VM's state does not allow for this snapshot")
	}
	in := params{"snapname": snapshotName(s.ID), "description": s.Name}
	if s.Memory {
		in["vmstate"] = 1
	}
	return p.startTask(ctx, op, m, "snapshot", in)
}

// isText reports whether a configuration file can carry s as a description.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// DeleteSnapshot removes a snapshot, whole or not.
func (p *Provider) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	return boundary(p.deleteSnapshot(ctx, "DeleteSnapshot", t.VMID, snapshotID))
}

func (p *Provider) deleteSnapshot(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m == nil {
		return "", err
	}
	// One that is being made is not in the VM's list yet.
	if err := p.atRest(ctx, op, m, typeSnapshot); err != nil {
		return "", err
	}
	if task, err := p.running(ctx, op, m, typeDropSnapshot); task != "" || err != nil {
		return providers.TaskRef(task), err
	}
	has, err := p.snapshot(ctx, op, m, id)
	if err != nil || has == nil {
		return "", err
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	return p.dropSnapshot(ctx, op, m, has)
}

func (p *Provider) dropSnapshot(ctx context.Context, op string, m *machine, s *snapshotRow) (providers.TaskRef, *providers.Error) {
	in := params{}
	if s.State != "" {
		in["force"] = 1 // also where a disk never had it
	}
	var task string
	if err := p.del(ctx, op, qemuPath(m.Node, m.VMID, "snapshot")+apiPath(s.Name), in, &task); err != nil {
		return "", err
	}
	return providers.TaskRef(task), nil
}

var _ providers.Snapshotter = (*Provider)(nil)
