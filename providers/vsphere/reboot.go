package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// noteReboot is the name of the note of the last reboot that was asked for.
const noteReboot = "reboot"

// rebootNote is written before a reboot is asked for.
type rebootNote struct {
	Token string `json:"token"`
	Kind  string `json:"kind"`            // the type of task that carries it out
	After string `json:"after,omitempty"` // the newest such task before it
	Done  bool   `json:"done,omitempty"`  // the guest's tools have taken it
}

// RebootVM notes the token in the VM's mark, together with the newest reboot that the
// hypervisor knows of, and then acts. So a call with the same token tells by the
// VM's tasks whether it was rebooted for it already. A hypervisor forgets tasks some
// minutes after their end: asked again after that, it may reboot the VM again.
func (p *Provider) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	const op = "RebootVM"
	switch mode {
	case models.ModeForce:
		return boundary(p.reboot(ctx, op, t.VMID, rebootNote{Token: token, Kind: typeReset}))
	case models.ModeGraceful:
		return boundary(p.reboot(ctx, op, t.VMID, rebootNote{Token: token, Kind: typeReboot}))
	case models.ModeGracefulThenForce:
	}
	return "", fail(op, providers.InvalidArgument, nil, "the mode must be graceful or force")
}

func (p *Provider) reboot(ctx context.Context, op, vmID string, next rebootNote) (providers.TaskRef, *providers.Error) {
	if len(next.Token) > 200 {
		return "", fail(op, providers.InvalidArgument, nil, "the token is too long")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if task, done, err := p.rebooted(ctx, op, m, next); done || err != nil {
		return task, err
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	if m.power() != models.PowerRunning {
		return "", fail(op, providers.FailedPrecondition, nil, "only a running VM can be rebooted")
	}
	if m, err = p.noteReboot(ctx, op, m, next); err != nil {
		return "", err
	}
	if next.Kind == typeReset {
		return p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
			res, err := methods.ResetVM_Task(ctx, c, &types.ResetVM_Task{This: m.Ref})
			if err != nil {
				return types.ManagedObjectReference{}, err
			}
			return res.Returnval, nil
		})
	}
	err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		_, err := methods.RebootGuest(ctx, c, &types.RebootGuest{This: m.Ref})
		return err
	})
	if err != nil {
		return "", err
	}
	// The call is no task that every hypervisor tells of.
	next.Done = true
	_, err = p.noteReboot(ctx, op, m, next)
	return "", err
}

// rebooted tells whether the VM was rebooted for a token already, and by which task
// if that is at work. A task that failed is none.
func (p *Provider) rebooted(ctx context.Context, op string, m *machine, next rebootNote) (providers.TaskRef, bool, *providers.Error) {
	var last rebootNote
	if next.Token == "" || !m.Mark.Notes.read(noteReboot, &last) || last.Token != next.Token || last.Kind != next.Kind {
		return "", false, nil
	}
	if last.Done {
		return "", true, nil
	}
	begun, err := p.tasksOf(ctx, op, m, next.Kind)
	if err != nil {
		return "", false, err
	}
	for _, t := range begun {
		switch {
		case t.Task.Value == last.After:
			return "", false, nil
		case atWork(t):
			return providers.TaskRef(t.Task.Value), true, nil
		case t.State == types.TaskInfoStateSuccess:
			return "", true, nil
		}
	}
	return "", false, nil
}

// noteReboot writes the note into the VM's mark, if the VM is as it was read, and
// returns the VM as it is then. Without a token there is nothing to note.
func (p *Provider) noteReboot(ctx context.Context, op string, m *machine, next rebootNote) (*machine, *providers.Error) {
	if next.Token == "" {
		return m, nil
	}
	begun, err := p.tasksOf(ctx, op, m, next.Kind)
	if err != nil {
		return nil, err
	}
	if len(begun) > 0 {
		next.After = begun[0].Task.Value
	}
	if err := p.note(ctx, op, m, noteReboot, next); err != nil {
		return nil, err
	}
	return p.mine(ctx, op, m.Mark.VMID)
}

// note writes a note into the VM's mark, if the VM is as it was read.
func (p *Provider) note(ctx context.Context, op string, m *machine, name string, value any) *providers.Error {
	next := m.Mark
	var err error
	if next.Notes, err = m.Mark.Notes.with(name, value); err != nil {
		return fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	options, err := next.options()
	if err != nil {
		return fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	task, failure := p.reconfigVM(ctx, op, m, types.VirtualMachineConfigSpec{ExtraConfig: changed(m.VM.Config.ExtraConfig, options)})
	if failure != nil {
		return failure
	}
	return p.await(ctx, op, string(task))
}
