package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/ratelimit"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// apiVersion is the version in the paths.
const apiVersion = "v1"

// GetVersion says which version of the control plane answers.
func (s *Server) GetVersion(context.Context, api.GetVersionRequestObject) (api.GetVersionResponseObject, error) {
	return document{body: api.Version{Version: s.config.Version, APIVersion: apiVersion}}, nil
}

// GetOpenAPI serves the API's description, to tenants without operators' routes.
func (s *Server) GetOpenAPI(ctx context.Context, _ api.GetOpenAPIRequestObject) (api.GetOpenAPIResponseObject, error) {
	return document{body: s.descriptions[requestOf(ctx).Principal.Plane]}, nil
}

// ListErrorCodes serves the error table.
func (*Server) ListErrorCodes(context.Context, api.ListErrorCodesRequestObject) (api.ListErrorCodesResponseObject, error) {
	view := func(specs []codeSpec) []api.ErrorCode {
		out := make([]api.ErrorCode, len(specs))
		for i, c := range specs {
			out[i] = api.ErrorCode{Code: string(c.Code), Status: optional(c.Status), Title: c.Title, Description: c.Description, Retryable: c.Retryable}
		}
		return out
	}
	return document{body: api.ErrorCodeList{Problems: view(problemCodes()), Jobs: view(jobCodes())}}, nil
}

// GetLimits says how large things may be, and how often they may be asked for.
func (s *Server) GetLimits(context.Context, api.GetLimitsRequestObject) (api.GetLimitsResponseObject, error) {
	return document{body: api.Limits{
		BodyBytes: maxBody, UserDataBytes: maxUserData, PageSizeDefault: defaultPageSize, PageSizeMax: maxPageSize,
		IdempotencyKeyLength: maxIdempotencyKey, IdempotencyLifetime: isoHours(store.IdempotencyLifetime),
		RateLimits: s.guard.throttle.rates.view(),
	}}, nil
}

func (r RateLimits) view() []api.RateLimit {
	out := []api.RateLimit{}
	for _, one := range []struct {
		scope api.RateLimitScope
		rate  ratelimit.Rate
	}{{api.RateLimitScopeSubject, r.Subject}, {api.RateLimitScopeTenant, r.Tenant}, {api.RateLimitScopeSource, r.Source}} {
		if !one.rate.Off() {
			out = append(out, api.RateLimit{Scope: one.scope, RequestsPerSecond: one.rate.PerSecond, Burst: one.rate.Burst})
		}
	}
	return out
}
