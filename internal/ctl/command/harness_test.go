package command_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/command"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// rig is hcpctl with a server and a home of its own.
type rig struct {
	tb     testing.TB
	server *ctltest.Server
	home   string
	env    map[string]string
	stdin  string
	now    time.Time
	slept  []time.Duration
}

// ran is what became of a command line.
type ran struct {
	code        int
	out, errOut string
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	s := ctltest.New(tb)
	home := tb.TempDir()
	return &rig{
		tb: tb, server: s, home: home, now: time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC),
		env: map[string]string{"HOME": home, "HCP_SERVER": s.URL, "HCP_TOKEN": "secret-token", "HCP_PROJECT": ctltest.SampleID, "HCP_KEYRING": "off"},
	}
}

func (r *rig) run(args ...string) ran {
	r.tb.Helper()
	return r.runContext(r.tb.Context(), args...)
}

func (r *rig) runContext(ctx context.Context, args ...string) ran {
	r.tb.Helper()
	var out, errOut bytes.Buffer
	app := r.app(args)
	app.Stdout, app.Stderr = &out, &errOut
	code := app.Run(ctx)
	require.NotContains(r.tb, out.String()+errOut.String(), "secret-token")
	return ran{code, out.String(), errOut.String()}
}

func (r *rig) app(args []string) *command.App {
	return &command.App{
		Args: args, Stdin: strings.NewReader(r.stdin), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Env:    func(name string) string { return r.env[name] },
		Policy: transport.Policy{Attempts: 4, Base: time.Second, Cap: 8 * time.Second, MaxAfter: time.Minute},
		Sleep: func(ctx context.Context, d time.Duration) error {
			r.slept = append(r.slept, d)
			return ctx.Err()
		},
		Now: func() time.Time { return r.now }, Version: "test",
	}
}

// ok runs a command line that must succeed, and returns its output.
func (r *rig) ok(args ...string) string {
	r.tb.Helper()
	got := r.run(args...)
	require.Zero(r.tb, got.code, "hcpctl %s: %s%s", strings.Join(args, " "), got.out, got.errOut)
	return got.out
}

// file writes a file into the home and returns its path.
func (r *rig) file(name, content string) string {
	r.tb.Helper()
	path := filepath.Join(r.home, name)
	require.NoError(r.tb, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// answering always answers the same.
func answering(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { ctltest.Answer(w, http.StatusOK, v) }
}
