// Package trust is by what an adapter knows the hypervisor's server: a pinned
// certificate, a CA of the operator's, or the CAs of the system.
package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
)

// ErrPin says that a server shows a certificate which is not pinned.
var ErrPin = errors.New("the server's certificate has another fingerprint than the pinned one")

// ErrFingerprint says that a text is no SHA-256 fingerprint in hexadecimal.
var ErrFingerprint = errors.New("not a SHA-256 fingerprint in hexadecimal")

// ErrCA says that a text holds no certificate in PEM.
var ErrCA = errors.New("not a PEM certificate")

// Trust is by what the servers of one hypervisor are known. The zero value trusts the
// CAs of the system.
type Trust struct {
	pinned [][sha256.Size]byte
	roots  *x509.CertPool // nil: those of the system
}

// Pin adds the SHA-256 fingerprints of certificates, with colons or without. Once there
// is one, nothing else counts. The error is ErrFingerprint.
func (t *Trust) Pin(fingerprints []string) error {
	for _, f := range fingerprints {
		raw, err := hex.DecodeString(strings.ReplaceAll(f, ":", ""))
		if err != nil || len(raw) != sha256.Size {
			return ErrFingerprint
		}
		t.pinned = append(t.pinned, [sha256.Size]byte(raw))
	}
	return nil
}

// Pins reports whether a certificate is pinned.
func (t *Trust) Pins() bool { return len(t.pinned) > 0 }

// UseCA has certificates trusted that these CAs, in PEM, have signed, in place of those
// of the system's. The error is ErrCA.
func (t *Trust) UseCA(ca string) (err error) {
	t.roots, err = ParseCA(ca)
	return err
}

// ParseCA reads CAs in PEM. The error is ErrCA.
func ParseCA(ca string) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if block, _ := pem.Decode(bytes.TrimSpace([]byte(ca))); block == nil || !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, ErrCA
	}
	return roots, nil
}

// Config is the TLS configuration for all of the servers.
func (t *Trust) Config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots}
	if t.Pins() {
		// The pin is the stronger check, and the certificates that hypervisors make for
		// themselves are signed by a CA that nobody else knows. VerifyConnection demands it.
		c.InsecureSkipVerify = true
		c.VerifyConnection = t.verify
	}
	return c
}

func (t *Trust) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || !slices.Contains(t.pinned, sha256.Sum256(state.PeerCertificates[0].Raw)) {
		return ErrPin
	}
	return nil
}

// IsRefusal reports whether an error says that we do not trust what a server shows.
// Trying again does not help.
func IsRefusal(err error) bool {
	var (
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		bad      x509.CertificateInvalidError
	)
	return errors.Is(err, ErrPin) || errors.As(err, &verify) || errors.As(err, &unknown) ||
		errors.As(err, &hostname) || errors.As(err, &bad)
}
