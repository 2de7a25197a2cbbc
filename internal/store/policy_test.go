package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func version(t *testing.T, env *storetest.Env) int64 {
	t.Helper()
	v, err := env.PolicyVersion(t.Context())
	require.NoError(t, err)
	return v
}

func newRole(t *testing.T, env *storetest.Env, c store.Caller, name string, permissions ...string) models.Role {
	t.Helper()
	var out models.Role
	_, replayed, err := env.CreateRole(t.Context(), c, models.Role{Name: name, Permissions: permissions}, nil, func(r models.Role) (store.Answer, error) {
		out = r
		return store.Answer{Status: 201}, nil
	})
	require.NoError(t, err)
	require.False(t, replayed)
	return out
}

func anyRole(*models.Role) error { return nil }

func bind(t *testing.T, env *storetest.Env, c store.Caller, in models.RoleBinding) (models.RoleBinding, error) {
	t.Helper()
	if in.Issuer == "" {
		in.Issuer = "idp"
	}
	if in.Plane == "" {
		in.Plane = models.PlaneTenant
	}
	var out models.RoleBinding
	_, _, err := env.CreateRoleBinding(t.Context(), c, in, anyRole, nil, func(b models.RoleBinding) (store.Answer, error) {
		out = b
		return store.Answer{Status: 201}, nil
	})
	return out, err
}

func mustBind(t *testing.T, env *storetest.Env, c store.Caller, in models.RoleBinding) models.RoleBinding {
	t.Helper()
	b, err := bind(t, env, c, in)
	require.NoError(t, err)
	return b
}

// TestEveryPolicyChangeCountsTheVersionUp, also one that no code of ours makes,
// and nothing else does.
func TestEveryPolicyChangeCountsTheVersionUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, c, ops := t.Context(), storetest.Caller(), store.Caller{Subject: "issuer|root"}
		last := version(t, env)
		bumped := func(what string) {
			t.Helper()
			now := version(t, env)
			require.Greater(t, now, last, what)
			last = now
		}
		role := newRole(t, env, c, "starter", "vm.start")
		bumped("a new role")
		_, _, err := env.UpdateRole(ctx, c, role.ID, nil, func(r models.Role) (models.Role, error) {
			r.Permissions = []string{"vm.stop"}
			return r, nil
		}, nil, storetest.Created)
		require.NoError(t, err)
		bumped("a changed role")
		b := mustBind(t, env, c, models.RoleBinding{RoleID: role.ID, Subject: "ann"})
		bumped("a binding")
		_, _, err = env.DeleteRoleBinding(ctx, c, "", b.ID, nil, nil, store.Answer{})
		require.NoError(t, err)
		bumped("a binding that is gone")
		_, _, err = env.DeleteRole(ctx, c, role.ID, nil, nil, store.Answer{})
		require.NoError(t, err)
		bumped("a role that is gone")

		_, _, err = env.CreateProject(ctx, ops, models.Project{ID: "p2", TenantID: storetest.Tenant, Name: "p2"}, nil, storetest.Created)
		require.NoError(t, err)
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", ProjectID: "p2"})
		bumped("a binding in a project")
		require.NoError(t, env.DB.WithContext(ctx).Exec("DELETE FROM projects WHERE id = 'p2'").Error)
		bumped("a project that is gone, with its bindings")
		require.Zero(t, env.Count(t, "role_bindings"))

		_, _, err = env.CreateTenant(ctx, ops, models.Tenant{ID: "t2", Name: "t2"}, nil, storetest.Created)
		require.NoError(t, err)
		newRole(t, env, store.Caller{TenantID: "t2", Subject: "x"}, "starter", "vm.start")
		bumped("a role of a tenant")
		require.NoError(t, env.DB.WithContext(ctx).Exec("DELETE FROM tenants WHERE id = 't2'").Error)
		bumped("a tenant that is gone, with its roles")
		require.Zero(t, env.Count(t, "roles"))

		env.AcceptVM(t, "a")
		_, err = bind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", ProjectID: "nowhere"})
		require.ErrorIs(t, err, models.ErrNotFound)
		require.Equal(t, last, version(t, env), "nothing of this is a policy")
	})
}

