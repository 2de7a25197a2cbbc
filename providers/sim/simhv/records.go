package simhv

import (
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Records are never changed once they are in the state: they are cloned,
// changed, and committed. So readers may keep them without a lock.

// vmRecord is one VM. Seq is its identity inside the hypervisor, which no admin
// call can change; the native ID is what callers see.
type vmRecord struct {
	Seq         uint64     `json:"seq"`
	Revision    uint64     `json:"revision"` // counts its commits
	NativeID    string     `json:"native_id"`
	UUID        string     `json:"uuid"`
	Name        string     `json:"name"`
	Mark        *wire.Mark `json:"mark,omitempty"`
	Node        string     `json:"node"`
	Power       string     `json:"power"`
	VCPUs       int        `json:"vcpus"`
	MemoryMiB   int        `json:"memory_mib"`
	DiskGiB     int        `json:"disk_gib"`
	Image       string     `json:"image,omitempty"`
	Disks       []string   `json:"disks,omitempty"`
	Snapshots   []string   `json:"snapshots,omitempty"`
	NICs        []wire.NIC `json:"nics,omitempty"`
	CloudInit   *CloudInit `json:"cloud_init,omitempty"`
	Boots       int        `json:"boots,omitempty"`
	RebootToken string     `json:"reboot_token,omitempty"`
	Task        string     `json:"task,omitempty"` // at work on it
	CreatedAt   time.Time  `json:"created_at"`
}

func (v *vmRecord) clone() *vmRecord {
	c := *v
	return &c
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

// taskRecord is one piece of work.
type taskRecord struct {
	ID      string    `json:"id"`
	Op      string    `json:"op"`
	VM      uint64    `json:"vm"`
	Started time.Time `json:"started"`
	Ends    time.Time `json:"ends"`
	Power   string    `json:"power,omitempty"`   // set_power: what it ends in
	NoDisk  bool      `json:"no_disk,omitempty"` // create_vm: a fault withholds the disk
	Fail    string    `json:"fail,omitempty"`    // the code that a fault makes it fail with
	Hidden  bool      `json:"hidden,omitempty"`  // a fault makes the hypervisor forget it
	Done    bool      `json:"done,omitempty"`
	Code    string    `json:"code,omitempty"` // done: why it failed
}

// progress is the share of the task's time that has passed, in percent.
func (t *taskRecord) progress(now time.Time) int {
	total := t.Ends.Sub(t.Started)
	if t.Done || total <= 0 {
		return 100
	}
	return min(99, max(0, int(100*now.Sub(t.Started)/total)))
}

// effect is what the task makes of its VM when it ends; nil means that the VM
// is gone. It returns a record of its own.
func (t *taskRecord) effect(v *vmRecord) *vmRecord {
	v = v.clone()
	v.Task = ""
	if t.Code != "" {
		if t.Op == wire.OpReboot {
			v.RebootToken = ""
		}
		return v
	}
	switch t.Op {
	case wire.OpCreateVM:
		if !t.NoDisk {
			v.Disks = []string{"disk-" + strconv.FormatUint(v.Seq, 10)}
		}
	case wire.OpSetPower:
		if t.Power == wire.PowerRunning && v.Power != wire.PowerRunning {
			v.Boots++
		}
		v.Power = t.Power
	case wire.OpReboot:
		v.Boots++
	case wire.OpDeleteVM:
		return nil
	}
	return v
}

// nodeRecord is one node.
type nodeRecord struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	VCPUs     int    `json:"vcpus"`
	MemoryMiB int    `json:"memory_mib"`
}

// The states of a node.
const (
	nodeUp          = "up"
	nodeDown        = "down"
	nodeMaintenance = "maintenance"
)
