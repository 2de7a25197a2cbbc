// Package config is the one typed configuration of the production binary,
// from defaults, a YAML file, the environment and flags, later ones winning.
// It imports nothing of ours.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"
)

// Config is every setting. The doc tags are the source of
// docs/configuration.md; a field tagged secret never prints.
type Config struct {
	Log      Log      `koanf:"log"`
	Database Database `koanf:"database"`
	Temporal Temporal `koanf:"temporal"`
	Secrets  Secrets  `koanf:"secrets"`
	Auth     Auth     `koanf:"auth"`
	Server   Server   `koanf:"server"`
	Console  Console  `koanf:"console"`
	Worker   Worker   `koanf:"worker"`
}

// Log says how the process logs.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" doc:"json or text"`
}

// Database is the PostgreSQL that holds the desired state.
type Database struct {
	URL      Secret `koanf:"url" doc:"PostgreSQL connection URL"`
	MaxConns int    `koanf:"max_conns" doc:"most connections that one process opens"`
	// StatementTimeout has PostgreSQL's resolution of a millisecond.
	StatementTimeout time.Duration `koanf:"statement_timeout" doc:"how long one statement may take, unless the URL says otherwise"`
}

// Temporal is where workflows run.
type Temporal struct {
	Address   string `koanf:"address" doc:"host:port of the frontend"`
	Namespace string `koanf:"namespace" doc:"namespace of this installation"`
	CAFile    string `koanf:"ca_file" doc:"PEM file with the frontend's certificate authority; with it, or with a client certificate, TLS is used"`
	CertFile  string `koanf:"cert_file" doc:"PEM file with the client certificate"`
	KeyFile   string `koanf:"key_file" doc:"PEM file with the client certificate's key"`
}

// Secrets is what seals credentials and user data at rest.
type Secrets struct {
	Keyset     Secret `koanf:"keyset" doc:"Tink AEAD keyset as JSON (make one with hcp keygen)"`
	KeysetFile string `koanf:"keyset_file" doc:"file that holds the keyset, instead of keyset"`
}

// Server is the API process.
type Server struct {
	Listen          string        `koanf:"listen" doc:"host:port of the API"`
	OpsListen       string        `koanf:"ops_listen" doc:"host:port of the operators' side: the ops routes, /metrics and /temporal/ are then served there alone, and the tenants' routes on listen alone; empty serves all on listen"`
	PublicURL       string        `koanf:"public_url" doc:"URL under which clients reach the API; decides the attributes of cookies, the allowed origin and the addresses of consoles"`
	OpsPublicURL    string        `koanf:"ops_public_url" doc:"the same for the operators' side, where it listens on its own"`
	PageTokenKey    Secret        `koanf:"page_token_key" doc:"key that signs page tokens, the same on every replica: 32 bytes in base64"`
	TemporalUIURL   string        `koanf:"temporal_ui_url" doc:"Temporal Web UI that is served to operators below /temporal/; empty leaves it out"`
	PublicMetrics   bool          `koanf:"public_metrics" doc:"whether /metrics is open to everybody who can connect; otherwise it takes an operator's token"`
	ShutdownDelay   time.Duration `koanf:"shutdown_delay" doc:"how long a stop waits, with /readyz answering 503 and everything else served, for balancers to notice"`
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout" doc:"how long requests in flight may take at a stop, once no more are taken"`
	CORSOrigins     []string      `koanf:"cors_origins" doc:"origins whose pages may use the API, such as https://console.example.org; none without it"`
	TrustedProxies  []string      `koanf:"trusted_proxies" doc:"networks (CIDR) of the proxies before the API; X-Forwarded-For counts from these only"`
	HideDocs        bool          `koanf:"hide_docs" doc:"leave out the reference page at /docs, which needs no token"`
	RateLimit       RateLimit     `koanf:"rate_limit"`
}

// RateLimit is how often requests may come to one process; a rate of 0 is no
// limit.
type RateLimit struct {
	SubjectRPS   float64 `koanf:"subject_rps" doc:"requests a second of one principal; 0 is no limit"`
	SubjectBurst int     `koanf:"subject_burst" doc:"requests of one principal at once"`
	TenantRPS    float64 `koanf:"tenant_rps" doc:"requests a second of all principals of a tenant together; 0 is no limit"`
	TenantBurst  int     `koanf:"tenant_burst" doc:"requests of a tenant at once"`
	SourceRPS    float64 `koanf:"source_rps" doc:"requests a second without a valid token from one address; 0 is no limit"`
	SourceBurst  int     `koanf:"source_burst" doc:"requests without a valid token from one address at once"`
}

// Worker is the process that runs workflows and activities.
type Worker struct {
	Providers []string `koanf:"providers" doc:"IDs of the providers that this worker serves; empty serves all"`
}

// Console is how the consoles of VMs are reached, by the API process.
type Console struct {
	AllowedOrigins []string      `koanf:"allowed_origins" doc:"origins, beside that of server.public_url, whose pages may open a console, such as https://portal.example.org"`
	TicketLifetime time.Duration `koanf:"ticket_lifetime" doc:"how long the address of a console is good, at most a minute"`
	SessionLimit   time.Duration `koanf:"session_limit" doc:"how long a console may be open, at most 8 hours"`
}

