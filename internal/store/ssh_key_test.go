package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func sshKey(t *testing.T, env *storetest.Env, name string) models.SSHKey {
	t.Helper()
	var made models.SSHKey
	_, _, err := env.CreateSSHKey(t.Context(), storetest.Caller(), models.SSHKey{
		ProjectID: storetest.Project, Name: name, PublicKey: "ssh-ed25519 " + name, Fingerprint: "SHA256:" + name,
	}, nil, func(row models.SSHKey) (store.Answer, error) {
		made = row
		return store.Answer{Status: 201}, nil
	})
	require.NoError(t, err)
	return made
}

func TestSSHKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, made := t.Context(), sshKey(t, env, "laptop")
		got, err := env.GetSSHKey(ctx, storetest.Tenant, storetest.Project, made.ID)
		require.NoError(t, err)
		require.Equal(t, made, got)
		_, err = env.GetSSHKey(ctx, storetest.OtherTenant, storetest.Project, made.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = env.CreateSSHKey(ctx, storetest.Caller(), models.SSHKey{ProjectID: storetest.Project, Name: "laptop"}, nil, storetest.Created)
		require.Equal(t, &store.NameConflictError{Field: "name"}, err)

		// A VM takes the key itself, so that its later deletion changes nothing.
		in := storetest.CreateRequest("a")
		in.SSHKeys = []string{"ssh-rsa literal", made.ID}
		accepted, err := env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
		require.NoError(t, err)
		require.Equal(t, []string{"ssh-rsa literal", "ssh-ed25519 laptop"}, env.VM(t, accepted.Operation.ResourceID).SSHKeys)
		in.Name, in.SSHKeys = "b", []string{made.ID, "nobody"}
		_, err = env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
		requireReference(t, err, "/ssh_keys/1")
		foreign := storetest.CreateRequest("c")
		foreign.ProjectID, foreign.SSHKeys = storetest.OtherProject, []string{made.ID}
		_, err = env.AcceptCreateVM(ctx, storetest.OtherCaller(), foreign, nil, storetest.Respond)
		requireReference(t, err, "/ssh_keys/0")

		stale := 2
		_, _, err = env.DeleteSSHKey(ctx, storetest.Project, made.ID, store.Write{Caller: storetest.Caller(), IfMatch: &stale}, gone())
		require.Equal(t, &store.PreconditionError{Generation: 1}, err)
		_, _, err = env.DeleteSSHKey(ctx, storetest.Project, made.ID, store.Write{Caller: storetest.OtherCaller()}, gone())
		require.ErrorIs(t, err, models.ErrNotFound)
		require.Equal(t, 1, env.Count(t, "ssh_keys"))
		_, _, err = env.DeleteSSHKey(ctx, storetest.Project, made.ID, write(), gone())
		require.NoError(t, err)
		require.Zero(t, env.Count(t, "ssh_keys"))
	})
}

// TestAReplayOutlivesItsSSHKey: a repeat is told the first answer, though what
// the request named is gone.
func TestAReplayOutlivesItsSSHKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		made := sshKey(t, env, "laptop")
		in := storetest.CreateRequest("a")
		in.SSHKeys = []string{made.ID}
		idem := &store.Idempotency{Scope: "s", Key: "k", RequestHash: []byte("h"), TenantID: storetest.Tenant}
		first, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, idem, storetest.Respond)
		require.NoError(t, err)
		_, _, err = env.DeleteSSHKey(t.Context(), storetest.Project, made.ID, write(), gone())
		require.NoError(t, err)
		again, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, idem, storetest.Respond)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, first.Answer, again.Answer)
	})
}

func TestSSHKeyLimit(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	env.Seed(t)
	for i := range store.MaxSSHKeys {
		sshKey(t, env, fmt.Sprintf("key-%03d", i))
	}
	_, _, err := env.CreateSSHKey(t.Context(), storetest.Caller(), models.SSHKey{ProjectID: storetest.Project, Name: "more"}, nil, storetest.Created)
	require.Equal(t, &store.LimitError{What: "SSH keys", Limit: store.MaxSSHKeys}, err)
}
