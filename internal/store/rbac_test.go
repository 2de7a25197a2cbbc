package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, c, other := t.Context(), storetest.Caller(), storetest.OtherCaller()
		role := newRole(t, env, c, "starter", "vm.start")
		got, err := env.GetRole(ctx, storetest.Tenant, role.ID)
		require.NoError(t, err)
		require.Equal(t, role, got)
		_, err = env.GetRole(ctx, storetest.OtherTenant, role.ID)
		require.ErrorIs(t, err, models.ErrNotFound)

		var taken *store.NameConflictError
		_, _, err = env.CreateRole(ctx, c, models.Role{Name: "starter", Permissions: []string{"vm.read"}}, nil, storetest.Created)
		require.ErrorAs(t, err, &taken)
		require.Equal(t, "name", taken.Field)
		newRole(t, env, other, "starter", "vm.read")
		second := newRole(t, env, c, "reader", "vm.read")

		rename := func(name string) func(models.Role) (models.Role, error) {
			return func(r models.Role) (models.Role, error) { r.Name = name; return r, nil }
		}
		_, _, err = env.UpdateRole(ctx, c, second.ID, nil, rename("starter"), nil, storetest.Created)
		require.ErrorAs(t, err, &taken)
		stale := 9
		var precondition *store.PreconditionError
		_, _, err = env.UpdateRole(ctx, c, second.ID, &stale, rename("x"), nil, storetest.Created)
		require.ErrorAs(t, err, &precondition)
		_, _, err = env.UpdateRole(ctx, other, second.ID, nil, rename("x"), nil, storetest.Created)
		require.ErrorIs(t, err, models.ErrNotFound)
		refused := errors.New("refused")
		_, _, err = env.UpdateRole(ctx, c, second.ID, nil, func(r models.Role) (models.Role, error) { return r, refused }, nil, storetest.Created)
		require.ErrorIs(t, err, refused)
		_, _, err = env.UpdateRole(ctx, c, second.ID, &second.Generation, func(r models.Role) (models.Role, error) {
			return models.Role{ID: "moved", TenantID: "moved", Name: "y", Description: "d", Permissions: []string{"vm.stop"}}, nil
		}, nil, storetest.Created)
		require.NoError(t, err)
		got, err = env.GetRole(ctx, storetest.Tenant, second.ID)
		require.NoError(t, err)
		require.Equal(t, "y", got.Name)
		require.Equal(t, "d", got.Description)
		require.Equal(t, []string{"vm.stop"}, got.Permissions)
		require.Equal(t, 2, got.Generation)
		require.True(t, got.UpdatedAt.After(second.UpdatedAt))

		rows, _, err := env.ListRoles(ctx, storetest.Tenant, store.Page{})
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, "starter", rows[0].Name)

		b := mustBind(t, env, c, models.RoleBinding{RoleID: role.ID, Subject: "ann"})
		var used *store.RoleInUseError
		_, _, err = env.DeleteRole(ctx, c, role.ID, nil, nil, store.Answer{})
		require.ErrorAs(t, err, &used)
		_, _, err = env.DeleteRole(ctx, other, role.ID, nil, nil, store.Answer{})
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = env.DeleteRoleBinding(ctx, c, "", b.ID, nil, nil, store.Answer{})
		require.NoError(t, err)
		_, _, err = env.DeleteRole(ctx, c, role.ID, &stale, nil, store.Answer{})
		require.ErrorAs(t, err, &precondition)
		_, _, err = env.DeleteRole(ctx, c, role.ID, &role.Generation, nil, store.Answer{})
		require.NoError(t, err)
		_, err = env.GetRole(ctx, storetest.Tenant, role.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

func TestRoleBindings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, c, other, ops := t.Context(), storetest.Caller(), storetest.OtherCaller(), store.Caller{Subject: "issuer|root"}
		whole := mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann"})
		inside := mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", ProjectID: storetest.Project})
		require.Equal(t, c.Subject, whole.CreatedBy)
		require.Equal(t, storetest.Tenant, whole.TenantID)

		var held *store.RoleHeldError
		_, err := bind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann"})
		require.ErrorAs(t, err, &held)
		_, err = bind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", ProjectID: storetest.Project})
		require.ErrorAs(t, err, &held)
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", Issuer: "idp2"})
		mustBind(t, env, other, models.RoleBinding{RoleID: "viewer", Subject: "ann"})
		ofOps := mustBind(t, env, ops, models.RoleBinding{Plane: models.PlaneOps, RoleID: "auditor", Subject: "ann"})
		_, err = bind(t, env, ops, models.RoleBinding{Plane: models.PlaneOps, RoleID: "auditor", Subject: "ann"})
		require.ErrorAs(t, err, &held)

		_, err = bind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "ann", ProjectID: storetest.OtherProject})
		require.ErrorIs(t, err, models.ErrNotFound)
		var reference *store.ReferenceError
		for field, in := range map[string]models.RoleBinding{
			"/tenant_id":                    {TenantID: "none", RoleID: "viewer", Subject: "x"},
			"/project_id":                   {TenantID: storetest.Tenant, ProjectID: storetest.OtherProject, RoleID: "viewer", Subject: "x"},
			"/principal/service_account_id": {TenantID: storetest.Tenant, RoleID: "viewer", Issuer: models.OwnIssuer, Subject: models.NewID()},
		} {
			_, err = bind(t, env, ops, in)
			require.ErrorAs(t, err, &reference, field)
			require.Equal(t, field, reference.Field)
		}
		stray, err := bind(t, env, c, models.RoleBinding{Plane: models.PlaneOps, TenantID: storetest.OtherTenant, RoleID: "admin", Subject: "sly"})
		require.NoError(t, err)
		require.Equal(t, models.PlaneTenant, stray.Plane, "a tenant binds in itself, whatever it says")
		require.Equal(t, storetest.Tenant, stray.TenantID)

		// The role is told when it is the tenant's own, and never another's.
		mine, theirs := newRole(t, env, c, "mine", "vm.start"), newRole(t, env, other, "theirs", "vm.start")
		for id, want := range map[string]bool{mine.ID: true, theirs.ID: false, "owner": false} {
			refused := errors.New("refused")
			_, _, err = env.CreateRoleBinding(ctx, c, models.RoleBinding{RoleID: id, Issuer: "idp", Subject: "z"}, func(own *models.Role) error {
				require.Equal(t, want, own != nil, id)
				return refused
			}, nil, func(models.RoleBinding) (store.Answer, error) { return store.Answer{}, nil })
			require.ErrorIs(t, err, refused)
		}

		ids := func(f store.BindingFilter, limit int) (out []string) {
			t.Helper()
			p := store.Page{Limit: limit, Sort: store.SortOldest}
			for {
				rows, next, err := env.ListRoleBindings(ctx, storetest.Tenant, f, p)
				require.NoError(t, err)
				for _, r := range rows {
					out = append(out, r.ID)
				}
				if next.IsZero() {
					return out
				}
				p.After = next
			}
		}
		require.Equal(t, ids(store.BindingFilter{}, 200), ids(store.BindingFilter{}, 1))
		require.Len(t, ids(store.BindingFilter{}, 2), 4)
		require.Equal(t, []string{inside.ID}, ids(store.BindingFilter{ProjectID: storetest.Project}, 1))
		require.Equal(t, []string{inside.ID}, ids(store.BindingFilter{Projects: []string{storetest.Project}}, 1))
		require.Empty(t, ids(store.BindingFilter{Projects: []string{}}, 1))

		_, err = env.GetRoleBinding(ctx, storetest.Tenant, store.BindingFilter{}, ofOps.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.GetRoleBinding(ctx, storetest.OtherTenant, store.BindingFilter{}, whole.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.GetRoleBinding(ctx, storetest.Tenant, store.BindingFilter{ProjectID: storetest.Project}, whole.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
		got, err := env.GetRoleBindingAny(ctx, ofOps.ID)
		require.NoError(t, err)
		require.Equal(t, ofOps, got)

		stale := 2
		var precondition *store.PreconditionError
		for _, tc := range []struct {
			c       store.Caller
			project string
			id      string
		}{{other, "", whole.ID}, {c, "", ofOps.ID}, {c, storetest.Project, whole.ID}, {store.Caller{}, "", whole.ID}, {store.Caller{}, "", ofOps.ID}} {
			_, _, err = env.DeleteRoleBinding(ctx, tc.c, tc.project, tc.id, nil, nil, store.Answer{})
			require.ErrorIs(t, err, models.ErrNotFound)
		}
		_, _, err = env.DeleteRoleBinding(ctx, c, "", whole.ID, &stale, nil, store.Answer{})
		require.ErrorAs(t, err, &precondition)
		_, _, err = env.DeleteRoleBinding(ctx, c, storetest.Project, inside.ID, nil, nil, store.Answer{})
		require.NoError(t, err)
		_, _, err = env.DeleteRoleBindingAny(ctx, ops, ofOps.ID, nil, nil, store.Answer{})
		require.NoError(t, err)
		_, err = env.GetRoleBinding(ctx, storetest.Tenant, store.BindingFilter{}, whole.ID)
		require.NoError(t, err, "what was refused is still there")
	})
}

