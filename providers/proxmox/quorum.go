package proxmox

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// absent is an error where a list in which a VM of ours is missing does not prove
// that there is none.
func (p *Provider) absent(ctx context.Context, op string) *providers.Error {
	if err := p.sees(ctx, op); err != nil {
		return err
	}
	return p.quorate(ctx, op)
}

// quorate is Unavailable for a host that is cut off from its cluster's majority: it
// answers as before, but what has been made since is not in its lists. An account
// that may not ask takes the host's word.
func (p *Provider) quorate(ctx context.Context, op string) *providers.Error {
	var rows []struct {
		Type    string `json:"type"` // "cluster", which a lone host has not, or "node"
		Quorate flag   `json:"quorate"`
	}
	err := p.get(ctx, op, "/cluster/status", nil, &rows)
	if hasCode(err, providers.PermissionDenied) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Type == "cluster" && !bool(r.Quorate) {
			return fail(op, providers.Unavailable, nil, "the hypervisor's cluster has no quorum")
		}
	}
	return nil
}
