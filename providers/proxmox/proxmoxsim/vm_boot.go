package proxmoxsim

import (
	"slices"
	"strings"
)

// bootable refuses a boot order with devices that the guest will not have. The
// caller holds Server.mu.
func (s *Server) bootable(g *guest, set config, removed []string) error {
	order, ok := strings.CutPrefix(set["boot"], "order=")
	if !ok {
		return nil
	}
	for key := range strings.SplitSeq(order, ";") {
		there := g.Config[key] != "" || g.Pending[key] != "" || set[key] != ""
		if key != "" && (!there || slices.Contains(removed, key)) {
			return failed("invalid bootorder: device '" + key + "' does not exist'")
		}
	}
	return nil
}

// hot reports whether a running guest takes a key's change at once.
func (g *guest) hot(key string) bool {
	features, ok := g.Config["hotplug"]
	if !ok || features == "1" {
		features = "network,disk,usb"
	}
	has := func(f string) bool { return slices.Contains(strings.Split(features, ","), f) }
	base := strings.TrimRight(key, "0123456789")
	switch base {
	case "name", "description", "tags", "onboot", "startup", "protection", "lock", "hotplug", "unused",
		"shares", "vmstatestorage", "cpulimit", "cpuunits", "balloon", "affinity":
		return true
	case "net":
		return has("network")
	case "scsi", "virtio":
		return has("disk")
	case "usb":
		return has("usb")
	case "ide", "sata":
		return g.Config[key] != "" && !parseDrive(g.Config[key]).disk()
	case "ciuser", "cipassword", "citype", "ciupgrade", "cicustom", "sshkeys", "nameserver", "searchdomain", "ipconfig":
		return has("cloudinit")
	case "vcpus":
		return has("cpu")
	case "memory":
		return has("memory") && g.Config["numa"] == "1"
	default:
		return false
	}
}

// holds reports whether the guest does not let go of a device that it has: the
// request comes by the same way as that to shut down.
func (g *guest) holds(key string) bool {
	device := numbered(key, "net") || numbered(key, "scsi") || numbered(key, "virtio")
	return device && g.Deaf && g.isRunning() && g.hot(key) && g.Config[key] != ""
}
