package libvirt

import (
	"net"
	"path"
	"slices"
	"strings"
	"unicode"

	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// The devices that a VM's disks appear as. rootTarget also tells which of a
// domain's disks is the root disk.
const (
	rootTarget = "vda"
	seedTarget = "hdc"
	sataTarget = "sdc"
)

// blueprint is all that a domain is made of.
type blueprint struct {
	req        providers.CreateVMRequest
	domainType string
	rootPath   string
	seedPath   string
}

// domainXML describes the domain of a VM. What a tenant writes enters it as text
// only, through libvirtxml's encoder.
func (s settings) domainXML(b blueprint) (string, error) {
	inner, err := mark{
		VMID: b.req.VMID, Installation: s.installation, Name: b.req.Name, CloneMode: b.req.Image.CloneMode,
	}.encode()
	if err != nil {
		return "", err
	}
	d := libvirtxml.Domain{
		Type:       b.domainType,
		Name:       domainName(b.req.VMID),
		UUID:       b.req.VMID,
		Title:      title(b.req.Name),
		Metadata:   &libvirtxml.DomainMetadata{XML: inner},
		Memory:     &libvirtxml.DomainMemory{Value: uint(b.req.MemoryMiB), Unit: "MiB"},
		VCPU:       &libvirtxml.DomainVCPU{Value: uint(b.req.VCPUs)},
		OS:         &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Machine: s.machine, Type: "hvm"}},
		OnPoweroff: "destroy",
		OnReboot:   "restart",
		OnCrash:    "destroy",
		Devices:    &libvirtxml.DomainDeviceList{Disks: s.disks(b), Interfaces: interfaces(b.req.NICs)},
	}
	if b.domainType != domainTest {
		s.addMachine(&d, b)
	}
	return d.Marshal()
}

// addMachine adds what libvirt's mock driver does not know.
func (s settings) addMachine(d *libvirtxml.Domain, b blueprint) {
	d.OS.BootDevices = []libvirtxml.DomainBootDevice{{Dev: "hd"}}
	// Without ACPI a guest cannot be asked to stop.
	d.Features = &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}, APIC: &libvirtxml.DomainFeatureAPIC{}}
	d.Clock = &libvirtxml.DomainClock{Offset: "utc"}
	if b.domainType == domainKVM {
		d.CPU = &libvirtxml.DomainCPU{Mode: "host-model"}
	}
	serial := libvirtxml.DomainSerial{
		Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
		Target: &libvirtxml.DomainSerialTarget{Port: new(uint)},
	}
	if s.serialLogDir != "" {
		serial.Log = &libvirtxml.DomainChardevLog{File: path.Join(s.serialLogDir, domainName(b.req.VMID)+".log"), Append: "on"}
	}
	d.Devices.Serials = []libvirtxml.DomainSerial{serial}
	d.Devices.Graphics = []libvirtxml.DomainGraphic{{VNC: &libvirtxml.DomainGraphicVNC{
		AutoPort: "yes",
		// Nobody knows it, and it never counts: see screen.go.
		Passwd: vncPassword(), PasswdValidTo: vncExpired,
		Listeners: []libvirtxml.DomainGraphicListener{{Address: &libvirtxml.DomainGraphicListenerAddress{Address: s.vncListen}}},
	}}}
	d.Devices.RNGs = []libvirtxml.DomainRNG{{
		Model:   "virtio",
		Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
	}}
}

// disks gives the formats, so that nothing is probed: a guest that wrote another
// format's header into its disk would otherwise choose what the host opens.
func (s settings) disks(b blueprint) []libvirtxml.DomainDisk {
	bus, dev := "ide", seedTarget
	if strings.Contains(s.machine, "q35") {
		bus, dev = "sata", sataTarget
	}
	return []libvirtxml.DomainDisk{
		{
			Device: "disk",
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: b.rootPath}},
			Target: &libvirtxml.DomainDiskTarget{Dev: rootTarget, Bus: "virtio"},
		},
		{
			Device:   "cdrom",
			Driver:   &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
			Source:   &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: b.seedPath}},
			Target:   &libvirtxml.DomainDiskTarget{Dev: dev, Bus: bus},
			ReadOnly: &libvirtxml.DomainDiskReadOnly{},
		},
	}
}

