package sim

import (
	"context"
	"errors"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// act finds the VM and lets the hypervisor do something to it.
func (p *Provider) act(ctx context.Context, op, operation, vmID string, request func(wire.Expect) any) (providers.TaskRef, *providers.Error) {
	return p.actOn(ctx, op, operation, vmID, func(vm *wire.VM) (any, *providers.Error) { return request(expect(vm)), nil })
}

// actOn is act where the request depends on what the VM is like now. A request
// of nil means that there is nothing to do. A VM that was re-identified, or whose
// disk has grown, between the two is found once more.
func (p *Provider) actOn(
	ctx context.Context, op, operation, vmID string, request func(vm *wire.VM) (any, *providers.Error),
) (providers.TaskRef, *providers.Error) {
	const tries = 2
	for range tries {
		vm, err := p.find(ctx, op, vmID)
		if err != nil {
			return "", err
		}
		if vm == nil {
			return "", notFound(op)
		}
		in, err := request(vm)
		if err != nil || in == nil {
			return "", err
		}
		var out wire.WorkResponse
		err = p.call(ctx, op, operation, in, &out)
		switch {
		case refusedAs(err, wire.CodeNoVM, wire.CodeChanged, wire.CodeShrinks):
			continue
		case err != nil:
			return "", err
		case out.NativeID == "":
			return "", misunderstood(op, errors.New("it does not name the VM"))
		}
		return providers.TaskRef(out.Task), nil
	}
	return "", fail(op, providers.Aborted, nil, "the VM is being changed by others")
}

// task is what a method returns: an *Error that is nil must not become an error
// that is not.
func task(ref providers.TaskRef, err *providers.Error) (providers.TaskRef, error) {
	if err != nil {
		return "", err
	}
	return ref, nil
}

// required refuses what is empty.
func required(op, what, value string) *providers.Error {
	if value == "" {
		return fail(op, providers.InvalidArgument, nil, what+" is required")
	}
	return nil
}
