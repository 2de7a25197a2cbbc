package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// partist is a client that makes and removes parts of the same few VMs at
// random, and ends jobs, its own and others', in every way.
type partist struct {
	store *store.Store
	rng   *rand.Rand
	name  string
	vms   []string
	n     int
}

func (c *partist) step(t *testing.T) error {
	t.Helper()
	ctx, me := t.Context(), storetest.Caller()
	c.n++
	vmID, name := c.vms[c.rng.IntN(len(c.vms))], fmt.Sprintf("%s-%d", c.name, c.n)
	vm, err := c.store.GetVMAny(ctx, vmID)
	if err != nil {
		return err
	}
	if vm.CurrentJobID != "" && c.rng.IntN(4) > 0 {
		return c.end(t, vm.CurrentJobID)
	}
	switch c.rng.IntN(8) {
	case 0:
		_, err = c.store.AcceptCreateSnapshot(ctx, me, snapshotOf(vmID, name), nil, storetest.Respond)
	case 1:
		_, err = c.store.AcceptAttachDisk(ctx, me, diskOf(vmID, name, 1+c.rng.IntN(4)), nil, storetest.Respond)
	case 2:
		_, err = c.store.AcceptAttachNIC(ctx, me, nicOf(vmID, ""), nil, storetest.Respond)
	case 3:
		if len(vm.NICs) > 0 {
			nic := vm.NICs[c.rng.IntN(len(vm.NICs))]
			_, err = c.store.AcceptDetachNIC(ctx, me, store.DetachNIC{ProjectID: storetest.Project, VMID: vmID, NICID: nic.ID()}, nil, storetest.Respond)
		}
	case 4:
		_, err = c.store.AcceptCloneVM(ctx, me, cloneOf(vmID, name), nil, storetest.Respond)
	case 5:
		rows, _, lerr := c.store.ListDisks(ctx, storetest.Tenant, storetest.Project, vmID, store.Page{})
		if err = lerr; err == nil && len(rows) > 0 {
			_, err = c.store.AcceptDetachDisk(ctx, me, store.DetachDisk{ProjectID: storetest.Project, VMID: vmID, DiskID: rows[0].ID}, nil, storetest.Respond)
		}
	default:
		rows, _, lerr := c.store.ListSnapshots(ctx, storetest.Tenant, storetest.Project, vmID, store.Page{})
		if err = lerr; err == nil && len(rows) > 0 {
			_, err = c.store.AcceptSnapshotOperation(ctx, me, onSnapshot(vmID, rows[0].ID, models.OpSnapshotDelete), nil, storetest.Respond)
		}
	}
	return err
}

// end ends a job as its workflow might, or might not.
func (c *partist) end(t *testing.T, jobID string) error {
	t.Helper()
	ctx := t.Context()
	switch c.rng.IntN(5) {
	case 0:
		_, err := c.store.BeginJob(ctx, jobID)
		return err
	case 1:
		return c.store.SettleAbandoned(ctx, jobID, models.JobUnknownOutcome, "ended from outside")
	}
	op, err := c.store.GetJobAny(ctx, jobID)
	if err != nil {
		return err
	}
	truths := []models.PartTruth{"", models.PartPresent, models.PartBroken, models.PartAbsent, models.PartUntouched}
	in := models.Settlement{JobID: jobID, Outcome: models.OutcomeFailed, Part: truths[c.rng.IntN(len(truths))], Power: models.PowerStopped}
	switch {
	case op.Kind == models.OpVMClone && c.rng.IntN(2) == 0:
		in.Status, in.Power, in.Release = models.VMError, models.PowerNone, true
	case op.Kind == models.OpVMClone:
		in.Outcome, in.Status = models.OutcomeSucceeded, models.VMActive
	case c.rng.IntN(2) == 0:
		in.Outcome, in.Part = models.OutcomeSucceeded, models.PartPresent
		if op.Kind == models.OpSnapshotDelete || op.Kind == models.OpDiskDetach || op.Kind == models.OpNICDetach {
			in.Part = models.PartAbsent
		}
	}
	return c.store.SettleJob(ctx, in)
}

