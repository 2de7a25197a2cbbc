package jobview

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Reader reads jobs from Temporal.
type Reader struct{ Client client.Client }

// Job returns the job with its steps, as Load does.
func (r Reader) Job(ctx context.Context, op models.Operation) (Job, error) {
	return Load(ctx, r.Client, op)
}
