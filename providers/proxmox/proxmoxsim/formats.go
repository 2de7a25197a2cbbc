package proxmoxsim

import (
	"net/netip"
	"strings"
)

// namedFormat returns the sub-keys of a property string whose format the
// published schema only names.
func namedFormat(name string) (map[string]paramFacts, bool) {
	text := paramFacts{Type: "string"}
	switch name {
	case "pve-qm-ipconfig":
		return map[string]paramFacts{
			"ip":  {Type: "string", Format: "pve-ipv4-config"},
			"gw":  {Type: "string", Format: "ipv4", Requires: "ip"},
			"ip6": {Type: "string", Format: "pve-ipv6-config"},
			"gw6": {Type: "string", Format: "ipv6", Requires: "ip6"},
		}, true
	case "pve-qm-smbios1":
		return map[string]paramFacts{
			"uuid":   {Type: "string", Format: "uuid"},
			"base64": {Type: "boolean"}, "family": text, "manufacturer": text, "product": text,
			"serial": text, "sku": text, "version": text,
		}, true
	case "pve-qm-cicustom":
		volume := paramFacts{Type: "string", Format: "pve-volume-id"}
		return map[string]paramFacts{"meta": volume, "network": volume, "user": volume, "vendor": volume}, true
	case "pve-qm-boot":
		return map[string]paramFacts{
			"legacy": {Type: "string", Default: true, Format: "boot-letters"},
			"order":  {Type: "string", Format: "boot-order"},
		}, true
	case "pve-vm-cpu-conf":
		return map[string]paramFacts{
			"cputype": {Type: "string", Default: true}, "flags": text, "hidden": {Type: "boolean"},
			"hv-vendor-id": text, "phys-bits": text, "guest-phys-bits": {Type: "integer"}, "reported-model": text,
		}, true
	default:
		return nil, false
	}
}

const (
	nodeForm    = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	configForm  = `[a-zA-Z][a-zA-Z0-9_-]+`
	storageForm = `[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]`
	tagForm     = `[a-z0-9_][a-z0-9_+.-]*`
	vlanForm    = `[a-zA-Z][a-zA-Z0-9_]*(?:\.\d+)?`
	uuidForm    = `[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}`
	volumeForm  = storageForm + `:\S+`
	urlForm     = `[-%a-zA-Z0-9_.!~*'()]*`
)

// checkFormat returns what is wrong with a value of a format that the schema
// names. Formats that no request of a control plane uses are let through.
func checkFormat(format, value string) string {
	if inner, ok := strings.CutSuffix(format, "-list"); ok {
		for item := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(",; \x00", r) }) {
			if msg := checkFormat(inner, item); msg != "" {
				return msg
			}
		}
		return ""
	}
	wrong := func(ok bool, what string) string {
		if ok {
			return ""
		}
		return "invalid format - " + what + "\n"
	}
	switch format {
	case "dns-name":
		return wrong(matches(nodeForm+`(?:\.`+nodeForm+`)*`, value), "value does not look like a valid DNS name")
	case "pve-node":
		return wrong(matches(nodeForm, value), "value does not look like a valid node name")
	case "pve-vmid":
		return wrong(matches(`[1-9][0-9]{2,8}`, value), "value does not look like a valid VM ID")
	case "pve-configid":
		return wrong(matches(configForm, value), "invalid configuration ID '"+value+"'")
	case "pve-storage-id":
		return wrong(matches(storageForm, value), "storage ID '"+value+"' contains illegal characters")
	case "storage-pair":
		return wrong(value == "1" || matches(storageForm+`(?::`+storageForm+`)?`, value), "storage ID '"+value+"' contains illegal characters")
	case "pve-bridge-id":
		return wrong(matches(`[-_.\w]+`, value), "invalid bridge identifier")
	case "pve-tag":
		return wrong(matches(`(?i)`+tagForm, value), "invalid characters in tag")
	case "pve-iface":
		return wrong(matches(vlanForm, value) && len(value) <= 20, "invalid network interface name '"+value+"'")
	case "pve-volume-id":
		return wrong(matches(volumeForm, value), "unable to parse volume ID '"+value+"'")
	case "pve-volume-id-or-qm-path":
		ok := value == "none" || value == "cdrom" || strings.HasPrefix(value, "/") || matches(volumeForm, value)
		return wrong(ok, "unable to parse volume ID '"+value+"'")
	case "urlencoded":
		return wrong(matches(urlForm, value), "value '"+value+"' does not look like a valid url-encoded string")
	case "disk-size":
		return wrong(matches(`\d+(?:\.\d+)?[KMGT]?`, value), "value does not look like a valid disk size: "+value)
	case "uuid":
		return wrong(matches(uuidForm, value), "value does not match the regex pattern")
	default:
		return checkNetworkFormat(format, value, wrong)
	}
}

func checkNetworkFormat(format, value string, wrong func(bool, string) string) string {
	switch format {
	case "mac-addr":
		ok := matches(`(?i)[a-f0-9][02468ace](?::[a-f0-9]{2}){5}`, value)
		return wrong(ok, "value does not look like a valid unicast MAC address")
	case "ipv4":
		ip, err := netip.ParseAddr(value)
		return wrong(err == nil && ip.Is4(), "value does not look like a valid ipv4 address")
	case "ipv6":
		ip, err := netip.ParseAddr(value)
		return wrong(err == nil && ip.Is6(), "value does not look like a valid ipv6 address")
	case "address":
		_, err := netip.ParseAddr(value)
		return wrong(err == nil || matches(nodeForm+`(?:\.`+nodeForm+`)*`, value), "value does not look like a valid address: "+value)
	case "pve-ipv4-config":
		p, err := netip.ParsePrefix(value)
		return wrong(value == "dhcp" || err == nil && p.Addr().Is4(), "value does not look like a valid ipv4 network configuration")
	case "pve-ipv6-config":
		p, err := netip.ParsePrefix(value)
		return wrong(value == "dhcp" || value == "auto" || err == nil && p.Addr().Is6(), "value does not look like a valid ipv6 network configuration")
	case "boot-letters":
		return wrong(matches(`[acdn]{1,4}`, value), "value does not match the regex pattern")
	case "boot-order":
		ok := matches(`(?:(?:ide|scsi|virtio|sata|net|usb|hostpci)\d+)(?:;(?:ide|scsi|virtio|sata|net|usb|hostpci)\d+)*`, value)
		return wrong(ok, "invalid boot device")
	default:
		return ""
	}
}
