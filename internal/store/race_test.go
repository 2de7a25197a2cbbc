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

func TestOneOfManyAcceptsWins(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			stores := []*store.Store{env.Store, env.Open(), env.Open()}
			errs := make([]error, 18)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					_, errs[i] = stores[i%len(stores)].AcceptVMOperation(t.Context(), storetest.Caller(),
						store.VMOperation{ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMReboot}, nil, storetest.Respond)
				})
			}
			wg.Wait()
			holder, won := env.VM(t, vm.ID).CurrentJobID, 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				require.Equal(t, &store.BusyError{JobID: holder}, err)
			}
			require.Equal(t, 1, won)
			require.Equal(t, models.OpVMReboot, env.Job(t, holder).Kind)
		})
	}
}

// Accepts, begins and settlements at once: the lock has one holder at any
// time, hand-over loses no job, and nothing is left over.
func TestLockUnderRace(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			stores := []*store.Store{env.Store, env.Open()}
			working := make(chan struct{}, 1)
			var wg sync.WaitGroup
			fails := make(chan error, 64)
			for i := range 8 {
				wg.Go(func() {
					for range 6 {
						if err := runStop(t, stores[i%len(stores)], vm.ID, working); err != nil {
							fails <- err
						}
					}
				})
			}
			wg.Wait()
			close(fails)
			for err := range fails {
				require.NoError(t, err)
			}
			got := env.VM(t, vm.ID)
			require.Empty(t, got.CurrentJobID+got.NextJobID)
			open, _, err := env.ListJobsAny(t.Context(), store.JobFilter{Outcomes: []models.Outcome{models.OutcomeNone}, Kinds: []models.OperationKind{models.OpVMStop}}, store.Page{})
			require.NoError(t, err)
			require.Empty(t, open)
		})
	}
}

// runStop accepts a forced stop, waits for its turn, and settles it. working
// proves that no two jobs hold the lock at once.
func runStop(t *testing.T, s *store.Store, vmID string, working chan struct{}) error {
	t.Helper()
	ctx := t.Context()
	accepted, err := s.AcceptVMOperation(ctx, storetest.Caller(),
		store.VMOperation{ProjectID: storetest.Project, VMID: vmID, Kind: models.OpVMStop, Preempt: true}, nil, storetest.Respond)
	if _, busy := err.(*store.BusyError); busy { //nolint:errorlint // the store returns it as it is
		return nil
	}
	if err != nil {
		return err
	}
	for {
		begun, err := s.BeginJob(ctx, accepted.Operation.ID)
		if err != nil {
			return err
		}
		if begun.HolderJobID == "" {
			break
		}
	}
	select {
	case working <- struct{}{}:
	default:
		return fmt.Errorf("two jobs hold the lock")
	}
	<-working
	return s.SettleJob(ctx, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeSucceeded, Power: models.PowerStopped})
}
