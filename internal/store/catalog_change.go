package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ZonePatch is what is to change of a zone; nil stays. It is so of each patch.
type ZonePatch struct{ Name, Location, Description *string }

// UpdateZone changes a zone. For the errors see change.
func (s *Store) UpdateZone(
	ctx context.Context, id string, p ZonePatch, w Write, respond func(models.Zone) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(_ *gorm.DB, row *models.Zone) error {
		merge(&row.Name, p.Name)
		merge(&row.Location, p.Location)
		merge(&row.Description, p.Description)
		return nil
	})
}

// DeleteZone retires a zone that has no providers, and that no VM asked for.
// For the errors see retire.
func (s *Store) DeleteZone(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Zone](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		return inUse(tx,
			use{"the zone has providers", "SELECT 1 FROM providers WHERE zone_id = ?", []any{id}},
			use{"there are VMs that asked for the zone", "SELECT 1 FROM vms WHERE zone_id = ? AND " + live, []any{id}})
	})
}

// UpdateFlavor renames a flavor; a nil name stays. Its sizes never change: VMs
// were made with them. For the errors see change.
func (s *Store) UpdateFlavor(
	ctx context.Context, id string, name *string, w Write, respond func(models.Flavor) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(_ *gorm.DB, row *models.Flavor) error {
		merge(&row.Name, name)
		return nil
	})
}

// DeleteFlavor retires a flavor that no VM has. For the errors see retire.
func (s *Store) DeleteFlavor(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Flavor](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		return inUse(tx, use{"there are VMs of the flavor", "SELECT 1 FROM vms WHERE flavor_id = ? AND " + live, []any{id}})
	})
}

// ImagePatch is what is to change of an image. Bindings replace all that are
// there.
type ImagePatch struct {
	Name, Description, OSType *string
	MinDiskGiB                *int
	Bindings                  *[]models.ImageBinding
}

// UpdateImage changes an image. Bindings are checked as at a create
// (*ReferenceError). For the other errors see change.
func (s *Store) UpdateImage(
	ctx context.Context, id string, p ImagePatch, w Write, respond func(models.Image) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(tx *gorm.DB, row *models.Image) error {
		merge(&row.Name, p.Name)
		merge(&row.Description, p.Description)
		merge(&row.OSType, p.OSType)
		merge(&row.MinDiskGiB, p.MinDiskGiB)
		if p.Bindings == nil {
			return nil
		}
		bindings, places := imageBindings(id, *p.Bindings)
		row.Bindings = bindings
		return s.replaceBindings(tx, places, &models.ImageBinding{}, "image_id", id, bindings)
	}, "Bindings")
}

// DeleteImage retires an image that no VM was made from, with its bindings. For
// the errors see retire.
func (s *Store) DeleteImage(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Image](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		err := inUse(tx, use{"there are VMs of the image", "SELECT 1 FROM vms WHERE image_id = ? AND " + live, []any{id}})
		if err != nil {
			return err
		}
		return wrap(tx.Where("image_id = ?", id).Delete(&models.ImageBinding{}).Error, "delete the bindings")
	})
}

// NetworkPatch is what is to change of a network. Bindings replace all that
// are there.
type NetworkPatch struct {
	Name, Description *string
	Bindings          *[]models.NetworkBinding
}

// UpdateNetwork changes a network. Bindings are checked as at a create
// (*ReferenceError). For the other errors see change.
func (s *Store) UpdateNetwork(
	ctx context.Context, id string, p NetworkPatch, w Write, respond func(models.Network) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(tx *gorm.DB, row *models.Network) error {
		merge(&row.Name, p.Name)
		merge(&row.Description, p.Description)
		if p.Bindings == nil {
			return nil
		}
		bindings, places := networkBindings(id, *p.Bindings)
		row.Bindings = bindings
		return s.replaceBindings(tx, places, &models.NetworkBinding{}, "network_id", id, bindings)
	}, "Bindings", "Subnets")
}

// DeleteNetwork retires a network that no VM is attached to, with its
// bindings. For the errors see retire.
func (s *Store) DeleteNetwork(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Network](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		err := inUse(tx, use{"there are VMs on the network", "SELECT 1 FROM vms WHERE " + s.dialect.hasNIC() + " AND " + live, []any{id}})
		if err != nil {
			return err
		}
		if err := tx.Where("network_id = ?", id).Delete(&models.NetworkBinding{}).Error; err != nil {
			return wrap(err, "delete the bindings")
		}
		return forgetNetwork(tx, id)
	})
}

// replaceBindings writes the bindings in place of those that are there.
func (s *Store) replaceBindings(tx *gorm.DB, places []bindingPlace, model any, column, id string, bindings any) error {
	if err := s.checkBindings(tx, places); err != nil {
		return err
	}
	if err := tx.Where(column+" = ?", id).Delete(model).Error; err != nil {
		return wrap(err, "delete the bindings")
	}
	if len(places) == 0 {
		return nil
	}
	return wrap(tx.Create(bindings).Error, "write the bindings")
}
