package vsphere

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const testNode = "DC0_C0_H0"

// newRequest asks for a VM with two interfaces on a vCenter.
func newRequest() providers.CreateVMRequest {
	id := models.NewID()
	end := id[len(id)-6:]
	mac := func(first string) string {
		return first + ":50:56:" + end[:2] + ":" + end[2:4] + ":" + end[4:]
	}
	return providers.CreateVMRequest{
		VMID: id, Name: "VM of " + end, Node: testNode, VCPUs: 2, MemoryMiB: 512, DiskGiB: 3,
		Image: models.ImageBinding{Ref: vspheresim.Template},
		NICs: []providers.NIC{
			{Network: models.NetworkBinding{Ref: vspheresim.Network}, MAC: mac("00")},
			{Network: models.NetworkBinding{Ref: vspheresim.Portgroup}, MAC: mac("02"), IPAddress: "192.0.2.7", PrefixLength: 24, Gateway: "192.0.2.1"},
		},
		CloudInit: providers.CloudInit{Hostname: "guest", SSHKeys: []string{"ssh-ed25519 AAAA test"}, UserData: []byte("#cloud-config\n")},
	}
}

func openPeer(t *testing.T, opts vspheresim.Options) (*vspheresim.Server, *Provider) {
	t.Helper()
	s := newPeer(t, opts)
	return s, openWith(t, testConfig(s, nil))
}

// settle waits until a task is done, and fails the test when it failed. A task that
// is forgotten is done: what follows looks at what it has come to.
func settle(t *testing.T, p *Provider, task providers.TaskRef) {
	t.Helper()
	require.NoError(t, outcome(t, p, task))
}

func outcome(t *testing.T, p *Provider, task providers.TaskRef) error {
	t.Helper()
	var end error
	eventually(t, "the task is done", func() bool {
		st, err := p.PollTask(t.Context(), task)
		if providers.CodeOf(err) == providers.NotFound {
			return true
		}
		require.NoError(t, err)
		end = st.Err
		return st.Done
	})
	return end
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// made makes the VM of a request.
func made(t *testing.T, p *Provider, req providers.CreateVMRequest) *machine {
	t.Helper()
	var m *machine
	eventually(t, "the VM is made", func() bool {
		ref, task, err := p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, providers.VMRef(req.VMID), ref)
		settle(t, p, task)
		var failure *providers.Error
		m, failure = p.find(t.Context(), "Test", req.VMID)
		require.Nil(t, failure)
		return m != nil && !m.Mark.Making
	})
	return m
}

func found(t *testing.T, p *Provider, vmID string) *machine {
	t.Helper()
	m, err := p.find(t.Context(), "Test", vmID)
	require.Nil(t, err)
	require.NotNil(t, m, "the VM is not there")
	return m
}

func gone(t *testing.T, p *Provider, vmID string) {
	t.Helper()
	left, err := p.Leftovers(t.Context(), vmID)
	require.NoError(t, err)
	require.Empty(t, left)
}

func running(t *testing.T, p *Provider, req providers.CreateVMRequest) *machine {
	t.Helper()
	made(t, p, req)
	task, err := p.StartVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	m := found(t, p, req.VMID)
	require.Equal(t, models.PowerRunning, m.power())
	return m
}

// wantAsAsked compares a VM with what was asked for.
func wantAsAsked(t *testing.T, m *machine, req providers.CreateVMRequest) {
	t.Helper()
	require.False(t, m.Mark.Making)
	require.Equal(t, req.Name, m.Mark.Name)
	require.Equal(t, models.PowerStopped, m.power())
	require.Equal(t, req.VCPUs, int(m.VM.Config.Hardware.NumCPU))
	require.Equal(t, req.MemoryMiB, int(m.VM.Config.Hardware.MemoryMB))
	require.Equal(t, req.DiskGiB, diskSize(firstDisk(&m.VM)))
	var have, want []string
	for _, card := range cards(&m.VM) {
		have = append(have, macOf(card))
	}
	for _, nic := range req.NICs {
		want = append(want, strings.ToLower(nic.MAC))
	}
	require.Equal(t, want, have)
	extra := extraOf(m.VM.Config.ExtraConfig)
	guest, err := guestInfo(req)
	require.NoError(t, err)
	for _, o := range guest {
		v := o.GetOptionValue()
		require.Equal(t, v.Value, extra[v.Key], v.Key)
	}
}

func TestCreateMakesTheVMThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Machines: 2})
	req := newRequest()
	m := made(t, p, req)
	wantAsAsked(t, m, req)
	require.True(t, strings.HasPrefix(m.VM.Name, "vm-of-"))
	require.True(t, strings.HasSuffix(m.VM.Name, req.VMID[24:]))
	require.Equal(t, 1, s.Count("CloneVM_Task"))

	again, task, err := openWith(t, testConfig(s, nil)).CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, providers.VMRef(req.VMID), again)
	require.Empty(t, task)
	require.Equal(t, 1, s.Count("CloneVM_Task"))

	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Len(t, left, 2)
	require.Equal(t, "vm", left[0].Type)
	require.Equal(t, "disk", left[1].Type)

	task, err = p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	gone(t, p, req.VMID)
	task, err = p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	require.Empty(t, task)
}

// TestImagesAreNamedInFourWays shows that each leads to the template.
func TestImagesAreNamedInFourWays(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{Machines: 1})
	byName, err := p.template(t.Context(), "Test", vspheresim.Template)
	require.Nil(t, err)
	for _, ref := range []string{
		"/DC0/vm/" + vspheresim.Template, "DC0/vm/" + vspheresim.Template, byName.Self.Value, byName.Config.InstanceUuid,
		strings.ToUpper(byName.Config.InstanceUuid),
	} {
		vm, err := p.template(t.Context(), "Test", ref)
		require.Nil(t, err, ref)
		require.Equal(t, byName.Self, vm.Self, ref)
	}
	for _, ref := range []string{"not-there", "/DC0/vm/not-there", "/DC0/vm", "vm-999999", models.NewID(), "DC0_C0_RP0_VM1"} {
		_, err := p.template(t.Context(), "Test", ref)
		require.NotNil(t, err, ref)
		require.Equal(t, providers.NotFound, err.Code, ref)
	}
}

func TestGuestInfoIsWhatCloudInitReads(t *testing.T) {
	t.Parallel()
	req := newRequest()
	options, err := guestInfo(req)
	require.NoError(t, err)
	values := extraOf(options)
	require.Equal(t, "gzip+base64", values["guestinfo.metadata.encoding"])
	require.Equal(t, "gzip+base64", values["guestinfo.userdata.encoding"])
	require.Equal(t, "#cloud-config\n", unpacked(t, values["guestinfo.userdata"]))
	require.JSONEq(t, `{
		"instance-id": "`+req.VMID+`", "local-hostname": "guest", "public-keys-data": "ssh-ed25519 AAAA test\n",
		"network": {"version": 2, "ethernets": {
			"nic0": {"match": {"macaddress": "`+req.NICs[0].MAC+`"}, "dhcp4": true},
			"nic1": {"match": {"macaddress": "`+req.NICs[1].MAC+`"}, "dhcp4": false, "addresses": ["192.0.2.7/24"],
				"routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}]}
		}}}`, unpacked(t, values["guestinfo.metadata"]))

	req.CloudInit = providers.CloudInit{}
	options, err = guestInfo(req)
	require.NoError(t, err)
	values = extraOf(options)
	require.Empty(t, values["guestinfo.userdata"])
	require.Empty(t, values["guestinfo.userdata.encoding"])
}

