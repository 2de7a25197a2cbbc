package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxTime is the last second of the year 9999: what lies behind it is no time
// that a token means, and may overflow.
const maxTime = 253402300799

var errNotOneObject = errors.New("not exactly one JSON object")

// decode reads header and claims of a token that nobody has verified yet. It
// refuses what two readers could understand in two ways: another base64 than
// the one canonical form, members that are there twice, data after the object.
func decode(token string) (header, claims map[string]any, err *Error) {
	if !compact(token) {
		return nil, nil, refused("the token is malformed")
	}
	segments := strings.Split(token, ".")
	objects := make([]map[string]any, 2)
	for i := range objects {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(segments[i])
		if err != nil {
			return nil, nil, refused("the token is malformed")
		}
		if objects[i], err = strictObject(raw); err != nil {
			return nil, nil, refused("the token is malformed")
		}
	}
	return objects[0], objects[1], nil
}

// compact says whether the text has the form of a signed token: three segments
// of base64url. Go's decoder skips line breaks; they would give one signature
// many spellings.
func compact(token string) bool {
	dots, length := 0, 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			if length == 0 {
				return false
			}
			dots, length = dots+1, 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			length++
		default:
			return false
		}
	}
	return dots == 2 && length > 0
}

// strictObject decodes exactly one JSON object whose members are there once, at
// any depth, in valid UTF-8 (RFC 7493). Numbers stay texts. Names match letter
// by letter, as they do not where encoding/json fills a struct.
func strictObject(raw []byte) (map[string]any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if d.PeekKind() != '{' {
		return nil, errNotOneObject
	}
	if err := d.SkipValue(); err != nil {
		return nil, errNotOneObject
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errNotOneObject
	}
	var object map[string]any
	plain := json.NewDecoder(bytes.NewReader(raw))
	plain.UseNumber()
	if err := plain.Decode(&object); err != nil {
		return nil, errNotOneObject
	}
	return object, nil
}

// checkTimes demands that the token's times are whole seconds that a clock can
// show. RFC 7519 allows fractions; no issuer needs them, and a number that is
// rounded by one reader and not by another is no time limit.
func checkTimes(claims map[string]any) *Error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		raw, ok := claims[name]
		if !ok {
			continue
		}
		number, ok := raw.(json.Number)
		if !ok {
			return refused("the token is malformed")
		}
		if at, err := strconv.ParseInt(number.String(), 10, 64); err != nil || at < 0 || at > maxTime {
			return refused("the token is malformed")
		}
	}
	return nil
}

// checkHeader refuses what we would have to understand (RFC 7515, section
// 4.1.11) and do not.
func checkHeader(header map[string]any) *Error {
	for _, name := range []string{"crit", "b64"} {
		if _, ok := header[name]; ok {
			return refused("the token has a critical header")
		}
	}
	return nil
}
