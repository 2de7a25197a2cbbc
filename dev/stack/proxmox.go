package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// certificateLife is how long the certificate of a simulated cluster holds.
const certificateLife = 365 * 24 * time.Hour

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
		certificate, err := selfSigned(l.Addr())
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

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":"))
}

// selfSigned makes a certificate for an address, known by its fingerprint alone.
func selfSigned(address net.Addr) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Simulated Proxmox VE"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(certificateLife), DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if tcp, ok := address.(*net.TCPAddr); ok {
		template.IPAddresses = []net.IP{tcp.IP}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
