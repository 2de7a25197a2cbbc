package store

import (
	"errors"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// share is what a VM whose rows are written needs beside them.
type share struct {
	reservation models.Reservation
	nics        []models.NIC
	addressed   bool // an interface may take an address
	limited     bool // there may be a quota
}

// takeShare takes a VM's addresses, and room in the quotas. It is the last step
// of its transaction: the locks that it waits for, subnets first and then
// quotas, are held until the commit alone. *ReferenceError, *AddressInUseError,
// *AddressesExhaustedError, *QuotaError.
func (s *Store) takeShare(tx *gorm.DB, w share) error {
	r := w.reservation
	taken := models.QuotaUsage{VMs: 1, VCPUs: int64(r.VCPUs), MemoryMiB: int64(r.MemoryMiB), DiskGiB: int64(r.DiskGiB)}
	if w.addressed {
		var err error
		if taken.Addresses, err = s.takeAddresses(tx, r, w.nics); err != nil {
			return err
		}
		if err := setNICs(tx, r.VMID, w.nics); err != nil {
			return err
		}
	}
	if !w.limited {
		return nil
	}
	return s.checkQuota(tx, r.TenantID, r.ProjectID, taken)
}

// setNICs writes the interfaces of a VM.
func setNICs(tx *gorm.DB, vmID string, nics []models.NIC) error {
	value, err := jsonText(nics)
	if err != nil {
		return err
	}
	_, err = exec(tx, "write the VM's interfaces", "UPDATE vms SET nics = ? WHERE id = ?", value, vmID)
	return err
}

// retakeShare takes the reservation of a create that is run again, and all that
// belongs to it, anew. A reservation that was never given back is kept as it
// is. *AddressInUseError, *AddressesExhaustedError, *QuotaError.
func (s *Store) retakeShare(tx *gorm.DB, job *heldJob, jobID string) error {
	n, err := exec(tx, "take the reservation anew", `INSERT INTO reservations
			(vm_id, tenant_id, project_id, vcpus, memory_mib, disk_gib, node_id, job_id, created_at)
		SELECT id, tenant_id, project_id, vcpus, memory_mib, disk_gib, '', ?, ? FROM vms WHERE id = ?
		ON CONFLICT (vm_id) DO NOTHING`, jobID, s.now(), job.VMID)
	if err != nil || n == 0 {
		return err
	}
	var r models.Reservation
	if err := tx.Take(&r, "vm_id = ?", job.VMID).Error; err != nil {
		return wrap(err, "read the reservation")
	}
	err = s.takeShare(tx, share{r, wanted(job.NICs), true, true})
	var gone *ReferenceError
	if errors.As(err, &gone) { // the subnets are others now, and the address that was asked for is of none
		return &AddressInUseError{Field: gone.Field}
	}
	return err
}

// release gives the reservation back, and with it the addresses: their rows
// hang on its.
func release(tx *gorm.DB, job heldJob, changes map[string]any) error {
	if _, err := exec(tx, "release the reservation", "DELETE FROM reservations WHERE vm_id = ?", job.VMID); err != nil {
		return err
	}
	nics, err := jsonText(returned(job.NICs))
	changes["nics"] = nics
	return err
}
