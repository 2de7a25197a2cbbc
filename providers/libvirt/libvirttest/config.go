package libvirttest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// ports are the TCP ports of a server. migration and display begin ranges.
type ports struct{ tcp, tls, migration, display int }

// portRange is the length of a range of ports.
const portRange = 32

// binds maps the server's own directories to those of libvirt that it puts them
// over. What libvirt learnt of QEMU is shared by all runs, as it takes 8 s.
func (s *Server) binds() map[string]string {
	return map[string]string{
		filepath.Join(s.dir, "etc"): "/etc/libvirt",
		filepath.Join(s.dir, "lib"): "/var/lib/libvirt",
		filepath.Join(s.dir, "run"): "/run/libvirt",
		filepath.Join(s.dir, "log"): "/var/log/libvirt",
		s.capabilityCache():         "/var/cache/libvirt",
		// A lock of a serial line names its process, and outlives a server that was
		// killed: here that number is somebody else's.
		filepath.Join(s.dir, "lock"): "/var/lock",
	}
}

func (s *Server) capabilityCache() string {
	if dir, err := cacheDir("libvirt"); err == nil {
		return dir
	}
	return filepath.Join(s.dir, "cache")
}

// cacheDir is a directory of ours in the user's cache.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "hcp", name)
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // dnsmasq and QEMU may run as other users
}

// configure writes everything that the daemon reads.
func (s *Server) configure() error {
	for own := range s.binds() {
		if err := os.MkdirAll(own, 0o755); err != nil { //nolint:gosec // dnsmasq and QEMU may run as other users
			return err
		}
	}
	own := []string{"sock", "pki"}
	if s.first == nil {
		own = append(own, "pool", "serial")
	}
	for _, dir := range own {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil { //nolint:gosec // as above
			return err
		}
	}
	var err error
	if s.ports, err = freePorts(); err != nil {
		return err
	}
	if err := s.writeCertificates(); err != nil {
		return err
	}
	if s.first == nil {
		s.chooseSubnet()
	}
	s.socket = filepath.Join(s.dir, "sock", "libvirt-sock")
	s.URL = "qemu+unix:///system?socket=" + s.socket
	s.TCP = fmt.Sprintf("qemu+tcp://127.0.0.1:%d/system", s.ports.tcp)
	s.TLS = fmt.Sprintf("qemu+tls://127.0.0.1:%d/system", s.ports.tls)
	s.TestURL = "test+unix:///default?socket=" + s.socket
	s.TestTCP = fmt.Sprintf("test+tcp://127.0.0.1:%d/default", s.ports.tcp)

	pki := filepath.Join(s.dir, "pki")
	if err := s.write("libvirtd.conf", map[string]string{
		"unix_sock_dir": filepath.Join(s.dir, "sock"), "auth_unix_rw": "none", "auth_unix_ro": "none",
		"listen_addr": "127.0.0.1", "tcp_port": fmt.Sprint(s.ports.tcp), "tls_port": fmt.Sprint(s.ports.tls),
		"auth_tcp": "none", "auth_tls": "none", "host_uuid": uuid.NewString(),
		"ca_file": filepath.Join(pki, "ca.pem"), "cert_file": filepath.Join(pki, "server.pem"), "key_file": filepath.Join(pki, "server-key.pem"),
		"log_outputs": "3:stderr",
	}, "listen_tcp = 1", "listen_tls = 1"); err != nil {
		return err
	}
	// Without virtlogd QEMU writes the serial logs itself; without systemd
	// there is nobody who would delegate cgroups.
	return s.write("etc/qemu.conf", map[string]string{
		"user": "root", "group": "root", "security_driver": "none", "stdio_handler": "file",
	}, "cgroup_controllers = []", "namespaces = []",
		fmt.Sprint("migration_port_min = ", s.ports.migration), fmt.Sprint("migration_port_max = ", s.ports.migration+portRange-1),
		fmt.Sprint("remote_display_port_min = ", s.ports.display), fmt.Sprint("remote_display_port_max = ", s.ports.display+portRange-1))
}

func (s *Server) write(name string, settings map[string]string, more ...string) error {
	var b strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&b, "%s = %q\n", k, v)
	}
	for _, line := range more {
		fmt.Fprintln(&b, line)
	}
	return os.WriteFile(filepath.Join(s.dir, name), []byte(b.String()), 0o600)
}

// freePorts finds two ports that nobody listens on now, and two ranges at random
// below those that Linux gives out by itself: QEMU's processes of different
// daemons must not choose the same.
func freePorts() (ports, error) {
	var out [2]int
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // no wait is involved
		if err != nil {
			return ports{}, err
		}
		defer func() { _ = l.Close() }()
		out[i] = l.Addr().(*net.TCPAddr).Port
	}
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return ports{tcp: out[0], tls: out[1], migration: 10000 + int(b[0])*portRange, display: 20000 + int(b[1])*portRange}, nil
}

// chooseSubnet picks a bridge name and a /24 at random, so that servers on one
// machine do not meet.
func (s *Server) chooseSubnet() {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	s.Bridge = fmt.Sprintf("hcpt%x", b[2:])
	s.Subnet = fmt.Sprintf("10.%d.%d.", 64+b[0]%64, b[1])
}

// fingerprint is a short hash, for the name of a cached file.
func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
