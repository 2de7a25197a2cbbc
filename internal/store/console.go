package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ConsoleLease is for how long a gateway's word counts that it carries a
// session.
const ConsoleLease = 30 * time.Second

// consoleGrace is how much later than its gateway a session's job closes it.
const consoleGrace = 15 * time.Second

// ReadyConsole makes the ticket of a PENDING session good, from now on. A
// session that is past that stays as it is. It returns the session.
// models.ErrNotFound.
func (s *Store) ReadyConsole(ctx context.Context, sessionID string) (models.ConsoleSession, error) {
	return s.changeConsole(ctx, sessionID, func(tx *gorm.DB, c models.ConsoleSession, now time.Time) error {
		if c.State != models.ConsolePending {
			return nil
		}
		_, err := exec(tx, "make the console ready", "UPDATE console_sessions SET state = 'READY', expires_at = ? WHERE id = ?",
			now.Add(time.Duration(c.TicketSeconds)*time.Second), c.ID)
		return err
	})
}

// ReviewConsole closes a session whose ticket nobody has used in time, whose
// limit is over, or whose gateway is gone, and returns it. models.ErrNotFound.
func (s *Store) ReviewConsole(ctx context.Context, sessionID string) (models.ConsoleSession, error) {
	return s.changeConsole(ctx, sessionID, func(tx *gorm.DB, c models.ConsoleSession, now time.Time) error {
		if reason := overdue(c, now); reason != "" {
			return s.closeConsoles(tx, reason, "id = ?", c.ID)
		}
		return nil
	})
}

// overdue says why a session should be closed by now; empty when it should not.
func overdue(c models.ConsoleSession, now time.Time) models.ConsoleEnd {
	switch {
	case c.State == models.ConsoleReady && !now.Before(c.ExpiresAt):
		return models.ConsoleNotUsed
	case c.State == models.ConsoleOpen && c.LeaseAt != nil && now.Sub(*c.LeaseAt) > ConsoleLease:
		return models.ConsoleGatewayLost
	case c.State == models.ConsoleOpen && c.EndsAt != nil && now.Sub(*c.EndsAt) > consoleGrace:
		return models.ConsoleExpired
	}
	return ""
}

// changeConsole locks a session, lets change write it, and returns it as it is
// then.
func (s *Store) changeConsole(
	ctx context.Context, id string, change func(tx *gorm.DB, c models.ConsoleSession, now time.Time) error,
) (models.ConsoleSession, error) {
	var out models.ConsoleSession
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var c models.ConsoleSession
		err := s.dialect.locking(tx, forChange).Take(&c, "id = ?", id).Error
		if err = found(err, "lock the console session"); err != nil {
			return err
		}
		if err := change(tx, c, s.now()); err != nil {
			return err
		}
		out = models.ConsoleSession{}
		return found(tx.Take(&out, "id = ?", id).Error, "read the console session")
	})
	return out, err
}

// Console reads a session of the tenant. models.ErrNotFound.
func (s *Store) Console(ctx context.Context, tenantID, id string) (models.ConsoleSession, error) {
	var c models.ConsoleSession
	if tenantID == "" {
		return c, models.ErrNotFound
	}
	err := s.read(ctx).Take(&c, "id = ? AND tenant_id = ?", id, tenantID).Error
	return c, found(err, "read the console session")
}

// ConsoleNow is Console with the time by which the session's times count.
func (s *Store) ConsoleNow(ctx context.Context, tenantID, id string) (c models.ConsoleSession, now time.Time, err error) {
	c, err = s.Console(ctx, tenantID, id)
	return c, s.now(), err
}

// ListConsoles lists the sessions of a VM, newest first. models.ErrNotFound when
// the VM is not in the tenant's project.
func (s *Store) ListConsoles(ctx context.Context, tenantID, projectID, vmID string, p Page) ([]models.ConsoleSession, Cursor, error) {
	if _, err := s.GetVM(ctx, tenantID, projectID, vmID); err != nil {
		return nil, Cursor{}, err
	}
	q := s.read(ctx).Where("vm_id = ? AND project_id = ? AND tenant_id = ?", vmID, projectID, tenantID)
	return listPage(q, listing[models.ConsoleSession]{
		table: "console_sessions", order: SortNewest, sorts: sortsByTime(), find: findRows[models.ConsoleSession],
		placeOf: func(c models.ConsoleSession) place { return place{createdAt: c.CreatedAt, id: c.ID} },
	}, p)
}

