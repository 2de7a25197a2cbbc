package proxmox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// snippetName is the file that holds the owner's user data, since the rebuild that
// the token names; "" for what it was made with.
func snippetName(owner, token string) string {
	if token != "" {
		return snippetPrefix(owner) + tokenName(token) + "-user.yaml"
	}
	return snippetPrefix(owner) + "user.yaml"
}

// tokenName stands for a rebuild's token in names of files.
func tokenName(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

func snippetPrefix(owner string) string { return "hcp-" + owner + "-" }

// userSnippet stands before the volume in a cicustom key.
const userSnippet = "user="

// uploadSnippet stores the user data as a snippet, and returns its volume. A
// hypervisor that takes no snippets through its API is Unimplemented.
func (p *Provider) uploadSnippet(ctx context.Context, op, node, name string, req providers.CreateVMRequest) (string, *providers.Error) {
	storage := p.cfg.snippetStorage
	err := p.upload(ctx, op, apiPath("nodes", node, "storage", storage, "upload"), "snippets", name, req.CloudInit.UserData)
	if hasCode(err, providers.InvalidArgument) {
		return "", fail(op, providers.Unimplemented, err, "the hypervisor takes no custom user data through its API")
	}
	return storage + ":snippets/" + name, err
}

// rebuiltSnippet stores the user data of a rebuild, beside what the VM had before.
// It is stored once, however often the rebuild is asked for.
func (p *Provider) rebuiltSnippet(ctx context.Context, op string, m *machine, req providers.CreateVMRequest, token string) (string, *providers.Error) {
	name := snippetName(p.cfg.fileOwner(req.VMID), token)
	volume := p.cfg.snippetStorage + ":snippets/" + name
	there, err := p.isStored(ctx, op, m.Node, p.cfg.snippetStorage, "snippets", volume)
	if err != nil || there {
		return volume, err
	}
	return p.uploadSnippet(ctx, op, m.Node, name, req)
}

// snippetsOf lists the snippets that were stored for a VM.
func (p *Provider) snippetsOf(ctx context.Context, op, vmID string, storages []storageRow) ([]leftVolume, *providers.Error) {
	var out []leftVolume
	for _, s := range p.places(storages, "snippets") {
		if s.Storage != p.cfg.snippetStorage {
			continue
		}
		listed, err := p.content(ctx, op, s, "snippets")
		if err != nil {
			return nil, err
		}
		for _, v := range listed {
			if strings.Contains(v.ID, ":snippets/"+snippetPrefix(p.cfg.fileOwner(vmID))) {
				out = append(out, leftVolume{node: s.Node, storage: s.Storage, id: v.ID})
			}
		}
	}
	return out, nil
}