func TestMembers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		c := storetest.Caller()
		for i := range 5 {
			mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: fmt.Sprint("user-", i)})
		}
		mustBind(t, env, c, models.RoleBinding{RoleID: "operator", Subject: "user-3", ProjectID: storetest.Project})
		mustBind(t, env, c, models.RoleBinding{RoleID: "operator", Subject: "zoe", ProjectID: storetest.Project})
		mustBind(t, env, c, models.RoleBinding{RoleID: "operator", Issuer: "a", Subject: "zoe"})
		mustBind(t, env, storetest.OtherCaller(), models.RoleBinding{RoleID: "owner", Subject: "mallory"})
		members := func(f store.BindingFilter, limit int) (out []string) {
			t.Helper()
			p := store.Page{Limit: limit}
			for {
				rows, next, err := env.ListMembers(t.Context(), storetest.Tenant, f, p)
				require.NoError(t, err)
				for _, m := range rows {
					out = append(out, fmt.Sprintf("%s|%s %d", m.Issuer, m.Subject, len(m.Bindings)))
				}
				if next.IsZero() {
					return out
				}
				p.After = next
			}
		}
		all := []string{"a|zoe 1", "idp|user-0 1", "idp|user-1 1", "idp|user-2 1", "idp|user-3 2", "idp|user-4 1", "idp|zoe 1"}
		for _, limit := range []int{1, 2, 7, 200} {
			require.Equal(t, all, members(store.BindingFilter{}, limit))
			require.Equal(t, all, members(store.BindingFilter{ProjectID: storetest.Project}, limit))
			require.Equal(t, []string{"idp|user-3 1", "idp|zoe 1"}, members(store.BindingFilter{Projects: []string{storetest.Project}}, limit))
		}
		_, _, err := env.ListMembers(t.Context(), storetest.Tenant, store.BindingFilter{}, store.Page{After: store.Cursor{Sort: store.SortName, Key: "x"}})
		require.ErrorIs(t, err, store.ErrCursor)
	})
}

