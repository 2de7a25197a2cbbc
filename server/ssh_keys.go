package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/sshkey"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListSSHKeys lists the project's SSH keys.
func (s *Server) ListSSHKeys(ctx context.Context, r api.ListSSHKeysRequestObject) (api.ListSSHKeysResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListSSHKeys(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, sshKeyView)
}

// GetSSHKey reads an SSH key.
func (s *Server) GetSSHKey(ctx context.Context, r api.GetSSHKeyRequestObject) (api.GetSSHKeyResponseObject, error) {
	row, err := s.store.GetSSHKey(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.SSHKeyID)
	if err != nil {
		return nil, err
	}
	return tagged(sshKeyView(row), r.Params.IfNoneMatch), nil
}

// CreateSSHKey stores a public SSH key.
func (s *Server) CreateSSHKey(ctx context.Context, r api.CreateSSHKeyRequestObject) (api.CreateSSHKeyResponseObject, error) {
	key, err := sshkey.Parse(r.Body.PublicKey)
	if err != nil {
		return nil, newProblem(CodeSemanticInvalid, "the key cannot be used", fieldError{Pointer: "/public_key", Detail: err.Error()})
	}
	in := models.SSHKey{ProjectID: r.ProjectID, Name: r.Body.Name, PublicKey: key.Line, Fingerprint: key.Fingerprint}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateSSHKey(ctx, c, in, idem, func(row models.SSHKey) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, sshKeyView(row))
		})
	})
}

// DeleteSSHKey deletes an SSH key; VMs that were created with it keep it.
func (s *Server) DeleteSSHKey(ctx context.Context, r api.DeleteSSHKeyRequestObject) (api.DeleteSSHKeyResponseObject, error) {
	return s.changed(ctx, r.Params.IfMatch, func(w store.Write) (store.Answer, bool, error) {
		return s.store.DeleteSSHKey(ctx, r.ProjectID, r.SSHKeyID, w, goneAnswer())
	})
}

// publicKeys checks the public keys among a VM's SSH keys and brings them into
// one form. IDs, which have no space, are left to the store.
func publicKeys(keys []string) ([]string, error) {
	var bad []fieldError
	out := make([]string, len(keys))
	for i, k := range keys {
		if out[i] = k; !strings.Contains(k, " ") {
			continue
		}
		key, err := sshkey.Parse(k)
		if err != nil {
			bad = append(bad, fieldError{Pointer: fmt.Sprintf("/ssh_keys/%d", i), Detail: err.Error()})
		}
		out[i] = key.Line
	}
	if len(bad) > 0 {
		return nil, newProblem(CodeSemanticInvalid, "an SSH key cannot be used", bad...)
	}
	return out, nil
}

func sshKeyView(k models.SSHKey) api.SSHKey {
	return api.SSHKey{ID: k.ID, ProjectID: k.ProjectID, Name: k.Name, PublicKey: k.PublicKey, Fingerprint: k.Fingerprint, CreatedAt: k.CreatedAt}
}