// targetOf reads sessions with what a connection needs to know of their VMs.
const targetOf = `SELECT c.*, v.name AS vm_name, v.provider_id, v.native_ref FROM console_sessions c JOIN vms v ON v.id = c.vm_id WHERE `

// ConsoleByTicket finds the session of a ticket, whatever its state: whoever has
// the ticket has the right to know. now is the store's clock, by which the times
// of the session count. models.ErrNotFound.
func (s *Store) ConsoleByTicket(ctx context.Context, hash []byte) (t models.ConsoleTarget, now time.Time, err error) {
	err = scanOne(s.read(ctx), &t, "find the console session", targetOf+"c.ticket_hash = ?", hash)
	return t, s.now(), err
}

// ConnectConsole burns a ticket: the session becomes OPEN, of the given gateway
// and client. It succeeds once for a ticket, on whatever replica, and only while
// the VM runs where it ran when the session was accepted. models.ErrNotFound
// when the ticket is of no use (any more).
func (s *Store) ConnectConsole(ctx context.Context, hash []byte, gatewayID, clientAddress string) (models.ConsoleTarget, error) {
	var t models.ConsoleTarget
	err := s.tx(ctx, func(tx *gorm.DB) error {
		t = models.ConsoleTarget{}
		now := s.now()
		var limit int
		if err := scanOne(tx, &limit, "read the session's limit", "SELECT limit_seconds FROM console_sessions WHERE ticket_hash = ?", hash); err != nil {
			return err
		}
		n, err := exec(tx, "burn the ticket", `UPDATE console_sessions
			SET state = 'OPEN', connected_at = ?, ends_at = ?, gateway_id = ?, lease_at = ?, client_address = ?
			WHERE ticket_hash = ? AND state = 'READY' AND expires_at > ? AND EXISTS (
				SELECT 1 FROM vms v WHERE v.id = console_sessions.vm_id AND v.status = 'ACTIVE' AND v.power_state = 'RUNNING'
				AND v.node_id = console_sessions.node_id)`,
			now, now.Add(time.Duration(limit)*time.Second), gatewayID, now, clientAddress, hash, now)
		switch {
		case err != nil:
			return err
		case n == 0:
			return models.ErrNotFound
		}
		return scanOne(tx, &t, "read the console session", targetOf+"c.ticket_hash = ?", hash)
	})
	return t, err
}

// EndConsole closes a session that a gateway carried, with what it has carried.
// One that was closed by somebody else keeps its reason.
func (s *Store) EndConsole(ctx context.Context, id, gatewayID string, reason models.ConsoleEnd, in, out int64) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "count the console session's bytes",
			"UPDATE console_sessions SET bytes_in = ?, bytes_out = ? WHERE id = ? AND gateway_id = ?", in, out, id, gatewayID)
		if err != nil {
			return err
		}
		return s.closeConsoles(tx, reason, "id = ? AND gateway_id = ?", id, gatewayID)
	})
}

// CloseConsoleOf closes a session that nobody is connected to: its subject lost
// the right to it.
func (s *Store) CloseConsoleOf(ctx context.Context, id string, reason models.ConsoleEnd) error {
	return s.write(ctx, func(db *gorm.DB) error { return s.closeConsoles(db, reason, "id = ?", id) })
}

// ConsoleStandings reads what decides whether sessions may go on, and the time
// by which to judge. A session that is gone is left out.
func (s *Store) ConsoleStandings(ctx context.Context, ids []string) (standings []models.ConsoleStanding, now time.Time, err error) {
	err = s.read(ctx).Raw(`SELECT c.id, c.state, c.close_reason, c.ends_at, c.node_id, v.node_id AS vm_node, v.status, v.power_state AS power
		FROM console_sessions c JOIN vms v ON v.id = c.vm_id WHERE c.id IN `+s.dialect.elements(), jsonArray(ids)).Scan(&standings).Error
	return standings, s.now(), wrap(err, "read the console sessions")
}

// RenewConsoles says that a gateway still carries sessions.
func (s *Store) RenewConsoles(ctx context.Context, gatewayID string, ids []string) error {
	return s.write(ctx, func(db *gorm.DB) error {
		_, err := exec(db, "renew the leases", "UPDATE console_sessions SET lease_at = ? WHERE state = 'OPEN' AND gateway_id = ? AND id IN "+
			s.dialect.elements(), s.now(), gatewayID, jsonArray(ids))
		return err
	})
}
