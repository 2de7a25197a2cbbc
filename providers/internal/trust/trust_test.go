package trust_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// get asks a server that is known by a trust.
func get(t *testing.T, url string, known *trust.Trust) error {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: known.Config()}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := transport.RoundTrip(req)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

func TestTheCertificateIsChecked(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	leaf := srv.Certificate()
	sum := sha256.Sum256(leaf.Raw)
	pin, other := hex.EncodeToString(sum[:]), strings.Repeat("AB:", 31)+"ab"
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	for name, c := range map[string]struct {
		pins    []string
		ca      string
		refused bool
	}{
		"the pinned one":                 {[]string{pin}, "", false},
		"one of two pinned":              {[]string{other, strings.ToUpper(pin)}, "", false},
		"another than the pinned":        {[]string{other}, "", true},
		"signed by our CA":               {nil, ca, false},
		"signed by nobody we trust":      {nil, "", true},
		"signed by our CA, not the pins": {[]string{other}, ca, true},
	} {
		var known trust.Trust
		require.NoError(t, known.Pin(c.pins), name)
		require.Equal(t, len(c.pins) > 0, known.Pins(), name)
		if c.ca != "" {
			require.NoError(t, known.UseCA(c.ca), name)
		}
		err := get(t, srv.URL, &known)
		require.Equal(t, c.refused, err != nil, "%s: %v", name, err)
		require.Equal(t, c.refused, trust.IsRefusal(err), "%s: %v", name, err)
	}
}

func TestWhatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	var known trust.Trust
	for _, f := range []string{"", "abcd", strings.Repeat("ab", 33), strings.Repeat("xy", 32), strings.Repeat("ab ", 32)} {
		require.ErrorIs(t, known.Pin([]string{f}), trust.ErrFingerprint, "%q", f)
	}
	for _, ca := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		require.ErrorIs(t, known.UseCA(ca), trust.ErrCA, "%q", ca)
	}
}

func TestIsRefusal(t *testing.T) {
	t.Parallel()
	require.True(t, trust.IsRefusal(fmt.Errorf("dial: %w", trust.ErrPin)))
	for _, err := range []error{nil, errors.New("x"), context.DeadlineExceeded} {
		require.False(t, trust.IsRefusal(err), "%v", err)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://pve1.example.com":      "https://pve1.example.com:8006",
		"https://pve1.example.com:443/": "https://pve1.example.com:443/",
		"https://[2001:db8::1]/sdk":     "https://[2001:db8::1]:8006/sdk",
		"http://localhost":              "http://localhost:8006",
		"http://127.0.0.1:1":            "http://127.0.0.1:1",
		"http://[::1]:1":                "http://[::1]:1",
	} {
		u, err := trust.ParseURL(raw, "8006")
		require.NoError(t, err, raw)
		require.Equal(t, want, u.String())
	}
	for raw, want := range map[string]error{
		"":                                  trust.ErrURL,
		"pve1":                              trust.ErrURL,
		"ftp://pve1.example.com":            trust.ErrURL,
		"https://":                          trust.ErrURL,
		"https://a b":                       trust.ErrURL,
		"https://root:x@pve1.example.com":   trust.ErrURL,
		"https://pve1.example.com?a=b":      trust.ErrURL,
		"https://pve1.example.com#a":        trust.ErrURL,
		"http://pve1.example.com":           trust.ErrPlainHTTP,
		"http://192.0.2.1":                  trust.ErrPlainHTTP,
		"http://localhost.example.com:8006": trust.ErrPlainHTTP,
	} {
		_, err := trust.ParseURL(raw, "8006")
		require.ErrorIs(t, err, want, raw)
	}
}
