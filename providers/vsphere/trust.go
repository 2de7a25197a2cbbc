package vsphere

import (
	"errors"
	"net/url"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

const (
	defaultPort  = "443"
	endpointPath = "/sdk"
)

// pin takes SHA-256 thumbprints; more than one while a certificate is replaced.
func (s *settings) pin(thumbprints []string) error {
	if s.trust.Pin(thumbprints) != nil {
		return invalidOption(optThumbprint, "SHA-256 thumbprints in hexadecimal, separated by commas")
	}
	return nil
}

// completeTrust adds the CA, and refuses what would not be used.
func (s *settings) completeTrust(ca string) error {
	if ca != "" && s.trust.UseCA(ca) != nil {
		return invalid("ca_cert is not a PEM certificate")
	}
	if ca != "" && s.trust.Pins() {
		return invalid("give either a thumbprint or ca_cert")
	}
	return nil
}

// parseEndpoint reads https://host[:port][/sdk]. Plain HTTP is for loopback alone.
func parseEndpoint(raw string) (*url.URL, error) {
	const want = "a URL must look like https://host"
	u, err := trust.ParseURL(raw, defaultPort)
	if errors.Is(err, trust.ErrPlainHTTP) {
		return nil, invalid("plain HTTP is for loopback alone: " + want)
	}
	if err != nil {
		return nil, invalid(want)
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != endpointPath {
		return nil, invalid(want)
	}
	u.Path = endpointPath
	return u, nil
}
