package config_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/config"
)

var update = flag.Bool("update", false, "write the generated documentation")

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hcp.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLaterSourcesWin(t *testing.T) {
	path := write(t, "server: {listen: '127.0.0.1:1', shutdown_timeout: 7s}\ntemporal: {namespace: filed}\n")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("server.listen", "", "")
	flags.String("temporal.namespace", "unused default", "")
	require.NoError(t, flags.Parse([]string{"--server.listen", "127.0.0.1:3"}))

	c, err := config.Load(path, []string{"HCP_SERVER_LISTEN=127.0.0.1:2", "HCP_WORKER_PROVIDERS=a,b", "HCP_DATABASE_MAX_CONNS=5", "HOME=/x", "HCP_TOKEN=the client's", "HCP_TEST_DATABASE_URL=the tests'"}, flags)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:3", c.Server.Listen)
	require.Equal(t, 7*time.Second, c.Server.ShutdownTimeout)
	require.Equal(t, []string{"a", "b"}, c.Worker.Providers)
	require.Equal(t, 5, c.Database.MaxConns)
	require.Equal(t, "filed", c.Temporal.Namespace, "a flag that was not given changes nothing")
	require.Equal(t, config.Default().Log, c.Log)
}

func TestMistakesAreErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"unknown key":      {file: "server: {lisen: x}\n", want: "lisen"},
		"unknown variable": {env: []string{"HCP_DATABASE_ULR=x"}, want: "HCP_DATABASE_ULR"},
		"wrong type":       {env: []string{"HCP_DATABASE_MAX_CONNS=many"}, want: "max_conns"},
		"wrong duration":   {file: "server: {shutdown_timeout: soon}\n", want: "server.shutdown_timeout"},
		"not YAML":         {file: "{", want: "configuration file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := ""
			if tc.file != "" {
				path = write(t, tc.file)
			}
			_, err := config.Load(path, tc.env, nil)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := config.Load(filepath.Join(t.TempDir(), "absent.yaml"), nil, nil)
	require.ErrorContains(t, err, "configuration file")
}

func valid() config.Config {
	c := config.Default()
	c.Database.URL = "postgres://u:p@h/d"
	c.Secrets.Keyset = "{}"
	c.Server.PageTokenKey = config.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	c.Auth.Issuer, c.Auth.JWKSURL = "https://id.example", "https://id.example/jwks"
	return c
}

func TestValidateNamesEachDefect(t *testing.T) {
	require.NoError(t, valid().Validate(config.RoleServer))
	for name, tc := range map[string]struct {
		breakIt func(*config.Config)
		role    config.Role
		want    string
	}{
		"no database":          {func(c *config.Config) { c.Database.URL = "" }, config.RoleMigrate, "database.url"},
		"no connections":       {func(c *config.Config) { c.Database.MaxConns = 0 }, config.RoleWorker, "database.max_conns"},
		"level":                {func(c *config.Config) { c.Log.Level = "loud" }, config.RoleMigrate, "log.level"},
		"format":               {func(c *config.Config) { c.Log.Format = "xml" }, config.RoleMigrate, "log.format"},
		"temporal":             {func(c *config.Config) { c.Temporal.Address = "nowhere" }, config.RoleWorker, "temporal.address"},
		"namespace":            {func(c *config.Config) { c.Temporal.Namespace = "" }, config.RoleWorker, "temporal.namespace"},
		"half a pair":          {func(c *config.Config) { c.Temporal.CertFile = "x" }, config.RoleWorker, "temporal.cert_file"},
		"no keyset":            {func(c *config.Config) { c.Secrets.Keyset = "" }, config.RoleWorker, "secrets.keyset"},
		"two keysets":          {func(c *config.Config) { c.Secrets.KeysetFile = "x" }, config.RoleWorker, "secrets.keyset"},
		"short key":            {func(c *config.Config) { c.Server.PageTokenKey = "AAAA" }, config.RoleServer, "server.page_token_key"},
		"listen":               {func(c *config.Config) { c.Server.Listen = "8080" }, config.RoleServer, "server.listen"},
		"ui":                   {func(c *config.Config) { c.Server.TemporalUIURL = "ftp://x" }, config.RoleServer, "server.temporal_ui_url"},
		"statement":            {func(c *config.Config) { c.Database.StatementTimeout = 0 }, config.RoleMigrate, "database.statement_timeout"},
		"any origin":           {func(c *config.Config) { c.Server.CORSOrigins = []string{"*"} }, config.RoleServer, "server.cors_origins"},
		"origin, path":         {func(c *config.Config) { c.Server.CORSOrigins = []string{"https://a.example/"} }, config.RoleServer, "server.cors_origins"},
		"origin, case":         {func(c *config.Config) { c.Server.CORSOrigins = []string{"https://A.example"} }, config.RoleServer, "server.cors_origins"},
		"null origin":          {func(c *config.Config) { c.Server.CORSOrigins = []string{"null"} }, config.RoleServer, "server.cors_origins"},
		"proxies":              {func(c *config.Config) { c.Server.TrustedProxies = []string{"everybody"} }, config.RoleServer, "server.trusted_proxies"},
		"delay":                {func(c *config.Config) { c.Server.ShutdownDelay = -1 }, config.RoleServer, "server.shutdown_delay"},
		"negative rate":        {func(c *config.Config) { c.Server.RateLimit.TenantRPS = -1 }, config.RoleServer, "server.rate_limit.tenant_rps"},
		"no burst":             {func(c *config.Config) { c.Server.RateLimit.SubjectBurst = 0 }, config.RoleServer, "server.rate_limit.subject_burst"},
		"no issuer":            {func(c *config.Config) { c.Auth.Issuer, c.Auth.JWKSURL = "", "" }, config.RoleServer, "auth.issuer"},
		"issuer, no keys":      {func(c *config.Config) { c.Auth.Issuer, c.Auth.JWKSURL = "http://id.example", "" }, config.RoleServer, "auth.jwks_url"},
		"ops listen":           {func(c *config.Config) { c.Server.OpsListen = "9090" }, config.RoleServer, "server.ops_listen"},
		"ops listen, the same": {func(c *config.Config) { c.Server.OpsListen = c.Server.Listen }, config.RoleServer, "server.ops_listen"},
		"ops URL":              {func(c *config.Config) { c.Server.OpsPublicURL = "https://ops.example" }, config.RoleServer, "server.ops_public_url"},
		"ops URL, none":        {func(c *config.Config) { c.Server.OpsListen, c.Server.OpsPublicURL = "127.0.0.1:1", "x" }, config.RoleServer, "server.ops_public_url"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid()
			tc.breakIt(&c)
			require.ErrorContains(t, c.Validate(tc.role), tc.want)
		})
	}
	require.ErrorContains(t, func() error { c := config.Default(); return c.Validate(config.RoleServer) }(), "secrets.keyset", "defects are reported together")
}

