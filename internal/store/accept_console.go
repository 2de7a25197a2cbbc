package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// How many console sessions may be unfinished at once.
const (
	MaxVMConsoles     = 16  // of a VM
	MaxTenantConsoles = 500 // of a tenant
)

// OpenConsole is a console session that is asked for.
type OpenConsole struct {
	// SessionID is new, and TicketHash the SHA-256 of the ticket made for it.
	SessionID  string
	TicketHash []byte

	ProjectID string
	VMID      string
	// Type is what is asked for; empty takes the best that is offered.
	Type models.ConsoleType
	// Roles are those of the caller's token, and KeyID the key behind it.
	Roles []string
	KeyID string
	// Ticket is how long the ticket is good once it is ready, Limit how long the
	// connection may last. Both have the resolution of a second.
	Ticket time.Duration
	Limit  time.Duration
}

// consoleVM is what the accept of a console session looks at.
type consoleVM struct {
	ID           string
	Status       models.VMStatus
	PowerState   models.PowerState
	NodeID       string
	Generation   int
	CurrentJobID string
	NextJobID    string
	Capabilities []models.Capability `gorm:"serializer:json"`
}

// AcceptOpenConsole writes a console session in state PENDING and the job that
// prepares it. It takes no lock, but a VM on which a job is at work that would
// close the session again answers BusyError. Errors: models.ErrNotFound,
// *StateError, *BusyError, *CapabilityError, *LimitError, *IdempotencyError.
func (s *Store) AcceptOpenConsole(ctx context.Context, c Caller, in OpenConsole, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.SessionID, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		var vm consoleVM
		err := scanOne(tx, &vm, "lock the VM", `SELECT v.id, v.status, v.power_state, v.node_id, v.generation, v.current_job_id, v.next_job_id,
				(SELECT p.capabilities FROM providers p WHERE p.id = v.provider_id) AS capabilities
			FROM vms v WHERE v.id = ? AND v.project_id = ? AND v.tenant_id = ?`+s.dialect.lock("v"),
			in.VMID, in.ProjectID, c.TenantID)
		if err != nil {
			return models.Operation{}, err
		}
		typ, err := s.consoleOf(tx, vm, in.Type)
		if err != nil {
			return models.Operation{}, err
		}
		now := s.now()
		if err := s.roomForConsole(tx, c.TenantID, vm.ID, now); err != nil {
			return models.Operation{}, err
		}
		session := models.ConsoleSession{
			ID: in.SessionID, TenantID: c.TenantID, ProjectID: in.ProjectID, VMID: vm.ID, JobID: jobID, Type: typ, State: models.ConsolePending,
			Subject: c.Subject, Roles: in.Roles, KeyID: in.KeyID, TicketHash: in.TicketHash, NodeID: vm.NodeID, Generation: vm.Generation,
			TicketSeconds: int(in.Ticket / time.Second), LimitSeconds: int(in.Limit / time.Second),
			CreatedAt: now, ExpiresAt: now.Add(in.Ticket),
		}
		if err := tx.Create(&session).Error; err != nil {
			return models.Operation{}, wrap(err, "write the console session")
		}
		op := models.Operation{
			ID: jobID, TenantID: c.TenantID, ProjectID: in.ProjectID, Kind: models.OpVMConsole,
			ResourceType: models.ResourceVM, ResourceID: vm.ID, Params: models.OperationParams{SessionID: session.ID, Console: typ},
			Subject: c.Subject, RequestID: c.RequestID, CreatedAt: now,
		}
		return op, wrap(tx.Create(&op).Error, "write the operation")
	})
}

// consoleOf says which type of console the VM gives, or why it gives none now.
func (s *Store) consoleOf(tx *gorm.DB, vm consoleVM, asked models.ConsoleType) (models.ConsoleType, error) {
	if spec, _ := models.OperationOf(models.OpVMConsole); !spec.Allowed.Allow(vm.Status, vm.PowerState) {
		return "", &StateError{Status: vm.Status, Power: vm.PowerState}
	}
	for _, jobID := range []string{vm.NextJobID, vm.CurrentJobID} {
		if jobID == "" {
			continue
		}
		var op models.Operation
		err := tx.Take(&op, "id = ?", jobID).Error
		if err = found(err, "read the job at work"); err != nil && !errors.Is(err, models.ErrNotFound) {
			return "", err
		}
		if consoleEnd(op.Kind) != "" {
			return "", &BusyError{JobID: jobID}
		}
	}
	offers := func(t models.ConsoleType) bool { return slices.Contains(vm.Capabilities, t.Capability()) }
	if asked == "" {
		for _, t := range models.ConsoleTypes() {
			if offers(t) {
				return t, nil
			}
		}
		asked = models.ConsoleVNC
	}
	if !offers(asked) {
		return "", &CapabilityError{Capability: asked.Capability()}
	}
	return asked, nil
}

// roomForConsole counts the sessions that are unfinished. A ticket whose time is
// over counts no more, though its job may not have closed the session yet.
func (s *Store) roomForConsole(tx *gorm.DB, tenantID, vmID string, now time.Time) error {
	const unfinished = " AND state <> 'CLOSED' AND NOT (state = 'READY' AND expires_at < ?)"
	err := within(tx, &models.ConsoleSession{}, "unfinished console sessions of the VM", MaxVMConsoles, "vm_id = ?"+unfinished, vmID, now)
	if err != nil {
		return err
	}
	var got string // others of the tenant count too, one after the other
	if err := scanOne(tx, &got, "lock the tenant", "SELECT id FROM tenants WHERE id = ?"+s.dialect.lock("tenants"), tenantID); err != nil {
		return err
	}
	return within(tx, &models.ConsoleSession{}, "unfinished console sessions of the tenant", MaxTenantConsoles, "tenant_id = ?"+unfinished, tenantID, now)
}

// CloseConsole closes a console session of the tenant's VM, whatever its state;
// one that is closed stays as it ended. The job is the session's. Errors:
// models.ErrNotFound, *IdempotencyError.
func (s *Store) CloseConsole(
	ctx context.Context, c Caller, projectID, vmID, sessionID string, idem *Idempotency, respond Respond,
) (answer Answer, replayed bool, jobID string, err error) {
	answer, replayed, err = writeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		jobID = ""
		err := scanOne(tx, &jobID, "lock the console session", `SELECT job_id FROM console_sessions
			WHERE id = ? AND vm_id = ? AND project_id = ? AND tenant_id = ?`+s.dialect.lock("console_sessions"), sessionID, vmID, projectID, c.TenantID)
		if err != nil {
			return Answer{}, err
		}
		if err := s.closeConsoles(tx, models.ConsoleClosedByUser, "id = ?", sessionID); err != nil {
			return Answer{}, err
		}
		return respond(sessionID, jobID)
	})
	return answer, replayed, jobID, err
}
