// Package libvirttest runs a private libvirtd with QEMU for tests: its own
// directories, sockets, certificates, storage pool and NAT network, so that test
// packages may run at once and a libvirtd of the machine is not disturbed.
//
// It needs root and the Debian packages named in Packages. It imports models and
// providers, never the adapter, so that the adapter's own tests can use it.
package libvirttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Packages is what a Debian 12 machine needs for Launch and Guest.
const Packages = "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables " +
	"busybox-static syslinux syslinux-common mtools dosfstools cpio fdisk"

// startTimeout bounds the start of the daemon. The first connection of a machine
// takes it some 8 s, in which it probes QEMU.
const startTimeout = 90 * time.Second

// Server is one libvirtd with what it serves.
type Server struct {
	// The URLs of the transports, for providers.Config.URL.
	URL, TCP, TLS string
	// TestURL and TestTCP are libvirt's mock driver in the same daemon.
	TestURL, TestTCP string
	// Credentials are for TLS. OtherCredentials are from another authority.
	Credentials, OtherCredentials models.Credentials
	// Pool is an active directory pool, PoolDir its directory.
	Pool, PoolDir string
	// Network is an active NAT network with DHCP. Subnet is the first three
	// numbers of its addresses with a dot at the end.
	Network, Subnet string
	// Bridge is the host bridge of the network.
	Bridge string
	// SerialDir takes the logs of the guests' serial lines.
	SerialDir string

	// Host is the daemon's host name: the machine's, and for a peer its own.
	Host string

	dir    string
	socket string
	first  *Server   // for a peer: whose disks and bridge it shares
	holder *exec.Cmd // keeps the namespaces; its end ends all that runs in them
	pid1   int       // the first process in the namespaces
	daemon *daemon

	ports ports
}

// ErrMissing says that something this package needs is not on the machine.
type ErrMissing struct{ What string }

func (e ErrMissing) Error() string {
	return e.What + ": run as root, with: apt-get install -y --no-install-recommends " + Packages
}

// Start launches a server and closes it at the end of the test. Where the
// machine lacks something the test is skipped, and fails if CI is set.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Launch(tb.Context())
	Check(tb, err)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("libvirttest: %v", err)
		}
	})
	return s
}

// Check fails the test for an error, or skips it for ErrMissing outside CI.
func Check(tb testing.TB, err error) {
	tb.Helper()
	var missing ErrMissing
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("CI") == "":
		tb.Skip(missing.Error())
	default:
		tb.Fatalf("libvirttest: %v", err)
	}
}

// Launch starts a server for callers without a test, such as a TestMain. The
// caller closes it.
func Launch(ctx context.Context) (*Server, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Socket paths are limited to 107 bytes, so the base is short.
	dir, err := os.MkdirTemp("/tmp", "hcplv")
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, Host: host, Pool: "hcp", Network: "hcp", PoolDir: filepath.Join(dir, "pool"), SerialDir: filepath.Join(dir, "serial")}
	return s, s.begin(ctx)
}

// begin launches and, where that fails, takes down what there is.
func (s *Server) begin(ctx context.Context) error {
	err := s.launch(ctx)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w\n%s", err, s.logTail())
	return errors.Join(err, s.close(context.WithoutCancel(ctx)))
}

func (s *Server) launch(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.enterNamespaces(ctx); err != nil {
		return err
	}
	if err := s.Restart(ctx); err != nil {
		return err
	}
	return s.furnish(ctx)
}

// checkMachine reports the first thing that is missing.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return ErrMissing{"libvirtd needs root"}
	}
	for _, tool := range []string{"libvirtd", "qemu-system-x86_64", "qemu-img", "dnsmasq", "iptables", "unshare", "nsenter", "ip"} {
		if _, err := findTool(tool); err != nil {
			return ErrMissing{tool + " is missing"}
		}
	}
	return nil
}

// findTool looks in the directories of root too, which PATH may lack.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// Options are the adapter's options for VMs on this server.
func (s *Server) Options() map[string]string {
	return map[string]string{"pool": s.Pool, "domain_type": "qemu", "serial_log_dir": s.SerialDir}
}

// Config is what the adapter is opened with, over the unix socket. Set URL to
// TCP or TLS for the other transports.
func (s *Server) Config(installationID string) providers.Config {
	return providers.Config{
		ProviderID: "libvirttest", InstallationID: installationID, URL: s.URL,
		Options: s.Options(), Credentials: s.Credentials,
	}
}

// NIC is the binding of the server's network.
func (s *Server) NIC() models.NetworkBinding {
	return models.NetworkBinding{Ref: s.Network, Type: models.NetworkNetwork}
}

// Close ends the daemon and everything it started, and removes its files.
func (s *Server) Close() error { return s.close(context.Background()) }

func (s *Server) close(ctx context.Context) error {
	var errs []error
	if s.pid1 != 0 {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		errs = append(errs, s.unfurnish(ctx), s.Kill())
	}
	errs = append(errs, s.leaveNamespaces())
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
