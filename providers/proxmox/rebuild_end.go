package proxmox

import (
	"context"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// RevertRebuild puts the old disk and cloud-init back by one write, and then
// removes the new disk.
func (p *Provider) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return boundary(p.revertRebuild(ctx, "RevertRebuild", t.VMID, token))
}

func (p *Provider) revertRebuild(ctx context.Context, op, vmID, token string) (providers.TaskRef, *providers.Error) {
	m, err := p.rested(ctx, op, vmID, typeConfig) // one that is at work is not noted yet
	if err == nil && m == nil {
		err = notFound(op)
	}
	if err != nil || token == "" {
		return "", err
	}
	note, made := m.Mark.Notes.Rebuild, p.rebuiltFiles(vmID, token)
	if note.Token != token {
		// One that stands, or that another one set aside, needs its files.
		return "", p.dropFiles(ctx, op, m, slices.DeleteFunc(made, func(file string) bool { return names(note.Config, file) }))
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	if note.Reverted != "" {
		return p.endRebuild(ctx, op, m, note.Reverted, made)
	}
	old, _ := parseDiskConfig(note.Root)
	switch {
	case m.power() != models.PowerStopped:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off to be put back")
	case unusedKey(m.Config, old.volume) == "":
		return "", fail(op, providers.FailedPrecondition, nil, "what the rebuild set aside is gone")
	}
	in, err := m.revertConfig(op, note)
	if err != nil {
		return "", err
	}
	if err := p.configure(ctx, op, m, in); err != nil {
		return "", err
	}
	if m, err = p.mine(ctx, op, vmID); err != nil {
		return "", err
	}
	return p.endRebuild(ctx, op, m, m.Mark.Notes.Rebuild.Reverted, made)
}

func (m *machine) revertConfig(op string, note rebuildNote) (params, *providers.Error) {
	in := params{note.Key: note.Root}
	gone := slices.DeleteFunc(cloudInitKeys(m.Config), func(k string) bool { return note.Config[k] != "" })
	for k, v := range note.Config {
		if v == "" {
			gone = append(gone, k)
			continue
		}
		in[k] = v
	}
	if len(gone) > 0 {
		in["delete"] = strings.Join(gone, ",")
	}
	made, _ := parseDiskConfig(m.Config[note.Key])
	note.Reverted = made.volume
	n := m.Mark.Notes
	n.Rebuild = note
	var err *providers.Error
	in["description"], err = m.noted(op, n)
	return in, err
}

// endRebuild removes user data that is not used any more, and has a worker remove
// such a volume, and with it the note of the rebuild.
func (p *Provider) endRebuild(ctx context.Context, op string, m *machine, volume string, files []string) (providers.TaskRef, *providers.Error) {
	if err := p.dropFiles(ctx, op, m, files); err != nil {
		return "", err
	}
	n := m.Mark.Notes
	n.Rebuild = rebuildNote{}
	text, err := m.noted(op, n)
	if err != nil {
		return "", err
	}
	in := params{"description": text}
	if key := unusedKey(m.Config, volume); key != "" {
		in["delete"] = key
	}
	return p.configureLong(ctx, op, m, in)
}

// FinishRebuild removes the old disk.
func (p *Provider) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return boundary(p.finishRebuild(ctx, "FinishRebuild", t.VMID, token))
}

func (p *Provider) finishRebuild(ctx context.Context, op, vmID, token string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	note := m.Mark.Notes.Rebuild
	if token == "" || note.Token != token {
		return "", nil
	}
	if running, err := p.runningConfig(ctx, op, m); running != "" || err != nil {
		return running, err
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	if note.Reverted != "" {
		return p.endRebuild(ctx, op, m, note.Reverted, p.rebuiltFiles(vmID, token))
	}
	old, _ := parseDiskConfig(note.Root)
	return p.endRebuild(ctx, op, m, old.volume, filesIn(note.Config))
}