// The most that Console may ask for.
const (
	maxConsoleTicket  = time.Minute
	maxConsoleSession = 8 * time.Hour
)

func (c Console) validate(bad func(setting, format string, args ...any)) {
	for _, origin := range c.AllowedOrigins {
		if !isOrigin(origin) {
			bad("console.allowed_origins", "%q is not an origin as browsers write it: scheme://host[:port] in small letters, without a path", origin)
		}
	}
	if c.TicketLifetime < time.Second || c.TicketLifetime > maxConsoleTicket {
		bad("console.ticket_lifetime", "must be from 1s to %v", maxConsoleTicket)
	}
	if c.SessionLimit < time.Second || c.SessionLimit > maxConsoleSession {
		bad("console.session_limit", "must be from 1s to %v", maxConsoleSession)
	}
}

// Default is the configuration before anything was read.
func Default() Config {
	return Config{
		Log:      Log{Level: "info", Format: "json"},
		Database: Database{MaxConns: 20, StatementTimeout: 15 * time.Second},
		Temporal: Temporal{Address: "127.0.0.1:7233", Namespace: "hcp"},
		Auth:     defaultAuth(),
		Console:  Console{TicketLifetime: maxConsoleTicket, SessionLimit: 30 * time.Minute},
		Server: Server{
			Listen: "127.0.0.1:8080", ShutdownTimeout: 20 * time.Second,
			RateLimit: RateLimit{SubjectRPS: 200, SubjectBurst: 400, TenantRPS: 1000, TenantBurst: 2000, SourceRPS: 10, SourceBurst: 100},
		},
	}
}

// Role is which process the configuration is for.
type Role string

// The processes of the production binary.
const (
	RoleServer  Role = "server"
	RoleWorker  Role = "worker"
	RoleMigrate Role = "migrate"
)

// Validate reports every defect at once, each naming its setting. What a role
// does not use is not looked at.
func (c Config) Validate(role Role) error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", setting, fmt.Sprintf(format, args...)))
	}
	if _, err := c.Log.SlogLevel(); err != nil {
		bad("log.level", "%q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format", "%q is not json or text", c.Log.Format)
	}
	if c.Database.URL == "" {
		bad("database.url", "is required")
	}
	if c.Database.MaxConns < 1 {
		bad("database.max_conns", "must be at least 1")
	}
	if c.Database.StatementTimeout < time.Millisecond {
		bad("database.statement_timeout", "must be at least 1ms")
	}
	if role != RoleMigrate {
		c.validateShared(bad)
	}
	if role == RoleServer {
		c.validateServer(bad)
	}
	return errors.Join(errs...)
}

func (c Config) validateShared(bad func(setting, format string, args ...any)) {
	if _, _, err := net.SplitHostPort(c.Temporal.Address); err != nil {
		bad("temporal.address", "%q is not host:port", c.Temporal.Address)
	}
	if c.Temporal.Namespace == "" {
		bad("temporal.namespace", "is required")
	}
	if (c.Temporal.CertFile == "") != (c.Temporal.KeyFile == "") {
		bad("temporal.cert_file", "needs temporal.key_file, and the other way round")
	}
	if (c.Secrets.Keyset == "") == (c.Secrets.KeysetFile == "") {
		bad("secrets.keyset", "exactly one of secrets.keyset and secrets.keyset_file is required")
	}
}

func (c Config) validateServer(bad func(setting, format string, args ...any)) {
	if _, _, err := net.SplitHostPort(c.Server.Listen); err != nil {
		bad("server.listen", "%q is not host:port", c.Server.Listen)
	}
	if key, err := c.Server.PageTokenKey.Base64(); err != nil || len(key) != 32 {
		bad("server.page_token_key", "must be 32 bytes in base64")
	}
	for setting, raw := range map[string]string{"server.temporal_ui_url": c.Server.TemporalUIURL, "server.public_url": c.Server.PublicURL, "server.ops_public_url": c.Server.OpsPublicURL} {
		if raw != "" && !isHTTPURL(raw) {
			bad(setting, "is not an http or https URL")
		}
	}
	c.Server.validateExposure(bad)
	c.validateOpsListener(bad)
	c.Console.validate(bad)
	c.Auth.validate(bad)
}

func (c Config) validateOpsListener(bad func(setting, format string, args ...any)) {
	if c.Server.OpsListen == "" {
		if c.Server.OpsPublicURL != "" {
			bad("server.ops_public_url", "means nothing without server.ops_listen")
		}
		return
	}
	if _, _, err := net.SplitHostPort(c.Server.OpsListen); err != nil {
		bad("server.ops_listen", "%q is not host:port", c.Server.OpsListen)
	}
	if c.Server.OpsListen == c.Server.Listen {
		bad("server.ops_listen", "is the address of server.listen")
	}
}

// SlogLevel is the level as slog knows it.
func (l Log) SlogLevel() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(l.Level))
	return level, err
}

func isHTTPURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
