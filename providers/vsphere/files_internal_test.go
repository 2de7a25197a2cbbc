package vsphere

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// onDatastore is where the simulator keeps a file.
func onDatastore(t *testing.T, s *vspheresim.Server, file string) string {
	t.Helper()
	var at object.DatastorePath
	require.True(t, at.FromString(file), "%q is no path on a datastore", file)
	for _, e := range s.Model.Map().All("Datastore") {
		if ds, ok := e.(*simulator.Datastore); ok && ds.Name == at.Datastore {
			return filepath.Join(ds.Summary.Url, at.Path)
		}
	}
	t.Fatalf("the simulator has no datastore %q", at.Datastore)
	return ""
}

// contentOf is where the simulator keeps what is on a disk.
func contentOf(t *testing.T, s *vspheresim.Server, file string) string {
	t.Helper()
	return strings.TrimSuffix(onDatastore(t, s, file), ".vmdk") + "-flat.vmdk"
}

func wantOn(t *testing.T, s *vspheresim.Server, file, text string) {
	t.Helper()
	got, err := os.ReadFile(contentOf(t, s, file))
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// TestARebuildLeavesWhatIsOnDisks writes on the disks past the adapter: what a
// rebuild sets aside, and what it takes from the template, stays as it is.
func TestARebuildLeavesWhatIsOnDisks(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	old := fileOf(m.rootDisk())
	image, err := p.template(t.Context(), "Test", vspheresim.Template)
	require.Nil(t, err)
	require.NoError(t, os.WriteFile(contentOf(t, s, old), []byte("old"), 0o600))
	require.NoError(t, os.WriteFile(contentOf(t, s, fileOf(firstDisk(image))), []byte("image"), 0o600))
	guest := extraOf(m.VM.Config.ExtraConfig)[keyMetadata]

	rebuilt := req
	rebuilt.DiskGiB, rebuilt.CloudInit.UserData = 4, nil
	settleOf(t, p)(p.RebuildVM(t.Context(), rebuilt, "token-1"))
	m = found(t, p, req.VMID)
	wantOn(t, s, fileOf(m.rootDisk()), "image")
	wantOn(t, s, old, "old")
	require.NotEqual(t, guest, extraOf(m.VM.Config.ExtraConfig)[keyMetadata], "cloud-init sees the same instance")
	require.NotContains(t, extraOf(m.VM.Config.ExtraConfig), keyUserdata)

	settleOf(t, p)(p.RevertRebuild(t.Context(), target(req), "token-1"))
	m = found(t, p, req.VMID)
	require.Equal(t, old, fileOf(m.rootDisk()))
	wantOn(t, s, old, "old")
	wantOn(t, s, fileOf(firstDisk(image)), "image")
	require.Equal(t, guest, extraOf(m.VM.Config.ExtraConfig)[keyMetadata])
	require.Contains(t, extraOf(m.VM.Config.ExtraConfig), keyUserdata)
	left, leftErr := filepath.Glob(filepath.Join(filepath.Dir(onDatastore(t, s, old)), "hcp-root-*"))
	require.NoError(t, leftErr)
	require.Empty(t, left, "the new disk outlived the return")
}

// TestAKeptDiskIsTheSameDisk writes on a data disk past the adapter.
func TestAKeptDiskIsTheSameDisk(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1, Attached: true}
	other := providers.DataDisk{ID: models.NewID(), SizeGiB: 2, Attached: true}
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	m := found(t, p, req.VMID)
	file, uuid := fileOf(m.dataDisk(disk.ID)), diskUUID(m.dataDisk(disk.ID))
	require.NoError(t, os.WriteFile(contentOf(t, s, file), []byte("data"), 0o600))
	settleOf(t, p)(p.DetachDisk(t.Context(), target(req), disk.ID))
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), other))
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	m = found(t, p, req.VMID)
	require.ElementsMatch(t, []providers.DataDisk{disk, other}, m.dataDisks())
	require.Equal(t, file, fileOf(m.dataDisk(disk.ID)))
	require.Equal(t, uuid, diskUUID(m.dataDisk(disk.ID)))
	wantOn(t, s, file, "data")
	require.NotEqual(t, m.rootDisk().Key, m.dataDisk(disk.ID).Key)
}

