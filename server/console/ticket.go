package console

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// ticketLength is that of 256 bits in base64url.
const ticketLength = 43

// Tickets makes the tickets of sessions. A ticket is a keyed hash of the
// session's ID: every replica can say it again to who asked for it, it stands in
// no database, and without the key nobody can guess it.
type Tickets struct{ key []byte }

// NewTickets derives the key of the tickets from the installation's secret.
func NewTickets(secret []byte) (Tickets, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "hcp console ticket", sha256.Size)
	if err != nil {
		return Tickets{}, fmt.Errorf("console: ticket key: %w", err)
	}
	return Tickets{key: key}, nil
}

// Ticket is a ticket. It does not print; Reveal it for who asked for it alone.
type Ticket struct{ text string }

// Of is the ticket of a session.
func (t Tickets) Of(sessionID string) Ticket {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(sessionID))
	return Ticket{base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
}

// ParseTicket takes a ticket from a path; ok is false for what cannot be one.
func ParseTicket(text string) (t Ticket, ok bool) {
	if len(text) != ticketLength {
		return Ticket{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return Ticket{text}, err == nil && len(raw) == sha256.Size
}

// Hash is what the database knows of the ticket.
func (t Ticket) Hash() []byte {
	sum := sha256.Sum256([]byte(t.text))
	return sum[:]
}

// Reveal is the ticket itself.
func (t Ticket) Reveal() string { return t.text }

// String hides the ticket from every formatter.
func (Ticket) String() string { return "[ticket]" }

// GoString hides the ticket from %#v.
func (Ticket) GoString() string { return "[ticket]" }
