package proxmox

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// setUp writes a VM's whole configuration in one call, which holds or does not.
func (p *Provider) setUp(ctx context.Context, op string, o order, m *machine) *providers.Error {
	if len(o.req.CloudInit.UserData) > 0 {
		if p.cfg.isoStorage != "" {
			if err := p.uploadMedium(ctx, op, m.Node, mediumName(p.cfg.fileOwner(o.req.VMID), ""), o.req); err != nil {
				return err
			}
		} else {
			volume, err := p.uploadSnippet(ctx, op, m.Node, snippetName(p.cfg.fileOwner(o.req.VMID), ""), o.req)
			if err != nil {
				return err
			}
			o.init = maps.Clone(o.init)
			o.init["cicustom"] = userSnippet + volume
		}
	}
	in, err := p.configuration(op, o, m)
	if err != nil {
		return err
	}
	err = p.configure(ctx, op, m, in)
	if hasCode(err, providers.NotFound, providers.Aborted) {
		return p.outlived(ctx, op, m.Mark.VMID, err)
	}
	return err
}

// outlived removes the user data that was stored for a VM which was removed
// meanwhile: whoever removed it may have looked for it before it was there.
func (p *Provider) outlived(ctx context.Context, op, vmID string, err *providers.Error) *providers.Error {
	m, findErr := p.settled(ctx, op, vmID)
	if findErr != nil || m != nil {
		return err
	}
	if dropErr := p.dropMedia(ctx, op, vmID); dropErr != nil {
		return dropErr
	}
	return err
}

// configuration is what makes a clone of a template the VM of an order. What the
// template says and the order does not is kept, but for the template's own
// interfaces and cloud-init.
func (p *Provider) configuration(op string, o order, m *machine) (params, *providers.Error) {
	next := mark{VMID: o.req.VMID, Installation: p.cfg.installation, Name: o.req.Name}
	description, err := next.describe(m.Config["description"])
	if err != nil {
		return nil, fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	in := params{
		"name": o.hostname, "description": description, "tags": p.cfg.tags(m.Config["tags"], o.req.VMID),
		"smbios1": withSMBIOSUUID(m.Config["smbios1"], o.req.VMID),
		"sockets": 1, "cores": o.req.VCPUs, "memory": o.req.MemoryMiB,
	}
	if p.cfg.cpuType != "" {
		in["cpu"] = p.cfg.cpuType
	}
	for i, nic := range o.nics {
		key := "net" + strconv.Itoa(i)
		if old, ok := parseNICConfig(m.Config[key]); ok {
			nic.model, nic.rest = old.model, kept(old.rest)
		}
		value, err := nic.encode()
		if err != nil {
			return nil, fail(op, providers.InvalidArgument, nil, "an interface cannot be written")
		}
		in[key] = value
	}
	medium, ok := seedSlot(m.Config)
	if !ok {
		return nil, fail(op, providers.FailedPrecondition, nil, "the template has no room for a cloud-init medium")
	}
	if len(o.req.CloudInit.UserData) > 0 && p.cfg.isoStorage != "" {
		in[medium] = p.mediumDrive(mediumName(p.cfg.fileOwner(o.req.VMID), ""))
	} else {
		maps.Copy(in, o.init)
		if p.cfg.user != "" {
			in["ciuser"] = p.cfg.user
		}
		if cloudInitKey(m.Config) == "" {
			in[medium] = p.storageFor(m) + ":cloudinit"
		}
	}
	if gone := stale(m.Config, in); len(gone) > 0 {
		in["delete"] = strings.Join(gone, ",")
	}
	return in, nil
}

// kept is what of a template's interface its clones keep: how it is driven, and
// not where it leads.
func kept(rest properties) properties {
	return slices.DeleteFunc(slices.Clone(rest), func(p property) bool {
		return p.key == "trunks" || p.key == "link_down"
	})
}

func freeSlot(config map[string]string, kind string, numbers []int) (string, bool) {
	for _, n := range numbers {
		if key := kind + strconv.Itoa(n); config[key] == "" {
			return key, true
		}
	}
	return "", false
}

// stale lists what a template brought that the VM is not to have: interfaces and
// cloud-init of its own, what would contradict the VM's size, and the protection
// from being removed.
func stale(config map[string]string, in params) []string {
	var out []string
	keys := append(keysOf(config, "net", "ipconfig"), "sshkeys", "nameserver", "searchdomain", "cicustom", "cipassword", "vcpus", "balloon", "protection")
	for _, key := range keys {
		if _, set := in[key]; !set && config[key] != "" {
			out = append(out, key)
		}
	}
	return out
}
