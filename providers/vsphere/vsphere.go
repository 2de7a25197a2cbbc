// Package vsphere is the adapter for VMware vSphere: one vCenter, or one ESXi host
// that stands alone, over its SOAP API, with
// the content library by the REST API.
//
// It keeps nothing of its own. The ownership mark is in the VM's instance UUID and
// its extra configuration (mark.go), work of the hypervisor is followed by its
// task's reference, and work of several steps is told by how the VM looks
// (work.go). So any process can go on where another one ended.
//
// It imports providers, what adapters share of it, and models, and nothing else of
// this project.
package vsphere

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Kind is the kind of provider that this package serves.
const Kind providers.Kind = "vsphere"

// Provider is one vCenter, or one ESXi host. It is safe for concurrent use.
type Provider struct {
	cfg      settings
	session  *session
	api      *session // of the REST API, which a vCenter alone has
	library  catalogue
	works    works
	listings listings
	named    named
	// silence is how long work of several steps is taken for going on, in whatever
	// process, after the last sign of it.
	silence time.Duration
}

// Factory makes providers of this kind.
func Factory() providers.Factory {
	return providers.Factory{
		Kind: Kind,
		Open: func(ctx context.Context, cfg providers.Config) (providers.Provider, error) {
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
	soap := newSession(s, newTransport(s))
	return &Provider{cfg: s, session: soap, api: newAPISession(s, soap), silence: maxSilence}, nil
}

// Close ends the sessions and gives back the connections. Calls after it fail with
// Unavailable.
func (p *Provider) Close() error {
	p.works.Close()
	p.api.close()
	p.session.close()
	p.session.transport.close()
	return nil
}
