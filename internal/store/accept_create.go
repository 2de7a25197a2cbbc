package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// NICRequest is an interface that a VM is to have.
type NICRequest struct {
	NetworkID string
	// IPAddress, in canonical form, is asked for; empty takes one of the
	// network's subnets, or DHCP where it has none.
	IPAddress string
}

// CreateVM is a VM that is asked for.
type CreateVM struct {
	ProjectID   string
	Name        string
	Description string
	ImageID     string
	FlavorID    string
	Networks    []NICRequest
	// ZoneID and Location narrow the placement; empty leaves it to the scheduler.
	ZoneID   string
	Location string
	// DiskGiB is 0 for the flavor's size.
	DiskGiB  int
	UserData []byte // cloud-init; kept sealed
	// SSHKeys are public keys, or IDs of SSH keys of the project.
	SSHKeys          []string
	Metadata         map[string]string
	Tags             map[string]string
	Start            bool
	DeleteProtection bool
}

// AcceptCreateVM writes a VM with its lock taken by the new job, its
// reservation and addresses, and the operation. Errors: models.ErrNotFound (the
// project), *ReferenceError, *NameConflictError, *CapabilityError,
// *AddressInUseError, *AddressesExhaustedError, *QuotaError, *IdempotencyError.
func (s *Store) AcceptCreateVM(ctx context.Context, c Caller, in CreateVM, idem *Idempotency, respond Respond) (Accepted, error) {
	if err := in.checkText(); err != nil {
		return Accepted{}, err
	}
	vmID := models.NewID()
	sealed, err := s.sealer.Seal(in.UserData, userDataPlace(vmID))
	if err != nil {
		return Accepted{}, wrap(err, "seal the user data")
	}
	nics := make([]models.NIC, len(in.Networks))
	for i, n := range in.Networks {
		nics[i] = models.NIC{NetworkID: n.NetworkID, IPAddress: n.IPAddress, Requested: n.IPAddress != "", MAC: newMAC()}
	}
	return s.accept(ctx, idem, vmID, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		facts, err := s.createFacts(tx, c.TenantID, in)
		if err != nil {
			return models.Operation{}, err
		}
		disk, err := facts.check(in)
		if err != nil {
			return models.Operation{}, err
		}
		keys, err := s.sshKeys(tx, c.TenantID, in.ProjectID, in.SSHKeys)
		if err != nil {
			return models.Operation{}, err
		}
		now := s.now()
		vm := models.VM{
			ID: vmID, TenantID: c.TenantID, ProjectID: in.ProjectID, Name: in.Name, Description: in.Description,
			ImageID: in.ImageID, FlavorID: in.FlavorID,
			VCPUs: facts.flavor.VCPUs, MemoryMiB: facts.flavor.MemoryMiB, DiskGiB: disk,
			ZoneID: in.ZoneID, Location: in.Location, NICs: slices.Clone(nics), SSHKeys: keys,
			Metadata: in.Metadata, Tags: in.Tags, SealedUserData: sealed, DeleteProtection: in.DeleteProtection,
			Status: models.VMPending, PowerState: models.PowerNone, DesiredPowerState: models.PowerStopped,
			CurrentJobID: jobID, Generation: 1, CreatedAt: now, UpdatedAt: now,
		}
		if in.Start {
			vm.DesiredPowerState = models.PowerRunning
		}
		op := models.Operation{
			ID: jobID, TenantID: c.TenantID, ProjectID: in.ProjectID, Kind: models.OpVMCreate,
			ResourceType: models.ResourceVM, ResourceID: vmID, Params: models.OperationParams{Start: in.Start},
			Subject: c.Subject, RequestID: c.RequestID, CreatedAt: now,
		}
		reservation := reservationOf(vm, jobID)
		for _, row := range []any{&vm, &reservation, &op} {
			if err := tx.Create(row).Error; err != nil {
				if takenField(err) != "" {
					return models.Operation{}, &NameConflictError{Field: "name"}
				}
				return models.Operation{}, wrap(err, "write the VM")
			}
		}
		return op, s.takeShare(tx, share{reservation, vm.NICs, facts.addressed, facts.limited})
	})
}