func interfaces(nics []providers.NIC) []libvirtxml.DomainInterface {
	out := make([]libvirtxml.DomainInterface, 0, len(nics))
	for _, nic := range nics {
		source := &libvirtxml.DomainInterfaceSource{}
		switch nic.Network.Type {
		case models.NetworkBridge:
			source.Bridge = &libvirtxml.DomainInterfaceSourceBridge{Bridge: nic.Network.Ref}
		case models.NetworkUser:
			source.User = &libvirtxml.DomainInterfaceSourceUser{}
		case models.NetworkNetwork:
			source.Network = &libvirtxml.DomainInterfaceSourceNetwork{Network: nic.Network.Ref}
		}
		out = append(out, libvirtxml.DomainInterface{
			MAC:    &libvirtxml.DomainInterfaceMAC{Address: strings.ToLower(nic.MAC)},
			Source: source,
			Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
		})
	}
	return out
}

// title is the tenant's name for the eyes of an operator. libvirt refuses line
// breaks in it; the name proper is in the mark.
func title(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, name))
}

func isLine(s string) bool { return isXMLText(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// normalize checks a request without asking the hypervisor, and fills in the
// defaults of its bindings.
func normalize(r rpc, req providers.CreateVMRequest) (providers.CreateVMRequest, error) {
	bad := func(message string) (providers.CreateVMRequest, error) {
		return req, r.errorf(providers.InvalidArgument, message)
	}
	if _, ok := parseVMID(req.VMID); !ok {
		return bad("the VM ID is not a UUID in canonical form")
	}
	if req.VCPUs < 1 || req.MemoryMiB < 1 || req.DiskGiB < 1 || req.VCPUs > 1<<15 || req.MemoryMiB > 1<<30 || req.DiskGiB > 1<<20 {
		return bad("vCPUs, memory and disk must be positive and within reason")
	}
	if !isXMLText(req.Name) {
		return bad("the name holds characters that no hypervisor can carry")
	}
	if req.Image.Format != "qcow2" && req.Image.Format != "raw" {
		return bad(`the image's format must be declared as "qcow2" or "raw"`)
	}
	switch req.Image.CloneMode {
	case "":
		req.Image.CloneMode = models.CloneLinked
	case models.CloneLinked, models.CloneFull:
	default:
		return bad(`the image's clone mode must be "linked" or "full"`)
	}
	if !isLine(req.CloudInit.Hostname) || slices.ContainsFunc(req.CloudInit.SSHKeys, func(k string) bool { return !isLine(k) }) {
		return bad("the host name and each SSH key must be one line of text")
	}
	nics := make([]providers.NIC, len(req.NICs))
	for i, nic := range req.NICs {
		var err error
		if nic, err = normalizeNIC(r, nic); err != nil {
			return req, err
		}
		nics[i] = nic
	}
	req.NICs = nics
	return req, nil
}

// normalizeNIC is normalize for one interface.
func normalizeNIC(r rpc, nic providers.NIC) (providers.NIC, error) {
	bad := func(message string) (providers.NIC, error) {
		return nic, r.errorf(providers.InvalidArgument, message)
	}
	if mac, err := net.ParseMAC(nic.MAC); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return bad("a MAC address is missing or is not a unicast address")
	}
	switch nic.Network.Type {
	case "":
		nic.Network.Type = models.NetworkNetwork
	case models.NetworkNetwork, models.NetworkBridge, models.NetworkUser:
	default:
		return bad(`a network's type must be "network", "bridge" or "user"`)
	}
	if nic.Network.Type != models.NetworkUser && (nic.Network.Ref == "" || !isXMLText(nic.Network.Ref)) {
		return bad("a network has no name")
	}
	return nic, nil
}
