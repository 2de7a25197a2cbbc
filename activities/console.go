package activities

import (
	"context"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// PrepareConsoleInput asks for a console of a VM.
type PrepareConsoleInput struct {
	VMInput
	Type models.ConsoleType
}

// PrepareConsole finds out, by a fresh read, that the VM runs and that its
// hypervisor has a console of the type for it now. It changes nothing, so it is
// idempotent and needs no undo.
func (a *VM) PrepareConsole(ctx context.Context, in PrepareConsoleInput) error {
	_, err := a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		consoler, err := providers.As[providers.Consoler](w.provider, "", "Consoles")
		if err != nil {
			return VMState{}, err
		}
		vm, err := w.provider.FindVM(ctx, in.VMID)
		switch {
		case err != nil:
			return VMState{}, w.count(ctx, err)
		case vm.Power != models.PowerRunning:
			return VMState{}, final(models.JobProviderConflict, "the VM does not run")
		}
		info, err := consoler.Consoles(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref})
		if err != nil {
			return VMState{}, w.count(ctx, err)
		}
		if !slices.Contains(info.Types, in.Type) {
			return VMState{}, final(models.JobFeatureNotSupported, "the VM has no console of this type")
		}
		return VMState{}, nil
	})
	return err
}

// ConsoleStore is what the steps of a console session need of the database.
type ConsoleStore interface {
	ReadyConsole(ctx context.Context, sessionID string) (models.ConsoleSession, error)
	ReviewConsole(ctx context.Context, sessionID string) (models.ConsoleSession, error)
}

// Consoles groups the database steps of console sessions. They are local
// activities.
type Consoles struct{ Store ConsoleStore }

// ConsoleInput names a console session.
type ConsoleInput struct{ SessionID string }

// ReadyConsole makes the session's ticket good. It does so once: a session that
// is past that stays as it is. Its undo is SettleJob, which closes the session.
func (a *Consoles) ReadyConsole(ctx context.Context, in ConsoleInput) (models.ConsoleRecord, error) {
	c, err := a.Store.ReadyConsole(ctx, in.SessionID)
	return c.Record(), fromStore(err)
}

// ReviewConsole closes a session that should be closed by now, and returns it.
// It is idempotent and has no undo.
func (a *Consoles) ReviewConsole(ctx context.Context, in ConsoleInput) (models.ConsoleRecord, error) {
	c, err := a.Store.ReviewConsole(ctx, in.SessionID)
	return c.Record(), fromStore(err)
}
