package proxmox

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Where a VM is made: the template, the node and the VMID.

// settled is find whose nil proves that there is no VM of ours. A clone has
// neither name nor mark until its first disk is copied; one at a VMID where we
// would have put it is Aborted until it shows whose it is.
func (p *Provider) settled(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m != nil {
		return m, err
	}
	rows, err := p.rows(ctx, op)
	if err != nil {
		return nil, err
	}
	order := p.cfg.vmidCandidates(vmID)
	for _, r := range rows {
		if r.Type != "qemu" || !slices.Contains(order, r.VMID) {
			continue
		}
		config, err := p.config(ctx, op, r.Node, r.VMID)
		if hasCode(err, providers.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if nameless(config) {
			return nil, fail(op, providers.Aborted, nil, "the hypervisor is making a VM that does not show yet whose it is")
		}
	}
	// What had no mark at the first look may have had one at the second.
	return p.find(ctx, op, vmID)
}

// source is the template that a VM is made from.
type source struct {
	row    row
	config map[string]string
	// target is the node that the clone goes to; empty: the template's.
	target string
}

func (s source) node() string {
	if s.target != "" {
		return s.target
	}
	return s.row.Node
}

func (s source) root() diskConfig {
	d, _ := parseDiskConfig(s.config[rootKey(s.config)])
	return d
}

// template finds the template that ref names, a VMID or a name. Of several with
// the name, the one on the VM's node is taken.
func (p *Provider) template(ctx context.Context, op, ref, node string, rows []row) (source, *providers.Error) {
	found := templatesOf(rows, ref)
	if len(found) == 0 {
		return source{}, fail(op, providers.NotFound, nil, "the hypervisor has no such template")
	}
	r := found[0]
	if at := slices.IndexFunc(found, func(r row) bool { return r.Node == node }); at >= 0 {
		r = found[at]
	} else if len(found) > 1 {
		return source{}, fail(op, providers.FailedPrecondition, nil, "more than one template has this name, and none of them is on the node")
	}
	config, err := p.config(ctx, op, r.Node, r.VMID)
	if hasCode(err, providers.NotFound) {
		return source{}, fail(op, providers.NotFound, err, "the hypervisor has no such template")
	}
	if err != nil {
		return source{}, err
	}
	s := source{row: r, config: config}
	if rootKey(config) == "" {
		return source{}, fail(op, providers.InvalidArgument, nil, "the template has no disk")
	}
	if node != "" && node != r.Node {
		s.target = node
	}
	return s, nil
}

func templatesOf(rows []row, ref string) []row {
	var out []row
	for _, r := range rows {
		if r.Type != "qemu" || !bool(r.Template) {
			continue
		}
		if strconv.Itoa(r.VMID) == ref {
			return []row{r}
		}
		if r.Name == ref {
			out = append(out, r)
		}
	}
	return out
}

// storageRow is a storage of a node in the list of the cluster's resources.
type storageRow struct {
	Storage string `json:"storage"`
	Node    string `json:"node"`
	Shared  int    `json:"shared"`
	Status  string `json:"status"`
	Content string `json:"content"`
}

func (s storageRow) holds(content string) bool {
	return slices.Contains(strings.Split(s.Content, ","), content)
}

// storageRows lists the storages of all nodes. An account that may see none of
// them would take what lies there for absent.
func (p *Provider) storageRows(ctx context.Context, op string) ([]storageRow, *providers.Error) {
	var out []storageRow
	err := p.get(ctx, op, "/cluster/resources", params{"type": "storage"}, &out)
	if err == nil && len(out) == 0 {
		err = fail(op, providers.PermissionDenied, errors.New("the account lacks Datastore.Audit on every storage"),
			"our hypervisor account may not see storages")
	}
	return out, err
}

// checkNode proves that the node is there, and that the template can be cloned to
// it: disks on a storage of one node alone stay on that node.
func (p *Provider) checkNode(ctx context.Context, op string, s source) *providers.Error {
	if s.target == "" {
		return nil
	}
	var nodes []struct {
		Node string `json:"node"`
	}
	if err := p.get(ctx, op, "/nodes", nil, &nodes); err != nil {
		return err
	}
	if !slices.ContainsFunc(nodes, func(n struct {
		Node string `json:"node"`
	},
	) bool {
		return n.Node == s.target
	}) {
		return fail(op, providers.NotFound, nil, "the hypervisor has no such node")
	}
	storages, err := p.storageRows(ctx, op)
	if err != nil {
		return err
	}
	for _, key := range diskKeys(s.config) {
		d, ok := parseDiskConfig(s.config[key])
		if !ok || d.volume == "none" {
			continue
		}
		shared := slices.ContainsFunc(storages, func(r storageRow) bool { return r.Storage == d.storage() && r.Shared == 1 })
		if !shared {
			return fail(op, providers.FailedPrecondition, nil, "the template's disk is on another node, and on no shared storage")
		}
	}
	return nil
}

// checkNetworks proves that the bridges are there on the node.
func (p *Provider) checkNetworks(ctx context.Context, op, node string, nics []nicConfig) *providers.Error {
	if len(nics) == 0 {
		return nil
	}
	var bridges []struct {
		Name string `json:"iface"`
	}
	if err := p.get(ctx, op, apiPath("nodes", node, "network"), params{"type": "any_bridge"}, &bridges); err != nil {
		return err
	}
	for _, n := range nics {
		there := false
		for _, b := range bridges {
			there = there || b.Name == n.network.bridge
		}
		if !there {
			return fail(op, providers.NotFound, nil, "the hypervisor has no such network on the node")
		}
	}
	return nil
}

// clone has the template copied to the first VMID of the candidates that nothing
// has. Proxmox VE refuses a VMID that is taken, so a race is lost by one of two.
func (p *Provider) clone(ctx context.Context, op string, o order, s source) (upid string, err *providers.Error) {
	description, encodeErr := mark{VMID: o.req.VMID, Installation: p.cfg.installation, Name: o.req.Name, Making: true}.describe("")
	if encodeErr != nil {
		return "", fail(op, providers.Internal, encodeErr, "the VM's mark cannot be written")
	}
	in := params{"name": o.hostname, "description": description, "full": o.req.Image.CloneMode == models.CloneFull}
	if s.target != "" {
		in["target"] = s.target
	}
	if p.cfg.pool != "" {
		in["pool"] = p.cfg.pool
	}
	if p.cfg.storage != "" && o.req.Image.CloneMode == models.CloneFull {
		in["storage"] = p.cfg.storage
	}
	return p.cloneTo(ctx, op, o.req.VMID, s.row, in)
}

// cloneTo clones a VM or template with the parameters given, which hold the new
// VM's description with its mark. It takes no VMID that a volume has: that is
// somebody's, and it would go with the VM.
//
// Every process that makes this VM comes to the same VMID, of which Proxmox VE
// gives a VM to one alone. So a VMID is passed over only for what is surely not
// this VM. The VMs are read after the volumes: a clone has its VMID before its
// disks.
func (p *Provider) cloneTo(ctx context.Context, op, vmID string, from row, in params) (upid string, err *providers.Error) {
	storages, err := p.storageRows(ctx, op)
	if err != nil {
		return "", err
	}
	order := p.cfg.vmidCandidates(vmID)
	volumes, err := p.imagesAt(ctx, op, storages, order...)
	if err != nil {
		return "", err
	}
	rows, err := p.rows(ctx, op)
	if err != nil {
		return "", err
	}
	for _, vmid := range order {
		if at := slices.IndexFunc(rows, func(r row) bool { return r.VMID == vmid }); at >= 0 {
			if err := p.another(ctx, op, rows[at], vmID); err != nil {
				return "", err
			}
			continue
		}
		if slices.ContainsFunc(volumes, func(v leftVolume) bool { return ownerOf(v.id) == vmid }) {
			continue
		}
		in["newid"] = vmid
		upid, err = p.ask(ctx, op, qemuPath(from.Node, from.VMID, "clone"), in)
		if hasCode(err, providers.AlreadyExists) {
			// Who took it may be another process that makes this very VM.
			return "", fail(op, providers.Aborted, err, "another VM has just been given this place")
		}
		return upid, err
	}
	return "", fail(op, providers.ResourceExhausted, nil, "the VMIDs that this VM may have are all taken")
}

// another is Aborted unless what has the VMID is surely not the VM, by whomever it
// is being made.
func (p *Provider) another(ctx context.Context, op string, r row, vmID string) *providers.Error {
	if r.Type != "qemu" {
		return nil
	}
	config, err := p.config(ctx, op, r.Node, r.VMID)
	if err != nil && !hasCode(err, providers.NotFound) {
		return err
	}
	if _, ours := p.cfg.proves(config, vmID); ours || err != nil || nameless(config) {
		return fail(op, providers.Aborted, err, "the VM is being made already")
	}
	return nil
}

// nameless tells a clone that does not show yet what it is a clone of, and whose.
func nameless(config map[string]string) bool {
	return config["lock"] == "clone" && config["name"] == "" && config["description"] == ""
}