// TestPartUsageIsARecount: after many random operations on the same VMs by
// several processes, usage is what the rows say, within the limits; every part
// that is being made or removed is so by the job that holds its VM; and no
// address is without its interface.
func TestPartUsageIsARecount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		seed := seedOf(t)
		limits := models.QuotaLimits{VMs: limit(8), DiskGiB: limit(90), Snapshots: limit(5), Addresses: limit(12)}
		setQuota(t, env, storetest.Project, limits)
		vms := []string{env.StoppedVM(t, "a").ID, env.StoppedVM(t, "b").ID, env.StoppedVM(t, "c").ID}
		stores := []*store.Store{env.Store, env.Open(), env.Open()}
		var wg sync.WaitGroup
		defects := make(chan error, 1000)
		for i := range 4 {
			client := &partist{store: stores[i%len(stores)], rng: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprintf("c%d", i), vms: vms}
			wg.Go(func() {
				for range 80 {
					err := client.step(t)
					var most *store.LimitError
					if err != nil && !refused(err) && !errors.As(err, &most) && !errors.Is(err, models.ErrTaken) {
						defects <- err
					}
				}
			})
		}
		wg.Wait()
		close(defects)
		for err := range defects {
			require.NoError(t, err)
		}
		used := requirePartsMatch(t, env)
		for _, a := range limits.Amounts(used) {
			if a.Limit != nil {
				require.LessOrEqual(t, a.Used, *a.Limit, a.Dimension)
			}
		}
		t.Logf("used: %+v", used)
	})
}

// requirePartsMatch recounts from the rows, and returns the usage.
func requirePartsMatch(t *testing.T, env *storetest.Env) models.QuotaUsage {
	t.Helper()
	requireAddressesMatch(t, env)
	var rows []models.VM
	require.NoError(t, env.DB.Find(&rows).Error)
	var want models.QuotaUsage
	holders := map[string]models.Operation{} // by the part that the job at work makes or removes
	for _, vm := range rows {
		if vm.CurrentJobID != "" {
			op := env.Job(t, vm.CurrentJobID)
			require.Equal(t, models.OutcomeNone, op.Outcome, "a job that has ended holds a VM")
			holders[op.Params.SnapshotID+op.Params.DiskID+op.Params.MAC] = op
		}
		if vm.Status == models.VMError && vm.ProviderID == "" && vm.CurrentJobID == "" {
			continue // a clone that was undone
		}
		want.VMs++
		want.VCPUs += int64(vm.VCPUs)
		want.MemoryMiB += int64(vm.MemoryMiB)
		want.DiskGiB += int64(vm.DiskGiB)
		for _, n := range vm.NICs {
			if n.IPAddress != "" {
				want.Addresses++
			}
		}
	}
	at := func(id string, making bool, removing string, maker, remover models.OperationKind) {
		t.Helper()
		op := holders[id]
		require.Equal(t, removing, map[bool]string{true: op.ID}[op.Kind == remover], id)
		if making {
			require.Equal(t, maker, op.Kind, "nobody makes it")
		}
	}
	for _, vm := range rows {
		for _, n := range vm.NICs {
			at(n.MAC, n.Status == models.NICAttaching, n.RemovingJobID, models.OpNICAttach, models.OpNICDetach)
		}
	}
	var snapshots []models.Snapshot
	require.NoError(t, env.DB.Find(&snapshots).Error)
	for _, s := range snapshots {
		want.Snapshots++
		at(s.ID, s.Status == models.SnapshotCreating, s.RemovingJobID, models.OpSnapshotCreate, models.OpSnapshotDelete)
	}
	var disks []models.Disk
	require.NoError(t, env.DB.Find(&disks).Error)
	for _, d := range disks {
		want.DiskGiB += int64(d.SizeGiB)
		at(d.ID, d.Status == models.DiskAttaching, d.RemovingJobID, models.OpDiskAttach, models.OpDiskDetach)
	}
	require.Equal(t, want, usage(t, env))
	return want
}