func TestExposureFromTheEnvironment(t *testing.T) {
	c, err := config.Load("", []string{
		"HCP_SERVER_CORS_ORIGINS=https://a.example,http://127.0.0.1:5173", "HCP_SERVER_TRUSTED_PROXIES=10.0.0.0/8,::1,192.0.2.7",
		"HCP_SERVER_RATE_LIMIT_SUBJECT_RPS=0.5", "HCP_SERVER_RATE_LIMIT_TENANT_RPS=0", "HCP_SERVER_PUBLIC_URL=https://api.example",
	}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"https://a.example", "http://127.0.0.1:5173"}, c.Server.CORSOrigins)
	proxies, err := c.Server.Proxies()
	require.NoError(t, err)
	require.Equal(t, "[10.0.0.0/8 ::1/128 192.0.2.7/32]", fmt.Sprint(proxies))
	require.InDelta(t, 0.5, c.Server.RateLimit.SubjectRPS, 0)
	require.Zero(t, c.Server.RateLimit.TenantRPS)
	require.True(t, c.Server.HTTPS())
	require.False(t, config.Default().Server.HTTPS())
}

func TestIssuersAreValidated(t *testing.T) {
	good := config.Issuer{Issuer: "https://second.example"}
	for name, tc := range map[string]struct {
		breakIt func(*config.Issuer)
		want    string
	}{
		"no name":               {func(i *config.Issuer) { i.Issuer = "" }, "auth.issuer"},
		"our own name":          {func(i *config.Issuer) { i.Issuer = "hcp" }, "own issuer"},
		"a separator":           {func(i *config.Issuer) { i.Issuer = "https://id.example/|x" }, "auth.issuer"},
		"twice":                 {func(i *config.Issuer) { i.Issuer = "https://id.example" }, "there twice"},
		"no place of keys":      {func(i *config.Issuer) { i.Issuer = "accounts" }, "auth.jwks_url"},
		"not over TLS":          {func(i *config.Issuer) { i.Issuer = "http://second.example" }, "auth.jwks_url"},
		"with a query":          {func(i *config.Issuer) { i.Issuer = "https://second.example?a=b" }, "auth.jwks_url"},
		"keys not at a URL":     {func(i *config.Issuer) { i.JWKSURL = "/keys" }, "auth.jwks_url"},
		"HMAC":                  {func(i *config.Issuer) { i.Algorithms = []string{"HS256"} }, "auth.algorithms"},
		"one audience":          {func(i *config.Issuer) { i.TenantAudience = "hcp-ops" }, "auth.tenant_audience"},
		"unknown plane":         {func(i *config.Issuer) { i.Planes = []string{"common"} }, "auth.planes"},
		"tenants without plane": {func(i *config.Issuer) { i.Planes, i.Tenants = []string{"ops"}, []string{"a"} }, "auth.planes"},
		"tenant and tenants":    {func(i *config.Issuer) { i.Tenant, i.Tenants = "a", []string{"a"} }, "auth.tenant"},
		"tenant and its claim":  {func(i *config.Issuer) { i.Tenant, i.Claims.Tenant = "a", "org" }, "auth.tenant"},
		"roles or not":          {func(i *config.Issuer) { i.IgnoreRoles, i.RoleMap = true, map[string]string{"a": "b"} }, "auth.ignore_roles"},
	} {
		t.Run(name, func(t *testing.T) {
			c, issuer := valid(), good
			tc.breakIt(&issuer)
			c.Auth.Issuers = []config.Issuer{issuer}
			require.ErrorContains(t, c.Validate(config.RoleServer), tc.want)
		})
	}
	c := valid()
	c.Auth.Issuers = []config.Issuer{good, {Issuer: "http://127.0.0.1:5556/dex"}, {Issuer: "http://keycloak:8080/realms/a", JWKSURL: "http://keycloak:8080/keys"}}
	require.NoError(t, c.Validate(config.RoleServer))
	for _, lifetime := range []time.Duration{0, time.Second, 2 * time.Hour} {
		c.Auth.TokenLifetime = lifetime
		require.ErrorContains(t, c.Validate(config.RoleServer), "auth.token_lifetime")
	}
}

