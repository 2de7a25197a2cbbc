package store

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Blueprint gathers what a step needs to make a placed VM with the interfaces
// that are its devices, its user data opened. models.ErrNotFound when there is no such VM, or when it is not
// placed; models.ErrImageNotReady when the image or a network is no longer
// bound where it is placed.
func (s *Store) Blueprint(ctx context.Context, vmID string) (models.Blueprint, error) {
	return s.BlueprintWith(ctx, vmID, "")
}

// BlueprintWith is Blueprint with another image than the VM's; empty is the VM's
// own.
func (s *Store) BlueprintWith(ctx context.Context, vmID, imageID string) (models.Blueprint, error) {
	db := s.read(ctx)
	vm, err := getRow[models.VM](db, vmID)
	if err != nil {
		return models.Blueprint{}, err
	}
	if vm.NodeID == "" {
		return models.Blueprint{}, wrap(models.ErrNotFound, "the VM's placement")
	}
	out := models.Blueprint{}
	if out.UserData, err = s.sealer.Open(vm.SealedUserData, userDataPlace(vm.ID)); err != nil {
		return models.Blueprint{}, wrap(err, "open the user data")
	}
	vm.SealedUserData = nil
	vm.NICs = slices.DeleteFunc(vm.NICs, func(n models.NIC) bool { return !n.IsDevice() })
	if imageID != "" {
		vm.ImageID = imageID
	}
	out.VM = vm
	node, err := getRow[models.Node](db, vm.NodeID)
	if err != nil {
		return models.Blueprint{}, err
	}
	out.NodeName = node.Name
	// A binding of the cluster itself goes before the provider's.
	err = db.Where("image_id = ? AND provider_id = ? AND cluster_id IN ('', ?)", vm.ImageID, vm.ProviderID, vm.ClusterID).
		Order("cluster_id DESC").Take(&out.Image).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.Blueprint{}, models.ErrImageNotReady
	}
	if err != nil {
		return models.Blueprint{}, wrap(err, "read the image's binding")
	}
	out.NICs, err = s.boundNICs(db, vm)
	return out, err
}

// BoundNIC gathers what a step needs to attach one interface of a placed VM,
// also one that is no device of it yet. models.ErrNotFound when there is no such
// VM or interface; models.ErrImageNotReady when the network is no longer bound
// where the VM is.
func (s *Store) BoundNIC(ctx context.Context, vmID, mac string) (models.BoundNIC, error) {
	db := s.read(ctx)
	vm, err := getRow[models.VM](db, vmID)
	if err != nil {
		return models.BoundNIC{}, err
	}
	vm.NICs = slices.DeleteFunc(vm.NICs, func(n models.NIC) bool { return n.MAC != mac })
	if len(vm.NICs) == 0 {
		return models.BoundNIC{}, wrap(models.ErrNotFound, "the VM's interface")
	}
	nics, err := s.boundNICs(db, vm)
	if err != nil {
		return models.BoundNIC{}, err
	}
	return nics[0], nil
}

func (s *Store) boundNICs(db *gorm.DB, vm models.VM) ([]models.BoundNIC, error) {
	if len(vm.NICs) == 0 {
		return nil, nil
	}
	ids := make([]string, len(vm.NICs))
	for i, n := range vm.NICs {
		ids[i] = n.NetworkID
	}
	var rows []models.NetworkBinding
	err := db.Where("network_id IN "+s.dialect.elements(), jsonArray(ids)).
		Where("provider_id = ? AND cluster_id IN ('', ?)", vm.ProviderID, vm.ClusterID).
		Order("cluster_id").Find(&rows).Error
	if err != nil {
		return nil, wrap(err, "read the networks' bindings")
	}
	bindings := make(map[string]models.NetworkBinding, len(rows))
	for _, b := range rows { // the cluster's own comes last and stays
		bindings[b.NetworkID] = b
	}
	subnets, err := subnetsByIP(db, vm.ID)
	if err != nil {
		return nil, err
	}
	out := make([]models.BoundNIC, len(vm.NICs))
	for i, n := range vm.NICs {
		b, ok := bindings[n.NetworkID]
		if !ok {
			return nil, models.ErrImageNotReady
		}
		out[i] = models.BoundNIC{NIC: n, Binding: b}
		if s, ok := subnets[n.NetworkID+" "+n.IPAddress]; ok {
			out[i].PrefixLength, out[i].Gateway, out[i].DNSServers = s.Prefix().Bits(), s.Gateway, s.DNSServers
		}
	}
	return out, nil
}

// subnetsByIP reads the subnets that a VM's addresses are of, by network and address.
func subnetsByIP(db *gorm.DB, vmID string) (map[string]models.Subnet, error) {
	var rows []struct {
		models.Subnet
		IP string `gorm:"column:ip"`
	}
	err := db.Raw("SELECT s.*, a.ip FROM addresses a JOIN subnets s ON s.id = a.subnet_id WHERE a.vm_id = ?", vmID).Scan(&rows).Error
	if err != nil {
		return nil, wrap(err, "read the subnets of the VM's addresses")
	}
	out := make(map[string]models.Subnet, len(rows))
	for _, r := range rows {
		out[r.NetworkID+" "+r.IP] = r.Subnet
	}
	return out, nil
}
