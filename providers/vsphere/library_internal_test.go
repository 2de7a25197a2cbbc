package vsphere

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const ovfGiB = 2

// libraryPeer is a vCenter with a library "lib/1" that has an item of each kind. ids
// are theirs, by name.
func libraryPeer(t *testing.T) (s *vspheresim.Server, p *Provider, ids map[string]string) {
	t.Helper()
	s, p = openPeer(t, vspheresim.Options{})
	lib, err := s.AddLibrary(t.Context(), "lib/1")
	require.NoError(t, err)
	ids = map[string]string{"lib": lib}
	ids["ovf"], err = s.AddOVF(t.Context(), lib, "ovf", ovfGiB)
	require.NoError(t, err)
	ids["iso"], err = s.AddISO(t.Context(), lib, "iso")
	require.NoError(t, err)
	ids["vmtx"], err = s.AddTemplate(t.Context(), lib, "vmtx", vspheresim.Template)
	require.NoError(t, err)
	s.Forget()
	return s, p, ids
}

// fromLibrary is a request for a VM from an item of the library.
func fromLibrary(item string) providers.CreateVMRequest {
	req := newRequest()
	req.Image.Ref = libraryRef("lib/1", item)
	return req
}

func TestLibraryRefs(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{{"lib", "item"}, {"a/b", "c/d"}, {"100%", "%2f"}, {"a b", "ü"}} {
		library, item, id, ok := parseLibraryRef(libraryRef(names[0], names[1]))
		require.True(t, ok)
		require.Empty(t, id)
		require.Equal(t, names, [2]string{library, item})
	}
	for _, ref := range []string{"library:", "library:/", "library:a/", "library:/b", "library:a/b/c", "library:no-id", "template"} {
		_, _, _, ok := parseLibraryRef(ref)
		require.False(t, ok, ref)
	}
	_, _, id, ok := parseLibraryRef(libraryPrefix + testVM)
	require.True(t, ok)
	require.Equal(t, testVM, id)
}

func TestLibraryItemsAreImages(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	sub, err := s.AddLibrary(t.Context(), "published")
	require.NoError(t, err)
	_, err = s.AddOVF(t.Context(), sub, "far", ovfGiB)
	require.NoError(t, err)
	_, err = s.Subscribe(t.Context(), "subscribed", sub, false)
	require.NoError(t, err)

	images, err := p.ListImages(t.Context())
	require.NoError(t, err)
	require.Equal(t, []providers.Image{
		{Ref: vspheresim.Template, SizeGiB: vspheresim.TemplateGiB},
		{Ref: "library:lib%2f1/iso", Format: itemISO},
		{Ref: "library:lib%2f1/ovf", Format: itemOVF},
		{Ref: "library:lib%2f1/vmtx", Format: itemTemplate, SizeGiB: vspheresim.TemplateGiB},
		{Ref: "library:published/far", Format: itemOVF},
		{Ref: "library:subscribed/far", Format: itemOVF},
		{Ref: "vmtx", SizeGiB: vspheresim.TemplateGiB},
	}, images)
}

// TestItemsOfOneNameAreToldByTheirID has two libraries of one name.
func TestItemsOfOneNameAreToldByTheirID(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	other, err := s.AddLibrary(t.Context(), "lib/1")
	require.NoError(t, err)
	twin, err := s.AddOVF(t.Context(), other, "ovf", ovfGiB)
	require.NoError(t, err)
	_, err = s.AddLibrary(t.Context(), "LIB/1") // found by the same name
	require.NoError(t, err)
	images, err := p.ListImages(t.Context())
	require.NoError(t, err)
	refs := make([]string, 0, len(images))
	for _, image := range images {
		refs = append(refs, image.Ref)
	}
	require.NotContains(t, refs, libraryRef("lib/1", "ovf"))
	require.Contains(t, refs, libraryPrefix+ids["ovf"])
	require.Contains(t, refs, libraryPrefix+twin)
	_, failure := p.itemOf(t.Context(), "Test", libraryRef("lib/1", "ovf"))
	wantCode(t, "a name that two have", failure, providers.InvalidArgument)
	item, failure := p.itemOf(t.Context(), "Test", libraryPrefix+twin)
	require.Nil(t, failure)
	require.Equal(t, twin, item.ID)
	_, failure = p.itemOf(t.Context(), "Test", libraryRef("lib/1", "OVF"))
	wantCode(t, "a name in other letters", failure, providers.NotFound)
	_, failure = p.itemOf(t.Context(), "Test", libraryRef("lib/1", "none"))
	wantCode(t, "an item that is not there", failure, providers.NotFound)
	_, failure = p.itemOf(t.Context(), "Test", libraryPrefix+testVM)
	wantCode(t, "an ID that is not there", failure, providers.NotFound)
}

