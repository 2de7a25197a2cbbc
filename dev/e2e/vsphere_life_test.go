package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
)

const (
	gib          = int64(1) << 30
	lifeUserData = "#cloud-config\npackages: [nginx]\n"
	lifeKey      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3tTb0Yk2pJZ8V0rQmC4nVqfQkD7h9wL1xS5uGzB6aP ada@example.org"
)

// vsphereLife takes a VM through everything that the API has, and looks at the
// hypervisor after each.
func vsphereLife(t *testing.T, p *instance, hv *vsphereServer) {
	t.Helper()
	c := p.tenant()
	var a accepted
	body := vsphereBody("life")
	body["user_data"], body["ssh_keys"] = lifeUserData, []string{lifeKey}
	body["networks"] = []map[string]any{{"network_id": "vc-net"}, {"network_id": "vc-standard"}}
	c.call(t, http.MethodPost, c.vms(), body, http.StatusAccepted, &a)
	succeed(t, c, a)
	l := &vsphereVM{guest: guest{client: c, id: a.VMID}, hv: hv}
	l.isConfigured(t)
	l.changesPower(t)
	l.sleeps(t)
	l.grows(t)
	l.goesBack(t)
	l.takesDevices(t)
	l.isCloned(t)
	l.isRebuilt(t)
	if !hv.options.ESXi {
		l.moves(t, p)
	}
	l.isSeen(t, p)
	t.Run("a console in a browser", func(t *testing.T) { l.isSeenInABrowser(t, p) })
	succeed(t, c, c.delete(t, a.VMID))
	require.Equal(t, "DELETED", c.vm(t, a.VMID).Status)
	require.Empty(t, hv.ours())
}

// vsphereVM is a VM of ours on the simulated server.
type vsphereVM struct {
	guest
	hv *vsphereServer
}

// on is the VM as the hypervisor has it.
func (l *vsphereVM) on(t *testing.T) *simulator.VirtualMachine {
	t.Helper()
	vm := l.hv.ours()[l.id]
	require.NotNil(t, vm)
	return vm
}

// runs demands that the API and the hypervisor say the same of its power.
func (l *vsphereVM) runs(t *testing.T, api string, native types.VirtualMachinePowerState) {
	t.Helper()
	requireVM(t, l.client, l.id, "ACTIVE", api)
	require.Equal(t, native, l.on(t).Runtime.PowerState)
}

func (l *vsphereVM) isConfigured(t *testing.T) {
	t.Helper()
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
	vm := l.on(t)
	require.Equal(t, l.id, vm.Config.InstanceUuid)
	require.Equal(t, int32(1), vm.Config.Hardware.NumCPU)
	require.Equal(t, int32(256), vm.Config.Hardware.MemoryMB)
	require.Equal(t, []int64{3 * gib}, disksOf(vm))
	require.Equal(t, lifeUserData, unpacked(t, vm, "guestinfo.userdata"))
	var meta struct {
		Hostname string `json:"local-hostname"`
		Keys     string `json:"public-keys-data"`
	}
	metadata := unpacked(t, vm, "guestinfo.metadata")
	require.NoError(t, json.Unmarshal([]byte(metadata), &meta), metadata)
	require.Equal(t, "life", meta.Hostname)
	require.Equal(t, lifeKey+"\n", meta.Keys)
	macs := macsOf(vm)
	require.Len(t, macs, 2)
	for _, mac := range macs {
		require.Contains(t, metadata, mac, "cloud-init knows the interface")
	}
}

func (l *vsphereVM) changesPower(t *testing.T) {
	t.Helper()
	l.does(t, http.MethodPost, ":stop", map[string]any{"mode": "graceful", "timeout": "PT60S"})
	l.runs(t, "STOPPED", types.VirtualMachinePowerStatePoweredOff)
	require.Equal(t, 1, l.hv.Count("ShutdownGuest"), "the guest was asked")
	require.Zero(t, l.hv.Count("PowerOffVM_Task"), "the plug stayed in")
	l.does(t, http.MethodPost, ":start", nil)
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
	l.does(t, http.MethodPost, ":reboot", map[string]any{"mode": "force"})
	require.Equal(t, 1, l.hv.Count("ResetVM_Task"))
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
}

