package command_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

func TestContexts(t *testing.T) {
	r := newRig(t)
	clear(r.env)
	r.env["HOME"], r.env["HCP_KEYRING"] = r.home, "off"
	require.Equal(t, 2, r.run("project", "list").code, "no server is chosen")

	token := r.file("token", "secret-token\n")
	r.ok("context", "set", "dev", "--server", r.server.URL, "--token-file", token)
	r.ok("context", "set", "ops", "--server", r.server.URL, "--plane", "ops")
	require.Contains(t, r.ok("context", "list", "--no-headers", "--columns", "name,current,plane,login"), "dev   yes   tenant   token")

	r.ok("project", "list")
	require.Equal(t, "Bearer secret-token", r.server.Requests("listProjects")[0].Header.Get("Authorization"))
	r.ok("project", "use", "example")
	r.ok("vm", "list")
	require.Contains(t, r.server.Requests("listVMs")[0].URL, "/projects/"+ctltest.SampleID+"/")

	require.Equal(t, "ops\n", r.ok("--context", "ops", "context", "show", "-o", "jsonpath=$.plane"))
	r.env["HCP_CONTEXT"] = "ops"
	require.Equal(t, "ops\n", r.ok("context", "show", "-o", "jsonpath=$.name"))
	r.ok("ops", "zone", "list")
	require.Empty(t, r.server.Requests("opsListZones")[0].Header.Get("Authorization"), "the other context's token is its own")
	r.env["HCP_TOKEN"] = "from-the-environment"
	r.ok("ops", "zone", "list")
	require.Equal(t, "Bearer from-the-environment", r.server.Requests("opsListZones")[1].Header.Get("Authorization"))
	delete(r.env, "HCP_CONTEXT")
	delete(r.env, "HCP_TOKEN")

	requirePrivate(t, filepath.Join(r.home, ".config"))
	r.ok("context", "delete", "dev", "--yes")
	raw, err := os.ReadFile(filepath.Join(r.home, ".config/hcpctl/secrets.json"))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "secret-token")
}

// A context's secret goes to the context's server alone.
func TestSecretsStayWithTheirServer(t *testing.T) {
	r := newRig(t)
	clear(r.env)
	r.env["HOME"], r.env["HCP_KEYRING"] = r.home, "off"
	r.ok("context", "set", "dev", "--server", r.server.URL, "--token-file", r.file("token", "secret-token"))
	other := ctltest.New(t)
	r.ok("--server", other.URL, "project", "list")
	require.Empty(t, other.Requests("listProjects")[0].Header.Get("Authorization"))

	r.ok("context", "set", "dev", "--server", other.URL)
	require.Equal(t, 4, r.run("project", "list").code, "the token was for the other server")
}

func TestFilesThatOthersCanReadAreRefused(t *testing.T) {
	for _, name := range []string{"config.yaml", "secrets.json"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			clear(r.env)
			r.env["HOME"], r.env["HCP_KEYRING"] = r.home, "off"
			r.ok("context", "set", "dev", "--server", r.server.URL, "--token-file", r.file("token", "secret-token"))
			path := filepath.Join(r.home, ".config/hcpctl", name)
			require.NoError(t, os.Chmod(path, 0o644))
			got := r.run("project", "list")
			require.NotZero(t, got.code)
			require.Contains(t, got.errOut, "chmod 600 "+path)
		})
	}
}

func TestContextsAreChecked(t *testing.T) {
	r := newRig(t)
	for name, args := range map[string][]string{
		"no server": {"x"}, "no URL": {"x", "--server", "localhost"}, "plain http": {"x", "--server", "http://hcp.example.com"}, "password": {"x", "--server", "https://a:b@c"},
		"plane": {"x", "--server", "https://c", "--plane", "admin"}, "name": {"../x", "--server", "https://c"}, "no client": {"x", "--server", "https://c", "--issuer", "https://i"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 2, r.run(append([]string{"context", "set"}, args...)...).code)
		})
	}
	r.ok("context", "set", "x", "--server", "http://hcp.example.com", "--allow-http")
}

