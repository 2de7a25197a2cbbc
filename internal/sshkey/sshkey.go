// Package sshkey reads public SSH keys as tenants give them, one line as in
// authorized_keys, and brings them into one form. It imports nothing of ours.
package sshkey

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// minRSABits is what NIST SP 800-131A still allows, and OpenSSH too.
	minRSABits = 2048
	// maxRSABits is the largest key that OpenSSH takes.
	maxRSABits = 16384
)

// Key is a public key that a guest may be given.
type Key struct {
	// Line is type, key and comment, each once and with one space between.
	Line string
	// Fingerprint is "SHA256:" and the hash in base64, as OpenSSH prints it.
	Fingerprint string
}

// Parse reads one line. Options are refused: what a guest lets a key do is not
// said here. So are certificates, DSA, RSA outside of 2048 to 16384 bits, and
// types that OpenSSH does not know. The error is a sentence for the line's
// author and repeats nothing of the line.
func Parse(line string) (Key, error) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Key{}, errors.New("must be one line without control characters")
	}
	public, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return Key{}, errors.New("must be a public SSH key as in authorized_keys")
	}
	if len(options) > 0 {
		return Key{}, errors.New("must have no options before the key")
	}
	if err := check(public); err != nil {
		return Key{}, err
	}
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	if comment = strings.Join(strings.Fields(comment), " "); comment != "" {
		text += " " + comment
	}
	return Key{Line: text, Fingerprint: ssh.FingerprintSHA256(public)}, nil
}

// check is an allow-list.
func check(public ssh.PublicKey) error {
	switch public.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		return checkRSA(public)
	}
	return errors.New("must be an Ed25519, ECDSA or RSA key")
}

func checkRSA(public ssh.PublicKey) error {
	if plain, ok := public.(ssh.CryptoPublicKey); ok {
		if key, ok := plain.CryptoPublicKey().(*rsa.PublicKey); ok {
			if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
				return fmt.Errorf("an RSA key must have %d to %d bits", minRSABits, maxRSABits)
			}
			return nil
		}
	}
	return errors.New("must be a public SSH key as in authorized_keys")
}
