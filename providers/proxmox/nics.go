package proxmox

import (
	"context"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// AttachNIC is done when it returns.
func (p *Provider) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	return boundary("", p.attachNIC(ctx, "AttachNIC", t.VMID, nic))
}

func (p *Provider) attachNIC(ctx context.Context, op, vmID string, nic providers.NIC) *providers.Error {
	mac, macErr := parseMAC(nic.MAC)
	if macErr != nil {
		return fail(op, providers.InvalidArgument, nil, "the interface's MAC address is not one")
	}
	made, ok := newNIC(nic)
	if !ok {
		return fail(op, providers.NotFound, nil, "the hypervisor has no such network")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return err
	}
	if key := nicKey(m.Config, mac); key != "" {
		return p.keep(ctx, op, m, key)
	}
	if err := changeable(op, m); err != nil {
		return err
	}
	if err := p.checkNetworks(ctx, op, m.Node, []nicConfig{made}); err != nil {
		return err
	}
	waiting, err := p.pendingConfig(ctx, op, m)
	if err != nil {
		return err
	}
	key := nicKey(waiting, mac)
	if key == "" {
		key = freeKey("net", 0, maxNICs, m.Config, waiting)
	}
	if key == "" {
		return fail(op, providers.ResourceExhausted, nil, "the VM has no room for another interface")
	}
	value, encodeErr := made.encode()
	if encodeErr != nil {
		return fail(op, providers.InvalidArgument, encodeErr, "the interface cannot be described")
	}
	in, addressErr := told(waiting, key, nic)
	if addressErr != nil {
		return fail(op, providers.InvalidArgument, addressErr, addressErr.Error())
	}
	if cloudInitKey(m.Config) == "" {
		in = params{} // nothing reads it: Proxmox VE writes no medium of ours
	}
	in[key] = value
	return p.configure(ctx, op, m, in)
}

// DetachNIC is done at once for a VM that is off.
func (p *Provider) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	return boundary(p.detachNIC(ctx, "DetachNIC", t.VMID, mac))
}

func (p *Provider) detachNIC(ctx context.Context, op, vmID, mac string) (providers.TaskRef, *providers.Error) {
	mac, macErr := parseMAC(mac)
	if macErr != nil {
		return "", fail(op, providers.InvalidArgument, nil, "the interface's MAC address is not one")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	key := nicKey(m.Config, mac)
	if key == "" {
		return "", nil
	}
	if err := changeable(op, m); err != nil {
		return "", err
	}
	// A guest that runs since before the attach is told its address at its next start.
	waiting, err := p.pendingConfig(ctx, op, m)
	if err != nil {
		return "", err
	}
	gone := key
	if m.Config[addressKey(key)] != "" || waiting[addressKey(key)] != "" {
		gone += "," + addressKey(key)
	}
	err = p.configure(ctx, op, m, params{"delete": gone})
	return unplugged(m, workTask(vmID, workDetachNIC, mac), err)
}

// unplugged makes a task of a guest that has not let go of a device yet.
func unplugged(m *machine, task providers.TaskRef, err *providers.Error) (providers.TaskRef, *providers.Error) {
	switch {
	case err == nil && m.power() == models.PowerStopped:
		return "", nil
	case err == nil, isUnplugProblem(err):
		return task, nil
	}
	return "", err
}

func lookDetachNIC(_ context.Context, _ string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || nicKey(m.Config, w.Argument) == "" {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, nil
}

// nicKey returns the key of the interface with a MAC, "" without one.
func nicKey(config map[string]string, mac string) string {
	for _, key := range keysOf(config, "net") {
		if n, ok := parseNICConfig(config[key]); ok && n.mac == mac {
			return key
		}
	}
	return ""
}

// freeKey returns the first numbered key that none of the configurations uses,
// "" where none is free.
func freeKey(kind string, first, end int, configs ...map[string]string) string {
	for n := first; n < end; n++ {
		key, used := kind+strconv.Itoa(n), false
		for _, config := range configs {
			if _, ok := config[key]; ok {
				used = true
			}
		}
		if !used {
			return key
		}
	}
	return ""
}

var _ providers.NICAttacher = (*Provider)(nil)
