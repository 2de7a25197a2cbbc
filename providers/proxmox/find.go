package proxmox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// candidates is how many VMIDs are tried for a VM.
const candidates = 32

// machine is a VM of ours as it was read in this call.
type machine struct {
	VMID      int
	Node      string
	Config    map[string]string // as the API has it, with "digest"
	Status    string            // "running" or "stopped"
	QMPStatus string            // as "paused" or "prelaunch", for one that runs
	Lock      string            // as "clone" or "snapshot"; empty without
	Mark      mark
}

// row is a VM in the list of the cluster's resources. What it says of power and
// sizes may be some seconds old.
type row struct {
	Type     string  `json:"type"` // "qemu" or "lxc"
	VMID     int     `json:"vmid"`
	Node     string  `json:"node"`
	Name     string  `json:"name"`
	Tags     string  `json:"tags"`
	Template flag    `json:"template"`
	Lock     string  `json:"lock"`
	Status   string  `json:"status"`
	Pool     string  `json:"pool"`
	MaxCPU   float64 `json:"maxcpu"`
	MaxMem   int64   `json:"maxmem"`  // bytes
	MaxDisk  int64   `json:"maxdisk"` // bytes
}

func (r row) hasTag(tag string) bool { return slices.Contains(splitTags(r.Tags), tag) }

// vmPath is the path of a VM's part: "status/current"; empty for the VM itself.
func vmPath(m *machine, rest string) string { return qemuPath(m.Node, m.VMID, rest) }

func qemuPath(node string, vmid int, rest string) string {
	path := apiPath("nodes", node, "qemu", strconv.Itoa(vmid))
	if rest != "" {
		path += "/" + rest
	}
	return path
}

// vmidCandidates are the VMIDs at which a VM of ours is made, in the order in
// which they are tried. They follow from the VM ID: any process finds a VM there
// that has no name and no tags yet.
func (s settings) vmidCandidates(vmID string) []int {
	sum := sha256.Sum256([]byte(s.installation + "|" + vmID))
	size := uint64(s.vmidMax-s.vmidMin) + 1 //nolint:gosec // the settings see to max >= min
	start := binary.BigEndian.Uint64(sum[:8]) % size
	out := make([]int, 0, candidates)
	for k := range min(candidates, size) {
		out = append(out, s.vmidMin+int((start+k)%size)) //nolint:gosec // below a VMID
	}
	return out
}

// rows lists the cluster's VMs, containers too: they share the VMIDs.
func (p *Provider) rows(ctx context.Context, op string) ([]row, *providers.Error) {
	var out []row
	err := p.get(ctx, op, "/cluster/resources", params{"type": "vm"}, &out)
	return out, err
}

// find returns the VM that is ours for vmID, nil if there is none.
func (p *Provider) find(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	all, err := p.findAll(ctx, op, vmID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if len(all) > 1 && !all[0].Mark.Making && !all[1].Mark.Making {
		return nil, fail(op, providers.FailedPrecondition, nil, "the hypervisor has more than one VM with this VM's mark")
	}
	return all[0], nil
}

// findAll returns every VM that is ours for vmID: more than one where two makers
// raced, or where a copy was given our identity. Finished ones come first, then
// those at the VMID that is tried first.
func (p *Provider) findAll(ctx context.Context, op, vmID string) ([]*machine, *providers.Error) {
	if !vmid.Valid(vmID) {
		return nil, fail(op, providers.InvalidArgument, nil, "the VM ID is not a UUID in its canonical form")
	}
	for range findLooks {
		out, moved, err := p.look(ctx, op, vmID)
		switch {
		case err != nil:
			return nil, err
		case moved:
			continue
		case len(out) == 0:
			return nil, p.absent(ctx, op)
		}
		return out, nil
	}
	return nil, fail(op, providers.Aborted, nil, "the VM is being moved")
}

// sees is an error where our account may not see our VMs: they are missing in the
// list then, which proves nothing.
func (p *Provider) sees(ctx context.Context, op string) *providers.Error {
	have, err := p.permissions(ctx, op)
	if err != nil {
		return err
	}
	if !p.cfg.onVMs(have, seeing) {
		return fail(op, providers.PermissionDenied, errors.New("the account lacks VM.Audit on /vms"), "our hypervisor account may not see VMs")
	}
	return nil
}

// findLooks is how often the list is read anew when a VM was not where it said.
const findLooks = 3

// look reads the list, and what could be ours in it. moved says that a VM was not
// where the list had it.
func (p *Provider) look(ctx context.Context, op, vmID string) (out []*machine, moved bool, err *providers.Error) {
	rows, err := p.rows(ctx, op)
	if err != nil {
		return nil, false, err
	}
	order := p.cfg.vmidCandidates(vmID)
	for _, r := range rows {
		if r.Type != "qemu" || (!slices.Contains(order, r.VMID) && !r.hasTag(vmTag+vmID)) {
			continue
		}
		m, err := p.read(ctx, op, r, vmID)
		if hasCode(err, providers.NotFound) {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if m != nil {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *machine) int {
		if a.Mark.Making != b.Mark.Making {
			if b.Mark.Making {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(order, a.VMID), rank(order, b.VMID)), cmp.Compare(a.VMID, b.VMID))
	})
	return out, false, nil
}

func rank(order []int, vmid int) int {
	if i := slices.Index(order, vmid); i >= 0 {
		return i
	}
	return len(order)
}

// read returns the VM of a row, nil if it is not ours for vmID, and NotFound if
// it is not there any more.
func (p *Provider) read(ctx context.Context, op string, r row, vmID string) (*machine, *providers.Error) {
	m := &machine{VMID: r.VMID, Node: r.Node}
	config, err := p.config(ctx, op, r.Node, r.VMID)
	if err != nil {
		return nil, err
	}
	var ours bool
	if m.Mark, ours = p.cfg.proves(config, vmID); !ours {
		return nil, nil
	}
	m.Config = config
	var now struct {
		Status    string `json:"status"`
		QMPStatus string `json:"qmpstatus"`
		Lock      string `json:"lock"`
	}
	if err := p.get(ctx, op, vmPath(m, "status/current"), nil, &now); err != nil {
		return nil, err
	}
	m.Status, m.QMPStatus, m.Lock = now.Status, now.QMPStatus, now.Lock
	return m, nil
}

// config reads a VM's configuration as its process has it, without what waits for
// the next start. Its values are strings as the API has them.
func (p *Provider) config(ctx context.Context, op, node string, vmid int) (map[string]string, *providers.Error) {
	return p.configOf(ctx, op, node, vmid, params{"current": true})
}

func (p *Provider) configOf(ctx context.Context, op, node string, vmid int, query params) (map[string]string, *providers.Error) {
	var raw map[string]json.RawMessage
	if err := p.get(ctx, op, qemuPath(node, vmid, "config"), query, &raw); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for name, value := range raw {
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = strings.TrimSpace(string(value)) // a number
		}
		out[name] = s
	}
	return out, nil
}
