package vsphere

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// RevertSnapshot takes the VM back, and then writes the token into its notes. A return
// brings back the whole configuration, the notes too, so there is no place in the VM
// to write the token before. It stands in the snapshot's description: asked again
// with it, the VM's tasks tell whether it has gone back.
func (p *Provider) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	return boundary(p.revertSnapshot(ctx, "RevertSnapshot", t.VMID, snapshotID, token))
}

func (p *Provider) revertSnapshot(ctx context.Context, op, vmID, id, token string) (providers.TaskRef, *providers.Error) {
	if err := checkToken(op, token); err != nil {
		return "", err
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	s := m.snapshot(id)
	switch {
	case s == nil:
		return "", fail(op, providers.NotFound, nil, "no such snapshot")
	case m.reverted() == token:
		return "", p.rests(ctx, op, m)
	}
	switch state := m.power(); {
	case state == models.PowerStopped:
	case !holdsMemory(s):
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off to go back to a snapshot without memory")
	case state == models.PowerSuspended:
		return "", fail(op, providers.FailedPrecondition, nil, "a suspended VM cannot go back to a snapshot")
	}
	return p.carry(ctx, op, workTask(vmID, workRevert, token), func(ctx context.Context) *providers.Error {
		return p.goBack(ctx, op, m, s, token)
	})
}

func (p *Provider) goBack(
	ctx context.Context, op string, was *machine, to *types.VirtualMachineSnapshotTree, token string,
) *providers.Error {
	if err := p.returned(ctx, op, was, to, token); err != nil {
		return err
	}
	m, err := p.mine(ctx, op, was.Mark.VMID)
	if err != nil {
		return err
	}
	next := was.Mark
	var markErr error
	if next.Notes, markErr = was.Mark.Notes.with(noteRevert, token); markErr != nil {
		return fail(op, providers.Internal, markErr, "the VM's mark cannot be written")
	}
	spec, err := m.markSpec(op, next)
	if err != nil {
		return err
	}
	_, err = p.configure(ctx, op, m, spec)
	return err
}

// returnNote is written before a return is asked for.
type returnNote struct {
	Token string `json:"token"`
	After string `json:"after,omitempty"` // the newest return of the VM before it
}

// returnLine begins the line of a snapshot's description that is the note.
const returnLine = "\nhcp.revert: "

// returning splits a description into what the tenant calls the snapshot, and the note.
func returning(description string) (name string, note returnNote) {
	i := strings.LastIndex(description, returnLine)
	if i < 0 || json.Unmarshal([]byte(description[i+len(returnLine):]), &note) != nil {
		return description, returnNote{}
	}
	return description[:i], note
}

// returned takes the VM back, unless it has gone back for the token already.
func (p *Provider) returned(
	ctx context.Context, op string, m *machine, to *types.VirtualMachineSnapshotTree, token string,
) *providers.Error {
	name, note := returning(to.Description)
	begun, err := p.returns(ctx, op, m)
	if err != nil {
		return err
	}
	if note.Token != token {
		note = returnNote{Token: token}
		if len(begun) > 0 {
			note.After = begun[0].Task.Value
		}
		if err := p.noteReturn(ctx, op, to, name, note); err != nil {
			return err
		}
		begun = nil
	}
	if i := slices.IndexFunc(begun, func(t types.TaskInfo) bool { return t.Task.Value == note.After }); i >= 0 {
		begun = begun[:i]
	}
	for _, t := range begun {
		switch {
		case atWork(t):
			return p.await(ctx, op, t.Task.Value)
		case t.State == types.TaskInfoStateSuccess:
			return nil
		}
	}
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.RevertToSnapshot_Task(ctx, c, &types.RevertToSnapshot_Task{This: to.Snapshot})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return err
	}
	return p.await(ctx, op, string(task))
}

// returns lists what the hypervisor remembers of the VM's returns to snapshots, newest
// first.
func (p *Provider) returns(ctx context.Context, op string, m *machine) ([]types.TaskInfo, *providers.Error) {
	var out []types.TaskInfo
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		out, err = recentTasks(ctx, c, m.Ref)
		return err
	})
	return slices.DeleteFunc(out, func(t types.TaskInfo) bool { return !strings.Contains(t.DescriptionId, ".revert") }), err
}

func (p *Provider) noteReturn(
	ctx context.Context, op string, to *types.VirtualMachineSnapshotTree, name string, note returnNote,
) *providers.Error {
	raw, err := json.Marshal(note)
	if err != nil {
		return fail(op, providers.Internal, err, "the snapshot's note cannot be written")
	}
	return p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		_, err := methods.RenameSnapshot(ctx, c, &types.RenameSnapshot{This: to.Snapshot, Description: name + returnLine + string(raw)})
		return err
	})
}

// reverted is the token of the last return to a snapshot.
func (m *machine) reverted() string {
	var token string
	m.Mark.Notes.read(noteRevert, &token)
	return token
}

func lookRevert(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m != nil && m.reverted() == w.Argument {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}

// maxToken bounds a token, which has its place in the VM's notes.
const maxToken = 256

func checkToken(op, token string) *providers.Error {
	if token == "" || len(token) > maxToken || !isText(token) {
		return fail(op, providers.InvalidArgument, nil, "the token must be plain text of 256 bytes at most")
	}
	return nil
}
