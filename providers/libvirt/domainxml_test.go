package libvirt

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

const testVM = "0190aaaa-0000-7000-8000-00000000000a"

func testRequest() providers.CreateVMRequest {
	return providers.CreateVMRequest{
		VMID: testVM, Name: "web", VCPUs: 2, MemoryMiB: 512, DiskGiB: 3,
		Image: models.ImageBinding{Ref: "pool/image", Format: "raw"},
		NICs: []providers.NIC{
			{Network: models.NetworkBinding{Ref: "default"}, MAC: "52:54:00:AA:bb:01"},
			{Network: models.NetworkBinding{Ref: "br0", Type: models.NetworkBridge}, MAC: "52:54:00:00:00:02"},
			{Network: models.NetworkBinding{Type: models.NetworkUser}, MAC: "52:54:00:00:00:03"},
		},
		CloudInit: providers.CloudInit{Hostname: "web-1"},
	}
}

func testSettings() settings {
	return settings{installation: "our installation", pool: "default", vncListen: "127.0.0.1", endpoint: endpoint{driver: domainQEMU}}
}

func render(tb testing.TB, s settings, req providers.CreateVMRequest) (string, libvirtxml.Domain) {
	tb.Helper()
	req, err := normalize(rpc{op: "Test"}, req)
	require.NoError(tb, err)
	doc, err := s.domainXML(blueprint{req: req, domainType: domainQEMU, rootPath: "/pool/root", seedPath: "/pool/seed"})
	require.NoError(tb, err)
	var x libvirtxml.Domain
	require.NoError(tb, x.Unmarshal(doc))
	return doc, x
}

func TestDomainXML(t *testing.T) {
	s := testSettings()
	s.serialLogDir = "/logs"
	_, x := render(t, s, testRequest())
	require.Equal(t, []string{"qemu", "hcp-" + testVM, testVM, "web"}, []string{x.Type, x.Name, x.UUID, x.Title})
	require.Equal(t, uint(512), x.Memory.Value)
	require.Equal(t, uint(2), x.VCPU.Value)
	require.NotNil(t, x.Features.ACPI, "without ACPI a guest cannot be asked to stop")
	require.Nil(t, x.CPU)

	require.Len(t, x.Devices.Disks, 2)
	root, seed := x.Devices.Disks[0], x.Devices.Disks[1]
	require.Equal(t, []string{"disk", "qcow2", "/pool/root", "vda", "virtio"},
		[]string{root.Device, root.Driver.Type, root.Source.File.File, root.Target.Dev, root.Target.Bus})
	require.Equal(t, []string{"cdrom", "raw", "/pool/seed", "ide"},
		[]string{seed.Device, seed.Driver.Type, seed.Source.File.File, seed.Target.Bus})
	require.NotNil(t, seed.ReadOnly)

	require.Len(t, x.Devices.Interfaces, 3)
	require.Equal(t, "default", x.Devices.Interfaces[0].Source.Network.Network)
	require.Equal(t, "52:54:00:aa:bb:01", x.Devices.Interfaces[0].MAC.Address)
	require.Equal(t, "br0", x.Devices.Interfaces[1].Source.Bridge.Bridge)
	require.NotNil(t, x.Devices.Interfaces[2].Source.User)

	vnc := x.Devices.Graphics[0].VNC
	require.Equal(t, "yes", vnc.AutoPort)
	require.Equal(t, "127.0.0.1", vnc.Listeners[0].Address.Address)
	require.Equal(t, "/logs/hcp-"+testVM+".log", x.Devices.Serials[0].Log.File)

	m, ok := decodeMark(x.Metadata.XML)
	require.True(t, ok)
	require.Equal(t, mark{VMID: testVM, Installation: "our installation", Name: "web", CloneMode: models.CloneLinked}, m)
}

func TestDomainXMLVariants(t *testing.T) {
	s := testSettings()
	s.machine = "q35"
	_, x := render(t, s, testRequest())
	require.Equal(t, "sata", x.Devices.Disks[1].Target.Bus, "q35 has no IDE")
	require.Equal(t, "q35", x.OS.Type.Machine)

	req, err := normalize(rpc{}, testRequest())
	require.NoError(t, err)
	doc, err := s.domainXML(blueprint{req: req, domainType: domainKVM})
	require.NoError(t, err)
	require.NoError(t, x.Unmarshal(doc))
	require.Equal(t, "host-model", x.CPU.Mode)
}

func TestNormalizeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*providers.CreateVMRequest){
		"VM ID":        func(r *providers.CreateVMRequest) { r.VMID = strings.ToUpper(r.VMID) },
		"disk":         func(r *providers.CreateVMRequest) { r.DiskGiB = 1 << 40 },
		"name":         func(r *providers.CreateVMRequest) { r.Name = "a\x00b" },
		"name UTF-8":   func(r *providers.CreateVMRequest) { r.Name = "a\xff" },
		"format":       func(r *providers.CreateVMRequest) { r.Image.Format = "" },
		"clone mode":   func(r *providers.CreateVMRequest) { r.Image.CloneMode = "other" },
		"hostname":     func(r *providers.CreateVMRequest) { r.CloudInit.Hostname = "a\nb" },
		"key":          func(r *providers.CreateVMRequest) { r.CloudInit.SSHKeys = []string{"a\nb"} },
		"multicast":    func(r *providers.CreateVMRequest) { r.NICs[0].MAC = "01:00:5e:00:00:01" },
		"long MAC":     func(r *providers.CreateVMRequest) { r.NICs[0].MAC = "02:00:5e:10:00:00:00:01" },
		"network type": func(r *providers.CreateVMRequest) { r.NICs[0].Network.Type = "direct" },
		"bridge":       func(r *providers.CreateVMRequest) { r.NICs[1].Network.Ref = "" },
	} {
		req := testRequest()
		spoil(&req)
		_, err := normalize(rpc{op: "Test"}, req)
		require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), name)
	}
}

// structure is the names of a document's elements and attributes, in order. Text
// and values are left out.
func structure(tb testing.TB, doc string) []string {
	tb.Helper()
	var out []string
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		token, err := d.Token()
		if err == io.EOF { //nolint:errorlint // the decoder returns it bare
			return out
		}
		require.NoError(tb, err)
		switch e := token.(type) {
		case xml.StartElement:
			out = append(out, e.Name.Space+" "+e.Name.Local)
			for _, a := range e.Attr {
				out = append(out, "@"+a.Name.Space+" "+a.Name.Local)
			}
		case xml.EndElement:
			out = append(out, "/"+e.Name.Local)
		case xml.Comment, xml.Directive:
			out = append(out, "other markup")
		}
	}
}

// FuzzDomainXML shows that nothing a tenant writes becomes structure: whatever
// the name, the document has the elements of the plain one, and the name is read
// back literally.
func FuzzDomainXML(f *testing.F) {
	for _, s := range []string{
		"web", "", "</title><title>", `"/><disk type='file'>`, "<![CDATA[x]]>", "<!-- -->", "&amp;", "&#x0;", "]]>",
		"line\nbreak\ttab\rreturn", " spaces ", "\x00", "\xff", "\ufffe", "漢字 😀", `<hcp:vm xmlns:hcp="urn:hypervisor-control-plane:libvirt:vm:1"/>`,
	} {
		f.Add(s)
	}
	req := testRequest()
	req.Name = "plain"
	plain, _ := render(f, testSettings(), req)
	want := structure(f, plain)
	f.Fuzz(func(t *testing.T, name string) {
		req := testRequest()
		req.Name = name
		if _, err := normalize(rpc{}, req); err != nil {
			require.False(t, isXMLText(name))
			return
		}
		doc, x := render(t, testSettings(), req)
		got := structure(t, doc)
		if title(name) == "" {
			want := strings.Join(want, "\n")
			want = strings.Replace(want, " title\n/title\n", "", 1)
			require.Equal(t, want, strings.Join(got, "\n"))
		} else {
			require.Empty(t, cmp.Diff(want, got))
		}
		m, ok := decodeMark(x.Metadata.XML)
		require.True(t, ok)
		require.Equal(t, name, m.Name)
		require.NotContains(t, x.Title, "\n")
	})
}