// issuer is an OIDC issuer with a device flow.
type issuer struct {
	*httptest.Server
	pending   int // polls before the person has confirmed
	refreshes int
	tokens    int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{pending: 2}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Answer(w, 200, map[string]string{"issuer": i.URL, "token_endpoint": i.URL + "/token", "device_authorization_endpoint": i.URL + "/device"})
	})
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("client_id") != "cli" || req.FormValue("scope") != "openid offline_access" {
			t.Errorf("the device request is %v", req.Form)
		}
		ctltest.Answer(w, 200, map[string]any{"device_code": "dc", "user_code": "WDJB-MJHT", "verification_uri": i.URL + "/activate", "expires_in": 600, "interval": 3})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, req *http.Request) { i.token(w, req) })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) token(w http.ResponseWriter, req *http.Request) {
	switch req.FormValue("grant_type") {
	case "refresh_token":
		if req.FormValue("refresh_token") != "refresh-"+strconv.Itoa(i.refreshes) {
			ctltest.Answer(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		i.refreshes++
	default:
		if i.pending--; i.pending == 0 {
			ctltest.Answer(w, 400, map[string]string{"error": "slow_down"})
			return
		}
		if i.pending > 0 {
			ctltest.Answer(w, 400, map[string]string{"error": "authorization_pending"})
			return
		}
	}
	i.tokens++
	ctltest.Answer(w, 200, map[string]any{"access_token": "access-" + strconv.Itoa(i.tokens), "token_type": "Bearer", "expires_in": 300, "refresh_token": "refresh-" + strconv.Itoa(i.refreshes)})
}

func TestDeviceLogin(t *testing.T) {
	r := newRig(t)
	clear(r.env)
	r.env["HOME"], r.env["HCP_KEYRING"] = r.home, "off"
	i := newIssuer(t)
	r.ok("context", "set", "me", "--server", r.server.URL, "--issuer", i.URL, "--client-id", "cli")
	got := r.run("project", "list")
	require.Equal(t, 4, got.code)
	require.Contains(t, got.errOut, "hcpctl login")

	got = r.run("login")
	require.Zero(t, got.code, got.errOut)
	require.Contains(t, got.errOut, "Open "+i.URL+"/activate\nand confirm the code WDJB-MJHT within 10m0s.")
	require.Equal(t, []string{"3s", "3s", "8s"}, []string{r.slept[0].String(), r.slept[1].String(), r.slept[2].String()}, "slow_down adds five seconds")

	r.ok("project", "list")
	r.ok("project", "list")
	require.Equal(t, "Bearer access-1", r.server.Requests("listProjects")[1].Header.Get("Authorization"))
	r.now = r.now.Add(280e9) // near its end
	r.ok("project", "list")
	require.Equal(t, "Bearer access-2", r.server.Requests("listProjects")[2].Header.Get("Authorization"))
	r.now = r.now.Add(280e9) // the rotated refresh token was kept
	r.ok("project", "list")
	require.Equal(t, 2, i.refreshes)

	r.ok("logout")
	require.Equal(t, 4, r.run("project", "list").code)
}

// An expired token is renewed once, and the same request sent again.
func TestExpiredTokenIsRenewed(t *testing.T) {
	r := newRig(t)
	clear(r.env)
	r.env["HOME"], r.env["HCP_KEYRING"], r.env["HCP_PROJECT"] = r.home, "off", ctltest.SampleID
	i := newIssuer(t)
	r.ok("context", "set", "me", "--server", r.server.URL, "--issuer", i.URL, "--client-id", "cli")
	r.ok("login")
	r.server.Handle("createVM", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "Bearer access-1" {
			ctltest.Problem(w, http.StatusUnauthorized, "TOKEN_EXPIRED", "expired")
			return
		}
		ctltest.Answer(w, http.StatusAccepted, map[string]string{"vm_id": ctltest.SampleID, "resource_id": ctltest.SampleID, "job_id": ctltest.SampleJob})
	})
	r.ok(createVM...)
	requests := r.server.Requests("createVM")
	require.Len(t, requests, 2)
	require.Equal(t, requests[0].Body, requests[1].Body)
	require.Equal(t, requests[0].Header.Get("Idempotency-Key"), requests[1].Header.Get("Idempotency-Key"))
}

// A service account's key is exchanged with the server, and the token kept.
func TestClientCredentials(t *testing.T) {
	r := newRig(t)
	clear(r.env)
	r.env["HOME"], r.env["HCP_KEYRING"] = r.home, "off"
	exchanges := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/oauth2/token" {
			r.server.ServeHTTP(w, req)
			return
		}
		id, secret, _ := req.BasicAuth()
		if req.FormValue("grant_type") != "client_credentials" || id != "key-1" || secret != "hcp_s3cret" {
			ctltest.Answer(w, 401, map[string]string{"error": "invalid_client"})
			return
		}
		exchanges++
		ctltest.Answer(w, 200, map[string]any{"access_token": "short", "token_type": "Bearer", "expires_in": 900})
	}))
	t.Cleanup(front.Close)
	r.stdin = "hcp_s3cret\n"
	r.ok("context", "set", "ci", "--server", front.URL, "--client-id", "key-1", "--client-secret-file", "-")
	r.ok("project", "list")
	r.ok("project", "list")
	require.Equal(t, 1, exchanges, "the token is kept until shortly before its end")
	require.Equal(t, "Bearer short", r.server.Requests("listProjects")[1].Header.Get("Authorization"))
	r.now = r.now.Add(871e9)
	r.ok("project", "list")
	require.Equal(t, 2, exchanges)

	r.stdin = "wrong\n"
	r.ok("context", "set", "bad", "--server", front.URL, "--client-id", "key-1", "--client-secret-file", "-")
	got := r.run("--context", "bad", "project", "list")
	require.Equal(t, 4, got.code, got.errOut)
	require.Contains(t, got.errOut, "invalid_client")
	require.NotContains(t, got.errOut, "wrong")
}

func TestNewKeyIsShownOnce(t *testing.T) {
	r := newRig(t)
	r.server.Handle("createServiceAccountKey", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Answer(w, http.StatusCreated, map[string]string{"id": "k", "client_id": "k", "client_secret": "hcp_abc", "created_at": ctltest.SampleTime})
	})
	require.Contains(t, r.ok("service-account", "key", "create", ctltest.SampleID), "client_secret: hcp_abc")
	var key map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.ok("service-account", "key", "create", ctltest.SampleID, "-o", "json")), &key))
	require.Equal(t, "hcp_abc", key["client_secret"])
}