// TestCallsForALibrary counts the calls for a library of 200 items.
func TestCallsForALibrary(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	lib, err := s.AddLibrary(t.Context(), "large")
	require.NoError(t, err)
	const items = 200
	last := ""
	for i := range items {
		last, err = s.AddISO(t.Context(), lib, fmt.Sprintf("item-%03d", i))
		require.NoError(t, err)
	}
	list := func() ([]string, int) {
		s.Forget()
		images, err := p.ListImages(t.Context())
		require.NoError(t, err)
		var refs []string
		for _, image := range images {
			if isLibrary(image.Ref) {
				refs = append(refs, image.Ref)
			}
		}
		return refs, len(s.Calls())
	}
	refs, first := list()
	require.Len(t, refs, items)
	_, again := list()
	t.Logf("%d items: %d calls for the first list with the logins, %d for the next, %d of them for single items", items, first, again, itemRefreshes)
	require.LessOrEqual(t, first, items+20)
	require.LessOrEqual(t, again, itemRefreshes+15)

	// What is renamed, removed or added is seen; of names within a few lists.
	require.NoError(t, s.Rename(t.Context(), last, "renamed"))
	for range items / itemRefreshes {
		refs, _ = list()
	}
	require.Contains(t, refs, libraryRef("large", "renamed"))
	require.NoError(t, s.RemoveItem(t.Context(), last))
	_, err = s.AddISO(t.Context(), lib, "new")
	require.NoError(t, err)
	refs, _ = list()
	require.NotContains(t, refs, libraryRef("large", "renamed"))
	require.Contains(t, refs, libraryRef("large", "new"))

	s.Forget()
	_, failure := p.itemOf(t.Context(), "Test", libraryRef("large", "item-007"))
	require.Nil(t, failure)
	require.LessOrEqual(t, len(s.Calls()), 4, "%v", s.Calls())
}

func TestAHostThatStandsAloneHasNoLibrary(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{ESXi: true})
	_, err := p.ListImages(t.Context())
	require.NoError(t, err)
	req := newHostRequest()
	req.Image.Ref = libraryRef("lib", "item")
	_, _, err = p.CreateVM(t.Context(), req)
	wantCode(t, "CreateVM", err, providers.NotFound)
	require.False(t, slices.ContainsFunc(s.Calls(), func(c vspheresim.Call) bool { return strings.Contains(c.Method, " ") }))
}

// TestItemsWithoutImport makes VMs from a VM template and from a medium.
func TestItemsWithoutImport(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	req := fromLibrary("vmtx")
	wantAsAsked(t, made(t, p, req), req)
	medium := fromLibrary("iso")
	m := made(t, p, medium)
	wantAsAsked(t, m, medium)
	var file string
	for _, d := range devices(&m.VM) {
		if cd, ok := d.(*types.VirtualCdrom); ok {
			if backing, ok := cd.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
				file = backing.FileName
			}
		}
	}
	require.True(t, isISO(file), file)
	require.Contains(t, file, "contentlib-")
	require.Zero(t, s.Count("POST library-item deploy"))
	task, err := p.RebuildVM(t.Context(), medium, "token")
	require.Empty(t, task)
	wantCode(t, "RebuildVM with a medium", err, providers.InvalidArgument)
}

// TestAMediumThatIsNotFetched is one of a subscribed library that fetches on demand.
func TestAMediumThatIsNotFetched(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	_, err := s.Subscribe(t.Context(), "far", ids["lib"], true)
	require.NoError(t, err)
	req := newRequest()
	req.Image.Ref = libraryRef("far", "iso")
	_, _, err = p.CreateVM(t.Context(), req)
	wantCode(t, "CreateVM", err, providers.FailedPrecondition)
	require.Nil(t, ownedBy(t, p, req.VMID))
}

// ownedBy is the VM of ours with an ID, nil where there is none.
func ownedBy(t *testing.T, p *Provider, vmID string) *machine {
	t.Helper()
	m, err := p.find(t.Context(), "Test", vmID)
	require.Nil(t, err)
	return m
}

// TestItemsAreGoneWithTheirVM shows that a VM whose image went is a VM nevertheless.
func TestItemsAreGoneWithTheirVM(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	req := fromLibrary("ovf")
	makeAnyhow(t, func() *Provider { return p }, req)
	require.NoError(t, s.RemoveItem(t.Context(), ids["ovf"]))
	ref, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.Empty(t, task)
	require.Equal(t, refOf(req.VMID), ref)
	req.VMID = models.NewID()
	_, _, err = p.CreateVM(t.Context(), req)
	wantCode(t, "CreateVM from an item that is gone", err, providers.NotFound)
}
