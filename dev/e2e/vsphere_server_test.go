package e2e_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// strangers is how many VMs of others there are.
const strangers = 3

// vsphereServer is a simulated vCenter, or ESXi host, in the process of the test:
// what is on it can be looked at to the last byte.
type vsphereServer struct {
	*vspheresim.Server
	simadmin.Admin
	options vspheresim.Options
	// foreign are the templates and others' VMs, by reference.
	foreign map[string]string
}

func startVSphere(t *testing.T, o vspheresim.Options) *vsphereServer {
	t.Helper()
	o.Machines, o.NodeVCPUs, o.NodeMemoryMiB = strangers, 64, 256<<10
	s, err := vspheresim.Start(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	hv := &vsphereServer{Server: s, options: o, Admin: simadmin.Admin{URL: s.URL(), Client: trusting(t, s.Thumbprint())}}
	hv.runOne(t)
	hv.foreign = hv.machines(t)
	require.Len(t, hv.foreign, strangers+1)
	return hv
}

// runOne starts one of the others' VMs.
func (hv *vsphereServer) runOne(t *testing.T) {
	t.Helper()
	c, err := hv.Server.Client(t.Context())
	require.NoError(t, err)
	for _, e := range hv.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		require.True(t, ok)
		if vm.Name == vspheresim.Template {
			continue
		}
		task, err := object.NewVirtualMachine(c, vm.Self).PowerOn(t.Context())
		require.NoError(t, err)
		require.NoError(t, task.Wait(t.Context()))
		return
	}
	t.Fatal("there is no VM of others")
}

// machines are all VMs with all that is known of them, by reference. Left out are the
// tasks that an object had lately, as a template has those of its clones, and the
// controllers: the library's simulator has one list of devices for those of all VMs.
func (hv *vsphereServer) machines(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	hv.each(func(vm *simulator.VirtualMachine) {
		known, config := vm.VirtualMachine, *vm.Config
		known.RecentTask, known.Config = nil, &config
		config.Hardware.Device = slices.DeleteFunc(slices.Clone(config.Hardware.Device), func(d types.BaseVirtualDevice) bool {
			_, controls := d.(types.BaseVirtualController)
			return controls
		})
		raw, err := json.MarshalIndent(known, "", " ")
		require.NoError(t, err)
		out[vm.Self.Value] = string(raw)
	})
	return out
}

// requireForeign demands that others' VMs are what they were, to the last byte, and
// that there are so many of ours beside them.
func (hv *vsphereServer) requireForeign(t *testing.T, ours int) {
	t.Helper()
	now := hv.machines(t)
	require.Len(t, now, len(hv.foreign)+ours, "VMs: %v", slices.Sorted(maps.Keys(now)))
	for ref, was := range hv.foreign {
		is := strings.Split(now[ref], "\n")
		for i, line := range strings.Split(was, "\n") {
			require.Equal(t, line, is[min(i, len(is)-1)], "%s was touched: line %d", ref, i)
		}
		require.Len(t, now[ref], len(was), ref)
	}
}

// ours are the VMs that bear our mark, by the VM's ID.
func (hv *vsphereServer) ours() map[string]*simulator.VirtualMachine {
	out := map[string]*simulator.VirtualMachine{}
	hv.each(func(vm *simulator.VirtualMachine) {
		if id := extraOf(vm, "hcp.vm_id"); id != "" {
			out[id] = vm
		}
	})
	return out
}

// extraOf is a value of a VM's extra configuration.
func extraOf(vm *simulator.VirtualMachine, key string) string {
	for _, o := range vm.Config.ExtraConfig {
		if v := o.GetOptionValue(); v.Key == key {
			text, _ := v.Value.(string)
			return text
		}
	}
	return ""
}

// each looks at every VM, while nobody changes it.
func (hv *vsphereServer) each(see func(vm *simulator.VirtualMachine)) {
	for _, e := range hv.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok {
			hv.Model.Map().WithLock(hv.Service.Context, vm, func() { see(vm) })
		}
	}
}

// files are what is on the datastores, with the size of each file.
func (hv *vsphereServer) files(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, e := range hv.Model.Map().All("Datastore") {
		ds, ok := e.(*simulator.Datastore)
		require.True(t, ok)
		dir := strings.TrimPrefix(ds.Info.GetDatastoreInfo().Url, "file://")
		require.DirExists(t, dir)
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil || entry.IsDir() {
				out[path+"/"] = 0
				return err
			}
			out[path] = info.Size()
			return nil
		}))
	}
	return out
}

// look remembers what is there. What it returns demands that nothing was added, and
// that nobody's VM is different by a byte.
func (hv *vsphereServer) look(t *testing.T) (left func(p *instance)) {
	t.Helper()
	files := hv.files(t)
	return func(p *instance) {
		t.Helper()
		if t.Failed() {
			return
		}
		hv.requireForeign(t, 0)
		require.Equal(t, files, hv.files(t), "no file of ours is left")
		require.Zero(t, reservations(t, p, ""))
	}
}

// registerVSphere makes the vCenter or the host known, as an operator does.
func registerVSphere(t *testing.T, p *instance, hv *vsphereServer) {
	t.Helper()
	ops := p.ops()
	made := func(path string, body map[string]any) {
		ops.call(t, http.MethodPost, "/ops/v1/"+path, body, http.StatusCreated, nil)
	}
	made("zones", map[string]any{"id": "vc-zone", "name": "vSphere"})
	var sync accepted
	ops.call(t, http.MethodPost, "/ops/v1/providers", map[string]any{
		"id": "vc", "name": "vCenter", "kind": "vsphere", "url": hv.Server.URL(), "zone_id": "vc-zone",
		"options":     map[string]string{"thumbprint": hv.Thumbprint(), "credential_cool_down": coolDown.String()},
		"credentials": map[string]any{"username": vspheresim.Username, "password": vspheresim.Password},
	}, http.StatusAccepted, &sync)
	ops.done(t, sync.JobID)
	made("images", map[string]any{
		"id": "debian", "name": "Debian", "bindings": []map[string]any{{"provider_id": "vc", "ref": vspheresim.Template}},
	})
	made("flavors", map[string]any{"id": "vc-small", "name": "Small on vSphere", "vcpus": 1, "memory_mib": 256, "disk_gib": 3})
	made("flavors", map[string]any{"id": "vc-wide", "name": "Wide on vSphere", "vcpus": 2, "memory_mib": 512, "disk_gib": 3})
	network := vspheresim.Portgroup
	if hv.options.ESXi {
		network = vspheresim.Network // a host that stands alone has no distributed ones
	}
	for id, ref := range map[string]string{"vc-net": network, "vc-standard": vspheresim.Network} {
		made("networks", map[string]any{"id": id, "name": id, "bindings": []map[string]any{{"provider_id": "vc", "ref": ref}}})
	}
	ops.setQuota(t, stack.DemoProject, map[string]any{"vms": 2 * racing, "vcpus": 2 * racing})
}

func createOnVSphere(t *testing.T, c client, name string) accepted {
	t.Helper()
	var a accepted
	c.call(t, http.MethodPost, c.vms(), vsphereBody(name), http.StatusAccepted, &a)
	return a
}

func vsphereBody(name string) map[string]any {
	return map[string]any{
		"name": name, "image_id": "debian", "flavor_id": "vc-small",
		"networks": []map[string]any{{"network_id": "vc-net"}}, "placement": map[string]any{"zone": "vc-zone"},
	}
}
