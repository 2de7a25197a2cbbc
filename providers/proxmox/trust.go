package proxmox

import (
	"errors"
	"net/url"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

const defaultPort = "8006"

// pin takes SHA-256 fingerprints as Proxmox VE shows them, one for each host.
func (s *settings) pin(fingerprints []string) error {
	if s.trust.Pin(fingerprints) != nil {
		return invalidOption(optFingerprint, "SHA-256 fingerprints in hexadecimal, separated by commas")
	}
	return nil
}

// completeTrust adds the CA, and refuses what would not be used.
func (s *settings) completeTrust(ca string) error {
	if ca != "" && s.trust.UseCA(ca) != nil {
		return invalid("ca_cert is not a PEM certificate")
	}
	if ca != "" && s.trust.Pins() {
		return invalid("give either a fingerprint or ca_cert")
	}
	for _, h := range s.hosts {
		if h.Scheme != s.hosts[0].Scheme {
			return invalid("all hosts must have the same scheme")
		}
	}
	return nil
}

// parseHost reads https://host[:port]. Plain HTTP is for loopback alone.
func parseHost(raw string) (*url.URL, error) {
	const want = "a URL must look like https://host:8006"
	u, err := trust.ParseURL(raw, defaultPort)
	switch {
	case errors.Is(err, trust.ErrPlainHTTP):
		return nil, invalid("plain HTTP is for loopback alone: " + want)
	case err != nil || strings.Trim(u.Path, "/") != "":
		return nil, invalid(want)
	}
	u.Path = ""
	return u, nil
}
