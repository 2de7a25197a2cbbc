package proxmoxsim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// VMs shows the guests in the order in which they were made. A template is what VMs
// are made from, and not one of them.
func (s admin) VMs(context.Context) ([]simadmin.VM, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	guests := []*guest{}
	for _, vmid := range s.state.vmids() {
		if g := s.state.guests[vmid]; !g.template() {
			guests = append(guests, g)
		}
	}
	slices.SortStableFunc(guests, func(a, b *guest) int { return a.Created.Compare(b.Created) })
	var out []simadmin.VM
	for _, g := range guests {
		out = append(out, s.adminView(g))
	}
	return out, nil
}

// CreateVM makes a guest as an operator does, on the first free VMID.
func (s admin) CreateVM(_ context.Context, n simadmin.NewVM) (simadmin.VM, error) {
	n, err := n.WithDefaults()
	if err != nil {
		return simadmin.VM{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &guest{
		VMID: s.state.free(), Node: cmp.Or(n.Node, s.state.nodes[0].Name), QMP: qmpStopped, Created: time.Now(),
		Config: config{
			"name": n.Name, "cores": strconv.Itoa(n.VCPUs), "memory": strconv.Itoa(n.MemoryMiB),
			"smbios1": "uuid=" + cmp.Or(n.UUID, uuid.NewString()), "net0": "virtio=" + s.state.mac() + ",bridge=vmbr0",
			"boot": "order=scsi0", "vmgenid": uuid.NewString(), "ostype": "l26",
		},
	}
	if n.Mark != nil {
		if err := g.mark(n.Mark); err != nil {
			return simadmin.VM{}, err
		}
	}
	if err := setPower(g, n.Power); err != nil {
		return simadmin.VM{}, err
	}
	if err := s.plausible(g); err != nil {
		return simadmin.VM{}, err
	}
	if store := s.imageStorage(g.Node); store != nil {
		v := s.state.allocate(store, g.Node, g.VMID, int64(n.DiskGiB)*gib, "disk")
		g.Config["scsi0"] = fmt.Sprintf("%s,size=%dG", v.id(), v.Size/gib)
	}
	s.state.guests[g.VMID] = g
	return s.adminView(g), nil
}

// imageStorage is the first storage on a node that holds disks.
func (s *Server) imageStorage(node string) *storage {
	for _, id := range s.state.storageIDs() {
		if store := s.state.storages[id]; store.on(node) && store.holds("images") {
			return store
		}
	}
	return nil
}

func (s *Server) plausible(g *guest) error {
	switch {
	case s.state.node(g.Node) == nil:
		return simadmin.Invalid("no such node")
	case atoi(g.Config["cores"]) < 1 || atoi(g.Config["memory"]) < 1:
		return simadmin.Invalid("vcpus and memory_mib must be positive")
	case g.Config["name"] == "":
		return simadmin.Invalid("name must not be empty")
	}
	return nil
}

// mark makes a guest look like a control plane's own.
func (g *guest) mark(m *simadmin.Mark) error {
	kept := slices.DeleteFunc(strings.Split(g.Config["tags"], ";"), func(tag string) bool {
		return tag == "" || tag == "hcp" || strings.HasPrefix(tag, "hcp-i-") || strings.HasPrefix(tag, "hcp-vm-")
	})
	var record *mark
	if m != nil {
		sum := sha256.Sum256([]byte(m.InstallationID))
		kept = append(kept, "hcp", "hcp-i-"+hex.EncodeToString(sum[:])[:12], "hcp-vm-"+m.VMID)
		record = &mark{VMID: m.VMID, InstallationID: m.InstallationID}
		g.Config["smbios1"] = "uuid=" + m.VMID
	}
	description, err := setMark(g.Config["description"], record)
	if err != nil {
		return err
	}
	g.put("description", description)
	g.put("tags", strings.Join(kept, ";"))
	return nil
}

// put sets a value, or takes an empty one away.
func (g *guest) put(name, value string) {
	if value == "" {
		delete(g.Config, name)
		return
	}
	g.Config[name] = value
}

// setPower changes the power as if the guest or somebody at the node did it.
func setPower(g *guest, power string) error {
	was := g.isRunning()
	if g.lock() == "suspended" {
		delete(g.Config, "lock")
	}
	switch power {
	case simadmin.PowerRunning:
		g.QMP = qmpRunning
	case simadmin.PowerSuspended:
		g.QMP = qmpPaused
	case simadmin.PowerStopped:
		g.QMP = qmpStopped
	default:
		return simadmin.NoPower()
	}
	if g.isRunning() && !was {
		g.Boots++
		g.Started = time.Now()
	}
	return nil
}

func (s *Server) adminFind(nativeID string) (*guest, error) {
	g := s.state.guests[atoi(nativeID)]
	if g == nil || g.template() {
		return nil, simadmin.NoVM()
	}
	return g, nil
}

// DeleteVM loses a guest with its volumes.
func (s admin) DeleteVM(_ context.Context, nativeID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.adminFind(nativeID)
	if err != nil {
		return err
	}
	for _, v := range s.state.volumes {
		if v.VMID == g.VMID {
			s.state.dropVolume(v)
		}
	}
	delete(s.state.guests, g.VMID)
	return nil
}
