package proxmox

import (
	"context"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// What a rebuild makes of cloud-init. User data that it stores goes into a file of
// its own, named by the token: the one that the VM had stays until the rebuild is
// finished, and the new one goes when it is undone.

// rebuiltInit is what a rebuild writes of cloud-init. User data is stored first: it
// is small, so the call waits for it, within its bound.
func (p *Provider) rebuiltInit(ctx context.Context, op string, o order, m *machine, token string) (params, *providers.Error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.callTimeout)
	defer cancel()
	slot, ok := seedSlot(m.Config)
	if !ok {
		return nil, fail(op, providers.FailedPrecondition, nil, "the VM has no room for a cloud-init medium")
	}
	custom := len(o.req.CloudInit.UserData) > 0
	if custom && p.cfg.isoStorage != "" {
		name := mediumName(p.cfg.fileOwner(o.req.VMID), token)
		return params{slot: p.mediumDrive(name)}, p.uploadMedium(ctx, op, m.Node, name, o.req)
	}
	// An interface that was attached since may stand at any number.
	keys := make([]string, len(o.nics))
	for i, nic := range o.nics {
		keys[i] = nicKey(m.Config, nic.mac)
	}
	in, initErr := cloudInitConfig(o.req.CloudInit, o.req.NICs, keys)
	if initErr != nil {
		return nil, fail(op, providers.InvalidArgument, nil, initErr.Error())
	}
	if cloudInitKey(m.Config) == "" {
		in[slot] = p.storageFor(m) + ":cloudinit"
	}
	if custom {
		volume, err := p.rebuiltSnippet(ctx, op, m, o.req, token)
		if err != nil {
			return nil, err
		}
		in["cicustom"] = userSnippet + volume
	}
	return in, nil
}

// cloudInitKeys are those of a configuration that a rebuild writes anew.
func cloudInitKeys(config map[string]string) []string {
	keys := keysOf(config, "ipconfig")
	for _, k := range []string{"sshkeys", "nameserver", "cicustom"} {
		if config[k] != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// renewed is the value by which a drive with a medium comes back: Proxmox VE frees
// one of its own with the drive, and makes it anew.
func renewed(drive string) string {
	if d, ok := parseDiskConfig(drive); ok && d.isCloudInit() {
		return d.storage() + ":cloudinit"
	}
	return drive
}

// rebuiltFiles are the files that the token's rebuild may have stored.
func (p *Provider) rebuiltFiles(vmID, token string) []string {
	var out []string
	if p.cfg.snippetStorage != "" {
		out = append(out, p.cfg.snippetStorage+":snippets/"+snippetName(p.cfg.fileOwner(vmID), token))
	}
	if p.cfg.isoStorage != "" {
		out = append(out, p.mediumVolume(mediumName(p.cfg.fileOwner(vmID), token)))
	}
	return out
}

// filesIn are the files with user data that a configuration names.
func filesIn(config map[string]string) []string {
	var out []string
	if snippet := parseProperties(config["cicustom"]).get("user"); snippet != "" {
		out = append(out, snippet)
	}
	for _, key := range diskKeys(config) {
		if d, ok := parseDiskConfig(config[key]); ok && seedOwner(d.volume) != "" {
			out = append(out, d.volume)
		}
	}
	return out
}

func names(config map[string]string, file string) bool { return slices.Contains(filesIn(config), file) }

// dropFiles removes files with user data that we stored for the VM and that it
// does not use; another's stay.
func (p *Provider) dropFiles(ctx context.Context, op string, m *machine, files []string) *providers.Error {
	owner := p.cfg.fileOwner(m.Mark.VMID)
	for _, file := range files {
		storage, name, _ := strings.Cut(file, ":")
		kind, _, _ := strings.Cut(name, "/")
		snippet := storage == p.cfg.snippetStorage && strings.HasPrefix(name, "snippets/"+snippetPrefix(owner))
		medium := storage == p.cfg.isoStorage && seedOwner(file) == owner
		if storage == "" || !snippet && !medium || names(m.Config, file) {
			continue
		}
		there, err := p.isStored(ctx, op, m.Node, storage, kind, file)
		if err == nil && !there {
			if err = p.uploading(ctx, op, m.Node); err == nil {
				there, err = p.isStored(ctx, op, m.Node, storage, kind, file)
			}
		}
		if err == nil && there {
			err = p.drop(ctx, op, leftVolume{node: m.Node, storage: storage, id: file})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) isStored(ctx context.Context, op, node, storage, kind, file string) (bool, *providers.Error) {
	listed, err := p.content(ctx, op, storageRow{Node: node, Storage: storage}, kind)
	return slices.ContainsFunc(listed, func(v listedVolume) bool { return v.ID == file }), err
}
