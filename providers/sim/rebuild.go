package sim

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// RebuildVM implements providers.Rebuilder. The hypervisor remembers whose
// rebuild it is, so a repeat goes on with one that ended halfway.
func (p *Provider) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	const op = "RebuildVM"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the token", token); err != nil {
		return "", err
	}
	if req.Image.Ref == "" || req.DiskGiB < 1 {
		return "", fail(op, providers.InvalidArgument, nil, "an image and the size of the disk are required")
	}
	return task(p.act(ctx, op, wire.OpRebuildVM, req.VMID, func(e wire.Expect) any {
		return wire.RebuildRequest{VM: e, Token: token, DiskGiB: req.DiskGiB, Image: req.Image.Ref, CloudInit: cloudInit(req.CloudInit)}
	}))
}

// RevertRebuild implements providers.Rebuilder. It ends a rebuild that is at
// work under the token.
func (p *Provider) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return p.endRebuild(ctx, "RevertRebuild", wire.OpRevertRebuild, t, token)
}

// FinishRebuild implements providers.Rebuilder.
func (p *Provider) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return p.endRebuild(ctx, "FinishRebuild", wire.OpFinishRebuild, t, token)
}

func (p *Provider) endRebuild(ctx context.Context, op, operation string, t providers.Target, token string) (providers.TaskRef, error) {
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the token", token); err != nil {
		return "", err
	}
	return task(p.act(ctx, op, operation, t.VMID, func(e wire.Expect) any { return wire.TokenRequest{VM: e, Token: token} }))
}

// CloneVM implements providers.Cloner. A clone that ended halfway is removed and
// made anew, as by CreateVM.
func (p *Provider) CloneVM(
	ctx context.Context, source providers.Target, req providers.CreateVMRequest,
) (providers.VMRef, providers.TaskRef, error) {
	const op = "CloneVM"
	if err := p.usable(ctx, op); err != nil {
		return "", "", err
	}
	req.Image.Ref = ""
	if err := validateShape(op, req); err != nil {
		return "", "", err
	}
	if source.VMID == req.VMID {
		return "", "", fail(op, providers.InvalidArgument, nil, "a VM is not its own clone")
	}
	vm, err := p.find(ctx, op, source.VMID)
	if err != nil {
		return "", "", err
	}
	if vm == nil {
		// A clone that was made already needs no source any more.
		if made, err := p.find(ctx, op, req.VMID); err == nil && made != nil && settled(made) {
			return providers.VMRef(made.NativeID), createTask(made), nil
		}
		return "", "", notFound(op)
	}
	return p.makeVM(ctx, op, wire.OpCloneVM, req, wire.CloneRequest{Source: expect(vm), VM: p.createRequest(req)})
}
