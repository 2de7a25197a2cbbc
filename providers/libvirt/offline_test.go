package libvirt_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// TestStoppedGuest does to one guest what a VM that is off can be asked for, and
// believes the guest when it runs again.
func TestStoppedGuest(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.guestRequest()
	f.vm(t, p, req)
	f.start(t, p, req, 1)
	require.Equal(t, "ok", f.server.Ask(t, req.VMID, "write of-the-source"))

	for _, refused := range []func() (providers.TaskRef, error){
		func() (providers.TaskRef, error) {
			return p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 2, MemoryMiB: 320, DiskGiB: 2})
		},
		func() (providers.TaskRef, error) { return p.RebuildVM(t.Context(), req, "job-0") },
		func() (providers.TaskRef, error) {
			return p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: models.NewID()})
		},
		func() (providers.TaskRef, error) {
			_, task, err := p.CloneVM(t.Context(), target(req), f.request(t, p))
			return task, err
		},
	} {
		_, err := refused()
		requireCode(t, providers.FailedPrecondition, err)
	}
	task, err := p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 160, DiskGiB: 1})
	f.settle(t, task, err)
	f.stop(t, p, req)

	t.Run("clone", func(t *testing.T) { f.cloneOf(t, p, req) })
	t.Run("resize", func(t *testing.T) { f.resize(t, p, req, 2) })
	t.Run("snapshot", func(t *testing.T) { f.offSnapshot(t, p, req, 3) })
	t.Run("rebuild", func(t *testing.T) { f.rebuild(t, p, req, 4) })
	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	f.requireNothing(t, p, req.VMID)
}

// backing returns the file that a qcow2 of the pool stands on, as qemu-img has it.
func (f *fixture) backing(t *testing.T, volume string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "-U", "--output=json", filepath.Join(f.server.PoolDir, volume)).Output()
	require.NoError(t, err)
	var info struct {
		Backing string `json:"backing-filename"`
	}
	require.NoError(t, json.Unmarshal(out, &info))
	return info.Backing
}

func (f *fixture) cloneOf(t *testing.T, p *libvirt.Provider, source providers.CreateVMRequest) {
	req := f.guestRequest()
	req.CloudInit.Hostname, req.DiskGiB, req.Image = "the-clone", 2, models.ImageBinding{}
	t.Cleanup(func() {
		_, err := p.DeleteVM(context.WithoutCancel(t.Context()), target(req))
		require.NoError(t, err)
	})
	for range 2 {
		ref, task, err := p.CloneVM(t.Context(), target(source), req)
		f.settle(t, task, err)
		require.Equal(t, providers.VMRef(req.VMID), ref)
		requireComplete(t, p, req)
	}
	require.NotEmpty(t, f.backing(t, f.rootName(t, p, source.VMID)), "the source is a linked clone")
	require.Empty(t, f.backing(t, f.rootName(t, p, req.VMID)), "the clone stands on nothing")
	f.start(t, p, req, 1)
	require.Equal(t, req.VMID+" the-clone", f.server.Ask(t, req.VMID, "id"))
	require.Equal(t, "of-the-source", f.server.Ask(t, req.VMID, "read"))
	require.Equal(t, "ok", f.server.Ask(t, req.VMID, "write of-the-clone"))
	require.True(t, strings.HasPrefix(f.server.Ask(t, req.VMID, "disks"), "vda:2048:"))

	_, _, err := p.CloneVM(t.Context(), providers.Target{VMID: models.NewID()}, f.request(t, p))
	requireCode(t, providers.NotFound, err)
	_, err = p.DeleteVM(t.Context(), target(req))
	require.NoError(t, err)
	f.requireNothing(t, p, req.VMID)
	requireComplete(t, p, source)
}

func (f *fixture) resize(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest, nth int) {
	to := providers.Shape{VCPUs: 2, MemoryMiB: 320, DiskGiB: 3}
	for range 2 {
		task, err := p.ResizeVM(t.Context(), target(req), to)
		f.settle(t, task, err)
	}
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, to, providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB})
	f.start(t, p, req, nth)
	require.Equal(t, "2", f.server.Ask(t, req.VMID, "nproc"))
	require.Contains(t, f.server.Ask(t, req.VMID, "disks"), "vda:3072:")
	require.Equal(t, "of-the-source", f.server.Ask(t, req.VMID, "read"), "not of the clone, and nothing is lost")
	f.stop(t, p, req)

	task, err := p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 160, DiskGiB: 1})
	f.settle(t, task, err)
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, providers.Shape{VCPUs: 1, MemoryMiB: 160, DiskGiB: 3},
		providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB}, "a disk never shrinks")
	_, err = p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 160})
	requireCode(t, providers.InvalidArgument, err)
}