// settleOf takes what a method returned, and follows its task to a good end.
func settleOf(t *testing.T, p *Provider) func(providers.TaskRef, error) {
	t.Helper()
	return func(task providers.TaskRef, err error) {
		t.Helper()
		require.NoError(t, err)
		settle(t, p, task)
	}
}

// TestKeptFilesGoBeforeTheVM looks at the calls: the simulator destroys a VM with all
// of its directory, where vSphere leaves what it does not know.
func TestKeptFilesGoBeforeTheVM(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	disk := models.NewID()
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), providers.DataDisk{ID: disk, SizeGiB: 1}))
	settleOf(t, p)(p.DetachDisk(t.Context(), target(req), disk))
	settleOf(t, p)(p.RebuildVM(t.Context(), req, "token-1"))
	kept := found(t, p, req.VMID).keptFiles()
	require.Len(t, kept, 2)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	for _, file := range kept {
		require.Contains(t, left, providers.Object{Type: "disk", Ref: file})
	}
	s.Forget()
	settleOf(t, p)(p.DeleteVM(t.Context(), target(req)))
	var order []string
	for _, c := range s.Calls() {
		if isWrite(c) {
			order = append(order, c.Method)
		}
	}
	require.Equal(t, []string{"DeleteVirtualDisk_Task", "DeleteVirtualDisk_Task", "Destroy_Task"}, order)
	for _, file := range kept {
		require.NoFileExists(t, onDatastore(t, s, file))
	}
}

// TestAnOperatorsDiskInThePlaceOfOurs stays where it is.
func TestAnOperatorsDiskInThePlaceOfOurs(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1, Attached: true}
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	m := found(t, p, req.VMID)
	ours := m.dataDisk(disk.ID)
	theirs := *ours
	theirs.Key = -1
	theirs.Backing = &types.VirtualDiskFlatVer2BackingInfo{
		VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: m.beside("theirs.vmdk")},
	}
	m, err := p.configure(t.Context(), "Test", m, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		withoutDevice(ours),
		&types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate, Device: &theirs,
		},
	}})
	require.Nil(t, err)
	require.Empty(t, m.dataDisks())
	settleOf(t, p)(p.DetachDisk(t.Context(), target(req), disk.ID))
	settleOf(t, p)(p.DeleteDisk(t.Context(), target(req), disk.ID))
	m = found(t, p, req.VMID)
	require.Len(t, m.disks(), 2)
	require.Equal(t, m.beside("theirs.vmdk"), fileOf(m.disks()[1]))
}

// TestARebuildThatIsTakenBackGoesNoFurther has one process take back a rebuild whose
// copy another one waits for.
func TestARebuildThatIsTakenBackGoesNoFurther(t *testing.T) {
	t.Parallel()
	s, a := openPeer(t, vspheresim.Options{})
	b := openWith(t, testConfig(s, nil))
	req := newRequest()
	was := made(t, a, req)
	var taken atomic.Bool
	s.Before(func(c vspheresim.Call) {
		// The third write of the rebuild is the one that swaps the disks: the first
		// two note where the copy goes to, and which task makes it.
		if c.Method != "ReconfigVM_Task" || s.Count("ReconfigVM_Task") < 3 || !taken.CompareAndSwap(false, true) {
			return
		}
		task, err := b.RevertRebuild(t.Context(), target(req), "token-1")
		if err == nil {
			err = outcomeOf(t, b, task)
		}
		if err != nil {
			t.Error(err)
		}
	})
	s.Forget()
	task, err := a.RebuildVM(t.Context(), req, "token-1")
	if err == nil {
		err = outcome(t, a, task)
	}
	wantCode(t, "RebuildVM", err, providers.Aborted)
	is := found(t, a, req.VMID)
	require.Equal(t, fileOf(was.rootDisk()), fileOf(is.rootDisk()))
	require.Empty(t, is.Mark.Notes)
	require.Empty(t, is.keptFiles())
}