// TestTheDocumentedExampleLoads reads the file of docs/authentication.md as the
// server would.
func TestTheDocumentedExampleLoads(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "authentication.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```\n")
	require.True(t, ok)
	v := valid()
	c, err := config.Load(write(t, example), []string{
		"HCP_DATABASE_URL=" + v.Database.URL.Reveal(), "HCP_SECRETS_KEYSET={}", "HCP_SERVER_PAGE_TOKEN_KEY=" + v.Server.PageTokenKey.Reveal(),
	}, nil)
	require.NoError(t, err)
	require.NoError(t, c.Validate(config.RoleServer))
	issuers := c.AllIssuers()
	require.Len(t, issuers, 3)
	require.Equal(t, "resource_access.hcp.roles", issuers[0].Claims.Roles)
	require.Equal(t, map[string]string{"hcp.admin": "admin", "hcp.on-call": "operator"}, issuers[0].RoleMap)
	require.Equal(t, []string{"acme", "acme-labs"}, issuers[1].Tenants)
	require.Equal(t, "initech", issuers[2].Tenant)
	require.NotEmpty(t, c.Server.OpsListen)
	for _, i := range issuers {
		require.NotEmpty(t, i.Algorithms)
		require.NotEmpty(t, i.TenantAudience)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	c := valid()
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	for _, text := range []string{string(asJSON), fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), c.Database.URL.LogValue().String()} {
		require.NotContains(t, text, "u:p@h")
	}
	require.Equal(t, "postgres://u:p@h/d", c.Database.URL.Reveal())
}

func TestKeysetFile(t *testing.T) {
	s := config.Secrets{KeysetFile: write(t, "{\"key\":1}")}
	b, err := s.ReadKeyset()
	require.NoError(t, err)
	require.JSONEq(t, `{"key":1}`, string(b))
	s.KeysetFile += ".absent"
	_, err = s.ReadKeyset()
	require.ErrorContains(t, err, "no such file")
}

// The page is generated: run with -update after a change of a setting.
func TestDocumentation(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Configuration\n\nOf the production binary, `hcp`. Later sources win: defaults, the file of `--config`, the environment, flags (`--server.listen 127.0.0.1:80`).\n" +
		"An unknown key or an unknown `HCP_` variable is an error. Lists in the environment are separated by commas. Generated from `internal/config`.\n\n" +
		"| Setting | Environment | Default | Meaning |\n|---|---|---|---|\n")
	for _, s := range config.Describe() {
		doc := s.Doc
		if s.Secret {
			doc += " (secret)"
		}
		env := "file only"
		if s.Env != "" {
			env = "`" + s.Env + "`"
		}
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Key, env, def, doc)
	}
	b.WriteString("\n## An entry of auth.issuers\n\n[authentication.md](authentication.md) has an example.\n\n| Setting | Meaning |\n|---|---|\n")
	for _, s := range config.DescribeIssuer() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.Key, s.Doc)
	}
	page := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o600))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "run go test ./internal/config -update")
}
