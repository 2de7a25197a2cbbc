package simhv

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Records are never changed once they are in the state: they are cloned,
// changed, and committed. So readers may keep them without a lock.

// vmRecord is one VM. Seq is its identity inside the hypervisor, which no admin
// call can change; the native ID is what callers see.
type vmRecord struct {
	Seq         uint64           `json:"seq"`
	Revision    uint64           `json:"revision"` // counts its commits
	NativeID    string           `json:"native_id"`
	UUID        string           `json:"uuid"`
	Name        string           `json:"name"`
	Mark        *wire.Mark       `json:"mark,omitempty"`
	Node        string           `json:"node"`
	MovingTo    string           `json:"moving_to,omitempty"` // holds room there too
	Power       string           `json:"power"`
	VCPUs       int              `json:"vcpus"`
	MemoryMiB   int              `json:"memory_mib"`
	rootRecord                   // the root disk and its seed
	Aside       *asideRecord     `json:"aside,omitempty"`
	DataDisks   []diskRecord     `json:"data_disks,omitempty"`
	Snapshots   []snapshotRecord `json:"snapshots,omitempty"` // oldest first
	NICs        []wire.NIC       `json:"nics,omitempty"`
	Boots       int              `json:"boots,omitempty"` // that there have been
	guestRecord                  // where the guest is
	// Process counts the processes that the guest has run in: each start, wake,
	// live migration and revert is a new one, and ends the consoles of the old.
	Process     int    `json:"process,omitempty"`
	RebootToken string `json:"reboot_token,omitempty"`
	RevertToken string `json:"revert_token,omitempty"`
	// RebuildToken is the last rebuild that was finished: a late repeat of it must
	// not rebuild again.
	RebuildToken string    `json:"rebuild_token,omitempty"`
	Task         string    `json:"task,omitempty"` // at work on it
	CreatedAt    time.Time `json:"created_at"`
}

// rootRecord is a root disk, by its native name, and what it was made from.
type rootRecord struct {
	Disks     []string            `json:"disks,omitempty"` // none while it is made, or where that failed
	DiskGiB   int                 `json:"disk_gib"`
	RootData  string              `json:"root_data,omitempty"` // what the guest wrote
	Image     string              `json:"image,omitempty"`
	CloudInit *simadmin.CloudInit `json:"cloud_init,omitempty"`
}

// guestRecord is which boot a guest is in. A guest that is asleep keeps it.
type guestRecord struct {
	Boot        int       `json:"boot,omitempty"`
	UptimeSince time.Time `json:"uptime_since,omitzero"`
}

// asideRecord is what a rebuild keeps of a VM, to put it back.
type asideRecord struct {
	Token string `json:"token"`
	rootRecord
}

// diskRecord is a data disk.
type diskRecord struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // native
	SizeGiB  int    `json:"size_gib"`
	Attached bool   `json:"attached"`
	Data     string `json:"data,omitempty"` // what the guest wrote
}

// snapshotRecord is a snapshot: the VM as it was.
type snapshotRecord struct {
	ID         string       `json:"id"` // empty: somebody else's
	NativeName string       `json:"native_name"`
	Name       string       `json:"name"`
	Memory     bool         `json:"memory,omitempty"`
	Incomplete bool         `json:"incomplete,omitempty"`
	CreatedAt  time.Time    `json:"created_at"`
	VCPUs      int          `json:"vcpus"`
	MemoryMiB  int          `json:"memory_mib"`
	Root       rootRecord   `json:"root"`
	DataDisks  []diskRecord `json:"data_disks,omitempty"` // attached ones
	NICs       []wire.NIC   `json:"nics,omitempty"`
	Guest      guestRecord  `json:"guest"` // with memory
}

// clone returns a copy whose slices may be changed.
func (v *vmRecord) clone() *vmRecord {
	c := *v
	c.DataDisks, c.Snapshots, c.NICs = slices.Clone(v.DataDisks), slices.Clone(v.Snapshots), slices.Clone(v.NICs)
	return &c
}

// boot lets the guest begin anew.
func (v *vmRecord) boot() {
	v.Boots++
	v.guestRecord = guestRecord{Boot: v.Boots, UptimeSince: now()}
}

func (v *vmRecord) disk(id string) int {
	return slices.IndexFunc(v.DataDisks, func(d diskRecord) bool { return d.ID == id })
}

func (v *vmRecord) snapshot(id string) int {
	return slices.IndexFunc(v.Snapshots, func(s snapshotRecord) bool { return id != "" && s.ID == id })
}

func (v *vmRecord) nic(mac string) int {
	return slices.IndexFunc(v.NICs, func(n wire.NIC) bool { return strings.EqualFold(n.MAC, mac) })
}

// addresses are those that the guest has: the one it was told to take, or one
// derived from its MAC. A guest that does not run has none.
func (v *vmRecord) addresses() []wire.NIC {
	out := slices.Clone(v.NICs)
	for i := range out {
		switch {
		case v.Power != wire.PowerRunning:
			out[i].IP = ""
		case out[i].IP == "":
			out[i].IP = leaseOf(out[i].MAC)
		}
	}
	return out
}

// leaseOf is the address that DHCP gives to a MAC: 10 and its last three bytes.
func leaseOf(mac string) string {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) < 3 {
		return ""
	}
	b := hw[len(hw)-3:]
	return net.IPv4(10, b[0], b[1], b[2]).String()
}

// nodeRecord is one node.
type nodeRecord simadmin.Node
