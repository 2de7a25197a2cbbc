package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// web is the network as a verifier sees it: an answer for each URL.
type web struct {
	mu    sync.Mutex
	pages map[string]string // a body, or "301 target"
	asked []string
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.URL.String())
	page, ok := w.pages[r.URL.String()]
	if !ok {
		return nil, errors.New("connection refused")
	}
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page)), Request: r}
	if target, redirect := strings.CutPrefix(page, "301 "); redirect {
		res.StatusCode = http.StatusMovedPermanently
		res.Header.Set("Location", target)
	}
	return res, nil
}

func (w *web) set(url, page string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if page == "" {
		delete(w.pages, url)
		return
	}
	w.pages[url] = page
}

func (w *web) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

func newWeb(pages map[string]string) *web { return &web{pages: pages} }

const (
	metadataPage = issuerName + "/.well-known/openid-configuration"
	keysPage     = "https://keys.example.test/realm.json"
)

func metadata(issuer, jwksURI string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"https://idp.example.test/auth"}`, issuer, jwksURI)
}

func TestDiscoveryOverHTTP(t *testing.T) {
	r := newRealm()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, path := range []string{"", "/", "/realms/a", "/realms/b/"} {
		issuer := srv.URL + path
		base := strings.TrimSuffix(path, "/")
		if path != "/" {
			mux.HandleFunc(base+"/.well-known/openid-configuration", func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") != "" {
					http.Error(w, "credentials", http.StatusTeapot)
					return
				}
				_, _ = io.WriteString(w, metadata(srv.URL+path, srv.URL+base+"/keys"))
			})
			mux.HandleFunc(base+"/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.jwks("ed")) })
		}
		v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuer}}, auth.Options{Now: func() time.Time { return r.now }})
		require.NoError(t, err)
		p, err := v.Verify(t.Context(), r.token(t, map[string]any{"iss": issuer}))
		if path == "/" { // the metadata there says the name without the slash
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, issuer)
		require.Equal(t, issuer, p.Issuer)
	}
}

func TestDiscoveryBelievesOnlyTheIssuersOwnWord(t *testing.T) {
	r := newRealm()
	keys := string(r.jwks("ed"))
	good := metadata(issuerName, keysPage)
	for name, tc := range map[string]struct {
		pages map[string]string
		ok    bool
	}{
		"good":                     {map[string]string{metadataPage: good, keysPage: keys}, true},
		"another issuer's":         {map[string]string{metadataPage: metadata(issuerName+"/", keysPage), keysPage: keys}, false},
		"without an issuer":        {map[string]string{metadataPage: `{"jwks_uri":"` + keysPage + `"}`, keysPage: keys}, false},
		"an issuer in other case":  {map[string]string{metadataPage: strings.Replace(good, `"issuer"`, `"Issuer"`, 1), keysPage: keys}, false},
		"two issuers":              {map[string]string{metadataPage: strings.Replace(good, `{`, `{"issuer":"https://evil.example.test",`, 1), keysPage: keys}, false},
		"keys without TLS":         {map[string]string{metadataPage: metadata(issuerName, "http://keys.example.test/"), "http://keys.example.test/": keys}, false},
		"keys on this machine":     {map[string]string{metadataPage: metadata(issuerName, "http://127.0.0.1/"), "http://127.0.0.1/": keys}, false},
		"keys in a file":           {map[string]string{metadataPage: metadata(issuerName, "file:///etc/keys")}, false},
		"keys at no URL":           {map[string]string{metadataPage: metadata(issuerName, "/keys"), issuerName + "/keys": keys}, false},
		"keys with a password":     {map[string]string{metadataPage: metadata(issuerName, "https://a:b@keys.example.test/"), "https://a:b@keys.example.test/": keys}, false},
		"no keys":                  {map[string]string{metadataPage: `{"issuer":"` + issuerName + `"}`}, false},
		"metadata elsewhere":       {map[string]string{metadataPage: "301 https://evil.example.test/", "https://evil.example.test/": good, keysPage: keys}, false},
		"keys elsewhere":           {map[string]string{metadataPage: good, keysPage: "301 https://evil.example.test/", "https://evil.example.test/": keys}, false},
		"metadata without an end":  {map[string]string{metadataPage: good + strings.Repeat(" ", 1<<20), keysPage: keys}, false},
		"keys without an end":      {map[string]string{metadataPage: good, keysPage: keys + strings.Repeat(" ", 2<<20)}, false},
		"metadata that is no JSON": {map[string]string{metadataPage: "<html>", keysPage: keys}, false},
	} {
		t.Run(name, func(t *testing.T) {
			network := newWeb(tc.pages)
			v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName}}, auth.Options{Now: func() time.Time { return r.now }, Client: &http.Client{Transport: network}})
			require.NoError(t, err, "never an error at the start")
			_, err = v.Verify(t.Context(), r.token(t, nil))
			require.Equal(t, tc.ok, err == nil, "%v", err)
			for _, url := range network.asked {
				require.NotContains(t, url, "evil")
				require.NotContains(t, url, "@")
			}
		})
	}
}

func TestDiscoveryNeedsAnIssuerThatCanBeTrusted(t *testing.T) {
	for _, issuer := range []string{
		"accounts", "http://idp.example.test", "ftp://idp.example.test", "https://", "https://idp.example.test?x=y", "https://idp.example.test#x",
		"https://a:b@idp.example.test", "https://idp.example.test?", "http://127.0.0.1.example.test", "//idp.example.test", "http://[::2]",
	} {
		_, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuer}})
		require.Error(t, err, issuer)
	}
}

// TestAnIssuerThatIsDownHeals: it is no error at the start, is asked again by
// itself, moves its keys, and withdraws one, which then dies within the refresh
// and the cache's time.
func TestAnIssuerThatIsDownHeals(t *testing.T) {
	r := newRealm()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		network := newWeb(map[string]string{})
		v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName}, {Issuer: "https://other.example.test"}},
			auth.Options{Client: &http.Client{Transport: network}, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		require.NoError(t, err)
		serial := 0
		verify := func(kid string) error {
			serial++
			method, key := jwt.SigningMethod(jwt.SigningMethodEdDSA), any(r.ed)
			if kid == "ec" {
				method, key = jwt.SigningMethodES256, r.ec
			}
			now := time.Now()
			claims := r.claims(map[string]any{"n": serial, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix()})
			_, err := v.Verify(t.Context(), sign(t, method, key, map[string]any{"kid": kid}, claims))
			return err
		}
		require.Error(t, verify("ed"))
		synctest.Wait()

		network.set(metadataPage, metadata(issuerName, keysPage))
		network.set(keysPage, string(r.jwks("ed")))
		time.Sleep(31 * time.Second) // of the bubble's clock
		synctest.Wait()
		asked := network.count()
		require.NoError(t, verify("ed"), "nobody had to ask for it")
		require.Equal(t, asked, network.count())

		moved := "https://keys.example.test/moved.json"
		network.set(moved, string(r.jwks("ed", "ec")))
		network.set(keysPage, "")
		network.set(metadataPage, metadata(issuerName, moved))
		time.Sleep(30 * time.Second)
		require.NoError(t, verify("ec"), "a new key, at a new place, at its first use")
		asked = network.count()
		for range 100 {
			require.Error(t, verify("unknown"))
		}
		require.Equal(t, asked, network.count(), "within the cool-down unknown key IDs cause no fetch")

		network.set(moved, string(r.jwks("ec")))
		time.Sleep(4*time.Minute + time.Second)
		synctest.Wait()
		require.Error(t, verify("ed"), "withdrawn")
		require.NoError(t, verify("ec"))
	})
}

// TestAWithdrawnKeyDiesInTheCacheToo: a token that was verified a moment before
// its key was withdrawn is refused half a minute after the refresh at the latest.
func TestAWithdrawnKeyDiesInTheCacheToo(t *testing.T) {
	r := newRealm()
	synctest.Test(t, func(t *testing.T) {
		network := newWeb(map[string]string{keysPage: string(r.jwks("ed", "ec"))})
		v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName, JWKSURL: keysPage}}, auth.Options{Client: &http.Client{Transport: network}})
		require.NoError(t, err)
		now := time.Now()
		token := r.token(t, map[string]any{"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix()})
		network.set(keysPage, string(r.jwks("ec")))
		deadline := now.Add(4*time.Minute + 31*time.Second)
		for time.Now().Before(deadline) {
			if _, err = v.Verify(t.Context(), token); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		require.Error(t, err)
		require.Greater(t, time.Since(now), 3*time.Minute, "it was good until then")
	})
}