func TestMarkDecides(t *testing.T) {
	p := &Provider{cfg: testSettings()}
	u, ok := parseVMID(testVM)
	require.True(t, ok)
	good, err := mark{VMID: testVM, Installation: "our installation"}.encode()
	require.NoError(t, err)
	foreign, err := mark{VMID: testVM, Installation: "another"}.encode()
	require.NoError(t, err)
	other, err := mark{VMID: uuid.NewString(), Installation: "our installation"}.encode()
	require.NoError(t, err)
	for _, tc := range []struct {
		name, metadata string
		ours           bool
	}{
		{"ours", good, true},
		{"ours among others", `<x:y xmlns:x="urn:x">1</x:y>` + good, true},
		{"another prefix", strings.ReplaceAll(good, "hcp:", "p:"), false}, // its namespace is not declared
		{"foreign", foreign, false},
		{"a copied domain", other, false},
		{"twice", good + good, false},
		{"none", "", false},
		{"broken", "<", false},
		{"the same names in another namespace", strings.ReplaceAll(good, markNamespace, "urn:x"), false},
	} {
		x := libvirtxml.Domain{Metadata: &libvirtxml.DomainMetadata{XML: tc.metadata}}
		_, ours := p.markOf(lv.Domain{UUID: u}, x)
		require.Equal(t, tc.ours, ours, tc.name)
	}
	_, ours := p.markOf(lv.Domain{UUID: u}, libvirtxml.Domain{})
	require.False(t, ours)
}

func TestRebootTokenIsText(t *testing.T) {
	token := `a"/><x y='` + "\n"
	doc, err := encodeToken("reboot", token)
	require.NoError(t, err)
	m, err := mark{VMID: testVM}.encode()
	require.NoError(t, err)
	// libvirt adds prefix and namespace to the element.
	doc = strings.Replace(doc, "<reboot ", `<hcpreboot:reboot xmlns:hcpreboot="`+rebootNamespace+`" `, 1)
	doc = strings.Replace(doc, "</reboot>", "</hcpreboot:reboot>", 1)
	got, ok := decodeMark(m + doc)
	require.True(t, ok)
	require.Equal(t, token, got.RebootToken)
}

func TestPowerOf(t *testing.T) {
	for _, tc := range []struct {
		state lv.DomainState
		saved bool
		want  models.PowerState
	}{
		{lv.DomainRunning, false, models.PowerRunning},
		{lv.DomainBlocked, false, models.PowerRunning},
		{lv.DomainShutdown, false, models.PowerRunning},
		{lv.DomainPaused, false, models.PowerPaused},
		{lv.DomainPmsuspended, false, models.PowerSuspended},
		{lv.DomainShutoff, false, models.PowerStopped},
		{lv.DomainShutoff, true, models.PowerSuspended},
		{lv.DomainCrashed, false, models.PowerStopped},
		{lv.DomainNostate, false, models.PowerUnknown},
		{99, false, models.PowerUnknown},
	} {
		require.Equal(t, tc.want, powerOf(tc.state, tc.saved))
	}
}

func TestKVMIsFit(t *testing.T) {
	caps := func(supported string, features ...libvirtxml.DomainCapsCPUFeature) libvirtxml.DomainCaps {
		return libvirtxml.DomainCaps{CPU: &libvirtxml.DomainCapsCPU{Modes: []libvirtxml.DomainCapsCPUMode{
			{Name: "host-model", Supported: supported, Features: features},
		}}}
	}
	require.True(t, kvmIsFit(caps("yes", libvirtxml.DomainCapsCPUFeature{Policy: "disable", Name: "svm"})))
	require.False(t, kvmIsFit(caps("no")))
	require.False(t, kvmIsFit(caps("yes", libvirtxml.DomainCapsCPUFeature{Policy: "disable", Name: "pni"})))
	require.False(t, kvmIsFit(libvirtxml.DomainCaps{}))
}

func FuzzPageToken(f *testing.F) {
	f.Add("")
	f.Add("nonsense")
	f.Add(vmid.PageToken(Kind, testVM))
	f.Fuzz(func(t *testing.T, token string) {
		after, ok := decodePageToken(token)
		if ok && after != nil {
			require.Equal(t, token, vmid.PageToken(Kind, uuid.UUID(*after).String()), "one spelling a token")
		}
	})
}
