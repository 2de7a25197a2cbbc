package store

import (
	"context"
	"encoding/json"
	"errors"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// CreateProvider is a hypervisor endpoint to register.
type CreateProvider struct {
	ID             string // a slug; empty for a generated one
	Name           string
	Kind           string
	URL            string
	ZoneID         string
	Credentials    models.Credentials
	Options        map[string]string
	Enabled        bool
	MaxConcurrency int     // 0 is the worker's default
	CPUOvercommit  float64 // 0 is 1
}

// AcceptProviderCreate registers a provider and a job that connects to it and
// reads its inventory. Errors: *ReferenceError, *NameConflictError, *IdempotencyError.
func (s *Store) AcceptProviderCreate(ctx context.Context, c Caller, in CreateProvider, idem *Idempotency, respond Respond) (Accepted, error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Accepted{}, err
	}
	plain, err := json.Marshal(in.Credentials) //nolint:gosec // sealed in the next statement
	if err != nil {
		return Accepted{}, wrap(err, "encode the credentials")
	}
	sealed, err := s.sealer.Seal(plain, credentialsPlace(id))
	if err != nil {
		return Accepted{}, wrap(err, "seal the credentials")
	}
	if in.CPUOvercommit == 0 {
		in.CPUOvercommit = 1
	}
	return s.accept(ctx, idem, id, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		err := s.refer(tx, "zones", in.ZoneID)
		if errors.Is(err, models.ErrNotFound) {
			err = &ReferenceError{Field: "/zone_id", Detail: "there is no such zone"}
		}
		if err != nil {
			return models.Operation{}, err
		}
		now := s.now()
		row := models.Provider{
			ID: id, Name: in.Name, Kind: in.Kind, URL: in.URL, ZoneID: in.ZoneID, Options: in.Options,
			SealedCredentials: sealed, Enabled: in.Enabled, MaxConcurrency: in.MaxConcurrency,
			CPUOvercommit: in.CPUOvercommit, Status: models.ProviderPending, Generation: 1, CreatedAt: now, UpdatedAt: now,
		}
		if err := createRow(tx, &row); err != nil {
			return models.Operation{}, err
		}
		return s.writeSync(tx, c, id, jobID)
	})
}

// AcceptProviderSync writes a job that connects to a provider and reads its
// inventory. Errors: models.ErrNotFound, *IdempotencyError.
func (s *Store) AcceptProviderSync(ctx context.Context, c Caller, providerID string, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, providerID, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		var id string
		if err := scanOne(tx, &id, "read the provider", "SELECT id FROM providers WHERE id = ?", providerID); err != nil {
			return models.Operation{}, err
		}
		return s.writeSync(tx, c, providerID, jobID)
	})
}

func (s *Store) writeSync(tx *gorm.DB, c Caller, providerID, jobID string) (models.Operation, error) {
	op := models.Operation{
		ID: jobID, Kind: models.OpProviderSync, ResourceType: models.ResourceProvider, ResourceID: providerID,
		Subject: c.Subject, RequestID: c.RequestID, CreatedAt: s.now(),
	}
	return op, wrap(tx.Create(&op).Error, "write the operation")
}

// credentialsPlace is where a provider's credentials are kept, for their seal.
func credentialsPlace(providerID string) string { return "provider/" + providerID + "/credentials" }
