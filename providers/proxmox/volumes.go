package proxmox

import (
	"context"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// leftVolume is a volume that is there without a VM.
type leftVolume struct{ node, storage, id string }

// listedVolume is a volume as a storage lists it.
type listedVolume struct {
	ID string `json:"volid"`
}

// content lists a storage's volumes of a kind.
func (p *Provider) content(ctx context.Context, op string, s storageRow, kind string) ([]listedVolume, *providers.Error) {
	var out []listedVolume
	err := p.get(ctx, op, apiPath("nodes", s.Node, "storage", s.Storage, "content"), params{"content": kind}, &out)
	return out, err
}

// places are the storages of a content that can be looked at: a shared one once.
func (p *Provider) places(storages []storageRow, content string) []storageRow {
	var out []storageRow
	for _, s := range storages {
		seen := slices.ContainsFunc(out, func(o storageRow) bool { return o.Storage == s.Storage && s.Shared == 1 })
		if s.Status == "available" && s.holds(content) && !seen {
			out = append(out, s)
		}
	}
	return out
}

// imagesAt lists the volumes of disks whose names have one of the VMIDs, whoever
// made them. Storages of nodes that are down are not looked at.
func (p *Provider) imagesAt(ctx context.Context, op string, storages []storageRow, vmids ...int) ([]leftVolume, *providers.Error) {
	var found []leftVolume
	for _, s := range p.places(storages, "images") {
		listed, err := p.content(ctx, op, s, "images")
		if err != nil {
			return nil, err
		}
		for _, v := range listed {
			if slices.Contains(vmids, ownerOf(v.ID)) {
				found = append(found, leftVolume{s.Node, s.Storage, v.ID})
			}
		}
	}
	return found, nil
}

// belongings are the volumes that are a VM's own: those that its configuration
// names, and those with its VMID, which nothing had when the VM was made.
func (p *Provider) belongings(ctx context.Context, op string, m *machine) ([]leftVolume, *providers.Error) {
	storages, err := p.storageRows(ctx, op)
	if err != nil {
		return nil, err
	}
	return p.imagesAt(ctx, op, storages, m.VMID)
}

// named are the volumes that a VM's configuration names as its own.
func (m *machine) named() []string {
	var out []string
	for _, key := range append(diskKeys(m.Config), keysOf(m.Config, "unused", "efidisk", "tpmstate")...) {
		if d, ok := parseDiskConfig(m.Config[key]); ok && ownerOf(d.volume) == m.VMID {
			out = append(out, d.volume)
		}
	}
	return out
}

// sweep proves that the volumes which a destroyed VM named are gone, and removes
// what is not, unless its VMID is somebody else's by now. Of other volumes with
// that VMID nothing proves whose they are: they stay.
func (p *Provider) sweep(ctx context.Context, op string, m *machine) *providers.Error {
	left, err := p.remains(ctx, op, m)
	if err != nil || len(left) == 0 {
		return err
	}
	for _, v := range left {
		if err := p.drop(ctx, op, v); err != nil {
			return err
		}
	}
	if left, err = p.remains(ctx, op, m); err == nil && len(left) > 0 {
		err = fail(op, providers.Aborted, nil, "volumes of the VM are there still")
	}
	return err
}

// remains lists the volumes that a destroyed VM named and that are there still.
func (p *Provider) remains(ctx context.Context, op string, m *machine) ([]leftVolume, *providers.Error) {
	storages, err := p.storageRows(ctx, op)
	if err != nil {
		return nil, err
	}
	// On another node's own storage the same name is another volume.
	storages = slices.DeleteFunc(storages, func(s storageRow) bool { return s.Shared != 1 && s.Node != m.Node })
	found, err := p.imagesAt(ctx, op, storages, m.VMID)
	if err != nil {
		return nil, err
	}
	named := m.named()
	found = slices.DeleteFunc(found, func(v leftVolume) bool { return !slices.Contains(named, v.id) })
	if len(found) == 0 {
		return nil, nil
	}
	// The VMs are read last: whoever makes one reserves its VMID before its disks.
	rows, err := p.rows(ctx, op)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.VMID == m.VMID }) {
		return nil, nil
	}
	return found, nil
}

// drop removes a volume. One that is not there is removed: another process may
// have been at it, whose task is told apart by the list alone.
func (p *Provider) drop(ctx context.Context, op string, v leftVolume) *providers.Error {
	var task string
	_, name, _ := strings.Cut(v.id, ":")
	err := p.del(ctx, op, apiPath("nodes", v.node, "storage", v.storage, "content", name), nil, &task)
	if err == nil && task != "" {
		err = p.await(ctx, op, task)
	}
	if err == nil || err.Code.Retryable() {
		return err
	}
	kind, _, filed := strings.Cut(name, "/")
	if !filed || kind != "iso" && kind != "snippets" {
		kind = "images"
	}
	if there, listErr := p.isStored(ctx, op, v.node, v.storage, kind, v.id); listErr == nil && !there {
		return nil
	}
	return err
}

// dropMedia removes the user data that was stored for a VM, and proves it.
func (p *Provider) dropMedia(ctx context.Context, op, vmID string) *providers.Error {
	left, err := p.media(ctx, op, vmID)
	if err != nil || len(left) == 0 {
		return err
	}
	for _, v := range left {
		if err := p.drop(ctx, op, v); err != nil {
			return err
		}
	}
	if left, err = p.media(ctx, op, vmID); err == nil && len(left) > 0 {
		err = fail(op, providers.Aborted, nil, "the VM's user data is there still")
	}
	return err
}
