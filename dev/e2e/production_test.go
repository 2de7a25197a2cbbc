package e2e_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/temporaltest"
	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// The production binary as it is deployed: two API processes with a listener
// for each plane, a worker, PostgreSQL, Temporal, and an identity provider that
// is found by discovery. What one API process changes the other knows; a worker
// that is killed in the middle of a step is replaced.
func TestProductionProcesses(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	a, b := d.server(t), d.server(t)
	worker := d.run(t, nil, "worker")
	d.furnish(t, a)

	owner := client{url: a.tenantURL, token: d.token(t, auth.Grant{Plane: auth.PlaneTenant, Subject: "olga", TenantID: "acme", Roles: []string{"owner"}}), project: "web"}
	other := client{url: b.tenantURL, token: owner.token, project: owner.project}
	first := owner.create(t, "one")
	other.done(t, first.JobID)
	require.Equal(t, "RUNNING", other.vm(t, first.VMID).PowerState)

	t.Run("planes", func(t *testing.T) {
		ops := client{url: a.tenantURL, token: d.opsToken(t)}
		ops.call(t, http.MethodGet, "/ops/v1/vms", nil, http.StatusNotFound, nil)
		ops.url = a.opsURL
		ops.call(t, http.MethodGet, "/ops/v1/vms", nil, http.StatusOK, nil)
		ops.token = owner.token
		ops.call(t, http.MethodGet, "/ops/v1/vms", nil, http.StatusForbidden, nil)
	})
	t.Run("a revoked role", func(t *testing.T) { requireRevocation(t, d, a, b) })
	t.Run("a worker killed in a step", func(t *testing.T) {
		hv := simadmin.Admin{URL: d.simURL}
		job := owner.create(t, "two")
		eventually(t, jobLimit, func() error {
			if len(marked(t, hv, job.VMID)) == 0 {
				return errors.New("the hypervisor has not begun")
			}
			return nil
		})
		require.NoError(t, worker.Process.Kill())
		_ = worker.Wait()
		d.run(t, nil, "worker")
		require.Equal(t, 1, other.done(t, job.JobID).Run)
		require.Len(t, marked(t, hv, job.VMID), 1)
		require.Equal(t, "RUNNING", owner.vm(t, job.VMID).PowerState)
	})
	t.Run("a stop", func(t *testing.T) {
		require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, a.cmd.Wait(), "a stop is no failure")
		other.call(t, http.MethodGet, other.vms(), nil, http.StatusOK, nil)
	})
}

// requireRevocation gives a role through one API process, and takes it back:
// the other refuses within a second.
func requireRevocation(t *testing.T, d *deployment, a, b *apiProcess) {
	t.Helper()
	alice := client{url: b.tenantURL, token: d.token(t, auth.Grant{Plane: auth.PlaneTenant, Subject: "alice", TenantID: "acme"}), project: "web"}
	status := func() int {
		r, err := alice.try(t.Context(), http.MethodGet, alice.vms(), nil, nil)
		require.NoError(t, err)
		return r.Status
	}
	require.Equal(t, http.StatusForbidden, status())
	best, worst := jobLimit, time.Duration(0)
	for range 5 {
		var binding struct {
			ID string `json:"id"`
		}
		ops := client{url: a.opsURL, token: d.opsToken(t)}
		ops.call(t, http.MethodPost, "/ops/v1/role-bindings", map[string]any{
			"tenant_id": "acme", "role_id": "viewer", "principal": map[string]string{"issuer": d.issuer, "subject": "alice"},
		}, http.StatusCreated, &binding)
		eventually(t, jobLimit, func() error {
			if got := status(); got != http.StatusOK {
				return fmt.Errorf("the role is not seen: %d", got)
			}
			return nil
		})
		ops.call(t, http.MethodDelete, "/ops/v1/role-bindings/"+binding.ID, nil, http.StatusNoContent, nil)
		revoked := time.Now()
		for status() != http.StatusForbidden {
			require.Less(t, time.Since(revoked), jobLimit)
		}
		took := time.Since(revoked)
		best, worst = min(best, took), max(worst, took)
	}
	require.Less(t, best, time.Second) // a busy machine may delay the others
	t.Logf("a role that one process revoked was refused by the other after %v at the latest", worst)
}

// deployment is what the processes share.
type deployment struct {
	binary, simURL, issuer string
	env                    []string
	signer                 *auth.Signer
}

