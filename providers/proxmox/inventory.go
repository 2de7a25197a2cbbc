package proxmox

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// clusterName is the one cluster that a provider is. Its name on the hypervisor
// may be read by an auditor of the whole cluster only.
const clusterName = "default"

// nodeRow is a node in the list of the cluster's resources. One that is offline
// has no sizes.
type nodeRow struct {
	Node    string  `json:"node"`
	Status  string  `json:"status"` // "online", "offline" or "unknown"
	HAState string  `json:"hastate"`
	MaxCPU  float64 `json:"maxcpu"`
	MaxMem  int64   `json:"maxmem"` // bytes
}

func (n nodeRow) online() bool { return n.Status == "online" }

func (p *Provider) nodes(ctx context.Context, op string) ([]nodeRow, *providers.Error) {
	var out []nodeRow
	if err := p.get(ctx, op, "/cluster/resources", params{"type": "node"}, &out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b nodeRow) int { return cmp.Compare(a.Node, b.Node) })
	return out, nil
}

// ListNodes returns every node of the cluster. Their sizes need Sys.Audit on
// /nodes, and are zero for a node that is offline.
func (p *Provider) ListNodes(ctx context.Context) ([]providers.Node, error) {
	rows, err := p.nodes(ctx, "ListNodes")
	if err != nil {
		return nil, err
	}
	out := make([]providers.Node, 0, len(rows))
	for _, r := range rows {
		n := providers.Node{
			Name: r.Node, Cluster: clusterName, State: models.NodeDown, VCPUs: int(r.MaxCPU), MemoryMiB: int(r.MaxMem / mib),
		}
		switch {
		case r.online() && r.HAState == "maintenance":
			n.State = models.NodeMaintenance
		case r.online():
			n.State = models.NodeUp
		}
		out = append(out, n)
	}
	return out, nil
}

// ListImages returns the cluster's templates, by VMID. VMs of ours are none.
func (p *Provider) ListImages(ctx context.Context) ([]providers.Image, error) {
	rows, err := p.rows(ctx, "ListImages")
	if err != nil {
		return nil, err
	}
	var out []providers.Image
	for _, r := range rows {
		if r.Type == "qemu" && bool(r.Template) && !r.hasTag(ourTag) {
			out = append(out, providers.Image{Ref: strconv.Itoa(r.VMID), SizeGiB: int((r.MaxDisk + gib - 1) / gib)})
		}
	}
	slices.SortFunc(out, func(a, b providers.Image) int {
		return cmp.Or(cmp.Compare(len(a.Ref), len(b.Ref)), cmp.Compare(a.Ref, b.Ref))
	})
	return out, nil
}

// ListNetworks returns the bridges that any node has that is online, those of the
// software-defined network too. A binding may add a VLAN tag to a bridge.
func (p *Provider) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	const op = "ListNetworks"
	nodes, err := p.nodes(ctx, op)
	if err != nil {
		return nil, err
	}
	var out []providers.Network
	for _, n := range nodes {
		if !n.online() {
			continue
		}
		var rows []struct {
			Iface string `json:"iface"`
		}
		if err := p.get(ctx, op, apiPath("nodes", n.Node, "network"), params{"type": "any_bridge"}, &rows); err != nil {
			return nil, err
		}
		for _, r := range rows {
			out = append(out, providers.Network{Ref: r.Iface, Type: models.NetworkBridge})
		}
	}
	slices.SortFunc(out, func(a, b providers.Network) int { return cmp.Compare(a.Ref, b.Ref) })
	return slices.Compact(out), nil
}

// flag is a boolean as the API has it: 1 or 0, and sometimes true or false.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "1", `"1"`, "true":
		*f = true
	case "0", `"0"`, "false", "null", `""`:
		*f = false
	default:
		return &json.UnmarshalTypeError{Value: "neither 0 nor 1"}
	}
	return nil
}
