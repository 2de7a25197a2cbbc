package proxmoxsim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

type vmList struct {
	VMs []simhv.VM `json:"vms"`
}

// adminListVMs shows the guests in the order in which they were made. A
// template is what VMs are made from, and not one of them.
func (s *Server) adminListVMs(*http.Request, []byte) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	guests := []*guest{}
	for _, vmid := range s.state.vmids() {
		if g := s.state.guests[vmid]; !g.template() {
			guests = append(guests, g)
		}
	}
	slices.SortStableFunc(guests, func(a, b *guest) int { return a.Created.Compare(b.Created) })
	out := vmList{VMs: []simhv.VM{}}
	for _, g := range guests {
		out.VMs = append(out.VMs, s.adminView(g))
	}
	return http.StatusOK, out, nil
}

// adminCreateVM makes a guest as an operator does, on the first free VMID.
func (s *Server) adminCreateVM(_ *http.Request, body []byte) (int, any, error) {
	var n simhv.NewVM
	if err := strict(body, &n); err != nil {
		return 0, nil, err
	}
	if n.Name == "" {
		return 0, nil, invalid("name is required")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &guest{
		VMID: s.state.free(), Node: cmp.Or(n.Node, s.state.nodes[0].Name), QMP: qmpStopped, Created: time.Now(),
		Config: config{
			"name": n.Name, "cores": strconv.Itoa(cmp.Or(n.VCPUs, 1)), "memory": strconv.Itoa(cmp.Or(n.MemoryMiB, 512)),
			"smbios1": "uuid=" + cmp.Or(n.UUID, uuid.NewString()), "net0": "virtio=" + s.state.mac() + ",bridge=vmbr0",
			"boot": "order=scsi0", "vmgenid": uuid.NewString(), "ostype": "l26",
		},
	}
	if n.Mark != nil {
		if err := g.mark(n.Mark); err != nil {
			return 0, nil, err
		}
	}
	if err := setPower(g, cmp.Or(n.Power, powerRunning)); err != nil {
		return 0, nil, err
	}
	if err := s.plausible(g); err != nil {
		return 0, nil, err
	}
	if store := s.imageStorage(g.Node); store != nil {
		v := s.state.allocate(store, g.Node, g.VMID, int64(cmp.Or(n.DiskGiB, 1))*gib, "disk")
		g.Config["scsi0"] = fmt.Sprintf("%s,size=%dG", v.id(), v.Size/gib)
	}
	s.state.guests[g.VMID] = g
	return http.StatusCreated, s.adminView(g), nil
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
		return invalid("no such node")
	case atoi(g.Config["cores"]) < 1 || atoi(g.Config["memory"]) < 1:
		return invalid("vcpus and memory_mib must be positive")
	case g.Config["name"] == "":
		return invalid("name must not be empty")
	}
	return nil
}

// mark makes a guest look like a control plane's own.
func (g *guest) mark(m *simhv.Mark) error {
	kept := slices.DeleteFunc(strings.Split(g.Config["tags"], ";"), func(tag string) bool {
		return tag == "" || tag == "hcp" || strings.HasPrefix(tag, "hcp-i-") || strings.HasPrefix(tag, "hcp-vm-")
	})
	var record *mark
	if m != nil {
		if m.VMID == "" || m.InstallationID == "" {
			return invalid("a mark has a vm_id and an installation_id")
		}
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
	if g.lock() == powerSuspended {
		delete(g.Config, "lock")
	}
	switch power {
	case powerRunning:
		g.QMP = qmpRunning
	case powerSuspended:
		g.QMP = qmpPaused
	case powerStopped:
		g.QMP = qmpStopped
	default:
		return invalid(`power must be "running", "stopped" or "suspended"`)
	}
	if g.isRunning() && !was {
		g.Boots++
		g.Started = time.Now()
	}
	return nil
}

func (s *Server) adminFind(r *http.Request) (*guest, error) {
	g := s.state.guests[atoi(r.PathValue("native_id"))]
	if g == nil || g.template() {
		return nil, &adminFailure{status: http.StatusNotFound, Code: "no_vm", Message: "no such VM"}
	}
	return g, nil
}

// maxData is how much the admin side writes on a disk, in bytes.
const maxData = 64

// adminDeleteVM loses a guest with its volumes.
func (s *Server) adminDeleteVM(r *http.Request, _ []byte) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.adminFind(r)
	if err != nil {
		return 0, nil, err
	}
	for _, v := range s.state.volumes {
		if v.VMID == g.VMID {
			s.state.dropVolume(v)
		}
	}
	delete(s.state.guests, g.VMID)
	return http.StatusNoContent, nil, nil
}
