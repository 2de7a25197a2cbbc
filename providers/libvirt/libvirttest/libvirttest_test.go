package libvirttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServersDoNotMeet runs two servers at once, kills one's daemon, and shows
// that closing them leaves neither bridge, nor process, nor file.
func TestServersDoNotMeet(t *testing.T) {
	var servers [2]*Server
	var errs [2]error
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() { servers[i], errs[i] = Launch(t.Context()) })
	}
	wg.Wait()
	for i, s := range servers {
		Check(t, errs[i])
		t.Cleanup(func() { _ = s.Close() }) // once more, should the test end early
		require.DirExists(t, s.PoolDir)
		_, err := net.InterfaceByName(s.Bridge)
		require.NoError(t, err)
	}
	a, b := servers[0], servers[1]
	require.NotEqual(t, a.Subnet, b.Subnet)
	c, end, err := a.Client(t.Context())
	require.NoError(t, err)
	_, err = c.DomainDefineXMLFlags(`<domain type="qemu"><name>only-here</name><memory>1024</memory><os><type>hvm</type></os></domain>`, 0)
	end()
	require.NoError(t, err)
	names, err := b.Domains(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)

	require.NoError(t, b.Kill())
	names, err = a.Domains(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"only-here"}, names)
	for _, s := range servers {
		pid := s.pid1
		require.NoError(t, s.Close())
		_, err := net.InterfaceByName(s.Bridge)
		require.Error(t, err)
		require.NoDirExists(t, s.dir)
		require.NoDirExists(t, fmt.Sprintf("/proc/%d", pid))
		require.Empty(t, processesOf(t, s))
	}
}

// processesOf returns the command lines that name a server's directory.
func processesOf(t *testing.T, s *Server) (found []string) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range entries {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), s.dir) {
			found = append(found, string(b))
		}
	}
	return found
}

// recorder is a test that only notes what it was told.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skip(args ...any)          { r.said = "skip: " + fmt.Sprint(args...) }
func (r *recorder) Fatalf(f string, a ...any) { r.said = "fail: " + fmt.Sprintf(f, a...) }
func (r *recorder) Context() context.Context  { return r.TB.Context() }

func TestCheckNeverHidesInCI(t *testing.T) {
	missing := fmt.Errorf("launch: %w", ErrMissing{"dnsmasq is missing"})
	for _, tc := range []struct {
		ci   string
		err  error
		want string
	}{
		{"", nil, ""},
		{"true", nil, ""},
		{"", missing, "skip: "},
		{"true", missing, "fail: "},
		{"", errors.New("it broke"), "fail: "},
	} {
		t.Setenv("CI", tc.ci)
		r := &recorder{TB: t}
		Check(r, tc.err)
		require.True(t, strings.HasPrefix(r.said, tc.want) && (r.said == "") == (tc.want == ""), r.said)
		if strings.HasPrefix(r.said, "skip") {
			require.Contains(t, r.said, "apt-get install")
		}
	}
}
