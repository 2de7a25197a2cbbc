package libvirttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Guest returns the path of a small bootable qcow2 image: it reads a NoCloud
// medium, asks for an address and obeys the ACPI power button. It is built by
// test/guest/build.sh once and kept in the user's cache.
func Guest(tb testing.TB) string {
	tb.Helper()
	path, err := BuildGuest(tb.Context())
	Check(tb, err)
	return path
}

// BuildGuest is Guest for callers without a test.
func BuildGuest(ctx context.Context) (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the source directory is not known")
	}
	script := filepath.Join(filepath.Dir(here), "..", "..", "..", "test", "guest", "build.sh")
	content, err := os.ReadFile(script) //nolint:gosec // a path of this module
	if err != nil {
		return "", err
	}
	dir, err := cacheDir("guest")
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	// Another script makes another image.
	out := filepath.Join(dir, fmt.Sprintf("guest-%s.qcow2", fingerprint(content)))
	cmd := exec.CommandContext(ctx, "sh", script, out) //nolint:gosec // a script of this module
	cmd.Env = append(os.Environ(), "HCP_GUEST_CACHE="+dir)
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", ErrMissing{What: fmt.Sprintf("the guest image cannot be built: %v: %s", err, strings.TrimSpace(string(b)))}
	}
	return out, nil
}

// lock takes a file lock, so that test packages that run at once build once.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path of ours
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Image puts a file into the pool as a volume and returns its binding.
func (s *Server) Image(ctx context.Context, name, path, format string) (models.ImageBinding, error) {
	in, err := os.Open(path) //nolint:gosec // the caller names the file
	if err != nil {
		return models.ImageBinding{}, err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(filepath.Join(s.PoolDir, name)) //nolint:gosec // the caller is a test
	if err != nil {
		return models.ImageBinding{}, err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return models.ImageBinding{}, err
	}
	return models.ImageBinding{Ref: s.Pool + "/" + name, Format: format, CloneMode: models.CloneLinked}, s.RefreshPool(ctx)
}

// Blank makes an empty qcow2 image of a size such as "64M" in the pool.
func (s *Server) Blank(ctx context.Context, name, size string) (models.ImageBinding, error) {
	tool, err := findTool("qemu-img")
	if err != nil {
		return models.ImageBinding{}, err
	}
	//nolint:gosec // the caller is a test
	if b, err := exec.CommandContext(ctx, tool, "create", "-q", "-f", "qcow2", filepath.Join(s.PoolDir, name), size).CombinedOutput(); err != nil {
		return models.ImageBinding{}, fmt.Errorf("qemu-img: %w: %s", err, b)
	}
	return models.ImageBinding{Ref: s.Pool + "/" + name, Format: "qcow2", CloneMode: models.CloneLinked}, s.RefreshPool(ctx)
}

// RefreshPool makes libvirt look at the pool's directory again.
func (s *Server) RefreshPool(ctx context.Context) error {
	c, end, err := s.Client(ctx)
	if err != nil {
		return err
	}
	defer end()
	pool, err := c.StoragePoolLookupByName(s.Pool)
	if err != nil {
		return err
	}
	return c.StoragePoolRefresh(pool, 0)
}

// Domains returns the names of all domains, for proof of absence.
func (s *Server) Domains(ctx context.Context) ([]string, error) {
	c, end, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	domains, _, err := c.ConnectListAllDomains(1, lv.ConnectListAllDomainsFlags(0))
	names := make([]string, 0, len(domains))
	for _, d := range domains {
		names = append(names, d.Name)
	}
	return names, err
}

// Serial returns what a VM has written to its serial line so far, with the
// line ends of Unix.
func (s *Server) Serial(vmID string) string {
	b, err := os.ReadFile(filepath.Join(s.SerialDir, "hcp-"+vmID+".log")) //nolint:gosec // the caller is a test
	if err != nil {
		return "" // nothing yet
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// WaitSerial waits until a VM has written text at least count times.
func (s *Server) WaitSerial(tb testing.TB, vmID, text string, count int, limit time.Duration) {
	tb.Helper()
	err := waitFor(limit, fmt.Sprintf("the serial line says %q %d times", text, count), func() bool {
		return strings.Count(s.Serial(vmID), text) >= count
	})
	if err != nil {
		tb.Fatalf("%v; it says:\n%s", err, s.Serial(vmID))
	}
}
