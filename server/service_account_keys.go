package server

import (
	"context"
	"encoding/json"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListServiceAccountKeys lists a service account's keys, without their secrets.
func (s *Server) ListServiceAccountKeys(ctx context.Context, r api.ListServiceAccountKeysRequestObject) (api.ListServiceAccountKeysResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, store.SortNewest)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListServiceAccountKeys(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.ServiceAccountID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, serviceAccountKeyView)
}

// coversAccount demands that the author holds itself what it could do as the
// service account: a key would give it that.
func (s *Server) coversAccount(ctx context.Context, projectID, accountID string) error {
	cover, err := s.cover(ctx, projectID)
	if err != nil {
		return err
	}
	missing, err := cover.Exceeds(auth.Principal{Issuer: models.OwnIssuer, Subject: accountID}.ID())
	if err != nil || missing == "" {
		return err
	}
	return newProblem(CodePermissionDenied, "the service account has a permission that its key would give: "+missing+" is needed")
}

// CreateServiceAccountKey makes a key. Its secret is in this answer alone: what
// is stored with the Idempotency-Key, and told to a repeat, does not bear it.
func (s *Server) CreateServiceAccountKey(ctx context.Context, r api.CreateServiceAccountKeyRequestObject) (api.CreateServiceAccountKeyResponseObject, error) {
	if err := s.coversAccount(ctx, r.ProjectID, r.ServiceAccountID); err != nil {
		return nil, err
	}
	secret, hash := models.NewKeySecret()
	in := models.ServiceAccountKey{ServiceAccountID: r.ServiceAccountID, SecretHash: hash}
	if r.Body != nil {
		in.ExpiresAt = r.Body.ExpiresAt
	}
	var key models.ServiceAccountKey
	out, err := s.created(ctx, func(c store.Caller, idem *store.Idempotency) (answer store.Answer, replayed bool, err error) {
		key, answer, replayed, err = s.store.CreateServiceAccountKey(ctx, c, r.ProjectID, in, idem, func(row models.ServiceAccountKey) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, serviceAccountKeyView(row))
		})
		return answer, replayed, err
	})
	if err != nil || out.replayed {
		return out, err
	}
	v := serviceAccountKeyView(key)
	out.answer.Body, err = json.Marshal(api.NewServiceAccountKey{ //nolint:gosec // the one answer that shows the secret
		ID: v.ID, ClientID: v.ClientID, ClientSecret: &secret, CreatedAt: v.CreatedAt, ExpiresAt: v.ExpiresAt,
	})
	return out, err
}

// DeleteServiceAccountKey revokes a key.
func (s *Server) DeleteServiceAccountKey(ctx context.Context, r api.DeleteServiceAccountKeyRequestObject) (api.DeleteServiceAccountKeyResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.RevokeServiceAccountKey(ctx, r.ProjectID, r.ServiceAccountID, r.KeyID, w, goneAnswer())
	})
}

func serviceAccountKeyView(k models.ServiceAccountKey) api.ServiceAccountKey {
	return api.ServiceAccountKey{ID: k.ID, ClientID: k.ID, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt}
}
