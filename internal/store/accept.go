package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Caller is who asks.
type Caller struct {
	// TenantID is empty on the operators' plane.
	TenantID string
	// Subject is "<issuer>|<subject>".
	Subject   string
	RequestID string
}

// Idempotency is a request's Idempotency-Key. A nil pointer to it means that
// the request bore none.
type Idempotency struct {
	// Scope is a hash of plane, tenant, subject, method and path.
	Scope string
	Key   string
	// TenantID is whose cap of keys it counts against; empty for operators, who
	// have none.
	TenantID string
	// RequestHash is of the canonical body.
	RequestHash []byte
}

// Answer is what a client is told, and told again when it repeats its key.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Respond makes the answer to an accepted request from the IDs. It must be
// pure: it runs inside the transaction, and again when that is retried.
type Respond func(resourceID, jobID string) (Answer, error)

// Accepted is the result of an accept.
type Accepted struct {
	// Operation is what to dispatch; zero when Replayed.
	Operation models.Operation
	Answer    Answer
	// Replayed says that the answer is the stored one of an earlier request
	// with the same key.
	Replayed bool
}

// accept runs one accept in one transaction. do makes the rows and returns the
// operation; with a key, the answer is written before them, for the IDs that
// the rows are going to have.
func (s *Store) accept(
	ctx context.Context, idem *Idempotency, resourceID string, respond Respond,
	do func(tx *gorm.DB, jobID string) (models.Operation, error),
) (Accepted, error) {
	jobID := models.NewID()
	var out Accepted
	err := s.tx(ctx, func(tx *gorm.DB) error {
		out = Accepted{}
		answer, err := respond(resourceID, jobID)
		if err != nil {
			return err
		}
		stored, replay, err := s.claim(tx, idem, jobID, answer)
		if err != nil {
			return err
		}
		if replay {
			out = Accepted{Answer: stored, Replayed: true}
			return nil
		}
		op, err := do(tx, jobID)
		if err != nil {
			return err
		}
		if op.ID != jobID { // a job that is at work already stands for this request
			if answer, err = respond(resourceID, op.ID); err != nil {
				return err
			}
			if err := s.restate(tx, idem, op.ID, answer); err != nil {
				return err
			}
		}
		out = Accepted{Operation: op, Answer: answer}
		return nil
	})
	if err != nil {
		return Accepted{}, err
	}
	return out, nil
}
