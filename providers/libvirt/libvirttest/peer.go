package libvirttest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// LaunchPeer starts a second daemon as of another host that shares the first
// one's disks, network and serial logs, so that VMs can migrate between the two.
// It has its own host name, host UUID, directories and ports. The caller closes
// it, before the first.
func (s *Server) LaunchPeer(ctx context.Context) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("/tmp", "hcplv")
	if err != nil {
		return nil, err
	}
	peer := &Server{
		dir: dir, first: s, Pool: s.Pool, Network: s.Network, PoolDir: s.PoolDir, SerialDir: s.SerialDir, Bridge: s.Bridge, Subnet: s.Subnet,
		// libvirt asks no name server for a name with a dot.
		Host: strings.ToLower(filepath.Base(dir)) + ".test",
	}
	return peer, peer.begin(ctx)
}

// ClusterConfig is Config for the adapter over s and its peers, as one provider.
func (s *Server) ClusterConfig(installationID string, peers ...*Server) providers.Config {
	cfg := s.Config(installationID)
	var hosts, urls, uris []string
	for _, h := range append([]*Server{s}, peers...) {
		hosts = append(hosts, h.Host+"="+h.URL)
		urls = append(urls, h.Host+"="+h.TCP)
		uris = append(uris, h.Host+"=tcp://127.0.0.1")
	}
	cfg.Options["hosts"] = strings.Join(hosts, ",")
	cfg.Options["peer_urls"] = strings.Join(urls, ",")
	cfg.Options["migrate_uris"] = strings.Join(uris, ",")
	cfg.Options["migrate_unsafe"] = fmt.Sprint(true) // the directory is shared, but libvirt sees a local file system
	return cfg
}
