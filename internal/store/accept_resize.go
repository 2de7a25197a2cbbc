package store

import (
	"fmt"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// sizedVM is the size of a VM as its record has it.
type sizedVM struct {
	FlavorID  string
	VCPUs     int `gorm:"column:vcpus"`
	MemoryMiB int `gorm:"column:memory_mib"`
	DiskGiB   int `gorm:"column:disk_gib"`
}

func (v sizedVM) size() models.Size {
	return models.Size{VCPUs: v.VCPUs, MemoryMiB: v.MemoryMiB, DiskGiB: v.DiskGiB}
}

func sizeOf(tx *gorm.DB, vmID string) (sizedVM, error) {
	var v sizedVM
	err := scanOne(tx, &v, "read the VM's size", "SELECT flavor_id, vcpus, memory_mib, disk_gib FROM vms WHERE id = ?", vmID)
	return v, err
}

// prepareResize works out the size that a resize leads to, and takes what it is
// more than the VM has. Who asks for what holds takes nothing.
func (s *Store) prepareResize(tx *gorm.DB, vm lockedVM, op *models.Operation) error {
	have, err := sizeOf(tx, vm.ID)
	if err != nil {
		return err
	}
	p := &op.Params
	p.From = have.size()
	if p.To, err = s.target(tx, *p); err != nil {
		return err
	}
	if vm.PowerState == models.PowerRunning && (p.To.VCPUs < p.From.VCPUs || p.To.MemoryMiB < p.From.MemoryMiB) {
		return &StateError{Status: vm.Status, Power: vm.PowerState, Detail: "a running VM does not get smaller; stop it first"}
	}
	if p.Unchanged = p.To == p.From && (p.FlavorID == "" || p.FlavorID == have.FlavorID); p.Unchanged {
		return nil
	}
	return s.takeGrowth(tx, vm.ID, p.To)
}

// target is the size that is asked for, from the one that the VM has.
func (s *Store) target(tx *gorm.DB, p models.OperationParams) (models.Size, error) {
	to := p.From
	if p.FlavorID != "" {
		var flavor sizedVM
		rows := tx.Raw("SELECT vcpus, memory_mib, disk_gib FROM flavors WHERE id = ? AND "+present+s.dialect.share(), p.FlavorID).Scan(&flavor)
		if rows.Error != nil {
			return to, wrap(rows.Error, "read the flavor")
		}
		if rows.RowsAffected == 0 {
			return to, &ReferenceError{Field: "/flavor_id", Detail: "there is no such flavor"}
		}
		to = flavor.size()
		to.DiskGiB = max(to.DiskGiB, p.From.DiskGiB)
	}
	switch asked := p.To.DiskGiB; {
	case asked == 0:
	case asked < p.From.DiskGiB:
		return to, &ReferenceError{Field: "/disk_gib", Detail: fmt.Sprintf("a disk does not shrink: the VM has %d GiB", p.From.DiskGiB)}
	default:
		to.DiskGiB = asked
	}
	return to, nil
}

// takeGrowth makes the VM's reservation hold the larger of what it has and of
// what it is to have, until the job's outcome says which it is. It is the last
// step that waits for locks: see checkQuota. *QuotaError.
func (s *Store) takeGrowth(tx *gorm.DB, vmID string, to models.Size) error {
	var r models.Reservation
	if err := tx.Take(&r, "vm_id = ?", vmID).Error; err != nil {
		return found(err, "read the reservation")
	}
	most := models.Size{VCPUs: max(r.VCPUs, to.VCPUs), MemoryMiB: max(r.MemoryMiB, to.MemoryMiB), DiskGiB: max(r.DiskGiB, to.DiskGiB)}
	if err := reserveSize(tx, vmID, most); err != nil {
		return err
	}
	return s.checkQuota(tx, r.TenantID, r.ProjectID, models.QuotaUsage{
		VCPUs: int64(most.VCPUs - r.VCPUs), MemoryMiB: int64(most.MemoryMiB - r.MemoryMiB), DiskGiB: int64(most.DiskGiB - r.DiskGiB),
	})
}

func reserveSize(tx *gorm.DB, vmID string, size models.Size) error {
	_, err := exec(tx, "reserve the VM's size", "UPDATE reservations SET vcpus = ?, memory_mib = ?, disk_gib = ? WHERE vm_id = ?",
		size.VCPUs, size.MemoryMiB, size.DiskGiB, vmID)
	return err
}

// retakeResize takes for another run what the resize needs from the size that
// the VM has by now. *QuotaError.
func (s *Store) retakeResize(tx *gorm.DB, job *heldJob, jobID string) error {
	have, err := sizeOf(tx, job.VMID)
	if err != nil {
		return err
	}
	p := job.Params
	p.From, p.Unchanged = have.size(), false
	p.To.DiskGiB = max(p.To.DiskGiB, p.From.DiskGiB)
	if err := tx.Model(&models.Operation{}).Where("id = ?", jobID).Select("Params").UpdateColumns(models.Operation{Params: p}).Error; err != nil {
		return wrap(err, "write the resize")
	}
	job.Params = p
	return s.takeGrowth(tx, job.VMID, p.To)
}

// settleResize writes the size that a resize has led to, and makes the
// reservation hold just that. Where the size is not known the reservation stays
// as large as the VM may be.
func (s *Store) settleResize(tx *gorm.DB, job heldJob, in models.Settlement, changes map[string]any) error {
	if in.Outcome == models.OutcomeSucceeded && job.Params.FlavorID != "" {
		changes["flavor_id"] = job.Params.FlavorID
	}
	size := in.Size
	if size == (models.Size{}) {
		if in.SizeUnknown {
			return nil
		}
		have, err := sizeOf(tx, job.VMID)
		if err != nil {
			return err
		}
		size = have.size()
	}
	changes["vcpus"], changes["memory_mib"], changes["disk_gib"] = size.VCPUs, size.MemoryMiB, size.DiskGiB
	return reserveSize(tx, job.VMID, size)
}
