package trust

import (
	"errors"
	"net"
	"net/url"
)

// Why the URL of a server is refused.
var (
	ErrURL       = errors.New("not the HTTPS URL of a server")
	ErrPlainHTTP = errors.New("plain HTTP is for loopback alone")
)

// ParseURL reads the URL of a server, without a user, a query or a fragment. A port is
// added where it names none; what path may stand in it is the caller's to say. Plain
// HTTP is for loopback alone. The error is ErrURL or ErrPlainHTTP.
func ParseURL(raw, defaultPort string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, ErrURL
	}
	switch u.Scheme {
	case "https":
	case "http":
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, ErrPlainHTTP
		}
	default:
		return nil, ErrURL
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port), Path: u.Path}, nil
}
