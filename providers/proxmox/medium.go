package proxmox

import (
	"context"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// Custom user data goes to the guest on a medium of our own: the API takes ISO
// images from everybody, and snippets, which Proxmox VE would put on its medium,
// from nobody.

// fileOwner begins the names of the files with a VM's user data. It names the
// installation as well: one that was made from a copy of another one's database has
// its VM IDs.
func (s settings) fileOwner(vmID string) string {
	return strings.TrimPrefix(s.installationTag(), instTag) + "-" + vmID
}

// ownerLength is the length of a fileOwner, in characters: six bytes in hexadecimal,
// and a VM ID.
const ownerLength = 12 + 1 + 36

// mediumName is the file that holds the owner's user data, since the rebuild that
// the token names; "" for what it was made with.
func mediumName(owner, token string) string {
	if token != "" {
		return "hcp-" + owner + "-" + tokenName(token) + ".iso"
	}
	return "hcp-" + owner + ".iso"
}

// seedOwner is the owner of a medium that uploadMedium stored; "" for a volume that
// is none.
func seedOwner(volume string) string {
	_, name, _ := strings.Cut(volume, ":")
	rest, ours := strings.CutPrefix(name, "iso/hcp-")
	rest, iso := strings.CutSuffix(rest, ".iso")
	if !ours || !iso || len(rest) < ownerLength {
		return ""
	}
	installation, id, _ := strings.Cut(rest[:ownerLength], "-")
	if tail := rest[ownerLength:]; !vmid.Valid(id) || !isOf(installation, "0123456789abcdef") || tail != "" && tail[0] != '-' {
		return ""
	}
	return rest[:ownerLength]
}

// seedKey is the key of the drive with the medium for the guest's first boot,
// Proxmox VE's own or ours; empty without.
func seedKey(config map[string]string) string {
	if key := cloudInitKey(config); key != "" {
		return key
	}
	return ownMediumKey(config)
}

// seedSlot is where the drive with the medium is, or can be.
func seedSlot(config map[string]string) (string, bool) {
	if key := seedKey(config); key != "" {
		return key, true
	}
	return freeSlot(config, "ide", []int{2, 0, 1, 3})
}

// ownMediumKey is the key of the drive with a medium of ours; empty without.
func ownMediumKey(config map[string]string) string {
	for _, key := range keysOf(config, "ide", "sata", "scsi") {
		if d, ok := parseDiskConfig(config[key]); ok && seedOwner(d.volume) != "" {
			return key
		}
	}
	return ""
}

// mediumVolume is the volume of a medium's file, and mediumDrive the drive with it.
func (p *Provider) mediumVolume(name string) string { return p.cfg.isoStorage + ":iso/" + name }

func (p *Provider) mediumDrive(name string) string { return p.mediumVolume(name) + ",media=cdrom" }

// uploadMedium stores the medium with a VM's user data, in place of one from an
// interrupted attempt.
func (p *Provider) uploadMedium(ctx context.Context, op, node, name string, req providers.CreateVMRequest) *providers.Error {
	image, err := seedMedium(req)
	if err != nil {
		return fail(op, providers.Internal, nil, "the user data cannot be written")
	}
	return p.upload(ctx, op, apiPath("nodes", node, "storage", p.cfg.isoStorage, "upload"), "iso", name, image)
}

// media lists the media that were stored for a VM. Their names have its installation
// and VM ID, which nobody else gives.
func (p *Provider) media(ctx context.Context, op, vmID string) ([]leftVolume, *providers.Error) {
	if p.cfg.isoStorage == "" && p.cfg.snippetStorage == "" {
		return nil, nil
	}
	storages, err := p.storageRows(ctx, op)
	if err != nil {
		return nil, err
	}
	out, err := p.snippetsOf(ctx, op, vmID, storages)
	if err != nil {
		return nil, err
	}
	for _, s := range p.places(storages, "iso") {
		if s.Storage != p.cfg.isoStorage {
			continue
		}
		listed, err := p.content(ctx, op, s, "iso")
		if err != nil {
			return nil, err
		}
		for _, v := range listed {
			if seedOwner(v.ID) == p.cfg.fileOwner(vmID) {
				out = append(out, leftVolume{node: s.Node, storage: s.Storage, id: v.ID})
			}
		}
	}
	return out, nil
}
