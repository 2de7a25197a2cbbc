package credential_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
)

// ring is a keyring that may be broken.
type ring struct {
	secrets map[string]string
	broken  bool
}

var errBroken = errors.New("no keyring here")

func (r *ring) Get(_, account string) (string, error) {
	if s, ok := r.secrets[account]; ok && !r.broken {
		return s, nil
	}
	return "", errBroken
}

func (r *ring) Set(_, account, secret string) error {
	if r.broken {
		return errBroken
	}
	r.secrets[account] = secret
	return nil
}

func (r *ring) Delete(_, account string) error {
	delete(r.secrets, account)
	return nil
}

func TestVault(t *testing.T) {
	for name, broken := range map[string]bool{"keyring": false, "file": true} {
		t.Run(name, func(t *testing.T) {
			k := &ring{secrets: map[string]string{}, broken: broken}
			v := credential.Vault{Path: filepath.Join(t.TempDir(), "deep", "secrets.json"), Keyring: k}
			_, err := v.Get("dev", credential.SecretToken)
			require.ErrorIs(t, err, credential.ErrNoSecret)

			where, err := v.Set("dev", credential.SecretToken, "s3cret")
			require.NoError(t, err)
			_, err = v.Set("other", credential.SecretToken, "another")
			require.NoError(t, err)
			if broken {
				require.Equal(t, v.Path, where)
				info, err := os.Stat(v.Path)
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			} else {
				require.Equal(t, "the keyring", where)
				require.NoFileExists(t, v.Path, "what is in the keyring is nowhere else")
			}
			got, err := v.Get("dev", credential.SecretToken)
			require.NoError(t, err)
			require.Equal(t, "s3cret", got)

			require.NoError(t, v.Forget("dev"))
			_, err = v.Get("dev", credential.SecretToken)
			require.ErrorIs(t, err, credential.ErrNoSecret)
			got, err = v.Get("other", credential.SecretToken)
			require.NoError(t, err)
			require.Equal(t, "another", got)
		})
	}
}

// A secret that moves into the keyring leaves the file.
func TestVaultMovesToTheKeyring(t *testing.T) {
	k := &ring{secrets: map[string]string{}, broken: true}
	v := credential.Vault{Path: filepath.Join(t.TempDir(), "secrets.json"), Keyring: k}
	_, err := v.Set("dev", credential.SecretToken, "one")
	require.NoError(t, err)
	k.broken = false
	_, err = v.Set("dev", credential.SecretToken, "two")
	require.NoError(t, err)
	raw, err := os.ReadFile(v.Path)
	require.NoError(t, err)
	require.JSONEq(t, "{}", string(raw))
	got, err := v.Get("dev", credential.SecretToken)
	require.NoError(t, err)
	require.Equal(t, "two", got)
}

// A file that is no file of secrets is not quoted.
func TestVaultQuotesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"dev/token": s3cret`), 0o600))
	_, err := credential.Vault{Path: path}.Get("dev", credential.SecretToken)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

// Secrets are sent neither readably over a network nor to an issuer that is
// not the one that was named.
func TestEndpointsAreChecked(t *testing.T) {
	v := credential.Vault{Path: filepath.Join(t.TempDir(), "secrets.json")}
	_, err := v.Set("x", credential.SecretClient, "s3cret")
	require.NoError(t, err)
	_, err = v.Set("x", credential.SecretRefresh, "s3cret")
	require.NoError(t, err)
	for _, auth := range []config.Auth{
		{Method: config.MethodClientCredentials, ClientID: "c"},
		{Method: config.MethodDevice, ClientID: "c", Issuer: "http://login.example.com"},
	} {
		s := credential.NewCached("x", config.Context{Server: "http://hcp.example.com", Auth: auth}, v, t.TempDir())
		s.HTTP = &http.Client{Transport: refusing{t}}
		s.Now = time.Now
		_, err := s.Token(t.Context())
		require.ErrorIs(t, err, credential.ErrEndpoint)
	}
}

// refusing is a network on which nothing may be sent.
type refusing struct{ t *testing.T }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("%s was sent to", req.URL)
	return nil, errBroken
}
