package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// seedOf is the seed of a random test: of the environment, so that a failure can
// be run again, or of the clock.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HCP_TEST_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("HCP_TEST_SEED=%d", seed)
	return seed
}

// shares is a client that creates, ends, deletes and runs again at random.
type shares struct {
	store *store.Store
	rng   *rand.Rand
	name  string
	jobs  []models.Operation // creates
	n     int
}

// refused are the ends that the limits make; any other error is a defect.
func refused(err error) bool {
	var busy *store.BusyError
	var state *store.StateError
	return errors.Is(err, models.ErrQuotaExceeded) || errors.Is(err, models.ErrAddressesExhausted) || errors.Is(err, models.ErrAddressInUse) ||
		errors.Is(err, models.ErrNotFound) || errors.As(err, &busy) || errors.As(err, &state)
}

func (c *shares) step(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	if len(c.jobs) == 0 || c.rng.IntN(3) == 0 {
		c.n++
		in := storetest.CreateRequest(fmt.Sprintf("%s-%d", c.name, c.n))
		if c.rng.IntN(3) == 0 {
			in.Networks[0].IPAddress = fmt.Sprintf("10.0.0.%d", 2+c.rng.IntN(20))
		}
		accepted, err := c.store.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
		if err == nil {
			c.jobs = append(c.jobs, accepted.Operation)
		}
		return err
	}
	op := c.jobs[c.rng.IntN(len(c.jobs))]
	switch c.rng.IntN(6) {
	case 0: // it fails, undone
		return c.store.SettleJob(ctx, models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
	case 1: // it fails, and something is left
		return c.store.SettleJob(ctx, models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Power: models.PowerUnknown})
	case 2:
		return c.store.SettleJob(ctx, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning})
	case 3: // it was terminated
		return c.store.SettleAbandoned(ctx, op.ID, models.JobUnknownOutcome, "ended from outside")
	case 4: // another run
		_, err := c.store.BeginJob(ctx, op.ID)
		return err
	}
	del, err := c.store.AcceptVMOperation(ctx, storetest.Caller(), store.VMOperation{
		ProjectID: storetest.Project, VMID: op.ResourceID, Kind: models.OpVMDelete, Preempt: true,
	}, nil, storetest.Respond)
	if err != nil {
		return err
	}
	end := models.Settlement{JobID: del.Operation.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted}
	if c.rng.IntN(3) == 0 {
		end.Outcome, end.Status = models.OutcomeFailed, models.VMError
	}
	return c.store.SettleJob(ctx, end)
}

// TestUsageIsARecount: after many random operations with failures, by several
// processes, usage is what the VMs that still stand say, within the limits, and
// every address is one VM's.
func TestUsageIsARecount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		seed := seedOf(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/28", "10.0.0.1") // 13 addresses
		limits := models.QuotaLimits{VMs: limit(10), VCPUs: limit(18), Addresses: limit(12)}
		setQuota(t, env, storetest.Project, limits)
		setQuota(t, env, storetest.Tenant, models.QuotaLimits{MemoryMiB: limit(9 * 1024)})
		stores := []*store.Store{env.Store, env.Open(), env.Open()}
		var wg sync.WaitGroup
		defects := make(chan error, 1000)
		for i := range 4 {
			client := &shares{store: stores[i%len(stores)], rng: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprintf("c%d", i)}
			wg.Go(func() {
				for range 60 {
					if err := client.step(t); err != nil && !refused(err) {
						var reference *store.ReferenceError
						if !errors.As(err, &reference) {
							defects <- err
						}
					}
				}
			})
		}
		wg.Wait()
		close(defects)
		for err := range defects {
			require.NoError(t, err)
		}
		requireRecount(t, env)
		report, err := env.ProjectQuota(t.Context(), storetest.Tenant, storetest.Project)
		require.NoError(t, err)
		for _, a := range append(limits.Amounts(report.Used), report.Parent.Quota.Amounts(report.Parent.Used)...) {
			if a.Limit != nil {
				require.LessOrEqual(t, a.Used, *a.Limit, a.Dimension)
			}
		}
		t.Logf("used: %+v", report.Used)
	})
}

// requireRecount counts what the VMs say: one that was given back entirely has
// no place, no power and no job.
func requireRecount(t *testing.T, env *storetest.Env) {
	t.Helper()
	requireAddressesMatch(t, env)
	var held []string
	require.NoError(t, env.DB.Raw("SELECT vm_id FROM reservations").Scan(&held).Error)
	holds := map[string]bool{}
	for _, id := range held {
		holds[id] = true
	}
	var rows []models.VM
	require.NoError(t, env.DB.Find(&rows).Error)
	var want models.QuotaUsage
	for _, vm := range rows {
		switch {
		case vm.Status == models.VMDeleted:
			require.False(t, holds[vm.ID], "a deleted VM holds nothing")
			continue
		case vm.Status != models.VMError:
			require.True(t, holds[vm.ID], "%s has its share", vm.Status)
		case !holds[vm.ID]:
			require.Empty(t, vm.CurrentJobID)
			require.Empty(t, vm.NICs[0].IPAddress)
			continue
		}
		want.VMs++
		want.VCPUs += int64(vm.VCPUs)
		want.MemoryMiB += int64(vm.MemoryMiB)
		want.DiskGiB += int64(vm.DiskGiB)
		for _, nic := range vm.NICs {
			if nic.IPAddress != "" {
				want.Addresses++
			}
		}
	}
	report, err := env.ProjectQuota(t.Context(), storetest.Tenant, storetest.Project)
	require.NoError(t, err)
	require.Equal(t, want, report.Used)
	require.Equal(t, want, report.Parent.Used, "the tenant's is the sum of its projects")
}
