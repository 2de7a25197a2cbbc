package models

import "time"

// ConsoleType is a way to reach a VM's screen or serial line. The values are
// those of the API.
type ConsoleType string

// The types of consoles.
const (
	ConsoleVNC   ConsoleType = "vnc"   // our page, with an RFB stream behind it
	ConsoleWeb   ConsoleType = "web"   // our terminal page, with the serial line behind it
	ConsoleRDP   ConsoleType = "rdp"   // a descriptor: where an RDP client finds the VM
	ConsoleSPICE ConsoleType = "spice" // a descriptor: where a SPICE client finds the VM
)

// Capability is what a VM's provider must offer for a console of the type.
// Nothing offers that of ConsoleSPICE.
func (t ConsoleType) Capability() Capability {
	switch t {
	case ConsoleVNC:
		return CapConsoleVNC
	case ConsoleWeb:
		return CapConsoleSerial
	case ConsoleRDP:
		return CapConsoleRDP
	case ConsoleSPICE:
	}
	return Capability("console_" + t)
}

// Streamed says that we carry the console's bytes; the others are descriptors.
func (t ConsoleType) Streamed() bool { return t == ConsoleVNC || t == ConsoleWeb }

// ConsoleTypes lists the types of consoles, best first.
func ConsoleTypes() []ConsoleType {
	return []ConsoleType{ConsoleVNC, ConsoleWeb, ConsoleRDP, ConsoleSPICE}
}

// ConsoleState is how a console session stands.
type ConsoleState string

// The states of a console session. It goes forward only.
const (
	ConsolePending ConsoleState = "PENDING" // its workflow asks the hypervisor
	ConsoleReady   ConsoleState = "READY"   // the ticket is good
	ConsoleOpen    ConsoleState = "OPEN"    // the ticket is burnt, somebody is connected
	ConsoleClosed  ConsoleState = "CLOSED"
)

// ConsoleEnd is why a console session is closed.
type ConsoleEnd string

// The ends of a console session.
const (
	ConsoleExpired          ConsoleEnd = "expired"           // its limit is over
	ConsoleNotUsed          ConsoleEnd = "not_used"          // nobody came with the ticket
	ConsoleClosedByClient   ConsoleEnd = "closed_by_client"  // the connection's other end
	ConsoleClosedByUser     ConsoleEnd = "closed_by_user"    // a request to the API
	ConsoleHypervisorClosed ConsoleEnd = "hypervisor_closed" // could not be reached, or hung up
	ConsoleVMStopped        ConsoleEnd = "vm_stopped"
	ConsoleVMDeleted        ConsoleEnd = "vm_deleted"
	ConsoleVMMigrated       ConsoleEnd = "vm_migrated"
	ConsoleAccessRevoked    ConsoleEnd = "access_revoked"
	ConsoleTooSlow          ConsoleEnd = "too_slow"
	ConsoleTooFast          ConsoleEnd = "too_fast"
	ConsoleGatewayLost      ConsoleEnd = "gateway_lost" // its gateway did not renew the lease
	ConsoleFailed           ConsoleEnd = "failed"       // the preparation failed
)

// ConsoleSession is one console, from the request to the end of the one
// connection that its ticket is good for. It is the audit record of who was at
// which VM's console.
type ConsoleSession struct {
	ID        string `gorm:"primaryKey"`
	TenantID  string
	ProjectID string
	VMID      string `gorm:"column:vm_id"`
	JobID     string
	Type      ConsoleType
	State     ConsoleState

	// Subject is who asked: "<issuer>|<subject>". Roles are those of its token,
	// KeyID the service account's key behind it. With the role bindings they
	// decide, for as long as the session lives, whether it may.
	Subject string
	Roles   []string `gorm:"serializer:json"`
	KeyID   string
	// TicketHash is the SHA-256 of the ticket, which itself is written nowhere.
	TicketHash []byte
	// NodeID is where the VM was: the session does not follow it elsewhere.
	// Generation is the VM's when the session was accepted.
	NodeID     string
	Generation int
	// TicketSeconds is how long the ticket is good, from when it is READY;
	// LimitSeconds how long the connection may last.
	TicketSeconds int
	LimitSeconds  int

	CreatedAt time.Time
	// ExpiresAt is when the ticket ends; an estimate while PENDING.
	ExpiresAt   time.Time
	ConnectedAt *time.Time
	EndsAt      *time.Time // when the connection ends at the latest
	ClosedAt    *time.Time
	CloseReason ConsoleEnd
	// ClientAddress is where the connection came from.
	ClientAddress string
	// GatewayID is the process that carries the connection; it renews LeaseAt.
	GatewayID string
	LeaseAt   *time.Time
	// BytesIn went to the VM, BytesOut came from it.
	BytesIn  int64
	BytesOut int64
}

// ConsoleTarget is a console session with what its connection needs to know of
// the VM.
type ConsoleTarget struct {
	ConsoleSession
	VMName     string `gorm:"column:vm_name"`
	ProviderID string
	NativeRef  string
}

// ConsoleStanding is what decides whether an open session may go on.
type ConsoleStanding struct {
	ID          string
	State       ConsoleState
	CloseReason ConsoleEnd
	EndsAt      *time.Time
	NodeID      string
	VMNode      string `gorm:"column:vm_node"`
	Status      VMStatus
	Power       PowerState
}

// Judge returns why a connection must end; empty when it may go on. Power that
// is not known ends nothing: only a proof does.
func (s ConsoleStanding) Judge(now time.Time) ConsoleEnd {
	switch {
	case s.State == ConsoleClosed:
		return s.CloseReason
	case s.Status != VMActive:
		return ConsoleVMDeleted
	case s.Power != PowerRunning && s.Power != PowerUnknown:
		return ConsoleVMStopped
	case s.VMNode != s.NodeID:
		return ConsoleVMMigrated
	case s.EndsAt != nil && !now.Before(*s.EndsAt):
		return ConsoleExpired
	}
	return ""
}

// ConsoleRecord is what of a session goes into its job's history: nothing that
// the ticket could be found by.
type ConsoleRecord struct {
	Type          ConsoleType
	State         ConsoleState
	ExpiresAt     time.Time
	ConnectedAt   *time.Time `json:",omitempty"`
	EndsAt        *time.Time `json:",omitempty"`
	ClosedAt      *time.Time `json:",omitempty"`
	Reason        ConsoleEnd `json:",omitempty"`
	ClientAddress string     `json:",omitempty"`
	BytesIn       int64      `json:",omitempty"`
	BytesOut      int64      `json:",omitempty"`
}

// Record is the session as its job records it.
func (c ConsoleSession) Record() ConsoleRecord {
	return ConsoleRecord{
		Type: c.Type, State: c.State, ExpiresAt: c.ExpiresAt, ConnectedAt: c.ConnectedAt, EndsAt: c.EndsAt, ClosedAt: c.ClosedAt,
		Reason: c.CloseReason, ClientAddress: c.ClientAddress, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
	}
}