func (f *fixture) offSnapshot(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest, nth int) {
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	task, err := p.AttachDisk(t.Context(), target(req), disk)
	f.settle(t, task, err)
	id := models.NewID()
	for range 2 {
		task, err := p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id})
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerStopped)
	}
	f.start(t, p, req, nth)
	for _, command := range []string{"write lost", "write @" + disk.ID[:20] + " lost"} {
		require.Equal(t, "ok", f.server.Ask(t, req.VMID, command))
	}
	_, err = p.RevertSnapshot(t.Context(), target(req), id, "job-1")
	requireCode(t, providers.FailedPrecondition, err)
	f.stop(t, p, req)
	_, err = p.RebuildVM(t.Context(), req, "job-1")
	requireCode(t, providers.FailedPrecondition, err)
	_, err = p.DetachDisk(t.Context(), target(req), disk.ID)
	requireCode(t, providers.FailedPrecondition, err)
	task, err = p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 192, DiskGiB: 4})
	f.settle(t, task, err)

	for range 2 {
		task, err = p.RevertSnapshot(t.Context(), target(req), id, "job-1")
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerStopped)
	}
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, providers.Shape{VCPUs: 1, MemoryMiB: 160, DiskGiB: 3},
		providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB}, "the VM has the size that it had then")
	f.start(t, p, req, nth+1)
	require.Equal(t, "of-the-source", f.server.Ask(t, req.VMID, "read"))
	require.Empty(t, f.server.Ask(t, req.VMID, "read @"+disk.ID[:20]), "data disks go back too")
	task, err = p.DeleteSnapshot(t.Context(), target(req), id)
	f.settle(t, task, err)
	f.stop(t, p, req)
	task, err = p.DetachDisk(t.Context(), target(req), disk.ID)
	require.NoError(t, err)
	require.Empty(t, task, "a VM that is off has nobody to ask")
}

func (f *fixture) rebuild(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest, nth int) {
	files := func() []string {
		entries, err := os.ReadDir(f.server.PoolDir)
		require.NoError(t, err)
		var out []string
		for _, e := range entries {
			if strings.Contains(e.Name(), req.VMID) {
				out = append(out, e.Name())
			}
		}
		return out
	}
	before := files()
	req.CloudInit.Hostname, req.DiskGiB = "rebuilt", 2
	for _, mode := range []models.CloneMode{models.CloneLinked, models.CloneFull} {
		req.Image.CloneMode = mode
		for range 2 {
			task, err := p.RebuildVM(t.Context(), req, "job-2")
			f.settle(t, task, err)
			requireComplete(t, p, req)
		}
		_, err := p.RebuildVM(t.Context(), req, "job-3")
		requireCode(t, providers.FailedPrecondition, err)
		for range 2 {
			task, err := p.RevertRebuild(t.Context(), target(req), "job-2")
			f.settle(t, task, err)
			require.Equal(t, before, files())
			vm, err := p.FindVM(t.Context(), req.VMID)
			require.NoError(t, err)
			require.Equal(t, 3, vm.DiskGiB)
			require.False(t, vm.Incomplete)
		}
	}
	task, err := p.RebuildVM(t.Context(), req, "job-2")
	f.settle(t, task, err)
	f.start(t, p, req, nth+1)
	require.Equal(t, req.VMID+" rebuilt", f.server.Ask(t, req.VMID, "id"))
	require.Empty(t, f.server.Ask(t, req.VMID, "read"))
	_, err = p.RevertRebuild(t.Context(), target(req), "job-2")
	requireCode(t, providers.FailedPrecondition, err)
	for range 2 {
		task, err = p.FinishRebuild(t.Context(), target(req), "job-2")
		f.settle(t, task, err)
		requirePower(t, p, req.VMID, models.PowerRunning)
		require.Len(t, files(), len(before))
		require.NotEqual(t, before, files())
	}
	after := files()
	for range 2 {
		task, err = p.RevertRebuild(t.Context(), target(req), "job-2")
		f.settle(t, task, err)
		task, err = p.RebuildVM(t.Context(), req, "job-2")
		f.settle(t, task, err)
		require.Equal(t, after, files(), "what is finished stays")
	}
	f.stop(t, p, req)
}

// TestResizeKeepsTheDefinition compares all that libvirt has of a domain, with what
// an operator has put there.
func TestResizeKeepsTheDefinition(t *testing.T) {
	f := env(t)
	p, c := f.open(t, f.server.URL, nil), f.client(t)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	dom, _ := f.domainOf(t, req.VMID)
	read := func() string {
		doc, err := c.DomainGetXMLDesc(dom, lv.DomainXMLInactive|lv.DomainXMLSecure)
		require.NoError(t, err)
		return doc
	}
	operators := strings.NewReplacer(
		"<clock offset='utc'/>", "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>",
		"<devices>", "<devices><watchdog model='i6300esb' action='reset'/>",
		"</metadata>", "<theirs:note xmlns:theirs='urn:theirs' a='1'><theirs:b/></theirs:note></metadata>",
	).Replace(regexp.MustCompile(`passwd='[^']*' passwdValidTo='[^']*'`).ReplaceAllString(read(), "passwd='secret'"))
	_, err = c.DomainDefineXMLFlags(operators, 0)
	require.NoError(t, err)
	before := read()
	for _, theirs := range []string{"tickpolicy='catchup'", "i6300esb", "theirs:note", "passwd='secret'"} {
		require.Contains(t, before, theirs)
	}
	task, err := p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 3, MemoryMiB: 40, DiskGiB: 1})
	f.settle(t, task, err)
	want := strings.NewReplacer(">32768<", ">40960<", "<vcpu placement='static'>1<", "<vcpu placement='static'>3<").Replace(before)
	require.NotEqual(t, before, want)
	require.Equal(t, want, read())
}
