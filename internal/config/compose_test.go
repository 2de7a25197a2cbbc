package config_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/config"
)

// The composed stack cannot be started without a container engine, but its
// settings can be read as the processes in it would read them.
func TestComposedStackIsConfigured(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docker-compose.yml"))
	require.NoError(t, err)
	var file struct {
		Services map[string]struct {
			Command     []string          `yaml:"command"`
			Environment map[string]string `yaml:"environment"`
			DependsOn   map[string]any    `yaml:"depends_on"`
		} `yaml:"services"`
	}
	require.NoError(t, yaml.Unmarshal(raw, &file))

	// What the person who starts the stack must give.
	given := map[string]string{
		"HCP_POSTGRES_PASSWORD": "p", "TEMPORAL_POSTGRES_PASSWORD": "p", "HCP_SECRETS_KEYSET": "{}",
		"HCP_SERVER_PAGE_TOKEN_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"HCP_AUTH_ISSUER":           "https://id.example",
	}
	wanted, optional := regexp.MustCompile(`\$\{([A-Z_]+):\?[^}]*\}`), regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)
	for _, role := range []config.Role{config.RoleMigrate, config.RoleServer, config.RoleWorker} {
		service, ok := file.Services[string(role)]
		require.True(t, ok, role)
		require.Equal(t, []string{string(role)}, service.Command)
		var environ []string
		for name, value := range service.Environment {
			environ = append(environ, name+"="+wanted.ReplaceAllStringFunc(optional.ReplaceAllString(value, "$1"), func(ref string) string {
				v, ok := given[wanted.FindStringSubmatch(ref)[1]]
				require.True(t, ok, "%s is asked for and nobody is told", ref)
				return v
			}))
		}
		c, err := config.Load("", environ, nil)
		require.NoError(t, err, role)
		require.NoError(t, c.Validate(role), role)
	}
	for name, service := range file.Services {
		for dependency := range service.DependsOn {
			require.Contains(t, file.Services, dependency, name)
		}
	}
}
