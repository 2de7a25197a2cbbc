package proxmox

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// The names of the options in providers.Config.Options.
const (
	optHosts          = "hosts"
	optFingerprint    = "fingerprint"
	optVMIDRange      = "vmid_range"
	optStorage        = "storage"
	optISOStorage     = "iso_storage"
	optSnippetStorage = "snippet_storage"
	optPool           = "pool"
	optCPUType        = "cpu_type"
	optUser           = "cloud_init_user"
	optCallTimeout    = "call_timeout"
	optConnectTimeout = "connect_timeout"
	optTaskTimeout    = "task_timeout"
	optCoolDown       = "credential_cool_down"
)

// The range of VMIDs that Proxmox VE takes.
const (
	minVMID = 100
	maxVMID = 999_999_999
)

// settings are the validated form of providers.Config.
type settings struct {
	installation string
	hosts        []*url.URL // of one cluster; the first one is tried first
	trust        trust.Trust
	credentials  models.Credentials

	vmidMin, vmidMax int    // where VMs of ours are made
	storage          string // of full clones and new disks; empty: the template's
	isoStorage       string // for media with custom user data; empty: there is none
	snippetStorage   string // for custom user data where there is no isoStorage
	pool             string // resource pool of what is made; empty: none
	cpuType          string // empty: the template's
	user             string // that cloud-init makes; empty: the template's

	callTimeout    time.Duration // of one call whose caller sets no deadline
	connectTimeout time.Duration // of dialling one host
	taskTimeout    time.Duration // of work in the background
	coolDown       time.Duration // before refused credentials are tried again
}

func parseSettings(cfg providers.Config) (settings, error) {
	s := settings{
		installation: cfg.InstallationID, credentials: cfg.Credentials,
		vmidMin: 100_000, vmidMax: 999_999,
		callTimeout: providers.CallTimeout, connectTimeout: 5 * time.Second,
		taskTimeout: 2 * time.Hour, coolDown: 15 * time.Second,
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
	for _, raw := range append([]string{cfg.URL}, list(cfg.Options[optHosts])...) {
		u, err := parseHost(raw)
		if err != nil {
			return s, err
		}
		s.hosts = append(s.hosts, u)
	}
	return s, s.completeTrust(cfg.Credentials.CACert)
}

func (s *settings) set(name, value string) error {
	switch name {
	case optHosts:
		return nil
	case optFingerprint:
		return s.pin(list(value))
	case optVMIDRange:
		return s.setRange(value)
	case optStorage:
		return setName(&s.storage, name, value, "the name of a storage")
	case optSnippetStorage:
		return setName(&s.snippetStorage, name, value, "the name of a storage with snippets")
	case optISOStorage:
		return setName(&s.isoStorage, name, value, "the name of a storage with ISO images")
	case optPool:
		return setName(&s.pool, name, value, "the name of a resource pool")
	case optCPUType:
		return setName(&s.cpuType, name, value, `a CPU type such as "host" or "x86-64-v2-AES"`)
	case optUser:
		if value != "" && !regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`).MatchString(value) {
			return invalidOption(name, `a user's name such as "debian"`)
		}
		s.user = value
		return nil
	case optCallTimeout:
		return setDuration(&s.callTimeout, name, value)
	case optConnectTimeout:
		return setDuration(&s.connectTimeout, name, value)
	case optTaskTimeout:
		return setDuration(&s.taskTimeout, name, value)
	case optCoolDown:
		return setDuration(&s.coolDown, name, value)
	}
	return invalid(fmt.Sprintf("unknown option %q", name))
}

func (s *settings) setRange(value string) error {
	low, high, ok := strings.Cut(value, "-")
	first, err1 := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if !ok || err1 != nil || err2 != nil || first < minVMID || last > maxVMID || first > last {
		return invalidOption(optVMIDRange, `a range of VMIDs such as "100000-999999"`)
	}
	s.vmidMin, s.vmidMax = first, last
	return nil
}

// setName takes what is a name of Proxmox VE's: it becomes part of paths and of
// lists of properties.
func setName(to *string, name, value, want string) error {
	if value != "" && !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*$`).MatchString(value) {
		return invalidOption(name, want)
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

// checkCredentials wants an API token or a user with a password, not both.
func checkCredentials(c models.Credentials) error {
	switch {
	case c.ClientCert != "" || c.ClientKey != "":
		return invalid("Proxmox VE takes no client certificates")
	case c.Token != "" && (c.Username != "" || c.Password != ""):
		return invalid("give either a token, or a username and a password")
	case c.Token != "":
		if !regexp.MustCompile(`^[^\s:/!=]+@[A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+=[!-~]+$`).MatchString(c.Token) {
			return invalid("the token must look like user@realm!name=secret")
		}
	case c.Username == "" || c.Password == "":
		return invalid("a token, or a username and a password, are required")
	case !regexp.MustCompile(`^[^\s:/]+@[A-Za-z0-9._-]+$`).MatchString(c.Username):
		return invalid("the username must look like user@realm")
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
