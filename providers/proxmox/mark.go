package proxmox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// mark is what a VM says about itself, in one line of its description. It is ours
// if it names our VM ID and installation, and the VM's SMBIOS UUID is the VM ID:
// a copy has the description and the tags, but Proxmox VE gives it another UUID.
// Only while the VM is being made from an image (Making) is the UUID not set yet.
//
// Where the line is gone, as when somebody wrote notes of his own over it, the tags
// and the UUID are the mark: what it noted beside is lost then.
type mark struct {
	VMID         string `json:"vm_id"`
	Installation string `json:"installation_id"`
	Name         string `json:"name,omitempty"` // as the tenant wrote it; a VM's own name is a DNS name
	Making       bool   `json:"making,omitempty"`
	Deleting     bool   `json:"deleting,omitempty"`     // work that goes on in other processes has to end
	RebootToken  string `json:"reboot,omitempty"`       // of the last reboot that was asked for
	RebootAfter  string `json:"reboot_after,omitempty"` // the newest reboot before it, a UPID
	RebootNode   string `json:"reboot_node,omitempty"`  // whose list of tasks that is from
	Lost         bool   `json:"lost,omitempty"`         // the line was gone once, and with it the notes
	Notes        notes  `json:"notes,omitzero"`
}

const (
	markPrefix = "hcp: "
	humanLine  = "Managed by Hypervisor Control Plane. Do not change the line below."
	ourTag     = "hcp"
	vmTag      = "hcp-vm-"
	instTag    = "hcp-i-"
)

// describe returns old, the description that the VM has, with the mark in it.
// What others wrote there is kept.
func (m mark) describe(old string) (string, error) {
	line, err := m.line()
	if err != nil {
		return "", err
	}
	out := []string{humanLine, line}
	for l := range strings.Lines(old) {
		l = strings.TrimRight(l, "\r\n")
		if l != humanLine && !strings.HasPrefix(l, markPrefix) {
			out = append(out, l)
		}
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n"), nil
}

// line is the mark in ASCII alone and without what Markdown knows, as the web
// interface shows descriptions as Markdown.
func (m mark) line() (string, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(markPrefix)
	for _, r := range string(raw) {
		switch {
		case r < 0x80 && !strings.ContainsRune("()`*~!|", r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String(), nil
}

// readMark finds the mark in a description. ok is false where there is none, or
// more than one.
func readMark(description string) (m mark, ok bool) {
	found := ""
	for l := range strings.Lines(description) {
		rest, is := strings.CutPrefix(strings.TrimRight(l, "\r\n "), markPrefix)
		if !is {
			continue
		}
		if found != "" {
			return mark{}, false
		}
		found = rest
	}
	if found == "" || json.Unmarshal([]byte(found), &m) != nil {
		return mark{}, false
	}
	return m, m.VMID != "" && m.Installation != ""
}

// proves reports whether a VM with this configuration is ours for vmID.
func (s settings) proves(config map[string]string, vmID string) (mark, bool) {
	is := smbiosUUID(config["smbios1"]) == vmID
	m, ok := readMark(config["description"])
	if !ok {
		return mark{VMID: vmID, Installation: s.installation, Name: config["name"], Lost: true}, is && s.bears(config, vmID)
	}
	if m.VMID != vmID || m.Installation != s.installation {
		return mark{}, false
	}
	return m, m.Making || is
}

// bears reports whether a VM without a mark in its description has our tags for
// vmID, and no part of a mark that says otherwise.
func (s settings) bears(config map[string]string, vmID string) bool {
	for l := range strings.Lines(config["description"]) {
		var m mark
		rest, is := strings.CutPrefix(strings.TrimRight(l, "\r\n "), markPrefix)
		if is && json.Unmarshal([]byte(rest), &m) == nil && (m.VMID != vmID || m.Installation != s.installation) {
			return false
		}
	}
	tags := splitTags(config["tags"])
	return slices.Contains(tags, s.installationTag()) && slices.Contains(tags, vmTag+vmID)
}

// tags returns old, the VM's tags, with ours for vmID. Those of others are kept.
func (s settings) tags(old, vmID string) string {
	out := []string{ourTag, s.installationTag(), vmTag + vmID}
	for _, t := range splitTags(old) {
		if t != ourTag && !strings.HasPrefix(t, vmTag) && !strings.HasPrefix(t, instTag) && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return strings.Join(out, ";")
}

func splitTags(tags string) []string {
	return strings.FieldsFunc(tags, func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
}

// installationTag names the installation: a tag may not hold every text.
func (s settings) installationTag() string {
	sum := sha256.Sum256([]byte(s.installation))
	return instTag + hex.EncodeToString(sum[:6])
}

// smbiosUUID returns the UUID in the value of a VM's smbios1, in lower case.
func smbiosUUID(value string) string {
	for part := range strings.SplitSeq(value, ",") {
		if id, ok := strings.CutPrefix(part, "uuid="); ok {
			return strings.ToLower(id)
		}
	}
	return ""
}

// withSMBIOSUUID returns the value of smbios1 with another UUID.
func withSMBIOSUUID(old, id string) string {
	out := []string{"uuid=" + id}
	for part := range strings.SplitSeq(old, ",") {
		if part != "" && !strings.HasPrefix(part, "uuid=") {
			out = append(out, part)
		}
	}
	return strings.Join(out, ",")
}
