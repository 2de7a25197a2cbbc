package vsphere

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const deployCall = "POST library-item deploy"

// imports are the names of the templates of items, and of what is to become one.
func imports(s *vspheresim.Server) (templates, unfinished []string) {
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || !strings.HasPrefix(vm.Name, importPrefix) {
			continue
		}
		if vm.Config.Template {
			templates = append(templates, vm.Name)
		} else {
			unfinished = append(unfinished, vm.Name)
		}
	}
	return templates, unfinished
}

// wantOneImport wants one template, whole, and nothing beside.
func wantOneImport(t *testing.T, s *vspheresim.Server) {
	t.Helper()
	templates, unfinished := imports(s)
	require.Len(t, templates, 1)
	require.Empty(t, unfinished)
}

// makeAnyhow asks for a VM again and again, as a workflow does.
func makeAnyhow(t *testing.T, open func() *Provider, req providers.CreateVMRequest) {
	t.Helper()
	eventually(t, "the VM is made", func() bool {
		p := open()
		_, task, err := p.CreateVM(t.Context(), req)
		if err == nil {
			err = result(t, p, task)
		}
		if err != nil && !errors.Is(err, errForgotten) && !providers.CodeOf(err).Retryable() {
			t.Fatalf("CreateVM: %v", err)
		}
		return err == nil
	})
}

func TestAnOVFItemIsImportedOnce(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	one, two := fromLibrary("ovf"), fromLibrary("ovf")
	two.Node = "DC0_C0_H1"
	for _, req := range []providers.CreateVMRequest{one, two} {
		makeAnyhow(t, func() *Provider { return p }, req)
		wantAsAsked(t, found(t, p, req.VMID), req)
	}
	require.Equal(t, 1, s.Count(deployCall))
	wantOneImport(t, s)
	// It is no VM, and no image of its own.
	page, err := p.ListVMs(t.Context(), providers.PageRequest{})
	require.NoError(t, err)
	require.Len(t, page.VMs, 2)
	images, err := p.ListImages(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(images, func(i providers.Image) bool {
		return i.Ref == one.Image.Ref && i.SizeGiB == ovfGiB
	}), "the size is known once it is imported: %v", images)
	require.False(t, slices.ContainsFunc(images, func(i providers.Image) bool { return strings.HasPrefix(i.Ref, importPrefix) }))

	small := fromLibrary("ovf")
	small.DiskGiB = ovfGiB - 1
	_, _, err = p.CreateVM(t.Context(), small)
	wantCode(t, "a disk smaller than the item's", err, providers.InvalidArgument)

	// Another content is another template, and the old one goes.
	before, _ := imports(s)
	s.Touch(ids["ovf"], "2")
	three := fromLibrary("ovf")
	makeAnyhow(t, func() *Provider { return p }, three)
	wantAsAsked(t, found(t, p, three.VMID), three)
	wantOneImport(t, s)
	after, _ := imports(s)
	require.NotEqual(t, before, after)
	require.Equal(t, 2, s.Count(deployCall))

	settleOf(t, p)(p.RebuildVM(t.Context(), one, "token"))
	m := found(t, p, one.VMID)
	require.Equal(t, "token", m.rebuilding().Token)
	require.True(t, m.rebuilding().Swapped && m.rebuiltWhole())
	require.Equal(t, 2, s.Count(deployCall))
}

// TestARebuildImportsFirst rebuilds a VM from an item that was never imported. The
// import is no part of the rebuild: what was begun of it need not be taken back.
func TestARebuildImportsFirst(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	req := newRequest()
	made(t, p, req)
	req.Image.Ref = libraryRef("lib/1", "ovf")
	taken, release := s.HoldDeploy()
	defer release()
	task, err := p.RebuildVM(t.Context(), req, "token")
	require.NoError(t, err)
	require.NotEmpty(t, task)
	select {
	case <-taken:
	case <-deadline(t):
		t.Fatal("no deployment")
	}
	require.Empty(t, found(t, p, req.VMID).Mark.Notes, "nothing of the rebuild is begun")
	release()
	wantCode(t, "the task of the import", outcome(t, p, task), providers.Aborted)
	settleOf(t, p)(p.RebuildVM(t.Context(), req, "token"))
	require.True(t, found(t, p, req.VMID).rebuilding().Swapped)
	wantOneImport(t, s)
}

