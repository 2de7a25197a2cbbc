package console

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// subprotocol is the one that the stream speaks: bytes, both ways.
const subprotocol = "binary"

// CheckHandshake says why a request is no opening of a stream; nil if it is one.
// It is asked before a ticket is burnt, so that what cannot become a websocket
// costs nobody a console.
func CheckHandshake(r *http.Request) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-Websocket-Key")))
	switch {
	case !r.ProtoAtLeast(1, 1), !hasToken(r.Header, "Connection", "upgrade"), !hasToken(r.Header, "Upgrade", "websocket"):
		return errors.New("this is the address of a websocket")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return errors.New("the websocket's version must be 13")
	case err != nil, len(key) != 16, len(r.Header.Values("Sec-Websocket-Key")) != 1:
		return errors.New("the websocket's key is malformed")
	case !hasToken(r.Header, "Sec-Websocket-Protocol", subprotocol):
		return errors.New("the websocket's subprotocol must be " + subprotocol)
	}
	return nil
}

// hasToken looks for a word in a header's comma list, small or large.
func hasToken(h http.Header, name, word string) bool {
	for _, value := range h.Values(name) {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), word) {
				return true
			}
		}
	}
	return false
}

// Origins are those whose pages may open a stream, as browsers write them. What
// a request says of itself, its Host least of all, adds none.
type Origins struct{ allowed []string }

// NewOrigins allows the origin of the public URL, and the others.
func NewOrigins(public *url.URL, others []string) Origins {
	allowed := slices.Clone(others)
	if public != nil {
		allowed = append(allowed, OriginOf(public))
	}
	return Origins{allowed: allowed}
}

// OriginOf is a URL's origin as browsers write it: in small letters, and without
// the port that its scheme has anyhow (RFC 6454, section 6.2).
func OriginOf(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host
}

// Of is the origin of a request. sent is false where it bears none, which no
// browser leaves out; allowed is true for exactly one that is on the list.
func (o Origins) Of(r *http.Request) (sent, allowed bool) {
	values := r.Header["Origin"]
	return len(values) > 0, len(values) == 1 && slices.Contains(o.allowed, values[0])
}