// TestCapsOfPolicies: a tenant cannot make every replica hold what it likes.
func TestCapsOfPolicies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		c, at := storetest.Caller(), env.Clock.Now()
		var roles []models.Role
		for i := range store.MaxRoles - 1 {
			roles = append(roles, models.Role{ID: models.NewID(), TenantID: storetest.Tenant, Name: fmt.Sprint("r", i), Permissions: []string{"vm.read"}, Generation: 1, CreatedAt: at, UpdatedAt: at})
		}
		var bindings []models.RoleBinding
		for i := range store.MaxRoleBindings - 1 {
			bindings = append(bindings, models.RoleBinding{ID: models.NewID(), Plane: models.PlaneTenant, TenantID: storetest.Tenant, ProjectID: storetest.Project, RoleID: "viewer", Issuer: "idp", Subject: fmt.Sprint("u", i), CreatedAt: at})
		}
		require.NoError(t, env.DB.CreateInBatches(roles, 100).Error)
		require.NoError(t, env.DB.CreateInBatches(bindings, 500).Error)
		newRole(t, env, c, "last", "vm.read")
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "last"})
		var capped *store.CapError
		_, _, err := env.CreateRole(t.Context(), c, models.Role{Name: "more", Permissions: []string{"vm.read"}}, nil, storetest.Created)
		require.ErrorAs(t, err, &capped)
		require.Equal(t, store.MaxRoles, capped.Max)
		_, err = bind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "more"})
		require.ErrorAs(t, err, &capped)
		require.Equal(t, store.MaxRoleBindings, capped.Max)
		newRole(t, env, storetest.OtherCaller(), "theirs", "vm.read")
		mustBind(t, env, storetest.OtherCaller(), models.RoleBinding{RoleID: "viewer", Subject: "theirs"})
	})
}

