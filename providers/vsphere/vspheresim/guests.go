package vspheresim

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// guests is what the library's simulator does not know of VMs, and which tasks are at
// work.
type guests struct {
	images map[types.ManagedObjectReference]bool // set before the server is used

	mu    sync.Mutex
	boots map[string]int                            // by the VM's reference
	power map[string]types.VirtualMachinePowerState // that was seen last
	tasks map[types.ManagedObjectReference]struct{} // at work
	ended []types.ManagedObjectReference            // tasks that the task manager still lists
	data  map[string]string                         // that guests wrote, by the disk's file
}

func newGuests() guests {
	return guests{
		images: map[types.ManagedObjectReference]bool{}, boots: map[string]int{},
		power: map[string]types.VirtualMachinePowerState{}, tasks: map[types.ManagedObjectReference]struct{}{},
		data: map[string]string{},
	}
}

// served notes a call that was answered: a reboot of a guest changes nothing of its VM.
func (g *guests) served(c Call, status int) {
	if c.Method != "RebootGuest" || status != http.StatusOK {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.boots[c.Object]++
}

// saw notes the power of a VM: one that was off and runs has booted.
func (g *guests) saw(ref string, power types.VirtualMachinePowerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.power[ref]
	g.power[ref] = power
	if power == types.VirtualMachinePowerStatePoweredOn && before != power && before != types.VirtualMachinePowerStateSuspended {
		g.boots[ref]++
	}
}

func (g *guests) bootsOf(ref string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.boots[ref]
}

// write has a guest write on a disk.
func (g *guests) write(file, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.data[file] = text
}

func (g *guests) written(file string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.data[file]
}

// working notes whether a task is at work.
func (g *guests) working(ref types.ManagedObjectReference, yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if yes {
		g.tasks[ref] = struct{}{}
	} else {
		delete(g.tasks, ref)
	}
}

func (g *guests) atWork() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tasks)
}

// watcher sees what becomes of the simulator's objects.
type watcher struct{ server *Server }

// Reference implements mo.Reference.
func (*watcher) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Watcher", Value: "watcher"}
}

// PutObject implements simulator.RegisterObject: a task that begins follows its plan.
func (w *watcher) PutObject(_ *simulator.Context, object mo.Reference) {
	t, ok := object.(*simulator.Task)
	if !ok || t.Execute == nil {
		return
	}
	w.server.guests.working(t.Self, true)
	if p := w.server.plans.take(t); p != nil {
		w.server.carry(t, p)
	}
	if ctx := w.server.plans.importing(t); ctx != nil {
		unlocked(ctx, t)
	}
}

// UpdateObject implements simulator.RegisterObject.
func (w *watcher) UpdateObject(_ *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	changed := func(name string) bool {
		return slices.ContainsFunc(changes, func(c types.PropertyChange) bool { return c.Name == name })
	}
	switch o := object.(type) {
	case *mo.VirtualMachine:
		if changed("runtime.powerState") {
			w.server.guests.saw(o.Self.Value, o.Runtime.PowerState)
		}
	case *mo.Task:
		if changed("info.state") && (o.Info.State == types.TaskInfoStateSuccess || o.Info.State == types.TaskInfoStateError) {
			w.server.guests.working(o.Self, false)
			w.server.tidy(o.Self)
		}
	}
}

// recentTasks is how many tasks that have ended the task manager lists. vCenter takes
// them off its list some minutes after their end; the library's simulator keeps 200.
const recentTasks = 20

// tidy takes tasks off the task manager's list as the next one has ended.
func (s *Server) tidy(ended types.ManagedObjectReference) {
	s.guests.mu.Lock()
	s.guests.ended = append(s.guests.ended, ended)
	var old []types.ManagedObjectReference
	if n := len(s.guests.ended) - recentTasks; n > 0 {
		old, s.guests.ended = slices.Clone(s.guests.ended[:n]), slices.Clone(s.guests.ended[n:])
	}
	s.guests.mu.Unlock()
	if len(old) == 0 {
		return
	}
	m, ok := s.Model.Map().Get(*s.Model.ServiceContent.TaskManager).(*simulator.TaskManager)
	if !ok {
		return
	}
	m.Lock()
	defer m.Unlock()
	m.RecentTask = slices.DeleteFunc(slices.Clone(m.RecentTask), func(ref types.ManagedObjectReference) bool { return slices.Contains(old, ref) })
}

// RemoveObject implements simulator.RegisterObject.
func (*watcher) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// sight is what the admin side looks for in a VM, whoever's it is.
type sight struct {
	vmID, name, node string
	power            types.VirtualMachinePowerState
	template, making bool
}

// context is one for a look at the simulator: whose a lock is, is told by the context.
func (s *Server) context() *simulator.Context {
	return &simulator.Context{Context: context.Background(), Map: s.Model.Map()}
}

// seen looks at the VM of a reference; the zero value where there is none.
func (s *Server) seen(ref string) (out sight) {
	ctx := s.context()
	vm, ok := ctx.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: ref}).(*simulator.VirtualMachine)
	if !ok {
		return out
	}
	var host types.ManagedObjectReference
	ctx.WithLock(vm, func() {
		text := textOf(vm.Config.ExtraConfig)
		out = sight{
			vmID: text[keyVMID], name: vm.Name, power: vm.Runtime.PowerState,
			template: vm.Config.Template, making: text[keyMaking] != "",
		}
		if vm.Runtime.Host != nil {
			host = *vm.Runtime.Host
		}
	})
	out.node = s.hostName(host)
	return out
}

// hostName is the name of a host, which never changes.
func (s *Server) hostName(ref types.ManagedObjectReference) string {
	if h, ok := s.Model.Map().Get(ref).(*simulator.HostSystem); ok {
		return h.Name
	}
	return ""
}

// The keys of a VM's extra configuration by which the control plane knows its own,
// and by which its guest is told what it is.
const (
	keyVMID         = "hcp.vm_id"
	keyInstallation = "hcp.installation_id"
	keyMaking       = "hcp.making"
	keyNotes        = "hcp.notes"
	keyMetadata     = "guestinfo.metadata"
	keyUserdata     = "guestinfo.userdata"
)

// textOf returns the texts of a VM's extra configuration by key.
func textOf(extra []types.BaseOptionValue) map[string]string {
	out := map[string]string{}
	for _, o := range extra {
		v := o.GetOptionValue()
		if text, ok := v.Value.(string); ok {
			out[v.Key] = text
		}
	}
	return out
}
