package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/store"
)

const (
	// pageTokenVersion comes first in every token.
	pageTokenVersion = 1
	pageTokenMAC     = 16 // bytes of the truncated HMAC
	defaultPageSize  = 50
	maxPageSize      = 200
)

// pageTokens signs cursors. A token is good only for the list that it was made
// for: the same operation, tenant, path, filters and order.
type pageTokens struct{ key []byte }

// listing names a list in the way that its tokens are bound to.
type listing struct{ binding string }

// listingOf binds tokens to the request's operation, its author's tenancy, its
// path, its filters and its order.
func listingOf(r *request) listing {
	p := r.Principal
	return listing{binding: strings.Join([]string{r.Operation.ID, string(p.Plane), p.TenantID, p.ProjectID, r.Path, r.Filters}, "\x00")}
}

// seal makes the token of a cursor; empty for the end of the list.
func (t pageTokens) seal(l listing, c store.Cursor) (string, error) {
	if c.IsZero() {
		return "", nil
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("page token: %w", err)
	}
	token := append([]byte{pageTokenVersion}, t.mac(l, payload)...)
	return base64.RawURLEncoding.EncodeToString(append(token, payload...)), nil
}

// open returns the cursor of a token; the beginning of the list for none.
func (t pageTokens) open(l listing, token *string) (store.Cursor, error) {
	if token == nil {
		return store.Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err != nil || len(raw) <= 1+pageTokenMAC || raw[0] != pageTokenVersion {
		return store.Cursor{}, invalidPageToken()
	}
	payload := raw[1+pageTokenMAC:]
	if !hmac.Equal(raw[1:1+pageTokenMAC], t.mac(l, payload)) {
		return store.Cursor{}, invalidPageToken()
	}
	var c store.Cursor
	if err := json.Unmarshal(payload, &c); err != nil {
		return store.Cursor{}, invalidPageToken()
	}
	return c, nil
}

func (t pageTokens) mac(l listing, payload []byte) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write([]byte(l.binding))
	m.Write([]byte{0})
	m.Write(payload)
	return m.Sum(nil)[:pageTokenMAC]
}

func invalidPageToken() *problem {
	return newProblem(CodeInvalidPageToken, "the page token does not belong to this list",
		fieldError{Pointer: "/query/page_token", Detail: "was not made for this list with these filters and this order"})
}

// pageOf is the page that a list request asks for.
func (s *Server) pageOf(l listing, token *string, limit *int, sort store.Sort) (store.Page, error) {
	cursor, err := s.tokens.open(l, token)
	if err != nil {
		return store.Page{}, err
	}
	p := store.Page{Limit: defaultPageSize, After: cursor, Sort: sort}
	if limit != nil {
		p.Limit = *limit
	}
	return p, nil
}
