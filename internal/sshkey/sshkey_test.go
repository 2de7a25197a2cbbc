package sshkey_test

import (
	"crypto/dsa" //nolint:staticcheck // to see that it is refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/hypervisor-control-plane/hcp/internal/sshkey"
)

// line is a public key as in authorized_keys, without a comment.
func line(t testing.TB, public any) string {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func ed(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return line(t, public)
}

// rsaLine is an RSA key of a size; nobody holds its private half.
func rsaLine(t testing.TB, bits int) string {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return line(t, &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
}

func TestParse(t *testing.T) {
	// Made with ssh-keygen -t ed25519 -C "alice@example.test"; the fingerprint is
	// what ssh-keygen -lf says.
	const known = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPiac6mkx2jIgEsljzBL0HM3nkvgWj03P4y5lWNjQOEs"
	got, err := sshkey.Parse("  " + known + "   alice@example.test   on  her laptop ")
	require.NoError(t, err)
	require.Equal(t, sshkey.Key{
		Line: known + " alice@example.test on her laptop", Fingerprint: "SHA256:ergs/M130GJD96efWFQZIng/ZJM2TAMGoALBOtvqsbU",
	}, got)
	again, err := sshkey.Parse(got.Line)
	require.NoError(t, err)
	require.Equal(t, got, again, "the form is stable")

	curve := func(c elliptic.Curve) string {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		require.NoError(t, err)
		return line(t, &key.PublicKey)
	}
	for _, good := range []string{ed(t), curve(elliptic.P256()), curve(elliptic.P384()), curve(elliptic.P521()), rsaLine(t, 2048), rsaLine(t, 8192)} {
		got, err := sshkey.Parse(good)
		require.NoError(t, err)
		require.Equal(t, good, got.Line)
		require.Regexp(t, `^SHA256:[A-Za-z0-9+/]{43}$`, got.Fingerprint)
	}
}

func TestRefused(t *testing.T) {
	good := ed(t)
	kind, blob, _ := strings.Cut(good, " ")
	var dsaKey dsa.PublicKey
	dsaKey.P, dsaKey.Q = new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159)
	dsaKey.G, dsaKey.Y = big.NewInt(2), big.NewInt(3)
	for name, bad := range map[string]string{
		"nothing":             "",
		"an ID":               "0190f5fe-7c00-7a00-8000-000000000000",
		"no key":              "ssh-ed25519",
		"not base64":          "ssh-ed25519 AAAA! me",
		"cut":                 good[:len(good)-8],
		"options":             `command="id" ` + good,
		"one option":          "restrict " + good,
		"another type before": "ssh-rsa " + blob,
		"a comment line":      "# " + good,
		"two lines":           good + "\n" + good,
		"a control character": good + " a\x1bb",
		"DSA":                 line(t, &dsaKey),
		"a short RSA key":     rsaLine(t, 2047),
		"a huge RSA key":      rsaLine(t, 16385),
		"a private key":       "-----BEGIN OPENSSH PRIVATE KEY-----",
		"a certificate":       certificate(t),
		"an unknown type":     "ssh-new " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x07ssh-new")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sshkey.Parse(bad)
			require.Error(t, err)
			require.NotContains(t, err.Error(), kind+" ", "an error repeats nothing of the key")
			require.NotContains(t, err.Error(), "AAAA")
		})
	}
}

func certificate(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	cert := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, signer))
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert)))
}

// FuzzParse: what is accepted is one line that is accepted again, unchanged.
func FuzzParse(f *testing.F) {
	f.Add("ssh-ed25519 AAAA me")
	f.Add(ed(f) + " a  b")
	f.Add(`command="x" ` + ed(f))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := sshkey.Parse(text)
		if err != nil {
			return
		}
		again, err := sshkey.Parse(got.Line)
		if err != nil || again != got || strings.ContainsAny(got.Line, "\r\n\x00") {
			t.Fatalf("%q became %q, then %q: %v", text, got.Line, again.Line, err)
		}
	})
}
