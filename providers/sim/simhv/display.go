package simhv

import (
	"crypto/des" //nolint:gosec // RFC 6143, 7.2.2 prescribes it
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// Machine is a VM as its consoles reach it, on this and on other simulated
// hypervisors.
type Machine interface {
	// See returns what the guest knows of itself; false where it does not run.
	See() (GuestView, bool)
	// Restart boots the guest anew, in the same process.
	Restart()
	// Write puts text on the root disk.
	Write(text string)
}

// GuestView is what a guest knows of itself. It does not know where it runs.
type GuestView struct {
	Name     string
	Hostname string
	Data     string // what is on its root disk
	Boot     int    // tells one boot from another
	Since    time.Time
}

func (v GuestView) uptime() string {
	return fmt.Sprintf("up %d s", int(time.Since(v.Since)/time.Second))
}

// Display is a machine's screen, keyboard and serial line: a shell that a test
// can talk to.
type Display struct {
	machine Machine

	mu    sync.Mutex
	guest *guest
}

// NewDisplay makes the display of a machine.
func NewDisplay(m Machine) *Display { return &Display{machine: m} }

// see returns the machine's guest, if it runs.
func (d *Display) see() (*guest, GuestView, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	view, ok := d.machine.See()
	if !ok {
		return nil, GuestView{}, false
	}
	view.Name, view.Hostname = plain(view.Name), plain(view.Hostname)
	if d.guest == nil || d.guest.boot != view.Boot {
		if d.guest != nil {
			d.guest.change(func() {}) // whoever watches the old one looks again
		}
		d.guest = &guest{boot: view.Boot, changed: make(chan struct{})}
	}
	return d.guest, view, true
}

// The security types that are served (RFC 6143, 7.1.2).
const (
	securityNone = 1
	securityVNC  = 2
)

// authenticate agrees on a security type, and has the client prove that it knows
// the password, where there is one.
func (r *rfb) authenticate() error {
	kind := byte(securityNone)
	if r.password != "" {
		kind = securityVNC
	}
	if _, err := r.out.Write([]byte{1, kind}); err != nil {
		return err
	}
	chosen, err := r.read(1)
	if err != nil || chosen[0] != kind {
		return errors.Join(err, errProtocol)
	}
	if kind == securityVNC {
		if err := r.challenge(); err != nil {
			return err
		}
	}
	_, err = r.out.Write([]byte{0, 0, 0, 0})
	return err
}

func (r *rfb) challenge() error {
	challenge := make([]byte, 2*des.BlockSize)
	if _, err := rand.Read(challenge); err != nil {
		return err
	}
	if _, err := r.out.Write(challenge); err != nil {
		return err
	}
	answer, err := r.read(len(challenge))
	if err != nil {
		return err
	}
	var key [des.BlockSize]byte
	for i := range min(len(r.password), len(key)) {
		key[i] = bits.Reverse8(r.password[i])
	}
	cipher, err := des.NewCipher(key[:]) //nolint:gosec // see the import
	if err != nil {
		return err
	}
	for at := 0; at < len(challenge); at += des.BlockSize {
		cipher.Encrypt(challenge[at:], challenge[at:])
	}
	if subtle.ConstantTimeCompare(challenge, answer) == 1 {
		return nil
	}
	const reason = "Authentication failed"
	_, err = r.out.Write(append([]byte{0, 0, 0, 1, 0, 0, 0, byte(len(reason))}, reason...))
	return errors.Join(err, errProtocol)
}
