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
		"no database":     {func(c *config.Config) { c.Database.URL = "" }, config.RoleMigrate, "database.url"},
		"no connections":  {func(c *config.Config) { c.Database.MaxConns = 0 }, config.RoleWorker, "database.max_conns"},
		"level":           {func(c *config.Config) { c.Log.Level = "loud" }, config.RoleMigrate, "log.level"},
		"format":          {func(c *config.Config) { c.Log.Format = "xml" }, config.RoleMigrate, "log.format"},
		"temporal":        {func(c *config.Config) { c.Temporal.Address = "nowhere" }, config.RoleWorker, "temporal.address"},
		"namespace":       {func(c *config.Config) { c.Temporal.Namespace = "" }, config.RoleWorker, "temporal.namespace"},
		"half a pair":     {func(c *config.Config) { c.Temporal.CertFile = "x" }, config.RoleWorker, "temporal.cert_file"},
		"no keyset":       {func(c *config.Config) { c.Secrets.Keyset = "" }, config.RoleWorker, "secrets.keyset"},
		"two keysets":     {func(c *config.Config) { c.Secrets.KeysetFile = "x" }, config.RoleWorker, "secrets.keyset"},
		"short key":       {func(c *config.Config) { c.Server.PageTokenKey = "AAAA" }, config.RoleServer, "server.page_token_key"},
		"listen":          {func(c *config.Config) { c.Server.Listen = "8080" }, config.RoleServer, "server.listen"},
		"ui":              {func(c *config.Config) { c.Server.TemporalUIURL = "ftp://x" }, config.RoleServer, "server.temporal_ui_url"},
		"statement":       {func(c *config.Config) { c.Database.StatementTimeout = 0 }, config.RoleMigrate, "database.statement_timeout"},
		"any origin":      {func(c *config.Config) { c.Server.CORSOrigins = []string{"*"} }, config.RoleServer, "server.cors_origins"},
		"origin, path":    {func(c *config.Config) { c.Server.CORSOrigins = []string{"https://a.example/"} }, config.RoleServer, "server.cors_origins"},
		"origin, case":    {func(c *config.Config) { c.Server.CORSOrigins = []string{"https://A.example"} }, config.RoleServer, "server.cors_origins"},
		"null origin":     {func(c *config.Config) { c.Server.CORSOrigins = []string{"null"} }, config.RoleServer, "server.cors_origins"},
		"proxies":         {func(c *config.Config) { c.Server.TrustedProxies = []string{"everybody"} }, config.RoleServer, "server.trusted_proxies"},
		"delay":           {func(c *config.Config) { c.Server.ShutdownDelay = -1 }, config.RoleServer, "server.shutdown_delay"},
		"negative rate":   {func(c *config.Config) { c.Server.RateLimit.TenantRPS = -1 }, config.RoleServer, "server.rate_limit.tenant_rps"},
		"no burst":        {func(c *config.Config) { c.Server.RateLimit.SubjectBurst = 0 }, config.RoleServer, "server.rate_limit.subject_burst"},
		"no issuer":       {func(c *config.Config) { c.Auth.Issuer, c.Auth.JWKSURL = "", "" }, config.RoleServer, "auth.issuer"},
		"issuer, no keys": {func(c *config.Config) { c.Auth.JWKSURL = "" }, config.RoleServer, "auth.jwks_url"},
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
	page := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o600))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "run go test ./internal/config -update")
}
