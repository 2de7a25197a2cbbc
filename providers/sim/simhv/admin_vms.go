package simhv

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Mark is whose a VM is, as the control plane that made it says.
type Mark struct {
	VMID           string `json:"vm_id"`
	InstallationID string `json:"installation_id"`
}

// VM is one VM as the admin side shows it. Memory is in MiB, disk in GiB.
type VM struct {
	NativeID  string   `json:"native_id"`
	Name      string   `json:"name"`
	Mark      *Mark    `json:"mark"`
	Power     string   `json:"power"` // "running", "stopped", "suspended"
	VCPUs     int      `json:"vcpus"`
	MemoryMiB int      `json:"memory_mib"`
	DiskGiB   int      `json:"disk_gib"`
	Node      string   `json:"node"`
	Disks     []string `json:"disks"` // of the root, by native name
	DataDisks []Disk   `json:"data_disks"`
	// Snapshots are in the order in which they were made.
	Snapshots []Snapshot `json:"snapshots"`
	CreatedAt time.Time  `json:"created_at"`

	UUID      string     `json:"uuid"`
	Image     string     `json:"image,omitempty"`
	Addresses []string   `json:"addresses"`
	NICs      []NIC      `json:"nics"` // as the guest was told
	CloudInit *CloudInit `json:"cloud_init,omitempty"`
	Boots     int        `json:"boots"` // starts and reboots since it was made
	// Boot is the boot that its guest is in, running or asleep, and UptimeSince
	// when that began; 0 and null when it is off.
	Boot        int        `json:"boot"`
	UptimeSince *time.Time `json:"uptime_since"`
	// RootData is what the guest wrote on the root disk, at most 64 bytes.
	RootData string `json:"root_data"`
	// AsideToken is the token of a rebuild that was not finished, and AsideData
	// what the guest wrote on the disk that it set aside.
	AsideToken string `json:"aside_token,omitempty"`
	AsideData  string `json:"aside_data,omitempty"`
	// MovingTo is the node that a migration holds room on.
	MovingTo string `json:"moving_to,omitempty"`
}

// Disk is a data disk: ours by ID, native by name. Data is what the guest wrote.
type Disk struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	SizeGiB  int    `json:"size_gib"`
	Attached bool   `json:"attached"`
	Data     string `json:"data"`
}

// Snapshot is one snapshot; the ID is empty for one that others made.
type Snapshot struct {
	ID         string    `json:"id"`
	NativeName string    `json:"native_name"`
	Name       string    `json:"name"`
	Memory     bool      `json:"memory"`
	Incomplete bool      `json:"incomplete"`
	RootData   string    `json:"root_data"`
	CreatedAt  time.Time `json:"created_at"`
}

// NIC is one interface: IP is what the guest is told to take, empty for DHCP.
type NIC struct {
	Network      string   `json:"network"`
	MAC          string   `json:"mac"`
	IP           string   `json:"ip,omitempty"`
	PrefixLength int      `json:"prefix_length,omitempty"`
	Gateway      string   `json:"gateway,omitempty"`
	DNSServers   []string `json:"dns_servers,omitempty"`
}

func adminView(v *vmRecord) VM {
	out := VM{
		NativeID: v.NativeID, Name: v.Name, Mark: (*Mark)(v.Mark), Power: v.Power, VCPUs: v.VCPUs, MemoryMiB: v.MemoryMiB,
		DiskGiB: v.DiskGiB, Node: v.Node, Disks: append([]string{}, v.Disks...), DataDisks: []Disk{}, Snapshots: []Snapshot{},
		CreatedAt: v.CreatedAt, UUID: v.UUID, Image: v.Image, Addresses: []string{}, NICs: make([]NIC, len(v.NICs)),
		CloudInit: v.CloudInit, Boots: v.Boots, Boot: v.Boot, RootData: v.RootData, MovingTo: v.MovingTo,
	}
	if v.Boot > 0 {
		out.UptimeSince = &v.UptimeSince
	}
	if v.Aside != nil {
		out.AsideToken, out.AsideData = v.Aside.Token, v.Aside.RootData
	}
	for _, d := range v.DataDisks {
		out.DataDisks = append(out.DataDisks, Disk(d))
	}
	for _, snapshot := range v.Snapshots {
		out.Snapshots = append(out.Snapshots, Snapshot{
			ID: snapshot.ID, NativeName: snapshot.NativeName, Name: snapshot.Name, Memory: snapshot.Memory,
			Incomplete: snapshot.Incomplete, RootData: snapshot.Root.RootData, CreatedAt: snapshot.CreatedAt,
		})
	}
	for i, nic := range v.NICs {
		out.NICs[i] = NIC(nic)
	}
	for _, nic := range v.addresses() {
		if nic.IP != "" {
			out.Addresses = append(out.Addresses, nic.IP)
		}
	}
	return out
}