// TestAnotherProcessBetweenAnyTwoRequests has one ask for the same VM before each call
// of the making of a VM from an OVF item.
func TestAnotherProcessBetweenAnyTwoRequests(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	other := openWith(t, testConfig(s, nil))
	var g trigger
	s.Before(g.pull)
	came := true
	vms := 0
	for n := 1; came; n += 3 {
		item, err := s.AddOVF(t.Context(), ids["lib"], models.NewID(), ovfGiB)
		require.NoError(t, err)
		req := newRequest()
		req.Image.Ref = libraryPrefix + item
		g.arm(n, func() {
			_, _, err := other.CreateVM(t.Context(), req)
			if err != nil && !providers.CodeOf(err).Retryable() {
				t.Errorf("CreateVM: %v", err)
			}
		})
		makeAnyhow(t, func() *Provider { return p }, req)
		came = !g.armed()
		vms++
		eventually(t, "the other one is done too", func() bool {
			_, task, err := other.CreateVM(t.Context(), req)
			return err == nil && task == ""
		})
		wantAsAsked(t, found(t, p, req.VMID), req)
		require.Equal(t, vms, vmsWithout(s, importPrefix, vspheresim.Template, "vmtx"))
		templates, unfinished := imports(s)
		require.Len(t, templates, vms)
		require.Empty(t, unfinished)
	}
}

// TestTemplatesOfItemsThatAreGoneAreRemoved by the next import.
func TestTemplatesOfItemsThatAreGoneAreRemoved(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	makeAnyhow(t, func() *Provider { return p }, fromLibrary("ovf"))
	require.NoError(t, s.RemoveItem(t.Context(), ids["ovf"]))
	_, err := s.AddOVF(t.Context(), ids["lib"], "next", ovfGiB)
	require.NoError(t, err)
	makeAnyhow(t, func() *Provider { return p }, fromLibrary("next"))
	wantOneImport(t, s)
}

// TestManyImportersAreOneTemplate has four processes ask for VMs of one item at once.
func TestManyImportersAreOneTemplate(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	makers := []*Provider{p}
	for range 3 {
		makers = append(makers, openWith(t, testConfig(s, nil)))
	}
	var wg sync.WaitGroup
	for _, maker := range makers {
		wg.Go(func() {
			req := fromLibrary("ovf")
			for ask := true; ask; {
				_, task, err := maker.CreateVM(t.Context(), req)
				if err == nil {
					err = result(t, maker, task)
				}
				ask = err != nil
				if ask && !errors.Is(err, errForgotten) && !providers.CodeOf(err).Retryable() {
					t.Errorf("CreateVM: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	wantOneImport(t, s)
	require.Equal(t, len(makers), vmsWithout(s, importPrefix, vspheresim.Template, "vmtx"))
}

// TestAForeignVMInThePlaceOfAnImportStays has a VM bear the name, and not the proof.
func TestAForeignVMInThePlaceOfAnImportStays(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	item, failure := p.itemByID(t.Context(), "Test", ids["ovf"])
	require.Nil(t, failure)
	theirs := fromLibrary("vmtx")
	m := made(t, p, theirs)
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Self == m.Ref {
			vm.Name, vm.Config.Name, vm.Config.Annotation = p.importName(item), p.importName(item), "mine"
		}
	}
	_, task, err := p.CreateVM(t.Context(), fromLibrary("ovf"))
	require.Empty(t, task)
	wantCode(t, "CreateVM", err, providers.AlreadyExists)
	require.Zero(t, s.Count(deployCall))
	require.Equal(t, m.Ref, found(t, p, theirs.VMID).Ref)
}
