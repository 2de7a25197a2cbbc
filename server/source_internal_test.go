package server

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourceAddress(t *testing.T) {
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, tc := range map[string]struct {
		connected string
		forwarded []string
		want      string
	}{
		"direct":                       {"192.0.2.1:1", nil, "192.0.2.1"},
		"direct, forged":               {"192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"},
		"by a proxy":                   {"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"by a proxy, forged":           {"10.0.0.1:1", []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		"by a proxy, forged as ours":   {"10.0.0.1:1", []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"by two proxies":               {"10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		"by two proxies, two headers":  {"10.0.0.1:1", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		"by a proxy that says nothing": {"10.0.0.1:1", nil, "10.0.0.1"},
		"by a proxy that says rubbish": {"10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"all of them proxies":          {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"an IPv6 customer":             {"[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::/64"},
		"IPv4 as IPv6":                 {"[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		"a proxy as IPv6":              {"[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"by a proxy over IPv6":         {"[fd00::1]:1", []string{"2001:db8::9"}, "2001:db8::/64"},
		"a zone":                       {"[fe80::1%eth0]:1", nil, "fe80::/64"},
		"no address":                   {"@", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tc.connected, Header: http.Header{"X-Forwarded-For": tc.forwarded}}
			require.Equal(t, tc.want, sourceAddresses{ours}.of(r))
		})
	}
}
