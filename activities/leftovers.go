package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ResidueStep is the type of a residue that is a step which was not undone.
const ResidueStep = "step"

// residueLimit bounds what is listed of a job: it goes into the job's row.
const residueLimit = 50

// FindOutVM reads the VM, once more and without haste, where a step did not
// come to know what it had done. That it can be read, or is proven absent, is
// success. It changes nothing.
func (a *VM) FindOutVM(ctx context.Context, in VMInput) error {
	_, err := a.step(ctx, in, func(w *work) (VMState, error) {
		_, err := w.provider.FindVM(ctx, in.VMID)
		if providers.CodeOf(err) == providers.NotFound {
			err = nil
		}
		return VMState{}, w.count(ctx, err)
	})
	return err
}

// ListLeftovers lists what on the hypervisor still belongs to the VM, at most
// residueLimit things. It changes nothing.
func (a *VM) ListLeftovers(ctx context.Context, in VMInput) ([]models.Residue, error) {
	var out []models.Residue
	_, err := a.step(ctx, in, func(w *work) (VMState, error) {
		left, err := w.provider.Leftovers(ctx, in.VMID)
		for _, o := range left[:min(len(left), residueLimit)] {
			out = append(out, models.Residue{Type: o.Type, Ref: o.Ref})
		}
		return VMState{}, w.count(ctx, err)
	})
	return out, err
}
