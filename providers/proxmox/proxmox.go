// Package proxmox is the adapter for Proxmox VE: one cluster, or one lone host,
// over its HTTP API.
//
// It keeps nothing of its own. The ownership mark is in the VM's description,
// tags and SMBIOS UUID (mark.go), work of the hypervisor is followed by its UPID,
// and work of several steps is told by how the VM looks (tasks.go). So any process
// can go on where another one ended.
//
// It imports providers, what adapters share of it, and models, and nothing else of
// this project.
package proxmox

import (
	"context"
	"net/http"

	pve "github.com/luthermonson/go-proxmox"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Kind is the kind of provider that this package serves.
const Kind providers.Kind = "proxmox"

// apiBase is a placeholder: the transport puts a host of the cluster in.
const apiBase = "http://cluster.invalid/api2/json"

// Provider is one Proxmox VE cluster. It is safe for concurrent use.
type Provider struct {
	cfg       settings
	transport *transport
	api       *pve.Client
	works     works
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
	t := newTransport(s)
	return &Provider{
		cfg:       s,
		transport: t,
		api: pve.NewClient(apiBase,
			pve.WithHTTPClient(&http.Client{Transport: t}),
			pve.WithUserAgent("hypervisor-control-plane"),
			pve.WithLogger(silent{})),
	}, nil
}

// silent keeps the library from logging: what it would log may hold secrets.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// Close gives back the connections. Calls after it fail with Unavailable.
func (p *Provider) Close() error {
	p.works.Close()
	p.transport.close()
	return nil
}
