package libvirt

import (
	"cmp"
	"context"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// taskHost begins the reference of a task of one host:
// "host:<name>:<the host's own reference>".
const taskHost = "host:"

// task makes a host's task reference one of the cluster.
func (h *host) task(t providers.TaskRef) providers.TaskRef {
	if t == "" {
		return ""
	}
	return providers.TaskRef(taskHost+h.name+":") + t
}

// PollTask follows a migration, or asks the host that the task is of.
func (c *Cluster) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	r := rpc{op: "PollTask"}
	if text, ok := strings.CutPrefix(string(task), taskHost); ok {
		name, own, _ := strings.Cut(text, ":")
		if h := c.host(name); h != nil && own != "" {
			return h.p.PollTask(ctx, providers.TaskRef(own))
		}
	}
	if m, vmID, ok := parseMoveTask(task); ok && c.host(m.From) != nil && c.host(m.To) != nil {
		return c.pollMove(ctx, vmID, m)
	}
	if vmID, ok := strings.CutPrefix(string(task), taskAbort); ok {
		return c.pollAbort(ctx, vmID)
	}
	if err := c.hosts[0].p.ready(ctx, r); err != nil {
		return providers.TaskStatus{}, err
	}
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
}

// FindVM reads a VM on the host that has it.
func (c *Cluster) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	a, err := c.find(ctx, "FindVM", vmID)
	if err != nil {
		return providers.VM{}, err
	}
	vm, err := a.host.p.FindVM(ctx, vmID)
	if isNotFound(err) {
		return vm, rpc{op: "FindVM"}.errorf(providers.Aborted, "the VM has just moved")
	}
	return vm, err
}

// ListVMs lists by UUID, across the hosts that answer. One that is silent keeps
// its VMs to itself: FindVM tells that they are not gone.
func (c *Cluster) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	answers, err := all(ctx, c, "ListVMs", func(ctx context.Context, h *host) (providers.VMPage, error) { return h.p.ListVMs(ctx, page) })
	if err != nil {
		return providers.VMPage{}, err
	}
	var out providers.VMPage
	lists := make([]answer[[]providers.VM], 0, len(answers))
	more := false
	for _, a := range answers {
		lists = append(lists, answer[[]providers.VM]{a.host, a.value.VMs, a.err})
		more = more || a.value.Next != ""
	}
	// Of two copies the one that runs comes first, and thus is kept.
	if out.VMs, err = merge(running(lists), func(vm providers.VM) string { return vm.VMID }); err != nil {
		return providers.VMPage{}, err
	}
	if limit := cmp.Or(page.Limit, pageSize); len(out.VMs) > limit {
		out.VMs, more = out.VMs[:limit], true
	}
	if more && len(out.VMs) > 0 {
		out.Next = vmid.PageToken(Kind, out.VMs[len(out.VMs)-1].VMID)
	}
	return out, nil
}

// running splits lists so that the running VMs come before the others.
func running(lists []answer[[]providers.VM]) []answer[[]providers.VM] {
	var first, then []answer[[]providers.VM]
	for _, l := range lists {
		var up, rest []providers.VM
		for _, vm := range l.value {
			if vm.Power == models.PowerRunning {
				up = append(up, vm)
			} else {
				rest = append(rest, vm)
			}
		}
		first = append(first, answer[[]providers.VM]{l.host, up, l.err})
		then = append(then, answer[[]providers.VM]{l.host, rest, l.err})
	}
	return append(first, then...)
}

// CreateVM makes the VM on the host of req.Node, unless it is on one of the
// hosts already. A host that does not answer does not stop it: who asks for
// another node than before has proven by Leftovers that nothing is left there.
func (c *Cluster) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	h, err := c.hostFor(ctx, "CreateVM", req.VMID, req.Node)
	if err != nil {
		return "", "", err
	}
	req.Node = h.name
	if err := h.fetchImage(ctx, req.Image.Ref); err != nil {
		return "", "", err
	}
	ref, task, err := h.p.CreateVM(ctx, req)
	return ref, h.task(task), err
}

// hostFor chooses where a VM is made: where it is, or the node that was asked for.
func (c *Cluster) hostFor(ctx context.Context, op, vmID, node string) (*host, error) {
	r := rpc{op: op}
	v, err := c.view(ctx, op, vmID, true)
	if err != nil {
		return nil, err
	}
	if len(v.copies) > 0 {
		return c.owner(ctx, op, vmID)
	}
	if len(v.foreign) > 0 {
		return nil, r.errorf(providers.AlreadyExists, "the VM's place is taken by something else")
	}
	for _, h := range c.hosts {
		if h.name == node || (node == "" && v.silent[h.name] == nil) {
			return h, v.silent[h.name]
		}
	}
	if node == "" {
		return nil, v.silence()
	}
	return nil, r.errorf(providers.NotFound, "the hypervisor has no such node")
}

