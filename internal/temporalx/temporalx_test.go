package temporalx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"
)

func key(id string, b byte) Key { return Key{ID: id, Secret: bytes.Repeat([]byte{b}, keyBytes)} }

func codec(t *testing.T, keys ...Key) *Codec {
	t.Helper()
	c, err := NewCodec(keys...)
	require.NoError(t, err)
	return c
}

type input struct{ Name string }

func TestPayloadsAreEncrypted(t *testing.T) {
	dc := Options{Codec: codec(t, key("k1", 1))}.DataConverter()
	p, err := dc.ToPayload(input{"hunter2"})
	require.NoError(t, err)
	require.NotContains(t, string(p.GetData()), "hunter2")
	require.Equal(t, "k1", string(p.GetMetadata()[metaKeyID]))
	var out input
	require.NoError(t, dc.FromPayload(p, &out))
	require.Equal(t, "hunter2", out.Name)

	again, err := dc.ToPayload(input{"hunter2"})
	require.NoError(t, err)
	require.NotEqual(t, p.GetData(), again.GetData(), "equal payloads do not look alike")
}

// TestKeysRotate: a new key encrypts, the old one still decrypts, and without it
// the payload stays shut.
func TestKeysRotate(t *testing.T) {
	before := Options{Codec: codec(t, key("k1", 1))}.DataConverter()
	after := Options{Codec: codec(t, key("k2", 2), key("k1", 1))}.DataConverter()
	old, err := before.ToPayload(input{"a"})
	require.NoError(t, err)
	var out input
	require.NoError(t, after.FromPayload(old, &out))
	fresh, err := after.ToPayload(input{"b"})
	require.NoError(t, err)
	require.Equal(t, "k2", string(fresh.GetMetadata()[metaKeyID]))
	require.ErrorContains(t, before.FromPayload(fresh, &out), "k2")
}

func TestPlainPayloadsStillRead(t *testing.T) {
	plain, err := Options{}.DataConverter().ToPayload(input{"old"})
	require.NoError(t, err)
	var out input
	require.NoError(t, Options{Codec: codec(t, key("k1", 1))}.DataConverter().FromPayload(plain, &out))
	require.Equal(t, "old", out.Name)
}

func TestTamperedPayloadsAreRefused(t *testing.T) {
	c := codec(t, key("k1", 1), key("k2", 2))
	for name, tamper := range map[string]func(*commonpb.Payload){
		"bit":       func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 },
		"short":     func(p *commonpb.Payload) { p.Data = p.Data[:4] },
		"other key": func(p *commonpb.Payload) { p.Metadata[metaKeyID] = []byte("k2") },
		"no key":    func(p *commonpb.Payload) { delete(p.Metadata, metaKeyID) },
	} {
		enc, err := c.Encode([]*commonpb.Payload{{Data: []byte("x")}})
		require.NoError(t, err)
		tamper(enc[0])
		_, err = c.Decode(enc)
		require.Error(t, err, name)
	}
}

func TestFailuresAreEncrypted(t *testing.T) {
	o := Options{Codec: codec(t, key("k1", 1))}
	f := o.FailureConverter().ErrorToFailure(temporal.NewApplicationError("node-7 is full", "x"))
	require.NotContains(t, f.String(), "node-7")
	require.ErrorContains(t, o.FailureConverter().FailureToError(f), "node-7 is full")
	plain := Options{}.FailureConverter().ErrorToFailure(errors.New("node-7"))
	require.Contains(t, plain.String(), "node-7")
}

func TestKeysAreChecked(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":  nil,
		"short": {{ID: "k", Secret: []byte("short")}},
		"no ID": {{Secret: bytes.Repeat([]byte{1}, keyBytes)}},
		"twice": {key("k", 1), key("k", 2)},
	} {
		_, err := NewCodec(keys...)
		require.Error(t, err, name)
	}
	k := Key{ID: "k", Secret: []byte("topsecret")}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", k, k, k, k), "topsecret")
}

func FuzzDecode(f *testing.F) {
	c, err := NewCodec(key("k1", 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("short"))
	f.Add(bytes.Repeat([]byte{7}, 64))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := c.Decode([]*commonpb.Payload{{
			Metadata: map[string][]byte{metaEncoding: []byte(encodingValue), metaKeyID: []byte("k1")}, Data: data,
		}})
		require.Error(t, err, "nobody made this with our key")
	})
}

// certificate writes a self-signed certificate and its key.
func certificate(t *testing.T) (cert, keyFile string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "t"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &priv.PublicKey, priv)
	require.NoError(t, err)
	pk, err := x509.MarshalPKCS8PrivateKey(priv)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}), 0o600))
	return cert, keyFile
}

func TestTLSOptions(t *testing.T) {
	cert, keyFile := certificate(t)
	o, err := Options{TLS: &TLS{CAFile: cert, CertFile: cert, KeyFile: keyFile, ServerName: "temporal"}}.client()
	require.NoError(t, err)
	require.NotNil(t, o.ConnectionOptions.TLS.RootCAs)
	require.Len(t, o.ConnectionOptions.TLS.Certificates, 1)
	require.Equal(t, "temporal", o.ConnectionOptions.TLS.ServerName)

	o, err = Options{}.client()
	require.NoError(t, err)
	require.Nil(t, o.ConnectionOptions.TLS)

	for name, bad := range map[string]*TLS{
		"missing CA":     {CAFile: filepath.Join(t.TempDir(), "none")},
		"no certificate": {CAFile: keyFile},
		"half a pair":    {CertFile: cert},
		"mixed up":       {CertFile: keyFile, KeyFile: cert},
	} {
		_, err := Options{TLS: bad}.client()
		require.Error(t, err, name)
	}
}

func TestDialFailsWhereNobodyAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Dial(ctx, Options{HostPort: "127.0.0.1:1"})
	require.ErrorContains(t, err, "127.0.0.1:1")
	c, err := Lazy(Options{HostPort: "127.0.0.1:1"})
	require.NoError(t, err)
	c.Close()
}

func TestPollEnds(t *testing.T) {
	n := 0
	require.NoError(t, poll(t.Context(), time.Millisecond, func() error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, poll(ctx, time.Millisecond, func() error { return errors.New("never") }), "never")
}