func (l *vsphereVM) sleeps(t *testing.T) {
	t.Helper()
	l.does(t, http.MethodPost, ":suspend", nil)
	l.runs(t, "SUSPENDED", types.VirtualMachinePowerStateSuspended)
	l.does(t, http.MethodPost, ":resume", nil)
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
}

func (l *vsphereVM) grows(t *testing.T) {
	t.Helper()
	l.does(t, http.MethodPost, ":resize", map[string]any{"flavor_id": "vc-wide", "disk_gib": 4})
	vm := l.on(t)
	require.Equal(t, int32(2), vm.Config.Hardware.NumCPU)
	require.Equal(t, int32(512), vm.Config.Hardware.MemoryMB)
	require.Equal(t, []int64{4 * gib}, disksOf(vm))
}

func (l *vsphereVM) goesBack(t *testing.T) {
	t.Helper()
	snap := l.does(t, http.MethodPost, "/snapshots", map[string]any{"name": "a point <in> time", "memory": true}).ResourceID
	require.NotNil(t, l.on(t).Snapshot)
	l.does(t, http.MethodPost, ":stop", map[string]any{"mode": "force"})
	l.does(t, http.MethodPost, "/snapshots/"+snap+":revert", nil)
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
	l.does(t, http.MethodDelete, "/snapshots/"+snap, nil)
	require.True(t, l.on(t).Snapshot == nil || len(l.on(t).Snapshot.RootSnapshotList) == 0)
}

func (l *vsphereVM) takesDevices(t *testing.T) {
	t.Helper()
	disk := l.does(t, http.MethodPost, "/disks", map[string]any{"name": "data", "size_gib": 1}).ResourceID
	require.Equal(t, []int64{4 * gib, gib}, disksOf(l.on(t)))
	l.does(t, http.MethodDelete, "/disks/"+disk, nil)
	require.Equal(t, []int64{4 * gib}, disksOf(l.on(t)))

	before := macsOf(l.on(t))
	nic := l.does(t, http.MethodPost, "/nics", map[string]any{"network_id": "vc-net"}).ResourceID
	require.Len(t, macsOf(l.on(t)), len(before)+1)
	l.does(t, http.MethodDelete, "/nics/"+nic, nil)
	require.Equal(t, before, macsOf(l.on(t)))
}

func (l *vsphereVM) isCloned(t *testing.T) {
	t.Helper()
	l.does(t, http.MethodPost, ":stop", map[string]any{"mode": "force"})
	clone := &vsphereVM{hv: l.hv, guest: guest{client: l.client}}
	clone.id = l.does(t, http.MethodPost, ":clone", map[string]any{"name": "twin"}).ResourceID
	clone.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
	vm := clone.on(t)
	require.Equal(t, clone.id, vm.Config.InstanceUuid)
	require.Equal(t, []int64{4 * gib}, disksOf(vm))
	for _, mac := range macsOf(vm) {
		require.NotContains(t, macsOf(l.on(t)), mac)
	}
	succeed(t, l.client, l.client.delete(t, clone.id))
	require.Len(t, l.hv.ours(), 1)
}

func (l *vsphereVM) isRebuilt(t *testing.T) {
	t.Helper()
	old := backingOf(l.on(t))
	l.does(t, http.MethodPost, ":rebuild", map[string]any{"image_id": "debian"})
	require.NotEqual(t, old, backingOf(l.on(t)), "another disk")
	require.Len(t, disksOf(l.on(t)), 1)
	l.does(t, http.MethodPost, ":start", nil)
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
}