// reservationOf is what a VM takes, not yet placed.
func reservationOf(vm models.VM, jobID string) models.Reservation {
	return models.Reservation{
		VMID: vm.ID, TenantID: vm.TenantID, ProjectID: vm.ProjectID,
		VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB, JobID: jobID, CreatedAt: vm.CreatedAt,
	}
}

// userDataPlace is where a VM's user data is kept, for its seal.
func userDataPlace(vmID string) string { return "vm/" + vmID + "/user_data" }

// newMAC returns a random unicast address of the locally administered range.
// Its first byte is fixed: bridges take the lowest address of their ports, and
// libvirt gives the ports of the host's side 0xfe.
func newMAC() string {
	mac := net.HardwareAddr{0x02, 0, 0, 0, 0, 0}
	_, _ = rand.Read(mac[1:]) // never fails: crypto/rand ends the process instead
	return mac.String()
}

// checkText refuses what Postgres cannot keep: text that is not UTF-8, or
// holds a NUL.
func (in CreateVM) checkText() error {
	bad := func(values ...string) bool {
		for _, v := range values {
			if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
				return true
			}
		}
		return false
	}
	const detail = "must be UTF-8 without NUL characters"
	if bad(in.Name) {
		return &ReferenceError{Field: "/name", Detail: detail}
	}
	if bad(in.Description) {
		return &ReferenceError{Field: "/description", Detail: detail}
	}
	if bad(in.SSHKeys...) {
		return &ReferenceError{Field: "/ssh_keys", Detail: detail}
	}
	for field, values := range map[string]map[string]string{"/metadata": in.Metadata, "/tags": in.Tags} {
		for k, v := range values {
			if bad(k, v) {
				return &ReferenceError{Field: field, Detail: detail}
			}
		}
	}
	return nil
}

// createFacts is what the catalog says about a VM that is asked for.
type createFacts struct {
	project   bool
	image     *models.Image
	flavor    *models.Flavor
	zone      *models.Zone
	location  bool
	networks  map[string]bool
	addressed bool // a network has subnets, or an address is asked for
	limited   bool // the tenant or the project has a quota
	cloudInit bool // a provider that could serve offers it, or was not asked yet
	providers int  // that could serve
}

// factRow is one line of the one query that reads all of them.
type factRow struct {
	Fact         string
	ID           string
	A, B, C      int
	Text         string
	Capabilities []models.Capability `gorm:"serializer:json"`
}

