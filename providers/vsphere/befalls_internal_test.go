package vsphere

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// befall is what happens between two requests of an operation, which is done
// nevertheless, where the VM is then.
type befall struct {
	name string
	// spared are the operations of which it makes something else.
	spared []string
	happen func(t *testing.T, s *stage, o *sweepOp)
}

func befalls() []befall {
	return []befall{
		{
			name: "another does the same",
			// Between the note of the token and the reboot itself nobody can tell that
			// another process is about to do the same.
			spared: []string{"reset"},
			happen: func(t *testing.T, s *stage, o *sweepOp) {
				t.Helper()
				s.do(t, o.ask)
			},
		},
		{
			name: "sessions end",
			happen: func(t *testing.T, s *stage, _ *sweepOp) {
				t.Helper()
				require.NoError(t, s.EndSessions(t.Context()))
			},
		},
		{
			name:   "it is moved",
			spared: []string{"migration", "live migration"},
			happen: func(t *testing.T, s *stage, _ *sweepOp) {
				t.Helper()
				s.toAnotherHost(t)
			},
		},
		{
			name: "it is registered anew",
			happen: func(t *testing.T, s *stage, _ *sweepOp) {
				t.Helper()
				s.registerAnew(t)
			},
		},
	}
}

// ourVM calls f with the stage's VM, if it is there and the server does not work on it.
func (s *stage) ourVM(t *testing.T, f func(*simulator.Context, *simulator.VirtualMachine)) {
	t.Helper()
	rests := true
	s.tasks(t, func(info types.TaskInfo) { rests = rests && !atWork(info) })
	if !rests {
		return
	}
	ctx := &simulator.Context{Context: t.Context(), Map: s.Model.Map()}
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Config.InstanceUuid == s.Req.VMID {
			f(ctx, vm)
		}
	}
}

// toAnotherHost is what DRS does, and HA after a host's failure.
func (s *stage) toAnotherHost(t *testing.T) {
	t.Helper()
	s.ourVM(t, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		for _, e := range s.Model.Map().All("HostSystem") {
			if ref := e.Reference(); ref != *vm.Runtime.Host {
				ctx.WithLock(vm, func() {
					ctx.Update(vm, []types.PropertyChange{{Name: "runtime.host", Val: ref}, {Name: "summary.runtime.host", Val: ref}})
				})
				return
			}
		}
	})
}

// registerAnew gives a VM that is off and has no snapshots another reference, as an
// operator does who takes it out of the inventory and in again.
func (s *stage) registerAnew(t *testing.T) {
	t.Helper()
	s.ourVM(t, func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff || vm.Snapshot != nil {
			return
		}
		all := s.Model.Map()
		c, err := s.Client(t.Context())
		require.NoError(t, err)
		_, err = methods.UnregisterVM(t.Context(), c, &types.UnregisterVM{This: vm.Self})
		require.NoError(t, err)
		ctx.WithLock(vm, func() {
			vm.Self.Value += "-anew"
			vm.RecentTask = nil
			all.Put(vm)
		})
		refer := func(in mo.Reference, list *[]types.ManagedObjectReference) {
			all.AppendReference(ctx, in, list, vm.Self)
		}
		folder, ok := all.Get(*vm.Parent).(*simulator.Folder)
		require.True(t, ok)
		refer(folder, &folder.ChildEntity)
		host, ok := all.Get(*vm.Runtime.Host).(*simulator.HostSystem)
		require.True(t, ok)
		refer(host, &host.Vm)
		for _, ref := range vm.Datastore {
			ds, ok := all.Get(ref).(*simulator.Datastore)
			require.True(t, ok)
			refer(ds, &ds.Vm)
		}
	})
}

// apart is how many requests lie between two that something befalls: each takes a whole
// life of a VM.
const apart = 29

// TestWhateverBefalls lets something happen between two requests of an operation.
func TestWhateverBefalls(t *testing.T) {
	t.Parallel()
	sweptEach(t, everyOne, func(t *testing.T, g *ground, o *sweepOp) {
		t.Helper()
		s := g.stage(t, o)
		p := s.process(t)
		_, err := p.drive(t, o.ask(&s.Subject), "")
		require.NoError(t, err)
		s.wantNothing(t)
		first := slices.IndexFunc(sweepOps(), func(other sweepOp) bool { return other.name == o.name })
		all := slices.DeleteFunc(befalls(), func(b befall) bool { return slices.Contains(b.spared, o.name) })
		for i, at := 0, 1+first%apart; at <= p.Requests(); i, at = i+1, at+apart {
			b := all[(first+i)%len(all)]
			t.Run(fmt.Sprintf("%d/%s", at, b.name), func(t *testing.T) {
				s := g.stage(t, o)
				p := s.process(t)
				p.Meet(func(now int, _ string) {
					if now == at {
						b.happen(t, s, o)
					}
				})
				_, err := p.drive(t, o.ask(&s.Subject), "")
				require.NoError(t, err)
				o.holds(t, s)
				s.wantNothing(t)
			})
		}
	})
}

// TestWhateverIsForgotten has a server that forgets tasks as soon as they are done: what
// was asked for is told by the VM. But for reboots and returns to a snapshot, which
// only tasks tell of.
func TestWhateverIsForgotten(t *testing.T) {
	t.Parallel()
	remembered := func(_ bool, name string) bool { return name != "reset" && name != "revert" }
	sweptEach(t, remembered, func(t *testing.T, g *ground, o *sweepOp) {
		t.Helper()
		s := g.stage(t, o)
		p := s.process(t)
		asked := 0
		p.Meet(func(int, string) {
			if asked++; asked <= 30 {
				s.forgetTasks(t)
			}
		})
		_, err := p.drive(t, o.ask(&s.Subject), "")
		require.NoError(t, err)
		o.holds(t, s)
		for _, undo := range o.undo {
			s.do(t, undo)
		}
		if o.undo != nil {
			o.undone(t, s)
		}
		s.wantNothing(t)
	})
}

// forgetTasks makes the server forget every task that is done.
func (g *ground) forgetTasks(t *testing.T) {
	t.Helper()
	ctx := &simulator.Context{Context: t.Context(), Map: g.Model.Map()}
	gone := map[types.ManagedObjectReference]bool{}
	g.tasks(t, func(info types.TaskInfo) { gone[info.Task] = !atWork(info) })
	kept := func(list []types.ManagedObjectReference) []types.ManagedObjectReference {
		return slices.DeleteFunc(slices.Clone(list), func(ref types.ManagedObjectReference) bool { return gone[ref] })
	}
	g.each(t, func(vm *simulator.VirtualMachine) { vm.RecentTask = kept(vm.RecentTask) })
	manager, ok := g.Model.Map().Get(*g.Model.ServiceContent.TaskManager).(*simulator.TaskManager)
	require.True(t, ok)
	ctx.WithLock(manager, func() { manager.RecentTask = kept(manager.RecentTask) })
	for ref, done := range gone {
		if done {
			g.Model.Map().Remove(ctx, ref)
		}
	}
}
