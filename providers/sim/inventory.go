package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Info implements providers.Inventory.
func (p *Provider) Info(ctx context.Context) (providers.Info, error) {
	var out wire.InfoResponse
	if err := p.call(ctx, "Info", wire.OpInfo, wire.Empty{}, &out); err != nil {
		return providers.Info{}, err
	}
	if out.Product != "simhv" {
		return providers.Info{}, misunderstood("Info", errors.New("the product is not simhv"))
	}
	return providers.Info{Kind: Kind, Version: out.Version, Capabilities: capabilities(out.Capabilities)}, nil
}

// ListNodes implements providers.Inventory.
func (p *Provider) ListNodes(ctx context.Context) ([]providers.Node, error) {
	var out wire.NodesResponse
	if err := p.call(ctx, "ListNodes", wire.OpListNodes, wire.Empty{}, &out); err != nil {
		return nil, err
	}
	nodes := make([]providers.Node, 0, len(out.Nodes))
	for _, n := range out.Nodes {
		state, ok := nodeState(n.State)
		if !ok {
			return nil, misunderstood("ListNodes", fmt.Errorf("node state %q", n.State))
		}
		nodes = append(nodes, providers.Node{Name: n.Name, Cluster: n.Cluster, State: state, VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB})
	}
	return nodes, nil
}

func nodeState(s string) (models.NodeState, bool) {
	switch s {
	case "up":
		return models.NodeUp, true
	case "down":
		return models.NodeDown, true
	case "maintenance":
		return models.NodeMaintenance, true
	}
	return "", false
}

// ListImages implements providers.Inventory.
func (p *Provider) ListImages(ctx context.Context) ([]providers.Image, error) {
	var out wire.ImagesResponse
	if err := p.call(ctx, "ListImages", wire.OpListImages, wire.Empty{}, &out); err != nil {
		return nil, err
	}
	images := make([]providers.Image, 0, len(out.Images))
	for _, i := range out.Images {
		images = append(images, providers.Image{Ref: i.Name, Format: i.Format, SizeGiB: i.SizeGiB})
	}
	return images, nil
}

// ListNetworks implements providers.Inventory.
func (p *Provider) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	var out wire.NetworksResponse
	if err := p.call(ctx, "ListNetworks", wire.OpListNetworks, wire.Empty{}, &out); err != nil {
		return nil, err
	}
	networks := make([]providers.Network, 0, len(out.Networks))
	for _, name := range out.Networks {
		networks = append(networks, providers.Network{Ref: name, Type: models.NetworkNetwork})
	}
	return networks, nil
}

// Bounds of a page.
const (
	defaultPage = 200
	maxPage     = 1000
)

// ListVMs implements providers.Inventory. The order is that of creation; the
// token is the hypervisor's own.
func (p *Provider) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	limit := min(page.Limit, maxPage)
	switch {
	case limit < 0:
		return providers.VMPage{}, fail("ListVMs", providers.InvalidArgument, nil, "the limit is negative")
	case limit == 0:
		limit = defaultPage
	}
	var out wire.ListVMsResponse
	in := wire.ListVMsRequest{InstallationID: p.installationID, PageToken: page.Token, Limit: limit}
	if err := p.call(ctx, "ListVMs", wire.OpListVMs, in, &out); err != nil {
		return providers.VMPage{}, err
	}
	res := providers.VMPage{VMs: make([]providers.VM, 0, len(out.VMs)), Next: out.NextPageToken}
	for i := range out.VMs {
		vm := &out.VMs[i]
		if vm.Mark == nil || vm.Mark.InstallationID != p.installationID {
			return providers.VMPage{}, misunderstood("ListVMs", errors.New("a VM that is not ours"))
		}
		v, err := toVM("ListVMs", vm.Mark.VMID, vm)
		if err != nil {
			return providers.VMPage{}, err
		}
		res.VMs = append(res.VMs, v)
	}
	return res, nil
}

// PollTask implements providers.Provider.
func (p *Provider) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	if err := p.usable(ctx, "PollTask"); err != nil {
		return providers.TaskStatus{}, err
	}
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	var out wire.PollTaskResponse
	if err := p.call(ctx, "PollTask", wire.OpPollTask, wire.PollTaskRequest{Task: string(task)}, &out); err != nil {
		return providers.TaskStatus{}, err
	}
	if out.Done == nil {
		return providers.TaskStatus{}, misunderstood("PollTask", errors.New("it does not say whether the task is done"))
	}
	st := providers.TaskStatus{Done: *out.Done, Progress: out.Progress}
	if st.Done && out.Error != nil {
		st.Err = taskError("PollTask", out.Error)
	}
	return st, nil
}
