package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// slugPattern is what an operator may choose as the ID of a catalog row.
const slugPattern = `^[a-z0-9][a-z0-9-]{0,62}$`

// catalogID checks a chosen ID, or makes one.
func catalogID(chosen string) (string, error) {
	if chosen == "" {
		return models.NewID(), nil
	}
	if ok, err := regexp.MatchString(slugPattern, chosen); err != nil || !ok {
		return "", &ReferenceError{Field: "/id", Detail: "must match " + slugPattern}
	}
	return chosen, nil
}

// createRow inserts a catalog row. *NameConflictError when its ID or name is taken.
func createRow(tx *gorm.DB, row any) error {
	err := tx.Create(row).Error
	if field := takenField(err); field != "" {
		return &NameConflictError{Field: field}
	}
	return wrap(err, "write the row")
}

// createNow runs a synchronous create: check and insert in one transaction
// with the key's record. The answer is for the row as it is going to be.
func createNow[T any](
	ctx context.Context, s *Store, row T, idem *Idempotency, respond func(T) (Answer, error), check func(tx *gorm.DB) error,
) (answer Answer, replayed bool, err error) {
	err = s.tx(ctx, func(tx *gorm.DB) error {
		if answer, err = respond(row); err != nil {
			return err
		}
		stored, replay, err := s.claim(tx, idem, "", answer)
		if err != nil {
			return err
		}
		if replayed = replay; replay {
			answer = stored
			return nil
		}
		if check != nil {
			if err := check(tx); err != nil {
				return err
			}
		}
		fresh := row
		return createRow(tx, &fresh)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}

// CreateTenant writes a tenant; in.ID may be a slug. Errors: *NameConflictError,
// *ReferenceError, *IdempotencyError. It is true of each create of the catalog
// that the answer comes back with whether it is a replayed one.
func (s *Store) CreateTenant(
	ctx context.Context, _ Caller, in models.Tenant, idem *Idempotency, respond func(models.Tenant) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	return createNow(ctx, s, in, idem, respond, nil)
}

// CreateProject writes a project of in.TenantID.
func (s *Store) CreateProject(
	ctx context.Context, _ Caller, in models.Project, idem *Idempotency, respond func(models.Project) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	return createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error {
		err := s.refer(tx, "tenants", in.TenantID)
		if errors.Is(err, models.ErrNotFound) {
			return &ReferenceError{Field: "/tenant_id", Detail: "there is no such tenant"}
		}
		return err
	})
}

// CreateZone writes a zone.
func (s *Store) CreateZone(
	ctx context.Context, _ Caller, in models.Zone, idem *Idempotency, respond func(models.Zone) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	return createNow(ctx, s, in, idem, respond, nil)
}

// CreateFlavor writes a flavor. Its sizes must be positive.
func (s *Store) CreateFlavor(
	ctx context.Context, _ Caller, in models.Flavor, idem *Idempotency, respond func(models.Flavor) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	return createNow(ctx, s, in, idem, respond, nil)
}

// CreateImage writes an image with its bindings. An empty OSType is "linux", a
// MinDiskGiB of 0 is 1, an empty CloneMode is linked.
func (s *Store) CreateImage(
	ctx context.Context, _ Caller, in models.Image, idem *Idempotency, respond func(models.Image) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	if in.OSType == "" {
		in.OSType = "linux"
	}
	if in.MinDiskGiB == 0 {
		in.MinDiskGiB = 1
	}
	bindings, places := imageBindings(id, in.Bindings)
	in.Bindings = bindings
	return createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error { return s.checkBindings(tx, places) })
}

// CreateNetwork writes a network with its bindings. An empty Type is "network".
func (s *Store) CreateNetwork(
	ctx context.Context, _ Caller, in models.Network, idem *Idempotency, respond func(models.Network) (Answer, error),
) (Answer, bool, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	in.ID, in.CreatedAt, in.Revision = id, s.now(), first()
	bindings, places := networkBindings(id, in.Bindings)
	in.Bindings = bindings
	return createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error { return s.checkBindings(tx, places) })
}

// first is the revision of a row that is new.
func first() models.Revision { return models.Revision{Generation: 1} }

// imageBindings gives bindings their IDs and what they leave to us.
func imageBindings(imageID string, in []models.ImageBinding) ([]models.ImageBinding, []bindingPlace) {
	places, bindings := make([]bindingPlace, len(in)), make([]models.ImageBinding, len(in))
	for i, b := range in {
		if b.CloneMode == "" {
			b.CloneMode = models.CloneLinked
		}
		b.ID, b.ImageID = models.NewID(), imageID
		bindings[i], places[i] = b, bindingPlace{b.ProviderID, b.ClusterID}
	}
	return bindings, places
}

// networkBindings gives bindings their IDs and what they leave to us.
func networkBindings(networkID string, in []models.NetworkBinding) ([]models.NetworkBinding, []bindingPlace) {
	places, bindings := make([]bindingPlace, len(in)), make([]models.NetworkBinding, len(in))
	for i, b := range in {
		if b.Type == "" {
			b.Type = models.NetworkNetwork
		}
		b.ID, b.NetworkID = models.NewID(), networkID
		bindings[i], places[i] = b, bindingPlace{b.ProviderID, b.ClusterID}
	}
	return bindings, places
}

// bindingPlace is where a binding holds; an empty cluster means everywhere.
type bindingPlace struct{ providerID, clusterID string }

// checkBindings demands that each place exists and is named once.
func (s *Store) checkBindings(tx *gorm.DB, places []bindingPlace) error {
	if len(places) == 0 {
		return nil
	}
	providerIDs := make([]string, len(places))
	for i, p := range places {
		providerIDs[i] = p.providerID
	}
	var rows []struct{ ProviderID, ClusterID string }
	list := jsonArray(providerIDs)
	err := tx.Raw(`SELECT id AS provider_id, '' AS cluster_id FROM providers WHERE id IN `+s.dialect.elements()+`
		UNION ALL SELECT provider_id, id FROM clusters WHERE provider_id IN `+s.dialect.elements(), list, list).Scan(&rows).Error
	if err != nil {
		return wrap(err, "read the bindings' places")
	}
	known := make(map[bindingPlace]bool, len(rows))
	for _, r := range rows {
		known[bindingPlace{r.ProviderID, r.ClusterID}] = true
	}
	seen := make(map[bindingPlace]bool, len(places))
	for i, p := range places {
		switch {
		case !known[bindingPlace{p.providerID, ""}]:
			return &ReferenceError{Field: fmt.Sprintf("/bindings/%d/provider_id", i), Detail: "there is no such provider"}
		case !known[p]:
			return &ReferenceError{Field: fmt.Sprintf("/bindings/%d/cluster_id", i), Detail: "the provider has no such cluster"}
		case seen[p]:
			return &ReferenceError{Field: fmt.Sprintf("/bindings/%d", i), Detail: "this place is bound twice"}
		}
		seen[p] = true
	}
	return nil
}
