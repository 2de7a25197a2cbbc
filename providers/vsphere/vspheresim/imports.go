package vspheresim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// The library's simulator keeps the pool locked in which it imports a VM, and waits for
// the folder, to which the VM is added. A VM that is cloned has the folder locked, and
// waits for the pool. Both would wait for ever: an import lets go of its pool.

// importTask is what the task of an import is called.
const importTask = "ImportVAppLRO"

// imported notes that a call imports into a pool. The REST API, which alone does that,
// serves one deployment after the other.
func (ps *plans) imported(ctx *simulator.Context, pool types.ManagedObjectReference) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.imports == nil {
		ps.imports = map[types.ManagedObjectReference]*simulator.Context{}
	}
	ps.imports[pool] = ctx
}

// importing is the call that a task imports for, or nil for another task.
func (ps *plans) importing(t *simulator.Task) *simulator.Context {
	if t.Info.Name != importTask || t.Info.Entity == nil {
		return nil
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.imports[*t.Info.Entity]
}

// unlocked has a task do its work without the lock of what it is about.
func unlocked(ctx *simulator.Context, t *simulator.Task) {
	run := t.Execute
	t.Execute = func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		about := *t.Info.Entity
		release := ctx.Map.AcquireLock(ctx, about) // once more than it is held
		release()
		release()
		made, fault := run(t)
		ctx.Map.AcquireLock(ctx, about) // the one who called Execute releases it
		return made, fault
	}
}
