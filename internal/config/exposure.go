package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// validateExposure checks who may reach the API, from where and how often.
func (s Server) validateExposure(bad func(setting, format string, args ...any)) {
	for _, origin := range s.CORSOrigins {
		if !isOrigin(origin) {
			bad("server.cors_origins", "%q is not an origin as browsers write it: scheme://host[:port] in small letters, without a path", origin)
		}
	}
	if _, err := s.Proxies(); err != nil {
		bad("server.trusted_proxies", "%v", err)
	}
	if s.ShutdownDelay < 0 {
		bad("server.shutdown_delay", "must not be negative")
	}
	for _, limit := range []struct {
		setting string
		rps     float64
		burst   int
	}{
		{"server.rate_limit.subject", s.RateLimit.SubjectRPS, s.RateLimit.SubjectBurst},
		{"server.rate_limit.tenant", s.RateLimit.TenantRPS, s.RateLimit.TenantBurst},
		{"server.rate_limit.source", s.RateLimit.SourceRPS, s.RateLimit.SourceBurst},
	} {
		if !(limit.rps >= 0) { // NaN too
			bad(limit.setting+"_rps", "must not be negative")
		}
		if limit.rps > 0 && limit.burst < 1 {
			bad(limit.setting+"_burst", "must be at least 1 where there is a rate")
		}
	}
}

// Proxies are the networks of TrustedProxies; a bare address is a network of
// one.
func (s Server) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range s.TrustedProxies {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, prefix)
	}
	return out, nil
}

// HTTPS says that clients reach the API by https.
func (s Server) HTTPS() bool { return strings.HasPrefix(s.PublicURL, "https://") }

// isOrigin says whether a browser may send the text as Origin: one that is
// written in another way would never match.
func isOrigin(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		raw == u.Scheme+"://"+strings.ToLower(u.Host) && u.User == nil
}