// TestTheTemplatesInterfacesAreNotTheVMs shows that what a template brings of interfaces is
// not in the VM.
func TestTheTemplatesInterfacesAreNotTheVMs(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	req.NICs = nil
	m := made(t, p, req)
	require.Empty(t, cards(&m.VM))
	src, err := p.template(t.Context(), "Test", vspheresim.Template)
	require.Nil(t, err)
	require.NotEmpty(t, cards(src))
}

func TestRequestsThatCanNeverSucceed(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	for name, bad := range map[string]struct {
		spoil func(*providers.CreateVMRequest)
		code  providers.Code
	}{
		"memory that is no multiple": {func(r *providers.CreateVMRequest) { r.MemoryMiB = 513 }, providers.InvalidArgument},
		"a disk below the image's":   {func(r *providers.CreateVMRequest) { r.DiskGiB = 1 }, providers.InvalidArgument},
		"one MAC twice":              {func(r *providers.CreateVMRequest) { r.NICs[1].MAC = r.NICs[0].MAC }, providers.InvalidArgument},
		"a key of two lines":         {func(r *providers.CreateVMRequest) { r.CloudInit.SSHKeys = []string{"a\nb"} }, providers.InvalidArgument},
		"a control character":        {func(r *providers.CreateVMRequest) { r.Name = "a\x01b" }, providers.InvalidArgument},
		"an unknown node":            {func(r *providers.CreateVMRequest) { r.Node = "not-there" }, providers.NotFound},
		"an unknown image":           {func(r *providers.CreateVMRequest) { r.Image.Ref = "not-there" }, providers.NotFound},
		"an unknown network":         {func(r *providers.CreateVMRequest) { r.NICs[0].Network.Ref = "not-there" }, providers.NotFound},
	} {
		req := newRequest()
		bad.spoil(&req)
		_, _, err := p.CreateVM(t.Context(), req)
		wantCode(t, name, err, bad.code)
	}
	require.Zero(t, s.Count("CloneVM_Task"))
}

func TestPower(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	target := providers.Target{VMID: req.VMID}
	task, err := p.StartVM(t.Context(), target)
	require.NoError(t, err)
	require.Empty(t, task)

	for _, mode := range []models.PowerMode{models.ModeForce, models.ModeGraceful} {
		for range 2 {
			task, err = p.StopVM(t.Context(), target, mode)
			require.NoError(t, err)
			settle(t, p, task)
			require.Equal(t, models.PowerStopped, found(t, p, req.VMID).power())
		}
		task, err = p.StartVM(t.Context(), target)
		require.NoError(t, err)
		settle(t, p, task)
	}
	require.Equal(t, 1, s.Count("PowerOffVM_Task"))
	require.Equal(t, 1, s.Count("ShutdownGuest"))
}

// TestToolsThatDoNotRunAreNoFailure shows that a guest that cannot be asked is one
// that does not obey: the caller's time limit decides.
func TestToolsThatDoNotRunAreNoFailure(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	s.Service.AddFaultRule(faultOf("ShutdownGuest", &types.ToolsUnavailable{}))
	task, err := p.StopVM(t.Context(), providers.Target{VMID: req.VMID}, models.ModeGraceful)
	require.NoError(t, err)
	st, err := p.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	task, err = p.StopVM(t.Context(), providers.Target{VMID: req.VMID}, models.ModeForce)
	require.NoError(t, err)
	settle(t, p, task)
	require.Equal(t, models.PowerStopped, found(t, p, req.VMID).power())
}

// faultOf refuses every call of a method with a fault.
func faultOf(method string, fault types.BaseMethodFault) *simulator.FaultInjectionRule {
	return &simulator.FaultInjectionRule{
		MethodName: method, ObjectType: "*", ObjectName: "*", Probability: 1, Enabled: true,
		FaultType: simulator.FaultTypeCustom, Fault: fault,
	}
}

func unpacked(t *testing.T, value string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(value)
	require.NoError(t, err)
	r, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}
