package libvirttest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// authority signs certificates. RSA, because libvirt's GnuTLS refused ECDSA.
type authority struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// pair is a certificate with its key, in PEM.
type pair struct{ cert, key []byte }

func newAuthority(name string) (authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return authority{}, err
	}
	tmpl := template(name, 1)
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{cert, key}, err
}

func template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"libvirttest"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) issue(name string, serial int64, use x509.ExtKeyUsage) (pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return pair{}, err
	}
	tmpl := template(name, serial)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{use}
	if use == x509.ExtKeyUsageServerAuth {
		tmpl.DNSNames, tmpl.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}, nil
}

// writeCertificates makes the daemon's certificates and two clients': one of its
// own authority, and one of an authority that it does not know.
func (s *Server) writeCertificates() error {
	own, err := newAuthority("libvirttest authority")
	if err != nil {
		return err
	}
	other, err := newAuthority("another authority")
	if err != nil {
		return err
	}
	server, err := own.issue("localhost", 2, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"ca.pem": own.pem(), "server.pem": server.cert, "server-key.pem": server.key} {
		if err := os.WriteFile(filepath.Join(s.dir, "pki", name), content, 0o600); err != nil {
			return err
		}
	}
	client, err := own.issue("client", 3, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	stranger, err := other.issue("client", 3, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	ca := string(own.pem())
	s.Credentials = models.Credentials{ClientCert: string(client.cert), ClientKey: string(client.key), CACert: ca}
	s.OtherCredentials = models.Credentials{ClientCert: string(stranger.cert), ClientKey: string(stranger.key), CACert: ca}
	return nil
}