// moves: to the other host as it runs, and back as it does not.
func (l *vsphereVM) moves(t *testing.T, p *instance) {
	t.Helper()
	ops := p.ops()
	nodes := nodesOf(t, ops, "vc")
	require.Len(t, nodes, 2)
	home, host := nodeOf(t, ops, l.id), *l.on(t).Runtime.Host
	away := nodes[0]
	if away == home {
		away = nodes[1]
	}
	migrate(t, ops, l.id, map[string]any{"node_id": away, "mode": "live"})
	require.Equal(t, away, nodeOf(t, ops, l.id))
	require.NotEqual(t, host, *l.on(t).Runtime.Host)
	l.runs(t, "RUNNING", types.VirtualMachinePowerStatePoweredOn)
	l.does(t, http.MethodPost, ":stop", map[string]any{"mode": "force"})
	migrate(t, ops, l.id, nil) // the scheduler chooses: there is one other node
	require.Equal(t, home, nodeOf(t, ops, l.id))
	require.Equal(t, host, *l.on(t).Runtime.Host)
	l.does(t, http.MethodPost, ":start", nil)
}

// isSeen: the gateway takes a ticket to the VM's screen, once. The hypervisor's own
// ticket stays on our side.
func (l *vsphereVM) isSeen(t *testing.T, p *instance) {
	t.Helper()
	x := openConsole(t, l.client, l.id, "vnc")
	width, height, pixels := seeScreen(t, p, x)
	requireText(t, width, height, pixels)
	require.Equal(t, http.StatusGone, p.dial(t, x, nil), "a ticket is good for one connection")
}

// isSeenInABrowser: the page of the console shows the screen, and sends what is typed.
func (l *vsphereVM) isSeenInABrowser(t *testing.T, p *instance) {
	t.Helper()
	page := browsertest.Start(t).Open(t, p.APIURL, browsertest.Look{})
	require.Equal(t, http.StatusOK, page.Goto(openConsole(t, l.client, l.id, "vnc").path(t, p)))
	page.Await("document.querySelector('#app').dataset.state", "connected")
	const lit = `(()=>{const c=document.querySelector('#stage canvas');const d=c.getContext('2d').getImageData(0,0,c.width,c.height).data;` +
		`let n=0;for(let i=0;i<d.length;i+=4)if(d[i]>100&&d[i+1]>100&&d[i+2]>100)n++;return n})()`
	page.Await(lit+" > 100", true)
	page.Type("hostname")
	page.Press("Enter")
	var before, after int
	page.Eval(lit, &before)
	page.Type("echo typed")
	eventually(t, jobLimit, func() error { // what is typed comes back from the guest
		if page.Eval(lit, &after); after <= before {
			return fmt.Errorf("%d pixels are lit, as before", after)
		}
		return nil
	})
	page.Screenshot("console-vsphere")
	page.Clean()
}

// disksOf are the sizes of a VM's disks, in bytes.
func disksOf(vm *simulator.VirtualMachine) (out []int64) {
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			out = append(out, disk.CapacityInBytes)
		}
	}
	return out
}

// backingOf is the file of a VM's first disk.
func backingOf(vm *simulator.VirtualMachine) string {
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			if file, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
				return file.GetVirtualDeviceFileBackingInfo().FileName
			}
		}
	}
	return ""
}

// macsOf are the addresses of a VM's interfaces, in order.
func macsOf(vm *simulator.VirtualMachine) (out []string) {
	for _, d := range vm.Config.Hardware.Device {
		if card, ok := d.(types.BaseVirtualEthernetCard); ok {
			out = append(out, card.GetVirtualEthernetCard().MacAddress)
		}
	}
	slices.Sort(out)
	return out
}

// unpacked is what cloud-init in the guest reads under a key.
func unpacked(t *testing.T, vm *simulator.VirtualMachine, key string) string {
	t.Helper()
	require.Equal(t, "gzip+base64", extraOf(vm, key+".encoding"))
	packed, err := base64.StdEncoding.DecodeString(extraOf(vm, key))
	require.NoError(t, err)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	raw, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(raw)
}
