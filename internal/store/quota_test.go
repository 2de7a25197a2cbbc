package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func limit(n int64) *int64 { return &n }

// setQuota sets the limits of a scope, whatever they are.
func setQuota(t *testing.T, env *storetest.Env, scope string, l models.QuotaLimits) {
	t.Helper()
	_, err := env.PutQuota(t.Context(), "", scope, l, nil)
	require.NoError(t, err)
}

func acceptCreate(t *testing.T, s *store.Store, name string) (models.Operation, error) {
	t.Helper()
	accepted, err := s.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest(name), nil, storetest.Respond)
	return accepted.Operation, err
}

// TestQuotaOfEachDimension: Seed's flavor takes 2 vCPUs, 1,024 MiB and 10 GiB,
// and the network's subnet an address.
func TestQuotaOfEachDimension(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/24", "")
		env.AcceptVM(t, "first")
		for dimension, c := range map[models.QuotaDimension]struct {
			limits models.QuotaLimits
			want   store.QuotaError
		}{
			models.QuotaVMs:       {models.QuotaLimits{VMs: limit(1)}, store.QuotaError{Limit: 1, Used: 1, Requested: 1}},
			models.QuotaVCPUs:     {models.QuotaLimits{VCPUs: limit(3)}, store.QuotaError{Limit: 3, Used: 2, Requested: 2}},
			models.QuotaMemoryMiB: {models.QuotaLimits{MemoryMiB: limit(2047)}, store.QuotaError{Limit: 2047, Used: 1024, Requested: 1024}},
			models.QuotaDiskGiB:   {models.QuotaLimits{DiskGiB: limit(0)}, store.QuotaError{Limit: 0, Used: 10, Requested: 10}},
			models.QuotaAddresses: {models.QuotaLimits{Addresses: limit(1)}, store.QuotaError{Limit: 1, Used: 1, Requested: 1}},
		} {
			for scopeID, scope := range map[string]models.QuotaScope{storetest.Project: models.ScopeProject, storetest.Tenant: models.ScopeTenant} {
				setQuota(t, env, scopeID, c.limits)
				vms, operations := env.Count(t, "vms"), env.Count(t, "operations")
				want := c.want
				want.Scope, want.Dimension = scope, dimension
				_, err := acceptCreate(t, env.Store, "second")
				require.Equal(t, &want, err, "%s of the %s", dimension, scope)
				require.Equal(t, []int{vms, operations, 1, 1},
					[]int{env.Count(t, "vms"), env.Count(t, "operations"), env.Count(t, "reservations"), env.Count(t, "addresses")})
				setQuota(t, env, scopeID, models.QuotaLimits{})
			}
		}
		setQuota(t, env, storetest.Project, models.QuotaLimits{
			VMs: limit(2), VCPUs: limit(4), MemoryMiB: limit(2048), DiskGiB: limit(20), Snapshots: limit(0), Addresses: limit(2),
		})
		env.AcceptVM(t, "second") // what fits exactly, fits; there are no snapshots yet
		in := storetest.CreateRequest("theirs")
		in.ProjectID = storetest.OtherProject
		_, err := env.AcceptCreateVM(t.Context(), storetest.OtherCaller(), in, nil, storetest.Respond)
		require.NoError(t, err, "another tenant's quota is its own")
	})
}

// TestTheTenantIsAskedFirst: where both have no room, the tenant's quota says so.
func TestTheTenantIsAskedFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: limit(0)})
		setQuota(t, env, storetest.Tenant, models.QuotaLimits{VMs: limit(0)})
		_, err := acceptCreate(t, env.Store, "a")
		require.Equal(t, &store.QuotaError{Scope: models.ScopeTenant, Dimension: models.QuotaVMs, Limit: 0, Used: 0, Requested: 1}, err)
	})
}

