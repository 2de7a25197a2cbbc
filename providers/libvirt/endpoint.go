package libvirt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// Where libvirtd listens unless it is told otherwise
// (https://libvirt.org/remote.html).
const (
	defaultSocket  = "/run/libvirt/libvirt-sock"
	defaultTCPPort = "16509"
	defaultTLSPort = "16514"
)

// endpoint is where a daemon listens and what to ask it for.
type endpoint struct {
	driver  string // "qemu" or "test"
	uri     string // what the daemon opens: "qemu:///system"
	network string // "unix" or "tcp"
	address string
	tls     *tls.Config // nil: plain
}

// parseEndpoint reads a libvirt client URI: qemu+unix:///system?socket=/path,
// qemu+tcp://host[:port]/system, qemu+tls://host[:port]/system, and the same
// with test and /default.
func parseEndpoint(raw string, cred models.Credentials) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, invalid("the URL cannot be parsed")
	}
	driver, transport, _ := strings.Cut(u.Scheme, "+")
	e := endpoint{driver: driver, network: "tcp"}
	paths := map[string][]string{domainQEMU: {"/system", "/session"}, domainTest: {"/default"}}
	if !slices.Contains(paths[driver], u.Path) || u.User != nil || u.Fragment != "" {
		return endpoint{}, invalid("the URL must look like qemu+unix:///system?socket=/path, qemu+tcp://host:port/system or qemu+tls://host:port/system")
	}
	e.uri = driver + "://" + u.Path
	query := u.Query()
	socket := query.Get("socket")
	query.Del("socket")
	if len(query) > 0 || (socket != "" && transport != "unix") {
		return endpoint{}, invalid("the URL has an unknown parameter")
	}
	switch {
	case transport == "unix" && u.Host == "":
		e.network, e.address = "unix", defaultSocket
		if socket != "" {
			e.address = socket
		}
		if !filepath.IsAbs(e.address) {
			return endpoint{}, invalid("the socket must be an absolute path")
		}
	case transport == "tcp" && u.Hostname() != "":
		e.address = hostPort(u, defaultTCPPort)
	case transport == "tls" && u.Hostname() != "":
		e.address = hostPort(u, defaultTLSPort)
		if e.tls, err = tlsConfig(u.Hostname(), cred); err != nil {
			return endpoint{}, err
		}
	default:
		return endpoint{}, invalid("the URL's transport must be unix without a host, or tcp or tls with one")
	}
	return e, nil
}

func hostPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// tlsConfig demands the whole of mutual TLS: libvirtd refuses a client without
// a certificate, and answers so late that it looks like a broken connection.
func tlsConfig(host string, cred models.Credentials) (*tls.Config, error) {
	if cred.ClientCert == "" || cred.ClientKey == "" || cred.CACert == "" {
		return nil, invalid("TLS needs the credentials client_cert, client_key and ca_cert")
	}
	pair, err := tls.X509KeyPair([]byte(cred.ClientCert), []byte(cred.ClientKey))
	if err != nil {
		// The cause is left out: it could quote the key.
		return nil, invalid("client_cert and client_key are not a PEM key pair")
	}
	roots, err := trust.ParseCA(cred.CACert)
	if err != nil {
		return nil, invalid("ca_cert is not a PEM certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}

// errClientRefused says that the daemon did not accept our certificate.
var errClientRefused = errors.New("the daemon closed the connection after the TLS handshake: client certificate missing or refused")

// dial connects, and for TLS waits for the byte by which the daemon says that
// it accepts our certificate (virNetServerClientCheckAccess in libvirt).
func (e endpoint) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if e.tls == nil {
		return d.DialContext(ctx, e.network, e.address)
	}
	td := tls.Dialer{NetDialer: &d, Config: e.tls}
	conn, err := td.DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var answer [1]byte
	if _, err = io.ReadFull(conn, answer[:]); err == nil && answer[0] == 1 {
		return conn, nil
	}
	_ = conn.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		return nil, errClientRefused
	}
	return nil, fmt.Errorf("%w: %w", errClientRefused, err)
}
