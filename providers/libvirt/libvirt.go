// Package libvirt is the adapter for libvirt with QEMU, over a unix socket, TCP
// or mutual TLS. It speaks libvirt's own remote protocol through go-libvirt, so
// that it needs neither cgo nor libvirt's client library.
//
// It keeps nothing of its own: the ownership mark is in the domain (its UUID is
// the VM ID, and a metadata element of our XML namespace names VM and
// installation), volumes bear both in their names, and a task reference can be
// followed by any process. What a full copy needs beyond that is told in copy.go,
// and how other work goes on in background.go.
//
// It imports providers, what adapters share of it, and models, and nothing else of
// this project.
package libvirt

import (
	"context"
	"fmt"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Kind is the kind of provider that this package serves.
const Kind providers.Kind = "libvirt"

// Provider is one libvirt daemon. It is safe for concurrent use.
type Provider struct {
	cfg   settings
	link  *link
	works works
}

// Factory makes providers of this kind: of one host, or with the option hosts
// of several.
func Factory() providers.Factory {
	return providers.Factory{
		Kind: Kind,
		Open: func(ctx context.Context, cfg providers.Config) (providers.Provider, error) {
			if cfg.Options[optHosts] != "" {
				c, err := OpenCluster(ctx, cfg)
				if err != nil {
					return nil, err
				}
				return c, nil
			}
			p, err := Open(ctx, cfg)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
	}
}

// Open validates the settings (InvalidArgument) and does not connect.
func Open(_ context.Context, cfg providers.Config) (*Provider, error) {
	s, err := parseSettings(cfg)
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: s, link: newLink(s.endpoint, s.connectTimeout)}, nil
}

// Info reports the versions of libvirt and of its hypervisor.
func (p *Provider) Info(ctx context.Context) (providers.Info, error) {
	r := p.rpc("Info")
	lib, err := do(ctx, r, (*lv.Libvirt).ConnectGetLibVersion)
	if err != nil {
		return providers.Info{}, err
	}
	name, err := do(ctx, r, (*lv.Libvirt).ConnectGetType)
	if err != nil {
		return providers.Info{}, err
	}
	hv, err := do(ctx, r, (*lv.Libvirt).ConnectGetVersion)
	if err != nil {
		return providers.Info{}, err
	}
	return providers.Info{
		Kind:         Kind,
		Version:      fmt.Sprintf("libvirt %s, %s %s", version(lib), name, version(hv)),
		Capabilities: append(p.cfg.capabilities(), p.consoleCapabilities()...),
	}, nil
}

// version renders libvirt's packed version number:
// major * 1,000,000 + minor * 1,000 + release (virConnectGetLibVersion).
func version(v uint64) string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

// Close drops the connections. A full copy that this process started goes on
// in the daemon, but counts as interrupted.
func (p *Provider) Close() error {
	p.works.Shut()
	p.link.close()
	p.works.Wait()
	return nil
}

// rpc begins the calls of one operation of the contract.
func (p *Provider) rpc(op string) rpc {
	return rpc{link: p.link, op: op, timeout: p.cfg.callTimeout}
}

// parseVMID returns the domain UUID for a VM ID. Only the canonical text form
// counts, so that an ID has one spelling in names and paths.
func parseVMID(vmID string) (lv.UUID, bool) {
	u, err := uuid.Parse(vmID)
	if err != nil || u.String() != vmID {
		return lv.UUID{}, false
	}
	return lv.UUID(u), true
}

var _ providers.Provider = (*Provider)(nil)
