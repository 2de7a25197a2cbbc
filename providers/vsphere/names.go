package vsphere

import (
	"strings"
	"unicode/utf8"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// maxName is how long the name of a tenant may be, in bytes.
const maxName = 1000

// maxLabel is how much of a VM's name is taken from the tenant's.
const maxLabel = 48

// isText reports whether a name can travel in XML: UTF-8 without the characters
// that XML has no spelling for.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF
	})
}

// displayName is the VM's name on the hypervisor: readable, and one VM ID's alone. It
// follows from the request, so that a second attempt to make the VM meets the first.
func displayName(req providers.CreateVMRequest) string {
	label := dnsLabel(req.Name)
	if label == "" {
		label = "vm"
	}
	return label + nameSuffix(req.VMID)
}

// nameSuffix is the end of the name of the VM with this ID: the random part of it.
func nameSuffix(vmID string) string {
	return "-" + vmID[strings.LastIndexByte(vmID, '-')+1:]
}

// hostname is what cloud-init calls the guest.
func hostname(req providers.CreateVMRequest) string {
	for _, name := range []string{req.CloudInit.Hostname, req.Name} {
		if isDNSName(name) {
			return name
		}
	}
	if label := dnsLabel(req.Name); label != "" {
		return label
	}
	return "vm-" + req.VMID
}

// isDNSName reports whether a name is one of labels of letters, digits and hyphens.
func isDNSName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// dnsLabel is what of a name can be a label of DNS; it may be empty.
func dnsLabel(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case b.Len() == maxLabel:
		case isAlphanumeric(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}