// createFacts reads everything that a create refers to in one statement. None of
// it is retired before the transaction ends.
func (s *Store) createFacts(tx *gorm.DB, tenantID string, in CreateVM) (createFacts, error) {
	networkIDs := make([]string, len(in.Networks))
	addressed := false
	for i, n := range in.Networks {
		networkIDs[i] = n.NetworkID
		addressed = addressed || n.IPAddress != ""
	}
	var rows []factRow
	keep := " AND " + present + s.dialect.share() + ") kept"
	err := tx.Raw(`SELECT 'project' AS fact, id, 0 AS a, 0 AS b, 0 AS c, '' AS text, NULL AS capabilities
			FROM (SELECT id FROM projects WHERE id = ? AND tenant_id = ?`+keep+`
		UNION ALL SELECT 'image', id, min_disk_gib, 0, 0, '', NULL FROM (SELECT id, min_disk_gib FROM images WHERE id = ?`+keep+`
		UNION ALL SELECT 'flavor', id, vcpus, memory_mib, disk_gib, '', NULL
			FROM (SELECT id, vcpus, memory_mib, disk_gib FROM flavors WHERE id = ?`+keep+`
		UNION ALL SELECT 'zone', id, 0, 0, 0, location, NULL
			FROM (SELECT id, location FROM zones WHERE (id = ? OR (location = ? AND location <> ''))`+keep+`
		UNION ALL SELECT 'network', id, CASE WHEN EXISTS (SELECT 1 FROM subnets s WHERE s.network_id = kept.id) THEN 1 ELSE 0 END, 0, 0, '', NULL
			FROM (SELECT id FROM networks WHERE id IN `+s.dialect.elements()+keep+`
		UNION ALL SELECT 'quota', scope_id, 0, 0, 0, '', NULL FROM quotas
			WHERE scope_type = 'tenant' AND scope_id = ? OR scope_type = 'project' AND scope_id = ?
		UNION ALL SELECT 'provider', p.id, CASE WHEN p.last_seen_at IS NULL THEN 0 ELSE 1 END, 0, 0, '', CAST(p.capabilities AS text)
			FROM providers p JOIN zones z ON z.id = p.zone_id
			WHERE p.enabled AND (? = '' OR z.id = ?) AND (? = '' OR z.location = ?)
			AND EXISTS (SELECT 1 FROM image_bindings b WHERE b.provider_id = p.id AND b.image_id = ?)`,
		in.ProjectID, tenantID, in.ImageID, in.FlavorID, in.ZoneID, in.Location, jsonArray(networkIDs),
		tenantID, in.ProjectID, in.ZoneID, in.ZoneID, in.Location, in.Location, in.ImageID).Scan(&rows).Error
	if err != nil {
		return createFacts{}, wrap(err, "read what the VM refers to")
	}
	f := createFacts{networks: make(map[string]bool, len(networkIDs)), addressed: addressed}
	for _, r := range rows {
		f.add(r, in)
	}
	return f, nil
}

func (f *createFacts) add(r factRow, in CreateVM) {
	switch r.Fact {
	case "project":
		f.project = true
	case "image":
		f.image = &models.Image{ID: r.ID, MinDiskGiB: r.A}
	case "flavor":
		f.flavor = &models.Flavor{ID: r.ID, VCPUs: r.A, MemoryMiB: r.B, DiskGiB: r.C}
	case "zone":
		if r.ID == in.ZoneID {
			f.zone = &models.Zone{ID: r.ID, Location: r.Text}
		}
		if r.Text == in.Location {
			f.location = true
		}
	case "network":
		f.networks[r.ID] = true
		f.addressed = f.addressed || r.A == 1
	case "quota":
		f.limited = true
	case "provider":
		f.providers++
		f.cloudInit = f.cloudInit || r.A == 0 || slices.Contains(r.Capabilities, models.CapCloudInit)
	}
}

// check says what is wrong with the request, and else the size of the disk.
func (f *createFacts) check(in CreateVM) (diskGiB int, err error) {
	refer := func(field, detail string) (int, error) { return 0, &ReferenceError{Field: field, Detail: detail} }
	switch {
	case !f.project:
		return 0, models.ErrNotFound
	case f.image == nil:
		return refer("/image_id", "there is no such image")
	case f.flavor == nil:
		return refer("/flavor_id", "there is no such flavor")
	case in.ZoneID != "" && f.zone == nil:
		return refer("/placement/zone", "there is no such zone")
	case in.Location != "" && !f.location:
		return refer("/placement/location", "no zone has this location")
	case in.ZoneID != "" && in.Location != "" && f.zone.Location != in.Location:
		return refer("/placement/location", "the zone is not at this location")
	}
	for i, n := range in.Networks {
		if !f.networks[n.NetworkID] {
			return refer(fmt.Sprintf("/networks/%d/network_id", i), "there is no such network")
		}
	}
	diskGiB, field := in.DiskGiB, "/disk_gib"
	if diskGiB == 0 {
		diskGiB, field = f.flavor.DiskGiB, "/flavor_id"
	}
	if diskGiB < f.image.MinDiskGiB {
		return refer(field, fmt.Sprintf("the image needs a disk of at least %d GiB", f.image.MinDiskGiB))
	}
	if (len(in.UserData) > 0 || len(in.SSHKeys) > 0) && f.providers > 0 && !f.cloudInit {
		return 0, &CapabilityError{Capability: models.CapCloudInit}
	}
	return diskGiB, nil
}
