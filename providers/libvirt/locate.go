package libvirt

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// view is what the hosts say of a VM.
type view struct {
	copies  []answer[sighting]
	foreign []*host          // that have a foreign domain under the VM's ID
	silent  map[string]error // hosts that did not answer, by name
}

// view asks all hosts. Early says that a copy without a note is answer enough.
func (c *Cluster) view(ctx context.Context, op, vmID string, early bool) (view, error) {
	if err := ctx.Err(); err != nil {
		return view{}, rpc{op: op}.fail(err)
	}
	answers := ask(ctx, c.hosts, func(ctx context.Context, h *host) (sighting, error) { return h.look(ctx, op, vmID) })
	v := view{silent: map[string]error{}}
	for range c.hosts {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				v.silent[a.host.name] = a.err
			case a.value.foreign:
				v.foreign = append(v.foreign, a.host)
			case a.value.present && a.value.move == nil && early:
				return view{copies: []answer[sighting]{a}}, nil
			case a.value.present:
				v.copies = append(v.copies, a)
			}
		case <-ctx.Done():
			return v, rpc{op: op}.fail(ctx.Err())
		}
	}
	return v, nil
}

// on returns the copy on a host, the zero sighting where there is none.
func (v view) on(name string) answer[sighting] {
	for _, a := range v.copies {
		if a.host.name == name {
			return a
		}
	}
	return answer[sighting]{}
}

// note returns what the copies say of a migration, nil when none says anything.
func (v view) note() *move {
	for _, a := range v.copies {
		if a.value.move != nil {
			return a.value.move
		}
	}
	return nil
}

// silence returns why one of the hosts did not answer, nil if all of them did;
// without names, of any host.
func (v view) silence(names ...string) error {
	if len(names) == 0 {
		for _, err := range v.silent {
			return err
		}
		return nil
	}
	for _, name := range names {
		if err := v.silent[name]; err != nil {
			return err
		}
	}
	return nil
}

// best returns the copy that is the VM. While it may be on two hosts that is the
// one whose guest runs; else the one that it came from, which is whole.
func (v view) best(op string) (answer[sighting], error) {
	r := rpc{op: op}
	if len(v.copies) == 0 {
		if err := v.silence(); err != nil {
			return answer[sighting]{}, err
		}
		return answer[sighting]{}, r.errorf(providers.NotFound, "no such VM")
	}
	for _, a := range v.copies {
		if a.value.runs() {
			return a, nil
		}
	}
	m := v.note()
	if m == nil {
		return v.copies[0], nil
	}
	if err := v.silence(m.From, m.To); err != nil {
		return answer[sighting]{}, err
	}
	from, to := v.on(m.From), v.on(m.To)
	switch {
	case from.host == nil && to.host == nil:
		return v.copies[0], nil
	case from.host == nil, to.host != nil && m.Live && to.value.power() != models.PowerStopped && from.value.power() == models.PowerStopped:
		return to, nil
	}
	return from, nil
}

// find returns the host that has the VM. NotFound only when every host says so.
func (c *Cluster) find(ctx context.Context, op, vmID string) (answer[sighting], error) {
	v, err := c.view(ctx, op, vmID, true)
	if err != nil {
		return answer[sighting]{}, err
	}
	return v.best(op)
}

// owner returns the host on which the VM may be changed: there is one copy, and
// no migration at work. What an interrupted migration left is cleaned up first.
func (c *Cluster) owner(ctx context.Context, op, vmID string) (*host, error) {
	a, err := c.find(ctx, op, vmID)
	if err != nil {
		return nil, err
	}
	if a.value.move == nil {
		return a.host, nil
	}
	v, err := c.view(ctx, op, vmID, false)
	if err != nil {
		return nil, err
	}
	settled, err := c.settle(ctx, op, v)
	if err != nil {
		return nil, err
	}
	if settled == nil {
		return nil, rpc{op: op}.errorf(providers.Aborted, "the VM is being migrated")
	}
	return settled, nil
}
