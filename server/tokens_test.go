package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

const (
	clientID     = "0198c0de-0000-7000-8000-00000000000a"
	clientSecret = "hcp_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
	accountID    = "0198c0de-0000-7000-8000-000000000001"
)

// brokenAccounts is a record of service accounts that does not answer.
type brokenAccounts struct{ down error }

func (a brokenAccounts) ServiceAccountKey(context.Context, string) (models.ServiceAccount, models.ServiceAccountKey, error) {
	return models.ServiceAccount{}, models.ServiceAccountKey{}, a.down
}

func (brokenAccounts) TouchServiceAccountKey(context.Context, string) error { return nil }

// withAccount is withTokens for one service account with one key.
func withAccount(t *testing.T, w *world) *world {
	t.Helper()
	hash, now := sha256.Sum256([]byte(clientSecret)), w.Clock.Now()
	require.NoError(t, w.DB.Create(&models.ServiceAccount{
		ID: accountID, TenantID: storetest.Tenant, ProjectID: storetest.Project, Name: "robot", Generation: 1, CreatedAt: now, UpdatedAt: now,
	}).Error)
	require.NoError(t, w.DB.Create(&models.ServiceAccountKey{
		ID: clientID, ServiceAccountID: accountID, TenantID: storetest.Tenant, SecretHash: hash[:], CreatedAt: now,
	}).Error)
	require.NoError(t, w.DB.Exec("UPDATE policy_state SET version = version + 1").Error)
	return withTokens(t, w, w.Store)
}

// withTokens gives a world its own issuer, and trust in it beside the other one.
func withTokens(t *testing.T, w *world, a issuer.Accounts) *world {
	t.Helper()
	w.Clock.Advance(time.Since(w.Clock.Now())) // verifiers go by the real clock
	own, err := issuer.Open(t.Context(), w.Store, issuer.Options{})
	require.NoError(t, err)
	w.deps.Issuer, w.deps.Accounts = own, a
	w.deps.Auth, err = auth.New(t.Context(), []auth.Issuer{w.signer.Issuer(), own.Trusted()})
	require.NoError(t, err)
	w.deps.Registry = nil
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.handler = s.Handler()
	return w
}

func (w *world) form(t *testing.T, body string, headers ...string) reply {
	t.Helper()
	return w.send(t, http.MethodPost, "/oauth2/token", body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func goodForm() string {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret}}.Encode()
}

func basic(id, secret string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r.Header.Get("Authorization")
}

