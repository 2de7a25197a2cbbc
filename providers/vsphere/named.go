package vsphere

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// nameLife is for how long a name's one VM is taken for the only one that has it.
const nameLife = time.Minute

// named remembers which VM has a name: finding that out takes the names of all VMs.
// What is remembered is read before it is used.
type named struct {
	mu  sync.Mutex
	all map[string]bearer // by name
}

type bearer struct {
	ref  types.ManagedObjectReference
	seen time.Time
}

func (n *named) get(name string, now time.Time) (types.ManagedObjectReference, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.all[name]
	return b.ref, ok && now.Sub(b.seen) < nameLife
}

// put remembers the one VM with a name, or that there is not one.
func (n *named) put(name string, refs []types.ManagedObjectReference, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]bearer{}
	}
	for old, b := range n.all {
		if now.Sub(b.seen) >= nameLife {
			delete(n.all, old)
		}
	}
	delete(n.all, name)
	if len(refs) == 1 {
		n.all[name] = bearer{ref: refs[0], seen: now}
	}
}

// readTemplates reads the VMs that an image's reference may mean.
func (p *Provider) readTemplates(ctx context.Context, c *vim25.Client, ref string, is func(mo.VirtualMachine) bool) ([]mo.VirtualMachine, error) {
	var out []mo.VirtualMachine
	if known, ok := p.named.get(ref, time.Now()); ok {
		err := property.DefaultCollector(c).Retrieve(ctx, []types.ManagedObjectReference{known}, sourceProperties(), &out)
		if err == nil && len(out) == 1 && out[0].Name == ref && is(out[0]) {
			return out, nil
		}
		out = nil // it is gone, or another by now
	}
	refs, byName, err := templateRefs(ctx, c, ref)
	if err != nil || len(refs) == 0 {
		return nil, err
	}
	if err := property.DefaultCollector(c).Retrieve(ctx, refs, sourceProperties(), &out); err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(vm mo.VirtualMachine) bool { return !is(vm) })
	if byName {
		var images []types.ManagedObjectReference
		for _, vm := range out {
			images = append(images, vm.Self)
		}
		p.named.put(ref, images, time.Now())
	}
	return out, nil
}
