// Package config holds the contexts of hcpctl: which server, plane and project
// a command is for, and how it is authenticated. Secrets are elsewhere
// (package credential). It imports nothing of ours but package private.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

// Planes of the API.
const (
	PlaneTenant = "tenant"
	PlaneOps    = "ops"
)

// Methods of authentication.
const (
	MethodToken             = "token"              // a token that was stored once
	MethodClientCredentials = "client-credentials" // a service account's key, exchanged for short tokens
	MethodDevice            = "device"             // a person's login with an OIDC issuer
)

// File is the content of config.yaml.
type File struct {
	Current  string             `yaml:"current,omitempty"`
	Contexts map[string]Context `yaml:"contexts"`
}

// Context is one way to reach one server.
type Context struct {
	Server    string `yaml:"server"            json:"server"`
	Plane     string `yaml:"plane"             json:"plane"`
	Project   string `yaml:"project,omitempty" json:"project,omitempty"`
	CAFile    string `yaml:"ca_file,omitempty" json:"ca_file,omitempty"`
	AllowHTTP bool   `yaml:"allow_http,omitempty" json:"allow_http,omitempty"` // plain HTTP beyond this machine
	Auth      Auth   `yaml:"auth"              json:"auth"`
}

// Auth says how a context is authenticated; it holds no secret.
type Auth struct {
	Method   string   `yaml:"method,omitempty"    json:"method,omitempty"`
	ClientID string   `yaml:"client_id,omitempty" json:"client_id,omitempty"`
	Issuer   string   `yaml:"issuer,omitempty"    json:"issuer,omitempty"`
	Scopes   []string `yaml:"scopes,omitempty"    json:"scopes,omitempty"`
	Audience string   `yaml:"audience,omitempty"  json:"audience,omitempty"`
}

// Load reads the file; an absent one is empty.
func Load(path string) (File, error) {
	f := File{Contexts: map[string]Context{}}
	raw, err := private.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]Context{}
	}
	for name, c := range f.Contexts {
		if err := c.Check(); err != nil {
			return f, fmt.Errorf("%s: context %s: %w", path, name, err)
		}
	}
	return f, nil
}

// Save replaces the file.
func (f File) Save(path string) error {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(f), enc.Close()); err != nil {
		return err
	}
	return private.Write(path, b.Bytes())
}

// CheckName says whether name can name a context: it becomes part of file names.
func CheckName(name string) error {
	if ok, err := regexp.MatchString(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`, name); err != nil || !ok {
		return fmt.Errorf("%q does not name a context: letters, digits, dots, underscores and dashes, at most 63", name)
	}
	return nil
}

// Check says what is wrong with a context.
func (c Context) Check() error {
	u, err := url.Parse(c.Server)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("server %q is not an http or https URL", c.Server)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the server's URL bears a user, a query or a fragment")
	}
	if u.Scheme == "http" && !c.AllowHTTP && !Loopback(u.Hostname()) {
		return fmt.Errorf("tokens would cross the network readably: %s is not https (--allow-http permits it)", c.Server)
	}
	if c.Plane != PlaneTenant && c.Plane != PlaneOps {
		return fmt.Errorf("plane %q is neither tenant nor ops", c.Plane)
	}
	switch c.Auth.Method {
	case "", MethodToken:
	case MethodClientCredentials:
		if c.Auth.ClientID == "" {
			return errors.New("client credentials need --client-id")
		}
	case MethodDevice:
		if c.Auth.ClientID == "" || c.Auth.Issuer == "" {
			return errors.New("the device login needs --issuer and --client-id")
		}
	default:
		return fmt.Errorf("method of authentication %q is not known", c.Auth.Method)
	}
	return nil
}

// API is the base URL of the API; paths are resolved against it, hence the
// slash at its end.
func (c Context) API() string { return strings.TrimRight(c.Server, "/") + "/api/hcp/" }

// Loopback reports whether host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
