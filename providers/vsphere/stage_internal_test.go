package vsphere

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// ground is a hypervisor with another's VM, on which one operation after the other is
// swept.
type ground struct {
	*vspheresim.Server
	esxi    bool
	request func() providers.CreateVMRequest
	tidy    *process // makes and removes what the sweep is not about
	others  map[string]string
	files   []string
}

// stage is a ground with a VM of ours.
type stage struct {
	*ground
	sweeps.Subject
	effects map[string]int // tasks that did their work, by type, before
}

func newGround(t *testing.T, opts vspheresim.Options, request func() providers.CreateVMRequest) *ground {
	t.Helper()
	g := &ground{Server: newPeer(t, opts), esxi: opts.ESXi, request: request}
	g.tidy = newProcess(t, g.Server)
	req := request()
	cfg := testConfig(g.Server, nil)
	cfg.InstallationID = "installation-2"
	made(t, openWith(t, cfg), req)
	g.others, g.files = g.foreign(t), g.everything(t)
	return g
}

func (g *ground) stage(t *testing.T, o *sweepOp) *stage {
	t.Helper()
	s := &stage{ground: g, Subject: sweeps.NewSubject(g.request(), g.request(), g.request().NICs[0], "DC0_C0_H1")}
	for _, step := range o.before {
		s.do(t, step)
	}
	s.idle(t)
	s.effects = s.done(t)
	return s
}

func (s *stage) do(t *testing.T, step sweeps.Step) {
	t.Helper()
	_, err := s.tidy.drive(t, step(&s.Subject), "")
	require.NoError(t, err)
}

func (s *stage) process(t *testing.T) *process {
	t.Helper()
	return newProcess(t, s.Server)
}

// each calls f with each VM of the simulator, which does not change meanwhile.
func (g *ground) each(t *testing.T, f func(*simulator.VirtualMachine)) {
	t.Helper()
	ctx := &simulator.Context{Context: t.Context(), Map: g.Model.Map()}
	for _, e := range g.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok {
			ctx.WithLock(vm, func() { f(vm) })
		}
	}
}

// foreign are the VMs that are not ours, as they are configured.
func (g *ground) foreign(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	g.each(t, func(vm *simulator.VirtualMachine) {
		if extraOf(vm.Config.ExtraConfig)[keyInstallation] == testInstallation {
			return
		}
		raw, err := json.Marshal([]any{vm.Config, vm.Runtime, vm.Snapshot, vm.Name, vm.Parent})
		require.NoError(t, err)
		// The simulator's VMs share one PCI controller with its list of what is at it.
		out[vm.Self.Value] = regexp.MustCompile(`("busNumber":\d+),"device":\[[^\]]*\]`).ReplaceAllString(string(raw), "$1")
	})
	return out
}

// wantOthers proves that the VMs that are not ours are as they were.
func (g *ground) wantOthers(t *testing.T) {
	t.Helper()
	now := g.foreign(t)
	require.Len(t, now, len(g.others))
	for ref, config := range g.others {
		if now[ref] != config {
			t.Errorf("%s was changed: it is %s, was %s", ref, now[ref], config)
		}
	}
}

// ours are the VMs that bear our mark, whether they are complete or not.
func (g *ground) ours(t *testing.T) (out []string) {
	t.Helper()
	g.each(t, func(vm *simulator.VirtualMachine) {
		if values := extraOf(vm.Config.ExtraConfig); values[keyInstallation] == testInstallation {
			out = append(out, values[keyVMID])
		}
	})
	return out
}

// everything are all files of the datastores.
func (g *ground) everything(t *testing.T) (out []string) {
	t.Helper()
	for _, e := range g.Model.Map().All("Datastore") {
		ds, ok := e.(*simulator.Datastore)
		require.True(t, ok)
		require.NoError(t, filepath.WalkDir(ds.Summary.Url, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				out = append(out, path)
			}
			return err
		}))
	}
	slices.Sort(out)
	return out
}

// tasks calls f with each task, newest last.
func (g *ground) tasks(t *testing.T, f func(types.TaskInfo)) {
	t.Helper()
	ctx := &simulator.Context{Context: t.Context(), Map: g.Model.Map()}
	for _, e := range g.Model.Map().AllReference("Task") {
		task, ok := e.(*simulator.Task)
		require.True(t, ok)
		var info types.TaskInfo
		ctx.WithLock(task, func() { info = task.Info })
		f(info)
	}
}

// idle waits until the server has no task at work.
func (g *ground) idle(t *testing.T) {
	t.Helper()
	eventually(t, "no task is at work", func() bool {
		rests := true
		g.tasks(t, func(info types.TaskInfo) { rests = rests && !atWork(info) })
		return rests
	})
}

// done counts the tasks that did their work, by type.
func (g *ground) done(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	g.tasks(t, func(info types.TaskInfo) {
		if info.State == types.TaskInfoStateSuccess {
			out[info.DescriptionId]++
		}
	})
	return out
}

// wantEffect proves how often something was done since the stage was set.
func (s *stage) wantEffect(t *testing.T, kind string, want int) {
	t.Helper()
	s.idle(t)
	require.Equal(t, want, s.done(t)[kind]-s.effects[kind], "how often it came to %s", kind)
}

// wantWhole proves that the VMs are there once, and no disk that none of them has.
func (s *stage) wantWhole(t *testing.T, ids ...string) {
	t.Helper()
	s.idle(t)
	require.ElementsMatch(t, ids, s.ours(t))
	known := map[string]bool{}
	for _, id := range ids {
		m := found(t, s.tidy.Provider, id)
		require.False(t, m.Mark.Making)
		macs := map[string]bool{}
		for _, card := range cards(&m.VM) {
			require.False(t, macs[macOf(card)], "two interfaces of one MAC")
			macs[macOf(card)] = true
		}
		files := m.keptFiles()
		for _, d := range m.disks() {
			files = append(files, fileOf(d))
		}
		for _, file := range files {
			require.False(t, known[onDatastore(t, s.Server, file)], "%s is the disk of two", file)
			known[onDatastore(t, s.Server, file)] = true
		}
	}
	for _, file := range s.everything(t) {
		// The simulator leaves the file of a disk that a clone was not to have.
		if regexp.MustCompile(`(-flat|_\d+)\.vmdk$`).MatchString(file) {
			continue
		}
		if strings.HasSuffix(file, ".vmdk") && !slices.Contains(s.files, file) {
			require.True(t, known[file], "%s is a disk that no VM knows", file)
		}
	}
	s.wantOthers(t)
}

// wantNothing removes what is there and proves that nothing stays.
func (s *stage) wantNothing(t *testing.T) {
	t.Helper()
	for _, id := range s.ours(t) {
		s.do(t, func(*sweeps.Subject) sweeps.Call { return sweeps.RemoveVM(id) })
	}
	gone(t, s.tidy.Provider, s.Req.VMID)
	s.idle(t)
	require.Empty(t, s.ours(t))
	require.Equal(t, s.files, s.everything(t))
	s.wantOthers(t)
}