func TestClientCredentials(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	for name, ask := range map[string]func() reply{
		"in the body": func() reply { return w.form(t, goodForm()) },
		"by Basic": func() reply {
			return w.form(t, "grant_type=client_credentials", "Authorization", basic(clientID, clientSecret))
		},
		"by Basic, and the ID in the body": func() reply {
			return w.form(t, "grant_type=client_credentials&client_id="+clientID, "Authorization", basic(clientID, clientSecret))
		},
		"with a parameter that means nothing here": func() reply { return w.form(t, goodForm()+"&audience=x") },
		"with a charset": func() reply {
			return w.form(t, goodForm(), "Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		},
	} {
		t.Run(name, func(t *testing.T) {
			res := ask()
			require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
			require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			answer := res.json(t)
			require.Equal(t, "Bearer", answer["token_type"])
			require.EqualValues(t, 900, answer["expires_in"])
			require.Len(t, answer, 3)
			p, err := w.deps.Auth.Verify(t.Context(), answer["access_token"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now().Add(15*time.Minute), p.ExpiresAt, time.Minute)
			p.ExpiresAt = time.Time{}
			require.Equal(t, auth.Principal{
				Issuer: "hcp", Subject: accountID, Plane: auth.PlaneTenant, TenantID: storetest.Tenant, ProjectID: storetest.Project, KeyID: clientID,
			}, p)
			bearer := "Bearer " + answer["access_token"].(string)
			require.NotEqual(t, http.StatusUnauthorized, w.send(t, http.MethodGet, vmsPath, nil, "Authorization", bearer).StatusCode)
			w.send(t, http.MethodGet, opsBase+"/vms", nil, "Authorization", bearer).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
			require.NotContains(t, w.logs.String(), answer["access_token"])
		})
	}
	require.NotContains(t, w.logs.String(), clientSecret)
	require.Contains(t, w.logs.String(), `"subject":"hcp|`+accountID+`"`, "the log says who got a token")
}

func TestTokenRequestsAreReadStrictly(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	for name, tc := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"JSON":                   {`{"grant_type":"client_credentials"}`, []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"no type":                {goodForm(), []string{"Content-Type", ""}, 400, "invalid_request"},
		"empty":                  {"", nil, 400, "invalid_request"},
		"no grant":               {"client_id=a&client_secret=b", nil, 400, "invalid_request"},
		"another grant":          {"grant_type=password&username=a&password=b", nil, 400, "unsupported_grant_type"},
		"scope":                  {goodForm() + "&scope=read", nil, 400, "invalid_scope"},
		"a parameter twice":      {goodForm() + "&client_id=" + clientID, nil, 400, "invalid_request"},
		"grant twice":            {goodForm() + "&grant_type=client_credentials", nil, 400, "invalid_request"},
		"malformed":              {goodForm() + "&x=%zz", nil, 400, "invalid_request"},
		"semicolons":             {goodForm() + "&a=1;b=2", nil, 400, "invalid_request"},
		"too large":              {goodForm() + "&x=" + strings.Repeat("a", 8<<10), nil, 413, "invalid_request"},
		"both ways":              {goodForm(), []string{"Authorization", basic(clientID, clientSecret)}, 400, "invalid_request"},
		"two IDs":                {"grant_type=client_credentials&client_id=x", []string{"Authorization", basic(clientID, clientSecret)}, 400, "invalid_request"},
		"two headers":            {"grant_type=client_credentials", []string{"Authorization", basic(clientID, clientSecret), "Authorization", basic("a", "b")}, 400, "invalid_request"},
		"a bearer token":         {"grant_type=client_credentials", []string{"Authorization", "Bearer abc"}, 400, "invalid_request"},
		"Basic, malformed":       {"grant_type=client_credentials", []string{"Authorization", "Basic %%%"}, 400, "invalid_request"},
		"Basic, not encoded":     {"grant_type=client_credentials", []string{"Authorization", "Basic YTpiJXp6"}, 400, "invalid_request"}, // a:b%zz
		"no credentials":         {"grant_type=client_credentials", nil, 401, "invalid_client"},
		"unknown client":         {"grant_type=client_credentials&client_id=x&client_secret=" + clientSecret, nil, 401, "invalid_client"},
		"wrong secret":           {"grant_type=client_credentials&client_id=" + clientID + "&client_secret=x", nil, 401, "invalid_client"},
		"wrong secret, by Basic": {"grant_type=client_credentials", []string{"Authorization", basic(clientID, "x")}, 401, "invalid_client"},
		"a NUL":                  {"grant_type=client_credentials&client_id=%00&client_secret=x", nil, 401, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			res := w.form(t, tc.body, tc.headers...)
			require.Equal(t, tc.status, res.StatusCode, "%s", res.body)
			require.Equal(t, tc.code, res.json(t)["error"])
			require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
			require.Equal(t, "application/json", strings.Split(res.Header.Get("Content-Type"), ";")[0])
			if tc.status == http.StatusUnauthorized {
				require.Equal(t, `Basic realm="hcp"`, res.Header.Get("WWW-Authenticate"))
				require.JSONEq(t, `{"error":"invalid_client"}`, string(res.body), "one answer for all")
			}
		})
	}
	res := w.send(t, http.MethodPost, "/oauth2/token?client_secret=x", goodForm(), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusBadRequest, res.StatusCode, "a secret in a query is in every log between")
	w.send(t, http.MethodGet, "/oauth2/token", nil).requireProblem(t, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
}

func TestTokenEndpointIsLimitedAndMayBeDown(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	wrong := "grant_type=client_credentials&client_id=" + clientID + "&client_secret=x"
	for range 10 {
		require.Equal(t, http.StatusUnauthorized, w.form(t, wrong).StatusCode)
	}
	// No header makes another address of it.
	res := w.form(t, goodForm(), "X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9")
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Equal(t, "temporarily_unavailable", res.json(t)["error"])

	w = withTokens(t, w, brokenAccounts{down: errors.New("dial 10.9.8.7")})
	res = w.form(t, goodForm())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.NotContains(t, string(res.body), "10.9.8.7")
	require.Contains(t, w.logs.String(), "10.9.8.7")
}

func TestPublishedKeysVerifyOurTokens(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	keys := w.send(t, http.MethodGet, "/.well-known/jwks.json", nil)
	require.Equal(t, http.StatusOK, keys.StatusCode)
	require.Equal(t, "application/jwk-set+json", keys.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=300", keys.Header.Get("Cache-Control"))
	var set struct{ Keys []map[string]string }
	keys.into(t, &set)
	require.Len(t, set.Keys, 1)
	require.NotContains(t, set.Keys[0], "d")
	other, err := auth.New(t.Context(), []auth.Issuer{{Issuer: "hcp", JWKS: json.RawMessage(keys.body)}})
	require.NoError(t, err)
	_, err = other.Verify(t.Context(), w.form(t, goodForm()).json(t)["access_token"].(string))
	require.NoError(t, err)
}

// TestNobodyElseIsTheOwnIssuer: a token of another issuer that says it is ours
// is refused, and so is ours with another's name.
func TestNobodyElseIsTheOwnIssuer(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	_, err := auth.New(t.Context(), []auth.Issuer{w.deps.Issuer.Trusted(), {Issuer: "hcp", JWKS: w.signer.JWKS()}})
	require.ErrorContains(t, err, "twice")
}

// TestTheDocumentedCommandWorks runs the commands of docs/authentication.md
// against a server.
func TestTheDocumentedCommandWorks(t *testing.T) {
	curl, err := exec.LookPath("curl")
	require.NoError(t, err, "install curl")
	w := withAccount(t, onSQLite(t))
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	page, err := os.ReadFile("../docs/authentication.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```sh\n")
	require.True(t, ok)
	script, _, ok := strings.Cut(rest, "```\n")
	require.True(t, ok)
	require.Contains(t, script, "curl")
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HCP=" + srv.URL, "CLIENT_ID=" + clientID, "CLIENT_SECRET=" + clientSecret}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", curl, out)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(out, &answer), "%s", out)
	_, err = w.deps.Auth.Verify(t.Context(), answer.AccessToken)
	require.NoError(t, err)
}

// TestARevokedKeyIsRefusedAtOnce follows a key from its making to its end: it
// works as soon as it is made, does what is bound to its account, and its tokens
// end with it.
func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w = withAccount(t, w)
		w.followPolicies(t)
		account := w.create(t, accountsPath, map[string]any{"name": "deployer"})
		made := w.do(t, owner(), http.MethodPost, accountsPath+"/"+account+"/keys", nil)
		require.Equal(t, http.StatusCreated, made.StatusCode, "%s", made.body)
		key := made.json(t)
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {key["client_id"].(string)}, "client_secret": {key["client_secret"].(string)}}.Encode()
		bearer := "Bearer " + w.form(t, form).json(t)["access_token"].(string)
		list := func() reply { return w.send(t, http.MethodGet, vmsPath, nil, "Authorization", bearer) }
		list().requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")

		w.create(t, tenantBase+"/projects/"+storetest.Project+"/role-bindings",
			map[string]any{"role_id": "viewer", "principal": map[string]any{"service_account_id": account}})
		require.Eventually(t, func() bool { return list().StatusCode == http.StatusOK }, patience, patience/100)
		other := tenantBase + "/projects/" + storetest.OtherProject + "/vms"
		w.send(t, http.MethodGet, other, nil, "Authorization", bearer).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		revoked := time.Now()
		gone := w.do(t, owner(), http.MethodDelete, accountsPath+"/"+account+"/keys/"+key["id"].(string), nil)
		require.Equal(t, http.StatusNoContent, gone.StatusCode, "%s", gone.body)
		require.Eventually(t, func() bool { return list().StatusCode == http.StatusUnauthorized }, patience, patience/1000)
		t.Logf("refused %v after its key was revoked", time.Since(revoked))
		require.Equal(t, http.StatusUnauthorized, w.form(t, form).StatusCode)
	})
}

// TestTokensOfARevokedKeyAreCounted: who goes on with them has no more attempts
// at an address than who guesses.
func TestTokensOfARevokedKeyAreCounted(t *testing.T) {
	w := withAccount(t, onSQLite(t))
	w.rebuilt(t, func(d *server.Deps) { d.Config.RateLimits = server.RateLimits{Source: slow(3)} })
	bearer := "Bearer " + w.form(t, goodForm()).json(t)["access_token"].(string)
	require.Equal(t, http.StatusForbidden, w.send(t, http.MethodGet, vmsPath, nil, "Authorization", bearer).StatusCode)
	require.Equal(t, http.StatusNoContent, w.do(t, owner(), http.MethodDelete, accountsPath+"/"+accountID+"/keys/"+clientID, nil).StatusCode)
	w.followPolicies(t)
	require.Eventually(t, func() bool {
		return w.send(t, http.MethodGet, vmsPath, nil, "Authorization", bearer).StatusCode == http.StatusUnauthorized
	}, patience, patience/1000)
	for range 2 {
		w.send(t, http.MethodGet, vmsPath, nil, "Authorization", bearer).requireProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	}
	w.send(t, http.MethodGet, vmsPath, nil, "Authorization", "Bearer abc").requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
}
