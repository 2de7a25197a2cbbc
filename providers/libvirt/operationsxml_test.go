package libvirt

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// hostile are texts that a tenant may write.
func hostile() []string {
	return []string{
		"web", "", "</description><domain>", `"/><disk type='file'>`, "<![CDATA[x]]>", "<!-- -->", "&amp;", "&#x0;", "]]>",
		"line\nbreak\ttab\rreturn", " spaces ", "\x00", "\xff", "\ufffe", "漢字 😀", "../../etc/passwd", "a,format=raw", "$(x) %s",
		`hcp-0190aaaa-0000-7000-8000-00000000000a`, `<hcp:vm xmlns:hcp="urn:hypervisor-control-plane:libvirt:vm:1"/>`,
	}
}

// FuzzSnapshotXML shows that a snapshot's name is text and nothing else.
func FuzzSnapshotXML(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	d := domain{disks: []diskDevice{{target: "vda"}, {target: "hdc", cdrom: true}, {target: "vdb"}}}
	plain, err := snapshotXML(providers.SnapshotRequest{ID: testVM, Name: "plain"}, d)
	require.NoError(f, err)
	want := structure(f, plain)
	f.Fuzz(func(t *testing.T, name string) {
		if !isXMLText(name) {
			return // refused
		}
		doc, err := snapshotXML(providers.SnapshotRequest{ID: testVM, Name: name}, d)
		require.NoError(t, err)
		want := strings.Join(want, "\n")
		if name == "" {
			want = strings.Replace(want, " description\n/description\n", "", 1)
		}
		require.Equal(t, want, strings.Join(structure(t, doc), "\n"))
		var x libvirtxml.DomainSnapshot
		require.NoError(t, x.Unmarshal(doc))
		require.Equal(t, name, x.Description)
		require.Equal(t, "hcp-"+testVM, x.Name)
		require.Equal(t, testVM, describeSnapshot(x).ID)
	})
}

func TestSnapshotXML(t *testing.T) {
	d := domain{disks: []diskDevice{{target: "vda"}, {target: "hdc", cdrom: true}}}
	for _, memory := range []bool{false, true} {
		doc, err := snapshotXML(providers.SnapshotRequest{ID: testVM, Memory: memory}, d)
		require.NoError(t, err)
		var x libvirtxml.DomainSnapshot
		require.NoError(t, x.Unmarshal(doc))
		require.Equal(t, memory, describeSnapshot(x).Memory)
		require.Equal(t, []string{"vda", "internal", "hdc", "no"},
			[]string{x.Disks.Disks[0].Name, x.Disks.Disks[0].Snapshot, x.Disks.Disks[1].Name, x.Disks.Disks[1].Snapshot})
	}
	for name, id := range map[string]string{
		"hcp-" + testVM: testVM, testVM: "", "hcp-" + strings.ToUpper(testVM): "", "1795255083": "", "": "",
	} {
		require.Equal(t, id, describeSnapshot(libvirtxml.DomainSnapshot{Name: name}).ID, "%q", name)
	}
}

// FuzzRebuildNote shows that a token stays a value, in a definition as in the name
// of a volume.
func FuzzRebuildNote(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s, s)
	}
	s := testSettings()
	base, _ := render(f, s, testRequest())
	f.Fuzz(func(t *testing.T, token, path string) {
		if token == "" || !isXMLText(token) || !isXMLText(path) || path == "" {
			return
		}
		name := s.rebuiltName(testVM, rootDisk, token)
		require.Regexp(t, regexp.MustCompile(`^hcp-`+testVM+`-[0-9a-f]{12}-root-[0-9a-f]{12}\.qcow2$`), name)
		require.NotEqual(t, s.rebuiltName(testVM, rootDisk, token+"x"), name)

		doc, err := parseDocument(base)
		require.NoError(t, err)
		note := rebuildMark{Token: token, Root: path, Seed: path + "2", CloneMode: models.CloneLinked}
		was, next := bootDisks{root: "/pool/root", seed: "/pool/seed"}, bootDisks{root: path, seed: path + "2"}
		require.NoError(t, doc.setBootDisks(was, next, mark{CloneMode: models.CloneFull, Rebuild: note}))
		switched := doc.String()
		var x libvirtxml.Domain
		require.NoError(t, x.Unmarshal(switched))
		require.Equal(t, []string{path, path + "2"}, []string{x.Devices.Disks[0].Source.File.File, x.Devices.Disks[1].Source.File.File})
		m, ok := decodeMark(x.Metadata.XML)
		require.True(t, ok)
		require.Equal(t, note, m.Rebuild)
		require.Equal(t, models.CloneFull, m.CloneMode)

		doc, err = parseDocument(switched)
		require.NoError(t, err)
		require.NoError(t, doc.setBootDisks(next, was, mark{CloneMode: models.CloneLinked}))
		require.Equal(t, base, doc.String(), "byte for byte")
	})
}

