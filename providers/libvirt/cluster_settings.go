package libvirt

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The options that only a provider of several hosts has.
const (
	optHosts            = "hosts"
	optPeerURLs         = "peer_urls"
	optMigrateURIs      = "migrate_uris"
	optMigrateBandwidth = "migrate_bandwidth"
	optMigrateUnsafe    = "migrate_unsafe"
)

// hostSettings are how one host of a cluster is reached.
type hostSettings struct {
	name       string // its host name, as libvirt says it
	url        string // by us
	peerURL    string // by the daemons of the other hosts
	migrateURI string // by their QEMU; empty: libvirt decides
}

// clusterSettings are the validated options of a cluster. The hosts are sorted
// by name.
type clusterSettings struct {
	hosts     []hostSettings
	bandwidth uint64 // MiB/s; 0: libvirt's own limit
	unsafe    bool   // skip libvirt's own opinion of the disks' file system
	rest      map[string]string
}

// parseCluster takes a cluster's options out of a provider's.
func parseCluster(cfg providers.Config) (clusterSettings, error) {
	s := clusterSettings{rest: maps.Clone(cfg.Options)}
	take := func(name string) string {
		v := s.rest[name]
		delete(s.rest, name)
		return v
	}
	urls, err := parsePairs(optHosts, take(optHosts))
	if err != nil {
		return s, err
	}
	peers, err := parsePairs(optPeerURLs, take(optPeerURLs))
	if err != nil {
		return s, err
	}
	uris, err := parsePairs(optMigrateURIs, take(optMigrateURIs))
	if err != nil {
		return s, err
	}
	if v := take(optMigrateBandwidth); v != "" {
		if s.bandwidth, err = strconv.ParseUint(v, 10, 24); err != nil {
			return s, invalidOption(optMigrateBandwidth, "a number of MiB/s")
		}
	}
	if v := take(optMigrateUnsafe); v != "" {
		if s.unsafe, err = strconv.ParseBool(v); err != nil {
			return s, invalidOption(optMigrateUnsafe, "true or false")
		}
	}
	if !slices.Contains(slices.Collect(maps.Values(urls)), cfg.URL) {
		return s, invalidOption(optHosts, "name=url pairs of all hosts, the provider's own URL among them")
	}
	for _, other := range []map[string]string{peers, uris} {
		for name := range other {
			if urls[name] == "" {
				return s, invalid("an option names a host that is not among the hosts")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(urls)) {
		h := hostSettings{name: name, url: urls[name], peerURL: peers[name], migrateURI: uris[name]}
		if err := h.check(); err != nil {
			return s, err
		}
		s.hosts = append(s.hosts, h)
	}
	return s, nil
}

// parsePairs reads "name=value,name=value". The names are host names.
func parsePairs(option, text string) (map[string]string, error) {
	out := map[string]string{}
	if text == "" {
		return out, nil
	}
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || !isHostName(name) || value == "" || out[name] != "" {
			return nil, invalidOption(option, "name=value pairs with commas between, each name a host name and there once")
		}
		out[name] = value
	}
	return out, nil
}

// isHostName reports whether a name can be a host's, and thus a part of a task
// reference (letters, digits, hyphen, dot: RFC 1123).
func isHostName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// check completes the addresses that the hosts use among themselves.
func (h *hostSettings) check() error {
	u, err := url.Parse(h.url)
	if err != nil || !strings.HasPrefix(u.Scheme, domainQEMU+"+") {
		return invalidOption(optHosts, "pairs with URLs of QEMU hosts")
	}
	if h.peerURL == "" && u.Host != "" {
		h.peerURL = h.url
	}
	u, err = url.Parse(h.peerURL)
	if err != nil || u.User != nil || u.Path != "/system" || (u.Scheme != "qemu+tls" && u.Scheme != "qemu+tcp") || u.Host == "" || u.RawQuery != "" {
		return invalidOption(optPeerURLs, "name=url pairs with URLs like qemu+tls://host:port/system, for each host that we reach by a unix socket")
	}
	if h.migrateURI == "" {
		return nil
	}
	u, err = url.Parse(h.migrateURI)
	if err != nil || u.Scheme != "tcp" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return invalidOption(optMigrateURIs, "name=uri pairs with URIs like tcp://host or tcp://host:port")
	}
	return nil
}
