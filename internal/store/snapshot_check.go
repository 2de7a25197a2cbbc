package store

import (
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// refuseSnapshots refuses an operation that a VM with snapshots does not take.
func refuseSnapshots(tx *gorm.DB, spec models.OperationSpec, vm lockedVM) error {
	if !spec.NoSnapshots {
		return nil
	}
	has, err := hasSnapshots(tx, vm.ID)
	if err != nil || !has {
		return err
	}
	return &StateError{Status: vm.Status, Power: vm.PowerState, Detail: "the VM has snapshots; delete them first"}
}

// hasSnapshots reports whether the VM has snapshots: whatever state one is in,
// something of it may be on the hypervisor.
func hasSnapshots(tx *gorm.DB, vmID string) (bool, error) {
	var has bool
	err := scanOne(tx, &has, "look for snapshots", "SELECT EXISTS (SELECT 1 FROM snapshots WHERE vm_id = ?)", vmID)
	return has, err
}
