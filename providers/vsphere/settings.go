package vsphere

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// The names of the options in providers.Config.Options.
const (
	optThumbprint     = "thumbprint"
	optFolder         = "folder"
	optResourcePool   = "resource_pool"
	optDatastore      = "datastore"
	optCallTimeout    = "call_timeout"
	optConnectTimeout = "connect_timeout"
	optTaskTimeout    = "task_timeout"
	optCoolDown       = "credential_cool_down"
	optKeepAlive      = "keep_alive"
	optCustomization  = "customization_spec"
)

// settings are the validated form of providers.Config.
type settings struct {
	installation string
	endpoint     *url.URL // of the SOAP API, without credentials
	trust        trust.Trust
	credentials  models.Credentials

	folder       string // inventory path, or name, of the VM folder; empty: the datacenter's own
	resourcePool string // inventory path, or name; empty: the cluster's own
	datastore    string // name; empty: the template's, or what the hypervisor recommends

	// customization is the name of a specification of vCenter's; empty: cloud-init.
	customization string

	callTimeout    time.Duration // of one call whose caller sets no deadline
	connectTimeout time.Duration // of dialling
	taskTimeout    time.Duration // of work in the background
	coolDown       time.Duration // before refused credentials are tried again
	keepAlive      time.Duration // between two signs of life of the session
}

func parseSettings(cfg providers.Config) (settings, error) {
	s := settings{
		installation: cfg.InstallationID, credentials: cfg.Credentials,
		callTimeout: providers.CallTimeout, connectTimeout: 5 * time.Second,
		taskTimeout: 2 * time.Hour, coolDown: 15 * time.Second, keepAlive: 10 * time.Minute,
	}
	if s.installation == "" || !utf8.ValidString(s.installation) {
		return s, invalid("the installation ID is missing or is not text")
	}
	if err := checkCredentials(cfg.Credentials); err != nil {
		return s, err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Options)) {
		if err := s.set(name, cfg.Options[name]); err != nil {
			return s, err
		}
	}
	var err error
	if s.endpoint, err = parseEndpoint(cfg.URL); err != nil {
		return s, err
	}
	return s, s.completeTrust(cfg.Credentials.CACert)
}

func (s *settings) set(name, value string) error {
	switch name {
	case optThumbprint:
		return s.pin(list(value))
	case optFolder:
		return setPath(&s.folder, name, value)
	case optResourcePool:
		return setPath(&s.resourcePool, name, value)
	case optDatastore:
		return setPath(&s.datastore, name, value)
	case optCustomization:
		return setPath(&s.customization, name, value)
	case optCallTimeout:
		return setDuration(&s.callTimeout, name, value)
	case optConnectTimeout:
		return setDuration(&s.connectTimeout, name, value)
	case optTaskTimeout:
		return setDuration(&s.taskTimeout, name, value)
	case optCoolDown:
		return setDuration(&s.coolDown, name, value)
	case optKeepAlive:
		return setDuration(&s.keepAlive, name, value)
	}
	return invalid(fmt.Sprintf("unknown option %q", name))
}

// setPath takes the name of an object of the inventory, or its path.
func setPath(to *string, name, value string) error {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		return invalidOption(name, "a name or a path of the inventory")
	}
	*to = value
	return nil
}

func setDuration(d *time.Duration, name, value string) error {
	v, err := time.ParseDuration(value)
	if err != nil || v <= 0 {
		return invalidOption(name, `a duration such as "30s"`)
	}
	*d = v
	return nil
}

// checkCredentials wants a user with a password.
func checkCredentials(c models.Credentials) error {
	switch {
	case c.ClientCert != "" || c.ClientKey != "":
		return invalid("vSphere is used with a username and a password, not with a client certificate")
	case c.Token != "":
		return invalid("vSphere is used with a username and a password, not with a token")
	case c.Username == "" || c.Password == "":
		return invalid("a username and a password are required")
	}
	return nil
}

// list splits the value of an option that names several things.
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

func invalidOption(name, want string) error {
	return invalid(fmt.Sprintf("option %q must be %s", name, want))
}

// invalid says what is wrong with the settings.
func invalid(message string) error {
	return fail("Open", providers.InvalidArgument, nil, message)
}
