package store

import "gorm.io/gorm"

// hasSnapshots reports whether the VM has snapshots: whatever state one is in,
// something of it may be on the hypervisor.
func hasSnapshots(tx *gorm.DB, vmID string) (bool, error) {
	var has bool
	err := scanOne(tx, &has, "look for snapshots", "SELECT EXISTS (SELECT 1 FROM snapshots WHERE vm_id = ?)", vmID)
	return has, err
}