func TestPutQuota(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		env.AcceptVM(t, "a")
		unset, err := env.ScopeQuota(ctx, "", storetest.Project)
		require.NoError(t, err)
		require.Equal(t, models.Quota{ScopeType: models.ScopeProject, ScopeID: storetest.Project}, unset.Quota)
		require.Equal(t, models.QuotaUsage{VMs: 1, VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10}, unset.Used)
		require.Equal(t, models.ScopeTenant, unset.Parent.Quota.ScopeType)
		require.Equal(t, unset.Used, unset.Parent.Used)

		limits := models.QuotaLimits{VMs: limit(0), Snapshots: limit(7)} // below what is used: nothing is taken away
		put := func(ifMatch int) (store.QuotaReport, error) {
			return env.PutQuota(ctx, "", storetest.Project, limits, &ifMatch)
		}
		_, err = put(1)
		require.Equal(t, &store.PreconditionError{Generation: 0}, err)
		require.Zero(t, env.Count(t, "quotas"))
		set, err := put(0)
		require.NoError(t, err)
		require.Equal(t, 1, set.Quota.Generation)
		require.Equal(t, limits, set.Quota.QuotaLimits)
		require.Equal(t, unset.Used, set.Used)
		again, err := put(1)
		require.NoError(t, err)
		require.Equal(t, 1, again.Quota.Generation, "the same limits are no change")
		_, err = put(0)
		require.Equal(t, &store.PreconditionError{Generation: 1}, err)
		limits = models.QuotaLimits{}
		cleared, err := put(1)
		require.NoError(t, err)
		require.Equal(t, 2, cleared.Quota.Generation)
		require.Nil(t, cleared.Quota.VMs)
		require.Equal(t, "UTC", cleared.Quota.UpdatedAt.Location().String())

		_, err = env.PutQuota(ctx, "", "nobody", limits, nil)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.PutQuota(ctx, models.ScopeTenant, storetest.Project, limits, nil)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.ProjectQuota(ctx, storetest.OtherTenant, storetest.Project)
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

// TestAnIDOfBoth: a tenant and a project may have the same ID; which one is
// meant must be said, and neither gets the other's limits.
func TestAnIDOfBoth(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		_, _, err := env.CreateProject(ctx, storetest.Caller(), models.Project{ID: storetest.OtherTenant, TenantID: storetest.Tenant, Name: "p"}, nil, storetest.Created)
		require.NoError(t, err)
		_, err = env.ScopeQuota(ctx, "", storetest.OtherTenant)
		require.Equal(t, &store.AmbiguousScopeError{}, err)
		_, err = env.PutQuota(ctx, "", storetest.OtherTenant, models.QuotaLimits{}, nil)
		require.Equal(t, &store.AmbiguousScopeError{}, err)
		_, err = env.PutQuota(ctx, models.ScopeProject, storetest.OtherTenant, models.QuotaLimits{VMs: limit(0)}, nil)
		require.NoError(t, err)
		in := storetest.CreateRequest("theirs")
		in.ProjectID = storetest.OtherProject
		_, err = env.AcceptCreateVM(ctx, storetest.OtherCaller(), in, nil, storetest.Respond)
		require.NoError(t, err)
	})
}

// TestQuotaChangesWhileVMsAreCreated: however limits move, what is accepted
// after a lower one was answered finds no more room than that.
func TestQuotaChangesWhileVMsAreCreated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		stores := []*store.Store{env.Store, env.Open(), env.Open()}
		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: limit(1)})
		const workers, each = 6, 12
		var wg sync.WaitGroup
		errs := make(chan error, workers*each)
		for i := range workers {
			wg.Go(func() {
				for n := range each {
					if _, err := acceptCreate(t, stores[i%len(stores)], fmt.Sprintf("vm-%d-%d", i, n)); err != nil {
						errs <- err
					}
				}
			})
		}
		for n := int64(2); n <= 20; n++ { // up, and down to 10 again and again
			_, err := env.PutQuota(t.Context(), "", storetest.Project, models.QuotaLimits{VMs: limit(min(n, 10))}, nil)
			require.NoError(t, err)
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			var quota *store.QuotaError
			require.ErrorAs(t, err, &quota)
			require.Equal(t, int64(1), quota.Requested)
			require.GreaterOrEqual(t, quota.Used+quota.Requested, quota.Limit+1)
		}
		require.LessOrEqual(t, env.Count(t, "reservations"), 10)
		for n := range 10 { // and nothing was lost: there is room for exactly the rest
			_, err := acceptCreate(t, env.Store, fmt.Sprintf("rest-%d", n))
			if env.Count(t, "reservations") == 10 && err != nil {
				break
			}
			require.NoError(t, err)
		}
		require.Equal(t, 10, env.Count(t, "reservations"))
	})
}

// TestRunAgainWithoutRoom: a create that is run again when its share is gone
// fails with a code that says so, and takes nothing.
func TestRunAgainWithoutRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		_, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		release(t, env, op.ID)
		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: limit(0)})
		before := env.VM(t, op.ResourceID)
		for range 2 { // a step that is repeated
			_, err := env.BeginJob(ctx, op.ID)
			require.ErrorIs(t, err, models.ErrQuotaExceeded)
			require.Equal(t, before, env.VM(t, op.ResourceID))
			require.Zero(t, env.Count(t, "reservations"))
		}
		job := env.Job(t, op.ID)
		require.Equal(t, 2, job.Run)
		require.Empty(t, job.Outcome, "the run is open, so that it can end")
		settle(t, env, models.Settlement{
			JobID: op.ID, Outcome: models.OutcomeFailed, ErrorCode: models.JobQuotaExceeded, ErrorText: "no room", Status: models.VMError, Release: true,
		})
		require.Equal(t, models.JobQuotaExceeded, env.Job(t, op.ID).ErrorCode)
		require.Empty(t, env.VM(t, op.ResourceID).CurrentJobID)

		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: limit(1)})
		begun, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.Equal(t, models.VMPending, begun.Status)
		require.Equal(t, 1, env.Count(t, "reservations"))
		require.Equal(t, 3, env.Job(t, op.ID).Run)
	})
}

// release settles a create as failed, with everything given back.
func release(t *testing.T, env *storetest.Env, jobID string) {
	t.Helper()
	settle(t, env, models.Settlement{
		JobID: jobID, Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, Status: models.VMError, Power: models.PowerNone, Release: true,
	})
}
