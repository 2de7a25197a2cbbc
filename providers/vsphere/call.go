package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// client returns a client that is logged in. Each call with it that is refused
// because its session has ended is repeated, once, with the session that follows.
func (p *Provider) client(ctx context.Context, op string) (*vim25.Client, *providers.Error) {
	t, err := p.session.take(ctx)
	if err != nil {
		return nil, classify(op, err)
	}
	return t.client, nil
}

// call does f, within the call timeout where ctx has no deadline, and tells what its
// error means.
func (p *Provider) call(ctx context.Context, op string, f func(ctx context.Context, c *vim25.Client) error) *providers.Error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.callTimeout)
		defer cancel()
	}
	c, failure := p.client(ctx, op)
	if failure != nil {
		return failure
	}
	return classify(op, f(ctx, c))
}

// ready is an error where no call could be made: ctx has ended, or the provider is
// closed, or it cannot log in.
func (p *Provider) ready(ctx context.Context, op string) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context, _ *vim25.Client) error { return ctx.Err() })
}

// boundary turns what the methods inside return into what the contract wants: a
// nil *providers.Error is no nil error.
func boundary(task providers.TaskRef, err *providers.Error) (providers.TaskRef, error) {
	if err != nil {
		return "", elsewhere(err)
	}
	return task, nil
}

// elsewhere is Aborted for an object that was found, and was gone when the hypervisor
// was to do something with it. That a VM is not there is told by looking for it alone.
func elsewhere(err *providers.Error) *providers.Error {
	if err.Code == providers.NotFound && isGone(err) {
		return fail(err.Op, providers.Aborted, err.Err, "the VM was moved or removed meanwhile")
	}
	return err
}
