package vsphere

import (
	"strings"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func validConfig() providers.Config {
	return providers.Config{
		ProviderID: "provider-1", InstallationID: testInstallation, URL: "https://vcenter.example.com",
		Options: map[string]string{
			optThumbprint: strings.Repeat("ab:", 31) + "AB", optFolder: "/DC0/vm/hcp", optResourcePool: "hcp", optDatastore: "ssd",
			optCallTimeout: "10s", optConnectTimeout: "2s", optTaskTimeout: "1h", optCoolDown: "1m", optKeepAlive: "5m",
		},
		Credentials: models.Credentials{Username: "hcp@vsphere.local", Password: "secret-password"},
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := parseSettings(validConfig())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.endpoint.String(); got != "https://vcenter.example.com:443/sdk" {
		t.Errorf("endpoint = %s", got)
	}
	if s.folder != "/DC0/vm/hcp" || s.resourcePool != "hcp" || s.datastore != "ssd" || !s.trust.Pins() {
		t.Errorf("settings = %+v", s)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*providers.Config){
		"no installation":      func(c *providers.Config) { c.InstallationID = "" },
		"no URL":               func(c *providers.Config) { c.URL = "" },
		"URL with credentials": func(c *providers.Config) { c.URL = "https://a:secret-password@vcenter.example.com" },
		"URL with a path":      func(c *providers.Config) { c.URL = "https://vcenter.example.com/ui" },
		"plain HTTP":           func(c *providers.Config) { c.URL = "http://vcenter.example.com" },
		"another scheme":       func(c *providers.Config) { c.URL = "ftp://vcenter.example.com" },
		"no password":          func(c *providers.Config) { c.Credentials.Password = "" },
		"a token":              func(c *providers.Config) { c.Credentials.Token = "secret-password" },
		"a client certificate": func(c *providers.Config) { c.Credentials.ClientCert = "secret-password" },
		"a CA that is none":    func(c *providers.Config) { c.Credentials.CACert = "x"; delete(c.Options, optThumbprint) },
		"a short thumbprint":   func(c *providers.Config) { c.Options[optThumbprint] = "ab:cd" },
		"a SHA-1 thumbprint":   func(c *providers.Config) { c.Options[optThumbprint] = strings.Repeat("ab:", 19) + "ab" },
		"no duration":          func(c *providers.Config) { c.Options[optCallTimeout] = "soon" },
		"a duration of none":   func(c *providers.Config) { c.Options[optKeepAlive] = "0s" },
		"a folder with a line": func(c *providers.Config) { c.Options[optFolder] = "a\nb" },
		"an unknown option":    func(c *providers.Config) { c.Options["insecure"] = "true" },
	} {
		cfg := validConfig()
		change(&cfg)
		_, err := Open(t.Context(), cfg)
		wantCode(t, name, err, providers.InvalidArgument)
		if err != nil && strings.Contains(err.Error(), "secret-password") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}