func TestRebuildNoteWithoutPrefix(t *testing.T) {
	m, err := mark{VMID: testVM}.encode()
	require.NoError(t, err)
	for _, token := range hostile() {
		if !isXMLText(token) {
			continue
		}
		want := rebuildMark{Token: token, Root: "/a", Seed: "/b", CloneMode: models.CloneFull, Finishing: true}
		doc, err := want.encodeBare()
		require.NoError(t, err)
		// libvirt adds prefix and namespace to the element.
		doc = strings.Replace(doc, "<rebuild ", `<hcprebuild:rebuild xmlns:hcprebuild="`+rebuildNamespace+`" `, 1)
		doc = strings.Replace(doc, "</rebuild>", "</hcprebuild:rebuild>", 1)
		got, ok := decodeMark(m + doc)
		require.True(t, ok)
		require.Equal(t, want, got.Rebuild)
	}
}

func TestDocumentChangesInPlaces(t *testing.T) {
	const text = "<domain type='qemu'>\n  <memory unit='KiB'>1024</memory>\n  <currentMemory unit='KiB'>1024</currentMemory>\n" +
		"  <vcpu placement='static' future='yes'>1</vcpu>\n  <unheard-of><x a=\"b='c'\" b='d'/></unheard-of><!-- kept -->\n</domain>\n"
	doc, err := parseDocument(text)
	require.NoError(t, err)
	to := providers.Shape{VCPUs: 2, MemoryMiB: 3}
	require.False(t, doc.hasShape(to))
	require.NoError(t, doc.setShape(to))
	require.NoError(t, doc.setAttr(doc.root.child("", "unheard-of").child("", "x"), "b", `<'"&>`))
	want := strings.NewReplacer("1024", "3072", "yes'>1<", "yes'>2<", "b='d'", "b='&lt;&#39;&#34;&amp;&gt;'").Replace(text)
	require.Equal(t, want, doc.String())
	again, err := parseDocument(doc.String())
	require.NoError(t, err)
	require.True(t, again.hasShape(to))
	require.Equal(t, `<'"&>`, again.root.child("", "unheard-of").child("", "x").attr("b"))
}

func TestDocumentRefuses(t *testing.T) {
	for _, text := range []string{"", "<a>", "<a></b>", "plain"} {
		_, err := parseDocument(text)
		require.Error(t, err, "%q", text)
	}
	doc, err := parseDocument("<domain><memory unit='MiB'>1</memory><vcpu/></domain>")
	require.NoError(t, err)
	require.Error(t, doc.setShape(providers.Shape{VCPUs: 1, MemoryMiB: 1}), "an empty element has no text to change")
	require.Error(t, doc.setAttr(doc.root.child("", "memory"), "uni", "x"))
	require.Error(t, doc.setAttr(doc.root.child("", "none"), "unit", "x"))
	require.Error(t, doc.setBootDisks(bootDisks{}, bootDisks{}, mark{}))
	doc, err = parseDocument("<domain><memory unit='MiB'>1</memory><vcpu>1</vcpu></domain>")
	require.NoError(t, err)
	require.Error(t, doc.setShape(providers.Shape{VCPUs: 1, MemoryMiB: 1}), "not another unit's number")
}

// TestNamesOfVolumes shows that the parts of a VM are not taken for each other.
func TestNamesOfVolumes(t *testing.T) {
	s := testSettings()
	root, rebuilt := s.volumeName(testVM, rootDisk), s.rebuiltName(testVM, rootDisk, "job")
	data := s.dataName(testVM, testVM)
	first, second := s.markerPrefix(testVM, root), s.markerPrefix(testVM, rebuilt)
	require.NotContains(t, second+"nonce", first)
	require.NotContains(t, first+"nonce", second)
	id, ok := s.dataID(testVM, data)
	require.True(t, ok)
	require.Equal(t, testVM, id)
	for _, other := range []string{root, rebuilt, first + "x", second + "x", s.volumeName(testVM, seedDisk), "image"} {
		_, ok := s.dataID(testVM, other)
		require.False(t, ok, other)
	}
	require.Less(t, s.removalOrder(testVM, root), s.removalOrder(testVM, data))
	require.Equal(t, s.removalOrder(testVM, root), s.removalOrder(testVM, rebuilt))
	for _, marker := range []string{first, second} {
		require.Greater(t, s.removalOrder(testVM, marker+"x"), s.removalOrder(testVM, data))
	}
}

// TestDevicesAreText shows that what names a device stays a value.
func TestDevicesAreText(t *testing.T) {
	render := func(ref string) string {
		x := interfaces([]providers.NIC{{Network: models.NetworkBinding{Ref: ref, Type: models.NetworkNetwork}, MAC: "52:54:00:00:00:01"}})[0]
		doc, err := x.Marshal()
		require.NoError(t, err)
		return doc
	}
	want := structure(t, render("plain"))
	for _, ref := range hostile() {
		nic := providers.NIC{Network: models.NetworkBinding{Ref: ref, Type: models.NetworkNetwork}, MAC: "52:54:00:00:00:01"}
		if _, err := normalizeNIC(rpc{}, nic); err != nil {
			require.True(t, ref == "" || !isXMLText(ref), "%q", ref)
			continue
		}
		require.Equal(t, want, structure(t, render(ref)), "%q", ref)
	}
	doc, err := dataDiskXML("/pool/<a>&'\".qcow2", "vdb", testVM)
	require.NoError(t, err)
	var x libvirtxml.DomainDisk
	require.NoError(t, x.Unmarshal(doc))
	require.Equal(t, "/pool/<a>&'\".qcow2", x.Source.File.File)
	require.Equal(t, testVM[:20], x.Serial)
	require.Equal(t, "qcow2", x.Driver.Type, "no format is probed")
}