// TestPolicyChangesTakeAKey: a repeat is told the first answer and does nothing.
func TestPolicyChangesTakeAKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		idem := &store.Idempotency{Scope: "s", Key: "k", RequestHash: []byte("h")}
		answer := func(r models.Role) (store.Answer, error) {
			return store.Answer{Status: 201, Header: map[string]string{"ETag": "1"}, Body: []byte(r.ID)}, nil
		}
		in := models.Role{Name: "starter", Permissions: []string{"vm.start"}}
		first, replayed, err := env.CreateRole(t.Context(), storetest.Caller(), in, idem, answer)
		require.NoError(t, err)
		require.False(t, replayed)
		last := version(t, env)
		again, replayed, err := env.CreateRole(t.Context(), storetest.Caller(), in, idem, answer)
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again)
		require.Equal(t, last, version(t, env))
		require.Equal(t, 1, env.Count(t, "roles"))

		// One that was refused takes no key.
		idem.Key = "k2"
		_, _, err = env.CreateRole(t.Context(), storetest.Caller(), in, idem, answer)
		require.Error(t, err)
		in.Name = "other"
		_, replayed, err = env.CreateRole(t.Context(), storetest.Caller(), in, idem, answer)
		require.NoError(t, err)
		require.False(t, replayed)
	})
}

// TestForget: roles do not outlive whom, or where, they were given.
func TestForget(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		c := storetest.Caller()
		left := func() (out []string) {
			t.Helper()
			require.NoError(t, env.DB.Raw("SELECT subject FROM role_bindings ORDER BY subject").Scan(&out).Error)
			return out
		}
		role := newRole(t, env, c, "starter", "vm.start")
		mustBind(t, env, c, models.RoleBinding{RoleID: role.ID, Subject: "whole"})
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "inside", ProjectID: storetest.Project})
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "gone"})
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Subject: "gone", ProjectID: storetest.Project})
		mustBind(t, env, c, models.RoleBinding{RoleID: "viewer", Issuer: "idp2", Subject: "gone"})
		mustBind(t, env, storetest.OtherCaller(), models.RoleBinding{RoleID: "viewer", Subject: "foreign"})
		last := version(t, env)
		require.NoError(t, store.ForgetPrincipal(env.DB, "idp", "gone"))
		require.Equal(t, []string{"foreign", "gone", "inside", "whole"}, left())
		require.NoError(t, store.ForgetProject(env.DB, storetest.Project))
		require.Equal(t, []string{"foreign", "gone", "whole"}, left())
		require.Greater(t, version(t, env), last)
		last = version(t, env)
		require.NoError(t, store.ForgetTenant(env.DB, storetest.Tenant))
		require.Equal(t, []string{"foreign"}, left())
		require.Zero(t, env.Count(t, "roles"))
		require.Greater(t, version(t, env), last)
	})
}
