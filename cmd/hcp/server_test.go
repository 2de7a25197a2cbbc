package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

// addresses picks the addresses of the listeners out of the log.
type addresses struct {
	slog.Handler
	mu   sync.Mutex
	seen map[string]string
}

func (a *addresses) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	attrs := map[string]string{}
	r.Attrs(func(at slog.Attr) bool { attrs[at.Key] = at.Value.String(); return true })
	if r.Message == "serving the API" {
		a.seen[attrs["setting"]] = attrs["address"]
	}
	return nil
}

func (a *addresses) of(setting string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[setting]
}

// TestServeTwoPlanesWithADiscoveredIssuer runs the production server with two
// listeners and an issuer of which only the name is configured.
func TestServeTwoPlanesWithADiscoveredIssuer(t *testing.T) {
	var signer *auth.Signer
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, base, base+"/keys")
			return
		}
		_, _ = w.Write(signer.JWKS())
	}))
	defer idp.Close()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	signer, err = auth.NewSigner(idp.URL, key)
	require.NoError(t, err)
	mint := func(g auth.Grant) string {
		g.Subject, g.Roles, g.TTL = "alice", []string{"team-admins"}, time.Minute
		token, err := signer.Mint(g, time.Now())
		require.NoError(t, err)
		return token
	}

	keyset, err := secrets.NewKeyset()
	require.NoError(t, err)
	dsn := pgtest.DSN(t)
	t.Setenv("HCP_DATABASE_URL", dsn)
	_, err = run(t, "migrate", "--log.level", "error")
	require.NoError(t, err)
	cfg := config.Default()
	cfg.Database.URL, cfg.Secrets.Keyset = config.Secret(dsn), config.Secret(keyset)
	cfg.Server.PageTokenKey = config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	cfg.Server.Listen, cfg.Server.OpsListen = "127.0.0.1:0", "localhost:0"
	cfg.Auth.Issuers = []config.Issuer{{Issuer: idp.URL, RoleMap: map[string]string{"team-admins": "admin"}}}
	require.NoError(t, cfg.Validate(config.RoleServer))

	log := &addresses{Handler: slog.DiscardHandler, seen: map[string]string{}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, slog.New(enabled{log})) }()
	require.Eventually(t, func() bool { return log.of("server.listen") != "" && log.of("server.ops_listen") != "" }, 20*time.Second, 10*time.Millisecond)
	get := func(setting, path, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+log.of(setting)+path, nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, string(body)
	}
	const tenant, ops = "server.listen", "server.ops_listen"
	operator, member := mint(auth.Grant{Plane: auth.PlaneOps}), mint(auth.Grant{Plane: auth.PlaneTenant, TenantID: "demo"})
	for _, tc := range []struct {
		setting, path, token string
		want                 int
	}{
		{ops, "/api/hcp/ops/v1/providers", operator, http.StatusOK},
		{ops, "/api/hcp/ops/v1/providers", member, http.StatusForbidden},
		{ops, "/api/hcp/ops/v1/providers", "", http.StatusUnauthorized},
		{ops, "/api/hcp/tenant/v1/projects", member, http.StatusNotFound},
		{tenant, "/api/hcp/ops/v1/providers", operator, http.StatusNotFound},
		{tenant, "/api/hcp/tenant/v1/projects", operator, http.StatusForbidden},
		{tenant, "/metrics", operator, http.StatusNotFound},
		{ops, "/metrics", operator, http.StatusOK},
		{ops, "/livez", "", http.StatusOK},
		{tenant, "/livez", "", http.StatusOK},
		{ops, "/.well-known/jwks.json", "", http.StatusNotFound},
	} {
		status, body := get(tc.setting, tc.path, tc.token)
		require.Equal(t, tc.want, status, "%s %s: %s", tc.setting, tc.path, body)
	}
	status, body := get(tenant, "/.well-known/jwks.json", "")
	require.Equal(t, http.StatusOK, status)
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.NewDecoder(strings.NewReader(body)).Decode(&set))
	require.Len(t, set.Keys, 1, "made at the first start")
	stop()
	require.NoError(t, <-ended)
}

// enabled lets every record through to its handler.
type enabled struct{ *addresses }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }
func (e enabled) WithAttrs([]slog.Attr) slog.Handler     { return e }
func (e enabled) WithGroup(string) slog.Handler          { return e }
