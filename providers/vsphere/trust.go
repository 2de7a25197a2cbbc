package vsphere

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
)

const (
	defaultPort  = "443"
	endpointPath = "/sdk"
)

// errThumbprint says that the server shows a certificate which is not pinned.
var errThumbprint = errors.New("the server's certificate has another thumbprint than the pinned one")

// trust is by what the server is known: a pinned certificate, a CA of the
// operator's, or the CAs of the system.
type trust struct {
	pinned [][sha256.Size]byte
	roots  *x509.CertPool // nil: those of the system
}

// pin takes SHA-256 thumbprints; more than one while a certificate is replaced.
func (t *trust) pin(thumbprints []string) error {
	for _, f := range thumbprints {
		raw, err := hex.DecodeString(strings.ReplaceAll(f, ":", ""))
		if err != nil || len(raw) != sha256.Size {
			return invalidOption(optThumbprint, "SHA-256 thumbprints in hexadecimal, separated by commas")
		}
		t.pinned = append(t.pinned, [sha256.Size]byte(raw))
	}
	return nil
}

// complete adds the CA, and refuses what would not be used.
func (t *trust) complete(ca string) error {
	if ca != "" {
		t.roots = x509.NewCertPool()
		if block, _ := pem.Decode(bytes.TrimSpace([]byte(ca))); block == nil || !t.roots.AppendCertsFromPEM([]byte(ca)) {
			return invalid("ca_cert is not a PEM certificate")
		}
	}
	if ca != "" && len(t.pinned) > 0 {
		return invalid("give either a thumbprint or ca_cert")
	}
	return nil
}

// config is the TLS configuration for the server, and for the hosts that it sends
// us to.
func (t *trust) config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots}
	if len(t.pinned) > 0 {
		// The pin is the stronger check, and the certificates that vSphere makes for
		// itself are signed by a CA that nobody else knows. VerifyConnection demands it.
		c.InsecureSkipVerify = true
		c.VerifyConnection = t.verify
	}
	return c
}

func (t *trust) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || !slices.Contains(t.pinned, sha256.Sum256(state.PeerCertificates[0].Raw)) {
		return errThumbprint
	}
	return nil
}

// parseEndpoint reads https://host[:port][/sdk]. Plain HTTP is for loopback alone.
func parseEndpoint(raw string) (*url.URL, error) {
	const want = "a URL must look like https://host"
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid(want)
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != endpointPath {
		return nil, invalid(want)
	}
	switch u.Scheme {
	case "https":
	case "http":
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, invalid("plain HTTP is for loopback alone: " + want)
		}
	default:
		return nil, invalid(want)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port), Path: endpointPath}, nil
}

// isTLSRefusal reports whether we do not trust what the server shows. Trying again
// does not help.
func isTLSRefusal(err error) bool {
	var (
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		bad      x509.CertificateInvalidError
	)
	return errors.Is(err, errThumbprint) || errors.As(err, &verify) || errors.As(err, &unknown) ||
		errors.As(err, &hostname) || errors.As(err, &bad)
}