// TestPolicySet reads everything, in order, with its version.
func TestPolicySet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ops := store.Caller{Subject: "issuer|root"}
		empty, err := env.PolicySet(t.Context())
		require.NoError(t, err)
		require.Equal(t, models.PolicySet{Version: version(t, env), Roles: []models.Role{}}, empty)
		r1 := newRole(t, env, storetest.Caller(), "starter", "vm.start", "job.*")
		r2 := newRole(t, env, storetest.OtherCaller(), "starter", "vm.stop")
		b1 := mustBind(t, env, storetest.Caller(), models.RoleBinding{RoleID: r1.ID, Subject: "ann", DisplayName: "Ann", ProjectID: storetest.Project})
		b2 := mustBind(t, env, ops, models.RoleBinding{TenantID: storetest.OtherTenant, RoleID: "owner", Subject: "bob"})
		b3 := mustBind(t, env, ops, models.RoleBinding{Plane: models.PlaneOps, RoleID: "auditor", Subject: "eve"})
		set, err := env.PolicySet(t.Context())
		require.NoError(t, err)
		want := models.PolicySet{Version: version(t, env)}
		for _, r := range []models.Role{r1, r2} {
			want.Roles = append(want.Roles, models.Role{ID: r.ID, TenantID: r.TenantID, Name: r.Name, Permissions: r.Permissions})
		}
		for _, b := range []models.RoleBinding{b1, b2, b3} {
			b.DisplayName, b.CreatedAt, b.CreatedBy = "", time.Time{}, ""
			want.Bindings = append(want.Bindings, b)
		}
		require.Equal(t, want, set)
		require.NoError(t, env.DB.Exec("UPDATE roles SET permissions = '{}' WHERE id = ?", r1.ID).Error)
		_, err = env.PolicySet(t.Context())
		require.Error(t, err, "a row that cannot be read is no empty role")
	})
}

// TestPolicySetIsOfOneMoment: the version and the rows belong together, while
// others write.
func TestPolicySetIsOfOneMoment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		start := version(t, env)
		other := env.Open()
		ctx, cancel := context.WithCancel(t.Context())
		written := make(chan error, 1)
		go func() {
			defer close(written)
			for ctx.Err() == nil { // each adds one binding, and one to the version
				_, _, err := other.CreateRoleBinding(ctx, storetest.Caller(),
					models.RoleBinding{RoleID: "viewer", Issuer: "idp", Subject: models.NewID()}, anyRole, nil, func(models.RoleBinding) (store.Answer, error) { return store.Answer{}, nil })
				if err != nil && ctx.Err() == nil {
					written <- err
					return
				}
			}
		}()
		for last := 0; last < 40; {
			set, err := env.PolicySet(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, len(set.Bindings), set.Version-start)
			last = len(set.Bindings)
			select {
			case err := <-written:
				require.NoError(t, err)
			default:
			}
		}
		cancel()
		require.NoError(t, <-written)
	})
}

// TestListenPolicy: a change of another process is told, and what was rolled
// back is not; a connection that is lost is an error, and SQLite has none.
func TestListenPolicy(t *testing.T) {
	lite := storetest.New(t, storetest.SQLite)
	require.ErrorIs(t, lite.ListenPolicy(t.Context(), func() {}), errors.ErrUnsupported)

	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- env.ListenPolicy(t.Context(), func() { told <- struct{}{} }) }()
	await := func(what string) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal(what)
		}
	}
	await("that it listens")
	role := newRole(t, env, storetest.Caller(), "starter", "vm.start")
	await("a change")
	_, _, err := env.Open().DeleteRole(t.Context(), storetest.Caller(), role.ID, nil, nil, store.Answer{})
	require.NoError(t, err)
	await("a delete by another process")
	_, err = bind(t, env, storetest.Caller(), models.RoleBinding{RoleID: "viewer", Subject: "x", ProjectID: "nowhere"})
	require.Error(t, err)
	require.Empty(t, told)
	require.NoError(t, env.DB.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hcp policies' AND datname = current_database()").Error)
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the lost connection is not noticed")
	}
}
