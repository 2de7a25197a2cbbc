package vsphere

import (
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// rests is Aborted for a VM that is being changed, or was changed since it was read.
// That there is nothing to do for a request is believed only of a VM that rests: a
// task that another process began, and did not live to see, may be at work.
func (p *Provider) rests(ctx context.Context, op string, m *machine) *providers.Error {
	var tasks []types.TaskInfo
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		tasks, err = recentTasks(ctx, c, m.Ref)
		return err
	})
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(tasks, func(t types.TaskInfo) bool { return atWork(t) && changesVM(t.DescriptionId) }):
		return fail(op, providers.Aborted, nil, busyVM)
	}
	// One that ended between the two has changed the VM.
	now, err := p.mine(ctx, op, m.Mark.VMID)
	switch {
	case err != nil:
		return err
	case now.Ref != m.Ref || now.power() != m.power() || now.VM.Config.ChangeVersion != m.VM.Config.ChangeVersion:
		return fail(op, providers.Aborted, nil, "the VM was changed meanwhile")
	}
	return nil
}

// changesVM reports whether a type of task changes what a VM is configured as, or its
// power. The API reference does not list the types: they are told by their beginning.
func changesVM(kind string) bool {
	_, verb, _ := strings.Cut(kind, ".")
	verb = verb[strings.LastIndex(verb, ".")+1:]
	return slices.ContainsFunc([]string{"powerOn", "powerOff", "suspend", "reconfig", "revert"}, func(begin string) bool {
		return strings.HasPrefix(verb, begin)
	})
}
