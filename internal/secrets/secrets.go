// Package secrets seals what must not lie readable in the database, and holds
// secret configuration values in a type that does not print.
//
// It imports nothing of ours. Keys come from the caller; the package reads no
// file and no environment.
package secrets

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen says that the ciphertext was not sealed by a key of this keyset for
// this place. It says no more, so that it helps nobody who guesses.
var ErrOpen = errors.New("secrets: the sealed value does not open here")

// Sealer seals values for the place where they are kept, with AES-256-GCM
// under a Tink keyset. It is safe for concurrent use.
type Sealer struct{ aead tink.AEAD }

// NewSealer reads a keyset in Tink's cleartext JSON form, as NewKeyset makes it.
func NewSealer(keysetJSON []byte) (*Sealer, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		return nil, errors.New("secrets: not a Tink keyset in JSON form")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("secrets: the keyset holds no AEAD keys")
	}
	return &Sealer{aead: primitive}, nil
}

// NewKeyset makes a keyset of one new key, in Tink's cleartext JSON form. The
// result is as secret as everything that is sealed with it.
func NewKeyset() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("secrets: make a key: %w", err)
	}
	return write(handle)
}

// Rotate returns the keyset with a new key added as the primary one: new
// values are sealed with it, old ones still open.
func Rotate(keysetJSON []byte) ([]byte, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		return nil, errors.New("secrets: not a Tink keyset in JSON form")
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("secrets: make a key: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("secrets: set the primary key: %w", err)
	}
	handle, err = manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("secrets: rotate: %w", err)
	}
	return write(handle)
}

// Seal encrypts plaintext for one place. associatedData names the place (table,
// row, column) and is not kept: Open needs the same. Nil and empty seal to nil.
func (s *Sealer) Seal(plaintext []byte, associatedData string) ([]byte, error) {
	if len(plaintext) == 0 {
		return nil, nil
	}
	sealed, err := s.aead.Encrypt(plaintext, []byte(associatedData))
	if err != nil {
		return nil, errors.New("secrets: the value could not be sealed")
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place. It returns ErrOpen for
// anything else, so a ciphertext that was moved to another row does not open.
func (s *Sealer) Open(sealed []byte, associatedData string) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plaintext, err := s.aead.Decrypt(sealed, []byte(associatedData))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

func write(handle *keyset.Handle) ([]byte, error) {
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, fmt.Errorf("secrets: write the keyset: %w", err)
	}
	return buf.Bytes(), nil
}
