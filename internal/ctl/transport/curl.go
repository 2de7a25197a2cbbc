package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Curl is the command that sends the request. The token is a reference to the
// environment, and what is write-only in the body is redacted.
func Curl(req *http.Request) (string, error) {
	parts := []string{"curl", "-sS", "-X", req.Method, ShellQuote(req.URL.String()), "-H", `"Authorization: Bearer $HCP_TOKEN"`}
	names := make([]string, 0, len(req.Header))
	for name := range req.Header {
		if name != "Authorization" && name != "Cookie" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, "-H", ShellQuote(name+": "+req.Header.Get(name)))
	}
	if req.Body != nil && req.Body != http.NoBody {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return "", err
		}
		parts = append(parts, "--data-raw", ShellQuote(string(Redact(raw))))
	}
	return strings.Join(parts, " "), nil
}

// Redact replaces the secrets in a JSON body; what is no JSON is withheld as a
// whole.
func Redact(raw []byte) []byte {
	var body any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&body); err != nil {
		return []byte("[not JSON: withheld]")
	}
	out, err := json.Marshal(redact(body))
	if err != nil {
		return []byte("[withheld]")
	}
	return out
}

func redact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			switch name {
			case "password", "token", "client_key", "client_secret", "user_data":
				v[name] = "[redacted]"
			default:
				v[name] = redact(member)
			}
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i])
		}
	}
	return v
}

// ShellQuote makes s one word of a POSIX shell, as it is where that is plain.
func ShellQuote(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("/-_.:=,@%+", r) || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z')
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
