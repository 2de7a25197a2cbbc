package stack

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

// Issuer is the issuer of the tokens of a data directory.
const Issuer = "hcp-dev"

// Names of the keys below the directory "keys".
const (
	issuerKey    = "issuer.ed25519" // seed, base64
	keysetKey    = "keyset.json"    // Tink
	pageTokenKey = "page-token.key" // base64
)

// pageTokenKeySize is that of HMAC-SHA-256.
const pageTokenKeySize = 32

// keys are the secrets of a data directory. Each is made once.
type keys struct {
	signer    *auth.Signer
	sealer    *secrets.Sealer
	pageToken []byte
}

func openKeys(d *Dir) (keys, error) {
	var k keys
	if err := os.MkdirAll(d.File(keysDir), 0o700); err != nil {
		return k, fmt.Errorf("keys: %w", err)
	}
	seed, err := randomKey(d, issuerKey, ed25519.SeedSize)
	if err != nil {
		return k, err
	}
	if k.signer, err = newSigner(seed); err != nil {
		return k, err
	}
	keyset, err := key(d, keysetKey, secrets.NewKeyset)
	if err != nil {
		return k, err
	}
	if k.sealer, err = secrets.NewSealer(keyset); err != nil {
		return k, fmt.Errorf("%s: %w", d.File(filepath.Join(keysDir, keysetKey)), err)
	}
	k.pageToken, err = randomKey(d, pageTokenKey, pageTokenKeySize)
	return k, err
}

// Signer mints tokens for the data directory at path, which may be in use. It
// fails when nothing was ever started there.
func Signer(path string) (*auth.Signer, error) {
	file := filepath.Join(path, keysDir, issuerKey)
	raw, err := os.ReadFile(file) //nolint:gosec // the user names the directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a data directory yet: start an instance on it first", path)
	}
	if err != nil {
		return nil, err
	}
	seed, err := decodeKey(raw, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return newSigner(seed)
}

func newSigner(seed []byte) (*auth.Signer, error) {
	return auth.NewSigner(Issuer, ed25519.NewKeyFromSeed(seed))
}

// key reads a key, or makes and keeps it where there is none.
func key(d *Dir, name string, makeKey func() ([]byte, error)) ([]byte, error) {
	name = filepath.Join(keysDir, name)
	raw, err := os.ReadFile(d.File(name))
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	if raw, err = makeKey(); err != nil {
		return nil, err
	}
	return raw, d.write(name, raw)
}

func randomKey(d *Dir, name string, size int) ([]byte, error) {
	raw, err := key(d, name, func() ([]byte, error) {
		b := make([]byte, size)
		rand.Read(b) // never fails: crypto/rand ends the process instead
		return []byte(base64.StdEncoding.EncodeToString(b) + "\n"), nil
	})
	if err != nil {
		return nil, err
	}
	b, err := decodeKey(raw, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.File(filepath.Join(keysDir, name)), err)
	}
	return b, nil
}

// decodeKey never quotes what it read.
func decodeKey(raw []byte, size int) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("not %d bytes in base64", size)
	}
	return b, nil
}
