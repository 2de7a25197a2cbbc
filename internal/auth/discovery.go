package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Sizes of what an issuer may answer, in bytes.
const (
	maxJWKSBytes     = 1 << 20
	maxMetadataBytes = 256 << 10
)

// fetcher reads what issuers publish: bounded, and without redirects, which
// would let one host speak for another.
type fetcher struct{ client *http.Client }

func newFetcher(c *http.Client) fetcher {
	client := &http.Client{}
	if c != nil {
		*client = *c
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("an issuer's keys are not fetched through redirects")
	}
	return fetcher{client: client}
}

// keys reads a JWK Set.
func (f fetcher) keys(ctx context.Context, address string) (json.RawMessage, error) {
	raw, err := f.get(ctx, address, "application/jwk-set+json, application/json", maxJWKSBytes)
	if err != nil {
		return nil, fmt.Errorf("auth: JWK set: %w", err)
	}
	return raw, nil
}

// discover reads the keys of an issuer from where its metadata says (OpenID
// Connect Discovery 1.0, sections 3 and 4). The metadata is read again each
// time, so that a place that has moved is found.
func (f fetcher) discover(ctx context.Context, issuer string) (json.RawMessage, error) {
	address, err := metadataURL(issuer)
	if err != nil {
		return nil, fmt.Errorf("auth: metadata: %w", err)
	}
	raw, err := f.get(ctx, address, "application/json", maxMetadataBytes)
	if err != nil {
		return nil, fmt.Errorf("auth: metadata: %w", err)
	}
	metadata, err := strictObject(raw)
	if err != nil {
		return nil, fmt.Errorf("auth: metadata: %w", err)
	}
	if metadata["issuer"] != issuer {
		return nil, errors.New("auth: metadata: it is another issuer's")
	}
	place, err := keysPlace(metadata["jwks_uri"], issuer)
	if err != nil {
		return nil, fmt.Errorf("auth: metadata: %w", err)
	}
	return f.keys(ctx, place)
}

// keysPlace checks the jwks_uri of an issuer's metadata.
func keysPlace(raw any, issuer string) (string, error) {
	place, ok := raw.(string)
	u, err := url.Parse(place)
	if !ok || err != nil || u.Host == "" || u.User != nil || strings.Contains(place, "#") {
		return "", errors.New("jwks_uri is not a URL")
	}
	of, err := url.Parse(issuer)
	if err != nil {
		return "", errors.New("the issuer is not a URL")
	}
	if u.Scheme != "https" && (!isLoopback(u) || !isLoopback(of)) {
		return "", errors.New("jwks_uri is not an https URL")
	}
	return place, nil
}

func (f fetcher) get(ctx context.Context, address, accept string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // a read-only body: nothing is lost
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, errors.New("the answer is too large")
	}
	return raw, nil
}
