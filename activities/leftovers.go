package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
)

// residueLimit bounds what is listed of a job: it goes into the job's row.
const residueLimit = 50

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
