package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListProviders lists the providers.
func (s *Server) OpsListProviders(ctx context.Context, r api.OpsListProvidersRequestObject) (api.OpsListProvidersResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListProviders(ctx, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, providerView)
}

// OpsGetProvider reads a provider; its credentials are never read back.
func (s *Server) OpsGetProvider(ctx context.Context, r api.OpsGetProviderRequestObject) (api.OpsGetProviderResponseObject, error) {
	row, err := s.store.Provider(ctx, r.ProviderID)
	if err != nil {
		return nil, err
	}
	return revised(providerView(row), row.Generation, row.UpdatedAt, r.Params.IfNoneMatch), nil
}

// OpsCreateProvider registers a provider; the job connects to it.
func (s *Server) OpsCreateProvider(ctx context.Context, r api.OpsCreateProviderRequestObject) (api.OpsCreateProviderResponseObject, error) {
	b := *r.Body
	for key := range valueOf(b.Options) {
		if !isLabelKey(key) {
			return nil, newProblem(CodeInvalidArgument, "the request does not match the API's description",
				fieldError{Pointer: pointer([]string{"options", key}), Detail: "a key is 1 to 63 of A-Z a-z 0-9 . _ / -"})
		}
	}
	in := store.CreateProvider{
		ID: valueOf(b.ID), Name: b.Name, Kind: b.Kind, URL: b.URL, ZoneID: b.ZoneID, Options: valueOf(b.Options),
		Enabled: valueOr(b.Enabled, true), MaxConcurrency: valueOf(b.MaxConcurrency), CPUOvercommit: valueOr(b.CPUOvercommit, 1),
	}
	if c := b.Credentials; c != nil {
		in.Credentials = models.Credentials{
			Username: valueOf(c.Username), Password: valueOf(c.Password), Token: valueOf(c.Token),
			ClientCert: valueOf(c.ClientCert), ClientKey: valueOf(c.ClientKey), CACert: valueOf(c.CaCert),
		}
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptProviderCreate(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// OpsTestProvider accepts a job that connects to a provider and reads its inventory.
func (s *Server) OpsTestProvider(ctx context.Context, r api.OpsTestProviderRequestObject) (api.OpsTestProviderResponseObject, error) {
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptProviderSync(ctx, requestOf(ctx).caller(), r.ProviderID, idem, respond)
	})
}

func providerView(p models.Provider) api.Provider {
	options := p.Options
	if options == nil {
		options = map[string]string{}
	}
	return api.Provider{
		ID: p.ID, Name: p.Name, Kind: p.Kind, URL: p.URL, ZoneID: p.ZoneID, Options: options, Enabled: p.Enabled,
		MaxConcurrency: p.MaxConcurrency, CPUOvercommit: p.CPUOvercommit, Capabilities: flagsOf(p.Capabilities),
		Version: p.Version, Status: api.ProviderStatus(p.Status), StatusReason: p.StatusReason, LastSeenAt: p.LastSeenAt,
		Generation: p.Generation, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}
