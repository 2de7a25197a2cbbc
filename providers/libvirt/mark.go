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

// The XML namespaces of what we keep in a domain's metadata. The first is the
// mark; the others are rewritten while a VM lives.
const (
	markNamespace   = "urn:hypervisor-control-plane:libvirt:vm:1"
	rebootNamespace = "urn:hypervisor-control-plane:libvirt:reboot:1"
	rebootPrefix    = "hcpreboot"

	revertNamespace  = "urn:hypervisor-control-plane:libvirt:revert:1"
	revertPrefix     = "hcprevert"
	rebuildNamespace = "urn:hypervisor-control-plane:libvirt:rebuild:1"
	rebuildPrefix    = "hcprebuild"
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
	RevertToken  string // the last return to a snapshot
	Rebuild      rebuildMark
}

// rebuildMark is a rebuild that is not finished, with what it set aside. It is
// written and removed by the very definition that changes the domain's disks.
type rebuildMark struct {
	Token     string           `xml:"token,attr"`
	Root      string           `xml:"root,attr"` // path of the root disk that was
	Seed      string           `xml:"seed,attr"` // path of its medium
	CloneMode models.CloneMode `xml:"clone_mode,attr"`
	// Finishing says that what was set aside is being removed.
	Finishing bool `xml:"finishing,attr,omitempty"`
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
	Revert struct {
		Token string `xml:"token,attr"`
	} `xml:"urn:hypervisor-control-plane:libvirt:revert:1 revert"`
	Rebuild rebuildMark `xml:"urn:hypervisor-control-plane:libvirt:rebuild:1 rebuild"`
}

// tokenXML is the element that remembers the last reboot, or the last revert.
// libvirt adds the prefix and the namespace.
type tokenXML struct {
	XMLName xml.Name
	Token   string `xml:"token,attr"`
}

// rebuildXML is the element of a rebuildMark as a definition needs it.
type rebuildXML struct {
	XMLName   xml.Name `xml:"hcprebuild:rebuild"`
	Namespace string   `xml:"xmlns:hcprebuild,attr"`
	rebuildMark
}

// rebuildBareXML is the element of a rebuildMark where libvirt adds the prefix.
type rebuildBareXML struct {
	XMLName xml.Name `xml:"rebuild"`
	rebuildMark
}

func (m mark) encode() (string, error) {
	b, err := xml.Marshal(markXML{
		Namespace: markNamespace, VMID: m.VMID, Installation: m.Installation, Name: m.Name, CloneMode: m.CloneMode,
	})
	return string(b), err
}

func encodeToken(element, token string) (string, error) {
	b, err := xml.Marshal(tokenXML{XMLName: xml.Name{Local: element}, Token: token})
	return string(b), err
}

func (m rebuildMark) encode() (string, error) {
	b, err := xml.Marshal(rebuildXML{Namespace: rebuildNamespace, rebuildMark: m})
	return string(b), err
}

func (m rebuildMark) encodeBare() (string, error) {
	b, err := xml.Marshal(rebuildBareXML{rebuildMark: m})
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
	return mark{
		VMID: d.VMID, Installation: d.Installation, Name: d.Name, CloneMode: d.CloneMode,
		RebootToken: doc.Reboot.Token, RevertToken: doc.Revert.Token, Rebuild: doc.Rebuild,
	}, true
}

// isXMLText reports whether XML 1.0 can carry s unchanged
// (https://www.w3.org/TR/xml/#charsets).
func isXMLText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

// The parts that a VM has in a storage pool. copyMark begins the names of the
// markers of copies, dataMark is followed by the data disk's ID. A rebuild gives
// the first two other names.
const (
	rootDisk = "root.qcow2"
	seedDisk = "seed.iso"
	copyMark = "copy"
	dataMark = "data-"
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

// rebuiltName is the name of a boot disk that a rebuild makes. The token may be
// any text, and so enters it as a hash.
func (s settings) rebuiltName(vmID, part, token string) string {
	sum := sha256.Sum256([]byte(token))
	stem, extension, _ := strings.Cut(part, ".")
	return s.volumeName(vmID, stem+"-"+hex.EncodeToString(sum[:6])+"."+extension)
}

// markerPrefix begins the names of the markers of the copy that a root disk is; a
// nonce follows.
func (s settings) markerPrefix(vmID, root string) string {
	part := strings.TrimSuffix(strings.TrimPrefix(root, s.volumeName(vmID, "root")), ".qcow2")
	return s.volumeName(vmID, copyMark+strings.Replace(part, "-", ".", 1)+"-")
}

// dataName is the name of a data disk's volume.
func (s settings) dataName(vmID, diskID string) string {
	return s.volumeName(vmID, dataMark+diskID+".qcow2")
}

// dataID returns the ID of the data disk that a volume of the VM is.
func (s settings) dataID(vmID, volume string) (string, bool) {
	part, ok := strings.CutPrefix(volume, s.volumePrefix(vmID)+dataMark)
	id, whole := strings.CutSuffix(part, ".qcow2")
	return id, ok && whole
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
