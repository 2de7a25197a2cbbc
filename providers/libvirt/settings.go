package libvirt

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The names of the options in providers.Config.Options.
const (
	optPool           = "pool"
	optDomainType     = "domain_type"
	optMachine        = "machine"
	optVNCListen      = "vnc_listen"
	optCallTimeout    = "call_timeout"
	optConnectTimeout = "connect_timeout"
	optCopyTimeout    = "copy_timeout"
	optSerialLogDir   = "serial_log_dir"
)

// The domain types that are in use.
const (
	domainKVM  = "kvm"
	domainQEMU = "qemu"
	domainTest = "test" // libvirt's own mock driver
)

// settings are the validated form of providers.Config.
type settings struct {
	endpoint     endpoint
	installation string
	pool         string // where the VMs' volumes go
	domainType   string // empty: decided by what the host can do
	machine      string // empty: libvirt's default
	vncListen    string
	serialLogDir string // empty: the serial line is not logged

	callTimeout    time.Duration // of one remote call
	connectTimeout time.Duration // of dialling and opening
	copyTimeout    time.Duration // of one full copy
}

func parseSettings(cfg providers.Config) (settings, error) {
	s := settings{
		installation:   cfg.InstallationID,
		pool:           "default",
		vncListen:      "127.0.0.1",
		callTimeout:    providers.CallTimeout,
		connectTimeout: 20 * time.Second,
		copyTimeout:    2 * time.Hour,
	}
	if s.installation == "" || !isXMLText(s.installation) {
		return s, invalid("the installation ID is missing or is not plain text")
	}
	var err error
	if s.endpoint, err = parseEndpoint(cfg.URL, cfg.Credentials); err != nil {
		return s, err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Options)) {
		if err := s.set(name, cfg.Options[name]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *settings) set(name, value string) error {
	switch name {
	case optPool:
		if value == "" || strings.Contains(value, "/") {
			return invalidOption(name, "the name of a storage pool")
		}
		s.pool = value
	case optDomainType:
		if value != domainKVM && value != domainQEMU && value != "" && value != "auto" {
			return invalidOption(name, `"kvm", "qemu" or "auto"`)
		}
		s.domainType = strings.TrimSuffix(value, "auto")
	case optMachine:
		if strings.ContainsFunc(value, func(r rune) bool { return !isMachineRune(r) }) {
			return invalidOption(name, "a machine type of QEMU")
		}
		s.machine = value
	case optVNCListen:
		if net.ParseIP(value) == nil {
			return invalidOption(name, "an IP address")
		}
		s.vncListen = value
	case optSerialLogDir:
		if !filepath.IsAbs(value) || filepath.Clean(value) != value {
			return invalidOption(name, "a clean absolute path on the hypervisor")
		}
		s.serialLogDir = value
	case optCallTimeout:
		return setDuration(&s.callTimeout, name, value)
	case optConnectTimeout:
		return setDuration(&s.connectTimeout, name, value)
	case optCopyTimeout:
		return setDuration(&s.copyTimeout, name, value)
	default:
		return invalid(fmt.Sprintf("unknown option %q", name))
	}
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

func isMachineRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_+", r)
}

func invalidOption(name, want string) error {
	return invalid(fmt.Sprintf("option %q must be %s", name, want))
}

// invalid says what is wrong with the settings.
func invalid(message string) error {
	return &providers.Error{Code: providers.InvalidArgument, Provider: Kind, Op: "Open", Message: message}
}
