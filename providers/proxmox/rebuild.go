package proxmox

import (
	"context"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// A rebuild is one write of the VM's configuration, which a worker carries out: it
// imports the template's disk in place of the root disk, which stays as an unused
// disk, changes what cloud-init says, and notes in the mark what was. Growing the
// new disk comes after it. So there is no moment at which the VM has the one
// without the other. The disk is always a full copy, and the template has to be on
// the VM's node: Proxmox VE imports from no other.

// RebuildVM puts a copy of the image's disk in place of the root disk. It goes on
// in the background.
func (p *Provider) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	return boundary(p.rebuild(ctx, "RebuildVM", req, token))
}

func (p *Provider) rebuild(ctx context.Context, op string, req providers.CreateVMRequest, token string) (providers.TaskRef, *providers.Error) {
	if err := checkToken(op, token); err != nil {
		return "", err
	}
	o, err := p.check(op, req)
	if err != nil {
		return "", err
	}
	m, err := p.mine(ctx, op, req.VMID)
	if err != nil {
		return "", err
	}
	note := m.Mark.Notes.Rebuild
	switch {
	case note.Token == token && note.Reverted == "":
		return p.growRebuilt(ctx, op, m)
	case note.Token != "":
		return "", fail(op, providers.FailedPrecondition, nil, "another rebuild of the VM is not finished")
	}
	if running, err := p.runningConfig(ctx, op, m); running != "" || err != nil {
		return p.followRebuild(ctx, op, req.VMID, token, running, err)
	}
	if err := p.rebuildable(ctx, op, m); err != nil {
		return "", err
	}
	in, err := p.rebuildConfig(ctx, op, o, m, token)
	if err != nil {
		return "", err
	}
	task, err := p.configureLong(ctx, op, m, in)
	return p.followRebuild(ctx, op, req.VMID, token, task, err)
}

func (p *Provider) rebuildable(ctx context.Context, op string, m *machine) *providers.Error {
	if err := free(op, m); err != nil {
		return err
	}
	switch {
	case m.Mark.Making || rootKey(m.Config) == "":
		return fail(op, providers.FailedPrecondition, nil, "the VM is not complete")
	case m.power() != models.PowerStopped:
		return fail(op, providers.FailedPrecondition, nil, "the VM has to be off to be rebuilt")
	}
	return p.refuseSnapshots(ctx, op, m)
}

// rebuildConfig is the write that changes the disk, cloud-init and the mark.
func (p *Provider) rebuildConfig(ctx context.Context, op string, o order, m *machine, token string) (params, *providers.Error) {
	rows, err := p.rows(ctx, op)
	if err != nil {
		return nil, err
	}
	from, err := p.template(ctx, op, o.req.Image.Ref, m.Node, rows)
	if err != nil {
		return nil, err
	}
	switch {
	case from.row.Node != m.Node:
		return nil, fail(op, providers.FailedPrecondition, nil, "a VM can be rebuilt from a template on its own node only")
	case from.root().sizeGiB() > o.req.DiskGiB:
		return nil, fail(op, providers.InvalidArgument, nil, "the disk is smaller than the image")
	}
	key := rootKey(m.Config)
	root, _ := parseDiskConfig(m.Config[key])
	made := diskConfig{volume: p.storageFor(m) + ":0", rest: root.rest.with("size", "").with("import-from", from.root().volume)}
	value, encodeErr := made.encode()
	if encodeErr != nil {
		return nil, fail(op, providers.Internal, encodeErr, "the disk cannot be described")
	}
	in, err := p.rebuiltInit(ctx, op, o, m, token)
	if err != nil {
		return nil, err
	}
	was := map[string]string{}
	var gone []string
	for _, k := range cloudInitKeys(m.Config) {
		was[k] = m.Config[k]
		if _, set := in[k]; !set {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		in["delete"] = strings.Join(gone, ",")
	}
	if slot, ok := seedSlot(m.Config); ok && in[slot] != nil {
		was[slot] = renewed(m.Config[slot])
	}
	in[key] = value
	n := m.Mark.Notes
	n.Rebuild = rebuildNote{Token: token, Key: key, Root: m.Config[key], Config: was, Size: o.req.DiskGiB}
	in["description"], err = m.noted(op, n)
	return in, err
}

// followRebuild waits in the background for the worker, and then grows the disk.
func (p *Provider) followRebuild(ctx context.Context, op, vmID, token string, upid providers.TaskRef, err *providers.Error) (providers.TaskRef, *providers.Error) {
	if err != nil {
		return "", err
	}
	return p.carry(ctx, op, workTask(vmID, workRebuild, token), func(ctx context.Context) *providers.Error {
		if upid != "" {
			if err := p.await(ctx, op, string(upid)); err != nil {
				return err
			}
		}
		m, err := p.mine(ctx, op, vmID)
		switch {
		case err != nil:
			return err
		case m.Mark.Notes.Rebuild.Token != token:
			return fail(op, providers.Aborted, nil, "the rebuild was interrupted")
		}
		task, err := p.growRebuilt(ctx, op, m)
		if err != nil || task == "" {
			return err
		}
		return p.await(ctx, op, string(task))
	})
}

// growRebuilt brings the new root disk to its size.
func (p *Provider) growRebuilt(ctx context.Context, op string, m *machine) (providers.TaskRef, *providers.Error) {
	if m.rebuiltWhole() {
		return "", nil
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	return p.growDisk(ctx, op, m, m.Mark.Notes.Rebuild.Key, m.Mark.Notes.Rebuild.Size)
}

func (m *machine) rebuiltWhole() bool {
	note := m.Mark.Notes.Rebuild
	root, ok := parseDiskConfig(m.Config[note.Key])
	return ok && root.sizeGiB() >= note.Size
}

func lookRebuild(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m != nil && m.Mark.Notes.Rebuild.Token == w.Argument && m.rebuiltWhole() {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}

var _ providers.Rebuilder = (*Provider)(nil)
