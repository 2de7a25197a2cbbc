package stack

import (
	"fmt"
	"net"

	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// VSphereSim is a simulated vCenter, or ESXi host, that listens on an address.
type VSphereSim struct {
	*Sim
	thumbprint string
}

// StartVSphereSim starts a simulated vCenter, or ESXi host, on Options.Listen. It
// speaks TLS with a certificate of its own.
func StartVSphereSim(o vspheresim.Options) (*VSphereSim, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, err
	}
	certificate, err := selfSigned("Simulated vSphere", host)
	if err != nil {
		return nil, err
	}
	o.Certificate = &certificate
	vc, err := vspheresim.Start(o)
	if err != nil {
		return nil, fmt.Errorf("simulated vSphere: %w", err)
	}
	s := &Sim{url: vc.URL(), failed: make(chan error), stop: func() error { vc.Close(); return nil }}
	return &VSphereSim{Sim: s, thumbprint: fingerprint(certificate.Certificate[0])}, nil
}

// Thumbprint is the SHA-256 of its certificate as vSphere writes it.
func (s *VSphereSim) Thumbprint() string { return s.thumbprint }
