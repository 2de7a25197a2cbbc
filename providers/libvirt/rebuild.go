package libvirt

import (
	"context"
	"path"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// A rebuild makes new volumes, whose names bear the VM and a hash of the token.
// Then one definition puts them in the domain's place of the old ones and notes
// in its metadata where those are: there is no moment at which the domain has
// the one without the other. Going back is the same in the other direction.
// Finishing notes that there is no way back, removes the old volumes, and then
// the note.

// RebuildVM makes root disk and medium anew. A full copy goes on in the
// background, as with CreateVM, and the VM does not start before its end.
func (p *Provider) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	r := p.rpc("RebuildVM")
	if err := p.ready(ctx, r); err != nil {
		return "", err
	}
	req, err := normalize(r, req)
	if err != nil {
		return "", err
	}
	if token == "" || !isXMLText(token) {
		return "", r.errorf(providers.InvalidArgument, "the token must be plain text")
	}
	d, state, err := p.findPower(ctx, r, req.VMID)
	if err != nil {
		return "", err
	}
	names := p.rebuilt(req.VMID, token)
	done, task, err := p.rebuildStands(ctx, r, d, names, token)
	if err != nil || done {
		return task, err
	}
	if state != models.PowerStopped {
		return "", r.errorf(providers.FailedPrecondition, "the VM has to be off to be rebuilt")
	}
	if err := p.refuseSnapshots(ctx, r, d.Domain); err != nil {
		return "", err
	}
	image, facts, err := findImage(ctx, r, req.Image.Ref)
	if err != nil {
		return "", err
	}
	made, task, err := p.makeBootDisks(ctx, r, req, rootSource{image, facts}, names)
	if err != nil || d.mark.Rebuild.Token == token {
		return task, err
	}
	next := d.mark
	next.Rebuild = rebuildMark{Token: token, Root: d.rootPath, Seed: d.seedPath, CloneMode: d.mark.CloneMode}
	next.CloneMode = req.Image.CloneMode
	return task, p.switchBootDisks(ctx, r, d, made, next)
}

// rebuilt are the names of the volumes that a token's rebuild makes.
func (p *Provider) rebuilt(vmID, token string) bootDisks {
	return bootDisks{root: p.cfg.rebuiltName(vmID, rootDisk, token), seed: p.cfg.rebuiltName(vmID, seedDisk, token)}
}

// rebuildStands reports whether the rebuild is done, or at work by a task.
func (p *Provider) rebuildStands(ctx context.Context, r rpc, d domain, names bootDisks, token string) (done bool, task providers.TaskRef, err error) {
	if other := d.mark.Rebuild.Token; other != "" && other != token {
		return false, "", r.errorf(providers.FailedPrecondition, "another rebuild of the VM is not finished")
	}
	if path.Base(d.rootPath) != names.root {
		return false, "", nil
	}
	if d.isFull() {
		st, err := p.copyStateOf(ctx, r, d)
		if err != nil {
			return false, "", err
		}
		if st.phase == copyRunning {
			return true, copyTask(d.mark.VMID, names.root), nil
		}
	}
	_, incomplete, err := p.parts(ctx, r, d)
	return !incomplete, "", err
}

// switchBootDisks defines the domain with other disks, and reads back.
func (p *Provider) switchBootDisks(ctx context.Context, r rpc, d domain, to bootDisks, next mark) error {
	doc, err := definition(ctx, r, d.Domain)
	if err != nil {
		return err
	}
	if err := doc.setBootDisks(bootDisks{root: d.rootPath, seed: d.seedPath}, to, next); err != nil {
		return r.fail(err)
	}
	if err := redefine(ctx, r, doc); err != nil {
		return err
	}
	after, err := p.inspect(ctx, r, d.Domain)
	if err != nil {
		return err
	}
	if after.rootPath != to.root || after.seedPath != to.seed || after.mark.Rebuild != next.Rebuild || after.mark.CloneMode != next.CloneMode {
		return r.mismatch()
	}
	return nil
}

// RevertRebuild is done when it returns. Aborted while the new disk is copied.
func (p *Provider) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	r := p.rpc("RevertRebuild")
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	names := p.rebuilt(t.VMID, token)
	if running, _ := p.works.Look(copyTask(t.VMID, names.root)); running {
		return "", r.errorf(providers.Aborted, "a disk of the VM is still being copied")
	}
	if was := d.mark.Rebuild; token != "" && was.Token == token {
		switch {
		case was.Finishing:
			return "", r.errorf(providers.FailedPrecondition, "what the rebuild set aside is gone")
		case state != models.PowerStopped:
			return "", r.errorf(providers.FailedPrecondition, "the VM has to be off to be put back")
		}
		back := d.mark
		back.Rebuild, back.CloneMode = rebuildMark{}, was.CloneMode
		if err := p.switchBootDisks(ctx, r, d, bootDisks{root: was.Root, seed: was.Seed}, back); err != nil {
			return "", err
		}
		d.rootPath, d.seedPath = was.Root, was.Seed
	}
	if path.Base(d.rootPath) == names.root {
		return "", nil // finished: there is nothing of it any more
	}
	return "", p.removeRebuilt(ctx, r, d, names)
}

// removeRebuilt removes what a rebuild has made. The root disk goes first, as it
// may still be copied, and the markers of its copy last.
func (p *Provider) removeRebuilt(ctx context.Context, r rpc, d domain, names bootDisks) error {
	volumes, err := p.ourVolumes(ctx, r, d.mark.VMID)
	if err != nil {
		return err
	}
	marker := p.cfg.markerPrefix(d.mark.VMID, names.root)
	for _, made := range []func(name string) bool{
		func(name string) bool { return name == names.root },
		func(name string) bool { return name == names.seed },
		func(name string) bool { return strings.HasPrefix(name, marker) },
	} {
		for _, v := range volumes {
			if !made(v.Name) {
				continue
			}
			if err := deleteVolume(ctx, r, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// FinishRebuild is done when it returns.
func (p *Provider) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	r := p.rpc("FinishRebuild")
	d, err := p.find(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	was := d.mark.Rebuild
	if token == "" || was.Token != token {
		return "", nil
	}
	if !was.Finishing {
		was.Finishing = true
		if err := p.noteRebuild(ctx, r, d.Domain, was); err != nil {
			return "", err
		}
	}
	if err := p.removeSetAside(ctx, r, d, was); err != nil {
		return "", err
	}
	return "", p.noteRebuild(ctx, r, d.Domain, rebuildMark{})
}

// removeSetAside removes the volumes that a rebuild set aside, if they bear the
// VM's mark and the domain does not use them.
func (p *Provider) removeSetAside(ctx context.Context, r rpc, d domain, was rebuildMark) error {
	volumes, err := p.ourVolumes(ctx, r, d.mark.VMID)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if (v.Key != was.Root && v.Key != was.Seed) || v.Key == d.rootPath || v.Key == d.seedPath {
			continue
		}
		if err := deleteVolume(ctx, r, v); err != nil {
			return err
		}
	}
	return nil
}

// noteRebuild writes the domain's note of a rebuild, or removes it. The VM may
// run meanwhile, so that both of its descriptions are told.
func (p *Provider) noteRebuild(ctx context.Context, r rpc, dom lv.Domain, m rebuildMark) error {
	note := lv.OptString{}
	if m.Token != "" {
		text, err := m.encodeBare()
		if err != nil {
			return r.fail(err)
		}
		note = lv.OptString{text}
	}
	return setMetadata(ctx, r, dom, note, rebuildPrefix, rebuildNamespace)
}

var _ providers.Rebuilder = (*Provider)(nil)
