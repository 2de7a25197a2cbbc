package stack

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// ProxmoxSim is a simulated Proxmox VE cluster that listens on an address.
type ProxmoxSim struct {
	*Sim
	fingerprint string
}

// StartProxmoxSim starts a simulated cluster on a listener, which it takes over.
// It speaks TLS with a certificate of its own, or plain HTTP.
func StartProxmoxSim(l net.Listener, o proxmoxsim.Options, plainHTTP bool) (*ProxmoxSim, error) {
	pve, err := proxmoxsim.New(o)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	out := &ProxmoxSim{}
	scheme := "http://"
	server := &http.Server{Handler: pve, ReadHeaderTimeout: readHeaderTimeout}
	address := l.Addr().String()
	if !plainHTTP {
		certificate, err := selfSigned("Simulated Proxmox VE", host(l.Addr()))
		if err != nil {
			return nil, errors.Join(err, pve.Close(), l.Close())
		}
		out.fingerprint = fingerprint(certificate.Certificate[0])
		// HTTP/1.1 alone: the API's refusals are texts in the status line.
		l = tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
		scheme = "https://"
	}
	out.Sim = startSim(l, scheme+address, pve, server)
	return out, nil
}

// Fingerprint is the SHA-256 of its certificate as Proxmox VE writes it; empty
// where it speaks plain HTTP.
func (s *ProxmoxSim) Fingerprint() string { return s.fingerprint }