// apiProcess is one `hcp server`.
type apiProcess struct {
	cmd               *exec.Cmd
	tenantURL, opsURL string
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{binary: filepath.Join(t.TempDir(), "hcp"), simURL: startSim(t, "--node-vcpus", "100", "--task-delay", "2s")}
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", d.binary, "./cmd/hcp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	cluster, err := pgtest.Start(t.Context(), pgtest.Options{TCP: true})
	if errors.Is(err, pgtest.ErrNoBinaries) {
		missing(t, err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	dsn, err := cluster.CreateDatabase(t.Context(), "hcp")
	require.NoError(t, err)
	temporal := temporaltest.Start(t)
	d.identityProvider(t)

	keys := exec.CommandContext(t.Context(), d.binary, "keygen")
	out, err = keys.Output()
	require.NoError(t, err)
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HCP_DATABASE_URL=" + dsn, "HCP_TEMPORAL_ADDRESS=" + temporal.HostPort, "HCP_AUTH_ISSUER=" + d.issuer,
	}
	for line := range strings.Lines(strings.ReplaceAll(string(out), "'", "")) {
		d.env = append(d.env, strings.TrimSpace(line))
	}
	migrate := exec.CommandContext(t.Context(), d.binary, "migrate")
	migrate.Env = []string{d.env[0], d.env[1]}
	out, err = migrate.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return d
}

// identityProvider publishes the signer's keys where OpenID Connect Discovery
// looks for them.
func (d *deployment) identityProvider(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	d.issuer = srv.URL
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	d.signer, err = auth.NewSigner(d.issuer, key)
	require.NoError(t, err)
	publish := func(path string, document any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document)
		})
	}
	publish("/.well-known/openid-configuration", map[string]any{"issuer": d.issuer, "jwks_uri": d.issuer + "/keys"})
	publish("/keys", d.signer.JWKS())
}

func (d *deployment) token(t *testing.T, g auth.Grant) string {
	t.Helper()
	g.TTL = time.Hour
	token, err := d.signer.Mint(g, time.Now())
	require.NoError(t, err)
	return token
}

func (d *deployment) opsToken(t *testing.T) string {
	t.Helper()
	return d.token(t, auth.Grant{Plane: auth.PlaneOps, Subject: "root", Roles: []string{"admin"}})
}

// run starts a process, which is killed with the test.
func (d *deployment) run(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	output := &output{}
	// Not the test's context: a process outlives the subtest that starts it.
	cmd := exec.CommandContext(context.Background(), d.binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(append([]string{}, d.env...), env...), output, output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("hcp %v:\n%s", args, output)
		}
	})
	return cmd
}

func (d *deployment) server(t *testing.T) *apiProcess {
	t.Helper()
	tenant, ops := freeAddr(t), freeAddr(t)
	p := &apiProcess{tenantURL: "http://" + tenant, opsURL: "http://" + ops}
	p.cmd = d.run(t, []string{"HCP_SERVER_LISTEN=" + tenant, "HCP_SERVER_OPS_LISTEN=" + ops}, "server")
	eventually(t, readyLimit, func() error { return ready(t, p.tenantURL) })
	return p
}

// furnish fills the catalog through the ops API.
func (d *deployment) furnish(t *testing.T, a *apiProcess) {
	t.Helper()
	ops := client{url: a.opsURL, token: d.opsToken(t)}
	create := func(noun string, body map[string]any) {
		t.Helper()
		ops.call(t, http.MethodPost, "/ops/v1/"+noun, body, http.StatusCreated, nil)
	}
	create("tenants", map[string]any{"id": "acme", "name": "Acme"})
	create("projects", map[string]any{"id": "web", "tenant_id": "acme", "name": "Web"})
	create("zones", map[string]any{"id": "zone-1", "name": "Zone 1"})
	create("flavors", map[string]any{"id": "small", "name": "Small", "vcpus": 1, "memory_mib": 512, "disk_gib": 1})
	var provider accepted
	ops.call(t, http.MethodPost, "/ops/v1/providers", map[string]any{
		"id": "sim-1", "name": "Simulated", "kind": "sim", "url": d.simURL, "zone_id": "zone-1",
	}, http.StatusAccepted, &provider)
	ops.done(t, provider.JobID)
	create("images", map[string]any{"id": "tiny", "name": "Tiny", "bindings": []map[string]any{{"provider_id": "sim-1", "ref": "tiny", "format": "qcow2"}}})
	create("networks", map[string]any{"id": "net0", "name": "net0", "bindings": []map[string]any{{"provider_id": "sim-1", "ref": "net0"}}})
}
