// Package credential keeps secrets and turns them into bearer tokens: a stored
// token, a service account's key, a person's login. It imports nothing of ours
// but packages config and private.
package credential

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/zalando/go-keyring"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

// Secrets of a context.
const (
	SecretToken   = "token"         // a static token
	SecretClient  = "client-secret" // of a service account's key
	SecretRefresh = "refresh-token" // of a login
)

// ErrNoSecret is returned for a secret that was never stored.
var ErrNoSecret = errors.New("no such secret")

// Keyring is the system's store of secrets.
type Keyring interface {
	Get(service, account string) (string, error)
	Set(service, account, secret string) error
	Delete(service, account string) error
}

// SystemKeyring is the keyring of the desktop session.
type SystemKeyring struct{}

// Get returns a secret.
func (SystemKeyring) Get(service, account string) (string, error) {
	return keyring.Get(service, account)
}

// Set stores a secret.
func (SystemKeyring) Set(service, account, secret string) error {
	return keyring.Set(service, account, secret)
}

// Delete removes a secret.
func (SystemKeyring) Delete(service, account string) error {
	return keyring.Delete(service, account)
}

// Vault keeps secrets in the keyring where there is one, else in a file of
// mode 0600.
type Vault struct {
	Path    string  // of the file
	Keyring Keyring // nil for none
}

const service = "hcpctl"

// Get returns a secret of a context, or ErrNoSecret.
func (v Vault) Get(context, secret string) (string, error) {
	all, err := v.read()
	if err != nil {
		return "", err
	}
	if s, ok := all[account(context, secret)]; ok {
		return s, nil
	}
	if v.Keyring != nil {
		// A keyring that cannot be asked has no secret for us.
		if s, err := v.Keyring.Get(service, account(context, secret)); err == nil {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s of context %s: %w", secret, context, ErrNoSecret)
}

// Set stores a secret of a context; where says in what.
func (v Vault) Set(context, secret, value string) (where string, err error) {
	all, err := v.read()
	if err != nil {
		return "", err
	}
	name := account(context, secret)
	if v.Keyring != nil && v.Keyring.Set(service, name, value) == nil {
		if _, ok := all[name]; ok {
			delete(all, name)
			return "the keyring", v.write(all)
		}
		return "the keyring", nil
	}
	all[name] = value
	return v.Path, v.write(all)
}

// Forget removes every secret of a context.
func (v Vault) Forget(context string) error {
	all, err := v.read()
	if err != nil {
		return err
	}
	before := len(all)
	for _, secret := range []string{SecretToken, SecretClient, SecretRefresh} {
		name := account(context, secret)
		delete(all, name)
		if v.Keyring == nil {
			continue
		}
		if _, err := v.Keyring.Get(service, name); err == nil {
			if err := v.Keyring.Delete(service, name); err != nil {
				return fmt.Errorf("keyring: %w", err)
			}
		}
	}
	if len(all) == before {
		return nil
	}
	return v.write(all)
}

func account(context, secret string) string { return context + "/" + secret }

func (v Vault) read() (map[string]string, error) {
	out := map[string]string{}
	raw, err := private.Read(v.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s is not a file of secrets", v.Path) // the cause might quote one
	}
	return out, nil
}

func (v Vault) write(all map[string]string) error {
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return private.Write(v.Path, append(raw, '\n'))
}
