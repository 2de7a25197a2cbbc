package vsphere

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// A task that clones or creates a VM shows none yet that bears our mark. A VM that is
// not found is therefore absent only if no such task is at work that may become it: the
// events of a task's beginning tell the name that its VM will have.

// The types of the hypervisor's tasks that are looked for (TaskInfo.descriptionId),
// and how the library's simulator calls the clone.
const (
	typeClone    = "VirtualMachine.clone"
	typeCloneSim = "VirtualMachine.cloneVm"
	typeCreate   = "Folder.createVm"
	typePowerOn  = "VirtualMachine.powerOn"
	typePowerOff = "VirtualMachine.powerOff"
	typeReset    = "VirtualMachine.reset"
	typeReboot   = "VirtualMachine.rebootGuest"
	typeDestroy  = "VirtualMachine.destroy"

	eventOfClones  = "VmBeingClonedEvent"
	eventOfCreates = "VmBeingCreatedEvent"
)

// settled is find that does not take a VM for absent while a clone is at work that
// may become it: then it returns the clone's task.
func (p *Provider) settled(ctx context.Context, op, vmID string) (*machine, string, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m != nil || !vmid.Valid(vmID) {
		return m, "", err
	}
	cloning, err := p.cloning(ctx, op, vmID)
	if err != nil || cloning != "" {
		return nil, cloning, err
	}
	// One that ended between the two has become the VM.
	m, err = p.find(ctx, op, vmID)
	return m, "", err
}

// cloning returns the task of a clone at work that makes the VM with this ID, or may
// make it for all that is told of it; "" where there is none.
func (p *Provider) cloning(ctx context.Context, op, vmID string) (string, *providers.Error) {
	var task string
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		all, err := recentTasks(ctx, c, *c.ServiceContent.TaskManager)
		if err != nil {
			return err
		}
		for _, t := range all {
			if !atWork(t) || !makesVM(c, t) {
				continue
			}
			names, err := namesOf(ctx, c, t)
			if err != nil {
				return err
			}
			if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, nameSuffix(vmID)) }) {
				task = t.Task.Value
				return nil
			}
		}
		return nil
	})
	return task, err
}

func atWork(t types.TaskInfo) bool {
	return t.State == types.TaskInfoStateQueued || t.State == types.TaskInfoStateRunning
}

// recentTasks reads what the task manager, or an entity, remembers of tasks, those at
// work too, newest first.
func recentTasks(ctx context.Context, c *vim25.Client, of types.ManagedObjectReference) ([]types.TaskInfo, error) {
	skip := true
	res, err := property.DefaultCollector(c).RetrieveProperties(ctx, types.RetrieveProperties{
		SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{
				Obj: of, Skip: &skip,
				SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: of.Type, Path: "recentTask"}},
			}},
			PropSet: []types.PropertySpec{{Type: "Task", PathSet: []string{"info"}}},
		}},
	})
	if err != nil {
		return nil, err
	}
	var tasks []mo.Task
	if err := mo.LoadObjectContent(res.Returnval, &tasks); err != nil {
		return nil, err
	}
	out := make([]types.TaskInfo, 0, len(tasks))
	for _, t := range tasks {
		t.Info.Task = t.Self
		out = append(out, t.Info)
	}
	slices.SortStableFunc(out, func(a, b types.TaskInfo) int { return b.QueueTime.Compare(a.QueueTime) })
	return out, nil
}

// eventSlack is how much earlier than its task a clone's event may have been written.
const eventSlack = time.Minute

// makesVM reports whether a task may make a VM of ours. In a vCenter that does not
// chain events to tasks a clone's own creation is left out: the clone itself counts.
func makesVM(c *vim25.Client, t types.TaskInfo) bool {
	if t.DescriptionId == typeCreate {
		return t.EventChainId != 0 || !c.IsVC()
	}
	return t.DescriptionId == typeClone || t.DescriptionId == typeCloneSim
}

// namesOf are the names of the VMs that a task may be making: its own where the
// hypervisor chains events to tasks, else those of all clones of its source since its
// beginning. None where nothing is told of it.
func namesOf(ctx context.Context, c *vim25.Client, t types.TaskInfo) ([]string, error) {
	since := t.QueueTime.Add(-eventSlack)
	filter := types.EventFilterSpec{
		EventTypeId: []string{eventOfClones, eventOfCreates}, EventChainId: t.EventChainId,
		Time: &types.EventFilterSpecByTime{BeginTime: &since},
	}
	switch {
	case t.EventChainId != 0:
	case t.DescriptionId == typeCreate || t.Entity == nil:
		return nil, nil
	default:
		filter.Entity = &types.EventFilterSpecByEntity{Entity: *t.Entity, Recursion: types.EventFilterSpecRecursionOptionSelf}
	}
	res, err := methods.QueryEvents(ctx, c, &types.QueryEvents{This: *c.ServiceContent.EventManager, Filter: filter})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range res.Returnval {
		switch begun := e.(type) {
		case *types.VmBeingClonedEvent:
			out = append(out, begun.DestName)
		case *types.VmBeingCreatedEvent:
			if begun.Vm != nil {
				out = append(out, begun.Vm.Name)
			}
		}
	}
	return out, nil
}

// unclaimed is AlreadyExists where another's VM has the instance UUID that the VM is
// to have, and Aborted where it is the VM itself, which has begun to be made since it
// was looked for: its UUID may be seen before its mark.
func (p *Provider) unclaimed(ctx context.Context, op, vmID string) *providers.Error {
	taken := false
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		byInstance := true
		res, err := methods.FindAllByUuid(ctx, c, &types.FindAllByUuid{
			This: *c.ServiceContent.SearchIndex, Uuid: vmID, VmSearch: true, InstanceUuid: &byInstance,
		})
		taken = err == nil && len(res.Returnval) > 0
		return err
	})
	if err != nil || !taken {
		return err
	}
	m, making, err := p.settled(ctx, op, vmID)
	switch {
	case err != nil:
		return err
	case m != nil || making != "":
		return fail(op, providers.Aborted, nil, "the VM is being made by another process")
	}
	return fail(op, providers.AlreadyExists, nil, "another VM on the hypervisor has this VM's identity")
}

// runningOf returns the newest task of a type that is at work on the VM, "" where none
// is.
func (p *Provider) runningOf(ctx context.Context, op string, m *machine, kind string) (string, *providers.Error) {
	all, err := p.tasksOf(ctx, op, m, kind)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		if atWork(t) {
			return t.Task.Value, nil
		}
	}
	return "", nil
}

// tasksOf lists what the hypervisor remembers of tasks of a type on the VM, newest
// first.
func (p *Provider) tasksOf(ctx context.Context, op string, m *machine, kind string) ([]types.TaskInfo, *providers.Error) {
	var out []types.TaskInfo
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		out, err = recentTasks(ctx, c, m.Ref)
		return err
	})
	return slices.DeleteFunc(out, func(t types.TaskInfo) bool { return t.DescriptionId != kind }), err
}