type vmList struct {
	VMs []VM `json:"vms"`
}

func (s *Server) adminListVMs(*http.Request, []byte) (int, any, error) {
	s.mu.Lock()
	order := slices.Clone(s.state.order)
	s.mu.Unlock()
	out := vmList{VMs: make([]VM, 0, len(order))}
	for _, v := range order {
		out.VMs = append(out.VMs, adminView(v))
	}
	return http.StatusOK, out, nil
}

// NewVM is a VM that somebody else makes. Zero values are chosen for it: the
// first node, 1 vCPU, 512 MiB, 1 GiB, running, a UUID of its own, no mark.
type NewVM struct {
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"`
	VCPUs     int    `json:"vcpus,omitempty"`
	MemoryMiB int    `json:"memory_mib,omitempty"`
	DiskGiB   int    `json:"disk_gib,omitempty"`
	Power     string `json:"power,omitempty"`
	UUID      string `json:"uuid,omitempty"`
	Mark      *Mark  `json:"mark,omitempty"`
}

// adminCreateVM does not look at capacity: that others take it is the point.
func (s *Server) adminCreateVM(_ *http.Request, body []byte) (int, any, error) {
	var n NewVM
	if err := strict(body, &n); err != nil {
		return 0, nil, err
	}
	if n.Name == "" {
		return 0, nil, invalid("name is required")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &vmRecord{
		Name: n.Name, Node: cmp.Or(n.Node, s.state.nodeList[0]), VCPUs: cmp.Or(n.VCPUs, 1), MemoryMiB: cmp.Or(n.MemoryMiB, 512),
		rootRecord: rootRecord{DiskGiB: cmp.Or(n.DiskGiB, 1)}, Power: wire.PowerStopped, UUID: cmp.Or(n.UUID, uuid.NewString()),
		Mark: (*wire.Mark)(n.Mark), CreatedAt: now(),
	}
	if n.Power != wire.PowerStopped {
		v.setPower(wire.PowerRunning)
	}
	v.setPower(cmp.Or(n.Power, wire.PowerRunning))
	if err := s.plausible(v); err != nil {
		return 0, nil, err
	}
	if s.state.byUUID[v.UUID] != nil {
		return 0, nil, &apiError{status: http.StatusConflict, Code: wire.CodeExists, Message: "this UUID is taken"}
	}
	var c change
	s.identify(&c, v)
	v.Disks = []string{"disk-" + strconv.FormatUint(v.Seq, 10)}
	c.VMs = append(c.VMs, v)
	return http.StatusCreated, adminView(v), s.commit(c)
}

// plausible refuses what no hypervisor could hold.
func (s *Server) plausible(v *vmRecord) error {
	switch {
	case s.state.nodes[v.Node] == nil:
		return invalid("no such node")
	case v.VCPUs < 1 || v.MemoryMiB < 1 || v.DiskGiB < 1:
		return invalid("vcpus, memory_mib and disk_gib must be positive")
	case v.Power != wire.PowerRunning && v.Power != wire.PowerStopped && v.Power != wire.PowerSuspended:
		return invalid(`power must be "running", "stopped" or "suspended"`)
	case v.Mark != nil && (v.Mark.VMID == "" || v.Mark.InstallationID == ""):
		return invalid("a mark has a vm_id and an installation_id")
	}
	return nil
}

// VMChange is a change behind the control plane's back; nil keeps.
type VMChange struct {
	Power     *string `json:"power,omitempty"`
	Name      *string `json:"name,omitempty"`
	Node      *string `json:"node,omitempty"`
	VCPUs     *int    `json:"vcpus,omitempty"`
	MemoryMiB *int    `json:"memory_mib,omitempty"`
	NativeID  *string `json:"native_id,omitempty"`
	// Mark is a Mark, or null to take it away.
	Mark json.RawMessage `json:"mark,omitempty"`
	// RootData and DiskData (by a data disk's ID) are what the guest wrote.
	RootData *string           `json:"root_data,omitempty"`
	DiskData map[string]string `json:"disk_data,omitempty"`
	// Snapshot is the name of a snapshot that somebody else makes.
	Snapshot *string `json:"snapshot,omitempty"`
}

func (s *Server) adminPatchVM(r *http.Request, body []byte) (int, any, error) {
	var set VMChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.adminFind(r)
	if err != nil {
		return 0, nil, err
	}
	v := old.clone()
	assign(&v.Name, set.Name)
	assign(&v.Node, set.Node)
	assign(&v.VCPUs, set.VCPUs)
	assign(&v.MemoryMiB, set.MemoryMiB)
	assign(&v.NativeID, set.NativeID)
	if err := patchMark(v, set.Mark); err != nil {
		return 0, nil, err
	}
	if err := patchContents(v, set); err != nil {
		return 0, nil, err
	}
	if v.Name == "" || v.NativeID == "" {
		return 0, nil, invalid("name and native_id must not be empty")
	}
	if other := s.state.byNative[v.NativeID]; other != nil && other.Seq != v.Seq {
		return 0, nil, &apiError{status: http.StatusConflict, Code: wire.CodeExists, Message: "this native ID is taken"}
	}
	if err := s.plausible(v); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, adminView(v), s.commit(change{VMs: []*vmRecord{v}})
}

// patchContents changes what is on the VM's disks, its snapshots and its power.
func patchContents(v *vmRecord, set VMChange) error {
	if set.Power != nil {
		v.setPower(*set.Power)
	}
	for id, text := range set.DiskData {
		i := v.disk(id)
		if i < 0 || len(text) > maxData {
			return invalid("disk_data names a disk that is not there, or is too long")
		}
		v.DataDisks[i].Data = text
	}
	if assign(&v.RootData, set.RootData); len(v.RootData) > maxData {
		return invalid("root_data is too long")
	}
	if set.Snapshot != nil {
		name := "foreign-" + strconv.FormatUint(v.Revision, 10)
		v.Snapshots = append(v.Snapshots, v.taken(snapshotRecord{NativeName: name, Name: *set.Snapshot}, false))
	}
	return nil
}

func patchMark(v *vmRecord, raw json.RawMessage) error {
	switch {
	case raw == nil:
		return nil
	case bytes.Equal(raw, []byte("null")):
		v.Mark = nil
		return nil
	}
	v.Mark = new(wire.Mark)
	return strict(raw, v.Mark)
}

// adminDeleteVM loses a VM; a task at work on it fails.
func (s *Server) adminDeleteVM(r *http.Request, _ []byte) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.adminFind(r)
	if err != nil {
		return 0, nil, err
	}
	c := change{Gone: []uint64{v.Seq}}
	if t := s.state.tasks[v.Task]; t != nil && !t.Done {
		failed := *t
		failed.Done, failed.Code, failed.Ends = true, wire.CodeNoVM, now()
		c.Tasks = append(c.Tasks, &failed)
	}
	return http.StatusNoContent, nil, s.commit(c)
}

func (s *Server) adminFind(r *http.Request) (*vmRecord, error) {
	v := s.state.byNative[r.PathValue("native_id")]
	if v == nil {
		return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoVM, Message: "no such VM"}
	}
	return v, nil
}