// fetchImage makes a host notice an image that another one put into the shared
// directory. Whether the image is there is for CreateVM to say.
func (h *host) fetchImage(ctx context.Context, ref string) error {
	r := h.p.rpc("CreateVM")
	if _, _, err := findImage(ctx, r, ref); !isNotFound(err) {
		return nil
	}
	poolName, _, _ := strings.Cut(ref, "/")
	err := run(ctx, r, func(c *lv.Libvirt) error {
		pool, err := c.StoragePoolLookupByName(poolName)
		if err != nil {
			return err
		}
		return c.StoragePoolRefresh(pool, 0)
	})
	if isNotFound(err) {
		return nil
	}
	return err
}

// StartVM boots the VM where it is.
func (c *Cluster) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return c.on(ctx, "StartVM", t.VMID, func(h *host) (providers.TaskRef, error) { return h.p.StartVM(ctx, t) })
}

// StopVM stops the VM where it is.
func (c *Cluster) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	return c.on(ctx, "StopVM", t.VMID, func(h *host) (providers.TaskRef, error) { return h.p.StopVM(ctx, t, mode) })
}

// RebootVM restarts the VM where it is.
func (c *Cluster) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	return c.on(ctx, "RebootVM", t.VMID, func(h *host) (providers.TaskRef, error) { return h.p.RebootVM(ctx, t, mode, token) })
}

// on makes a call on the host that has the VM.
func (c *Cluster) on(ctx context.Context, op, vmID string, call func(*host) (providers.TaskRef, error)) (providers.TaskRef, error) {
	h, err := c.owner(ctx, op, vmID)
	if isNotFound(err) {
		// What an absent VM means, the call's own rules tell: for some it is success.
		h, err = c.hosts[0], nil
	}
	if err != nil {
		return "", err
	}
	task, err := call(h)
	return h.task(task), err
}

// holders returns the hosts to ask for parts of a VM, the one with its domain
// first. Every host must have answered. Where a foreign domain has the VM's ID
// the volumes may be its own, and only a host with our domain is asked.
func (c *Cluster) holders(ctx context.Context, op, vmID string) ([]*host, error) {
	v, err := c.view(ctx, op, vmID, false)
	if err != nil {
		return nil, err
	}
	if err := v.silence(); err != nil {
		return nil, err
	}
	var out []*host
	if v.note() != nil {
		h, err := c.settle(ctx, op, v)
		if err != nil {
			return nil, err
		}
		if h == nil {
			return nil, rpc{op: op}.errorf(providers.Aborted, "the VM is being migrated")
		}
		out = append(out, h)
	} else {
		for _, a := range v.copies {
			out = append(out, a.host)
		}
	}
	if len(v.foreign) > 0 {
		return append(out, v.foreign...), nil
	}
	for _, h := range c.hosts {
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out, nil
}

// DeleteVM removes the VM where it is, and its volumes wherever libvirt lists
// them. A migration at work is ended first: Aborted until it has.
func (c *Cluster) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	if _, err := c.AbortMigration(ctx, t); err != nil && !isNotFound(err) {
		return "", err
	}
	hosts, err := c.holders(ctx, "DeleteVM", t.VMID)
	if err != nil {
		return "", err
	}
	for _, h := range hosts {
		if task, err := h.p.DeleteVM(ctx, t); err != nil || task != "" {
			return h.task(task), err
		}
	}
	c.moves.Forget(about(t.VMID))
	return "", nil
}

// Leftovers lists what is left of a VM on any host.
func (c *Cluster) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	v, err := c.view(ctx, "Leftovers", vmID, false)
	if err != nil {
		return nil, err
	}
	if err := v.silence(); err != nil {
		return nil, err
	}
	hosts := c.hosts
	if len(v.foreign) > 0 {
		hosts = slices.Clone(v.foreign)
		for _, a := range v.copies {
			hosts = append(hosts, a.host)
		}
	}
	var out []providers.Object
	for _, h := range hosts {
		objects, err := h.p.Leftovers(ctx, vmID)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			there, err := h.isThere(ctx, o)
			if err != nil {
				return nil, err
			}
			if there && !slices.Contains(out, o) {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// isThere asks whether a volume that libvirt lists is there still: another host
// may have removed it, and libvirt lists what it saw last.
func (h *host) isThere(ctx context.Context, o providers.Object) (bool, error) {
	poolName, name, ok := strings.Cut(o.Ref, "/")
	if o.Type != "volume" || !ok {
		return true, nil
	}
	err := run(ctx, h.p.rpc("Leftovers"), func(c *lv.Libvirt) error {
		pool, err := c.StoragePoolLookupByName(poolName)
		if err != nil {
			return err
		}
		v, err := c.StorageVolLookupByName(pool, name)
		if err != nil {
			return err
		}
		_, _, _, err = c.StorageVolGetInfo(v)
		return err
	})
	if hasCode(err, providers.NotFound, providers.FailedPrecondition) {
		return false, nil
	}
	return err == nil, err
}
