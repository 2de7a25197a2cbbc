package proxmox

import (
	"strings"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func TestSettingsThatAreTaken(t *testing.T) {
	s, err := parseSettings(testConfig("https://pve1.example.com", map[string]string{
		optHosts: "https://pve2.example.com:443, https://[2001:db8::1]", optVMIDRange: "5000-5999", optStorage: "local-lvm",
		optPool: "hcp", optCPUType: "x86-64-v2-AES", optFingerprint: strings.Repeat("AB:", 31) + "ab",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, h := range s.hosts {
		hosts = append(hosts, h.String())
	}
	if got, want := strings.Join(hosts, " "), "https://pve1.example.com:8006 https://pve2.example.com:443 https://[2001:db8::1]:8006"; got != want {
		t.Errorf("hosts = %s, want %s", got, want)
	}
	if s.vmidMin != 5000 || s.vmidMax != 5999 || s.storage != "local-lvm" || s.pool != "hcp" || s.cpuType != "x86-64-v2-AES" {
		t.Errorf("settings = %+v", s)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	const url = "https://pve1.example.com:8006"
	for name, change := range map[string]func(*providers.Config){
		"no URL":                  func(c *providers.Config) { c.URL = "" },
		"plain HTTP":              func(c *providers.Config) { c.URL = "http://pve1.example.com:8006" },
		"another scheme":          func(c *providers.Config) { c.URL = "ftp://pve1.example.com" },
		"a path":                  func(c *providers.Config) { c.URL = url + "/api2/json" },
		"a password in the URL":   func(c *providers.Config) { c.URL = "https://root:hunter2@pve1.example.com" },
		"two schemes":             func(c *providers.Config) { c.Options[optHosts] = "http://127.0.0.1:8006" },
		"a host that is none":     func(c *providers.Config) { c.Options[optHosts] = "pve2" },
		"a short fingerprint":     func(c *providers.Config) { c.Options[optFingerprint] = "abcd" },
		"a CA that is none":       func(c *providers.Config) { c.Credentials.CACert = "x" },
		"a range that is none":    func(c *providers.Config) { c.Options[optVMIDRange] = "100" },
		"a range backwards":       func(c *providers.Config) { c.Options[optVMIDRange] = "200-100" },
		"a range below 100":       func(c *providers.Config) { c.Options[optVMIDRange] = "1-200" },
		"a storage with a comma":  func(c *providers.Config) { c.Options[optStorage] = "local,size=1" },
		"a CPU type with flags":   func(c *providers.Config) { c.Options[optCPUType] = "host,flags=+aes" },
		"a user of two lines":     func(c *providers.Config) { c.Options[optUser] = "a\nb" },
		"a time-out that is none": func(c *providers.Config) { c.Options[optCallTimeout] = "soon" },
		"an unknown option":       func(c *providers.Config) { c.Options["insecure"] = "true" },
		"no installation":         func(c *providers.Config) { c.InstallationID = "" },
		"no credentials":          func(c *providers.Config) { c.Credentials = models.Credentials{} },
		"a token that is none":    func(c *providers.Config) { c.Credentials.Token = "root@pam=x" },
		"a header in the token":   func(c *providers.Config) { c.Credentials.Token = "root@pam!hcp=x\r\nX: y" },
		"token and password": func(c *providers.Config) {
			c.Credentials.Username, c.Credentials.Password = "root@pam", "x"
		},
		"a user without a realm": func(c *providers.Config) {
			c.Credentials = models.Credentials{Username: "root", Password: "x"}
		},
	} {
		cfg := testConfig(url, nil)
		change(&cfg)
		_, err := Open(t.Context(), cfg)
		wantCode(t, name, err, providers.InvalidArgument)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v holds the password", name, err)
		}
	}
}
