package libvirt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/models"
)

// The XML namespaces of what we keep in a domain's metadata. The second is
// rewritten while a VM lives, the first never.
const (
	markNamespace   = "urn:hypervisor-control-plane:libvirt:vm:1"
	rebootNamespace = "urn:hypervisor-control-plane:libvirt:reboot:1"
	rebootPrefix    = "hcpreboot"
)

// mark is what a domain says about itself. It is ours if its installation is
// ours and its VM ID is also the domain's UUID: a copy of a domain, which
// libvirt gives another UUID, is nobody's.
type mark struct {
	VMID         string
	Installation string
	Name         string // as the tenant wrote it; a domain's title cannot hold every text
	CloneMode    models.CloneMode
	RebootToken  string // the last reboot that was carried out
}

// markXML is the mark as it is written. The prefixes are literal because
// libvirt drops metadata whose namespace has none.
type markXML struct {
	XMLName      xml.Name         `xml:"hcp:vm"`
	Namespace    string           `xml:"xmlns:hcp,attr"`
	VMID         string           `xml:"hcp:vm_id"`
	Installation string           `xml:"hcp:installation_id"`
	Name         string           `xml:"hcp:name"`
	CloneMode    models.CloneMode `xml:"hcp:clone_mode"`
}

// metadataXML is a domain's metadata as it is read.
type metadataXML struct {
	Marks []struct {
		VMID         string           `xml:"urn:hypervisor-control-plane:libvirt:vm:1 vm_id"`
		Installation string           `xml:"urn:hypervisor-control-plane:libvirt:vm:1 installation_id"`
		Name         string           `xml:"urn:hypervisor-control-plane:libvirt:vm:1 name"`
		CloneMode    models.CloneMode `xml:"urn:hypervisor-control-plane:libvirt:vm:1 clone_mode"`
	} `xml:"urn:hypervisor-control-plane:libvirt:vm:1 vm"`
	Reboot struct {
		Token string `xml:"token,attr"`
	} `xml:"urn:hypervisor-control-plane:libvirt:reboot:1 reboot"`
}

// rebootXML is the element that remembers the last reboot.
type rebootXML struct {
	XMLName xml.Name `xml:"reboot"`
	Token   string   `xml:"token,attr"`
}

func (m mark) encode() (string, error) {
	b, err := xml.Marshal(markXML{
		Namespace: markNamespace, VMID: m.VMID, Installation: m.Installation, Name: m.Name, CloneMode: m.CloneMode,
	})
	return string(b), err
}

func encodeReboot(token string) (string, error) {
	b, err := xml.Marshal(rebootXML{Token: token})
	return string(b), err
}

// decodeMark reads what is inside a domain's metadata element. ok is false
// where there is no mark, or more than one.
func decodeMark(inner string) (m mark, ok bool) {
	var doc metadataXML
	if err := xml.Unmarshal([]byte("<metadata>"+inner+"</metadata>"), &doc); err != nil || len(doc.Marks) != 1 {
		return mark{}, false
	}
	d := doc.Marks[0]
	return mark{VMID: d.VMID, Installation: d.Installation, Name: d.Name, CloneMode: d.CloneMode, RebootToken: doc.Reboot.Token}, true
}

// isXMLText reports whether XML 1.0 can carry s unchanged
// (https://www.w3.org/TR/xml/#charsets).
func isXMLText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

// The parts that a VM has in a storage pool; copyMark is followed by a nonce.
const (
	rootDisk = "root.qcow2"
	seedDisk = "seed.iso"
	copyMark = "copy-"
)

const namePrefix = "hcp-"

// domainName is the name of a VM's domain. It is derived from the VM ID alone:
// the tenant's name is no identity and could be anything.
func domainName(vmID string) string { return namePrefix + vmID }

// volumeName is the name of a part of a VM. A volume has no metadata, so its
// name is the only place for the mark.
func (s settings) volumeName(vmID, part string) string {
	return s.volumePrefix(vmID) + part
}

func (s settings) volumePrefix(vmID string) string {
	sum := sha256.Sum256([]byte(s.installation))
	return namePrefix + vmID + "-" + hex.EncodeToString(sum[:6]) + "-"
}

// isVolumeOfSomeVM reports whether a volume belongs to a VM of any
// installation, and thus is no image.
func isVolumeOfSomeVM(name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix)
	const id = len("00000000-0000-0000-0000-000000000000")
	if !ok || len(rest) <= id || rest[id] != '-' {
		return false
	}
	return uuid.Validate(rest[:id]) == nil
}
