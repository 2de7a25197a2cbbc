package proxmoxsim

import (
	"slices"
	"strings"
)

// configPrivileges are those of which one is needed to change anything of a
// guest's configuration.
func configPrivileges() []string {
	return []string{
		"VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType",
		"VM.Config.Options", "VM.Config.Cloudinit",
	}
}

// mayConfigure refuses a caller who lacks the privilege for one of the options
// that the call changes, or for a storage or bridge that it puts to use.
func (c *call) mayConfigure() error {
	vm := expand("/vms/{vmid}", c.vars)
	keys := c.list("delete")
	for key := range c.params {
		if key != "digest" && key != "delete" && key != "force" && key != "revert" && key != "background_delay" && key != "skiplock" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := c.maySet(vm, key, c.params[key]); err != nil {
			return err
		}
		if err := c.mayUse(key, c.params[key]); err != nil {
			return err
		}
	}
	return nil
}

// maySet refuses a caller who lacks the privilege for an option. Those that could
// reach the node are root's own, not a token's.
func (c *call) maySet(vm, key, value string) error {
	if c.who.name() == root {
		return nil
	}
	if driveKey(key) && strings.Contains(value, "cloudinit") {
		if err := c.need(vm, "VM.Config.Cloudinit"); err != nil {
			return err
		}
		return c.need(vm, "VM.Config.CDROM")
	}
	one := privilegesOf(key, value)
	if one == nil {
		return failed("only root can set '" + key + "' config")
	}
	return c.need(vm, one...)
}

// privilegesOf are those of which one is needed to change an option; nil: root
// alone may.
func privilegesOf(key, value string) []string {
	switch {
	case driveKey(key) && strings.Contains(value, "media=cdrom"):
		return []string{"VM.Config.CDROM"}
	case driveKey(key), unusedKey(key):
		return []string{"VM.Config.Disk"}
	case numbered(key, "net"):
		return []string{"VM.Config.Network"}
	case numbered(key, "numa"):
		return []string{"VM.Config.CPU"}
	case cloudInitKey(key):
		return []string{"VM.Config.Cloudinit", "VM.Config.Network"}
	case numbered(key, "serial") && (value == "" || value == "socket"), numbered(key, "usb") && strings.Contains(value, "spice"):
		return []string{"VM.Config.HWType"}
	}
	for privilege, keys := range optionPrivileges() {
		if slices.Contains(keys, key) {
			return []string{privilege}
		}
	}
	return nil
}

// optionPrivileges are the options that each privilege is for.
func optionPrivileges() map[string][]string {
	return map[string][]string{
		"VM.Config.CPU":    {"cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus"},
		"VM.Config.Memory": {"memory", "balloon", "shares", "allow-ksm"},
		"VM.Config.Disk":   {"boot", "bootdisk", "vmstatestorage"},
		"VM.Config.HWType": {
			"acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog", "audio0", "rng0",
		},
		"VM.Config.Options": {
			"agent", "autostart", "bios", "description", "keyboard", "localtime", "migrate_downtime", "migrate_speed", "name",
			"onboot", "ostype", "protection", "reboot", "startdate", "tags", "tdf", "template",
		},
	}
}

// mayUse refuses a storage or a bridge that the caller may not use.
func (c *call) mayUse(key, value string) error {
	switch {
	case value == "":
		return nil
	case driveKey(key):
		d := parseDrive(value)
		if id, name, ok := strings.Cut(d.file, ":"); ok && !strings.Contains(name, "-") {
			return c.need("/storage/"+id, "Datastore.AllocateSpace")
		}
	case numbered(key, "net"):
		p := c.server.facts.properties(key, value)
		if p["bridge"] == "" {
			return nil
		}
		path := "/sdn/zones/localnetwork/" + p["bridge"]
		if p["tag"] != "" {
			path += "/" + p["tag"]
		}
		return c.need(path, "SDN.Use")
	}
	return nil
}
