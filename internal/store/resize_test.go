package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// flavors adds flavors that are larger and smaller than Seed's.
func flavors(t *testing.T, env *storetest.Env) {
	t.Helper()
	for _, f := range []models.Flavor{
		{ID: "large", Name: "large", VCPUs: 4, MemoryMiB: 4096, DiskGiB: 40},
		{ID: "nano", Name: "nano", VCPUs: 1, MemoryMiB: 512, DiskGiB: 5},
		{ID: "same", Name: "same", VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10},
		{ID: "huge", Name: "huge", VCPUs: storetest.NodeVCPUs + 1, MemoryMiB: 1024, DiskGiB: 10},
	} {
		_, _, err := env.CreateFlavor(t.Context(), operators(), f, nil, storetest.Created)
		require.NoError(t, err)
	}
	setCapabilities(t, env, models.Capabilities()...)
}

// stopped is an ACTIVE VM that is off.
func stopped(t *testing.T, env *storetest.Env, name string) models.VM {
	t.Helper()
	vm := env.ActiveVM(t, name)
	putVM(t, env, vm.ID, models.VMActive, models.PowerStopped, "", "")
	return env.VM(t, vm.ID)
}

func tryResize(t *testing.T, env *storetest.Env, vmID, flavor string, disk int) (models.Operation, error) {
	t.Helper()
	accepted, err := env.AcceptVMOperation(t.Context(), storetest.Caller(), store.VMOperation{
		ProjectID: storetest.Project, VMID: vmID, Kind: models.OpVMResize,
		Params: models.OperationParams{FlavorID: flavor, To: models.Size{DiskGiB: disk}},
	}, nil, storetest.Respond)
	return accepted.Operation, err
}

func heldSize(t *testing.T, env *storetest.Env, vmID string) models.Size {
	t.Helper()
	var r models.Reservation
	require.NoError(t, env.DB.Take(&r, "vm_id = ?", vmID).Error)
	return models.Size{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB, DiskGiB: r.DiskGiB}
}

func size(vcpus, memory, disk int) models.Size {
	return models.Size{VCPUs: vcpus, MemoryMiB: memory, DiskGiB: disk}
}

// TestResizeTargets: the size that is asked for, and what is held meanwhile.
func TestResizeTargets(t *testing.T) {
	for name, c := range map[string]struct {
		flavor    string
		disk      int
		to, held  models.Size
		unchanged bool
	}{
		"flavor":                  {flavor: "large", to: size(4, 4096, 40), held: size(4, 4096, 40)},
		"flavor and disk":         {flavor: "large", disk: 20, to: size(4, 4096, 20), held: size(4, 4096, 20)},
		"disk":                    {disk: 20, to: size(2, 1024, 20), held: size(2, 1024, 20)},
		"smaller flavor":          {flavor: "nano", to: size(1, 512, 10), held: size(2, 1024, 10)},
		"the same disk":           {disk: 10, to: size(2, 1024, 10), held: size(2, 1024, 10), unchanged: true},
		"the same flavor":         {flavor: storetest.Flavor, to: size(2, 1024, 10), held: size(2, 1024, 10), unchanged: true},
		"another of the same":     {flavor: "same", to: size(2, 1024, 10), held: size(2, 1024, 10)},
		"smaller, but more space": {flavor: "nano", disk: 30, to: size(1, 512, 30), held: size(2, 1024, 30)},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, env *storetest.Env) {
				env.Seed(t)
				flavors(t, env)
				vm := stopped(t, env, "a")
				op, err := tryResize(t, env, vm.ID, c.flavor, c.disk)
				require.NoError(t, err)
				want := models.OperationParams{FlavorID: c.flavor, From: size(2, 1024, 10), To: c.to, Unchanged: c.unchanged}
				require.Equal(t, want, op.Params)
				require.Equal(t, want, env.Job(t, op.ID).Params)
				require.Equal(t, c.held, heldSize(t, env, vm.ID))
				plan, err := env.ReserveResize(t.Context(), op.ID, vm.ID)
				require.NoError(t, err)
				require.Equal(t, models.ResizePlan{From: size(2, 1024, 10), To: c.to}, plan)

				settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, Size: c.to, NoOp: c.unchanged})
				after := env.VM(t, vm.ID)
				require.Equal(t, c.to, size(after.VCPUs, after.MemoryMiB, after.DiskGiB))
				require.Equal(t, c.to, heldSize(t, env, vm.ID))
				if c.flavor != "" {
					require.Equal(t, c.flavor, after.FlavorID)
				}
			})
		})
	}
}

func TestResizeRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		flavors(t, env)
		off, on := stopped(t, env, "off"), env.ActiveVM(t, "on")
		operations := env.Count(t, "operations")
		refused := func(vmID, flavor string, disk int, target any) {
			t.Helper()
			_, err := tryResize(t, env, vmID, flavor, disk)
			require.ErrorAs(t, err, target)
		}
		var reference *store.ReferenceError
		refused(off.ID, "", 9, &reference)
		require.Equal(t, "/disk_gib", reference.Field)
		require.Contains(t, reference.Detail, "a disk does not shrink")
		refused(off.ID, "large", 9, &reference)
		require.Equal(t, "/disk_gib", reference.Field)
		refused(off.ID, "none", 0, &reference)
		require.Equal(t, "/flavor_id", reference.Field)

		var state *store.StateError
		refused(on.ID, "nano", 0, &state)
		require.Contains(t, state.Error(), "a running VM does not get smaller")
		setCapabilities(t, env, models.CapResize)
		var capability *store.CapabilityError
		refused(on.ID, "large", 0, &capability)
		require.Equal(t, models.CapHotResize, capability.Capability)
		setCapabilities(t, env, models.Capabilities()...)

		four := int64(4 + 3)
		setQuota(t, env, storetest.Project, models.QuotaLimits{VCPUs: &four})
		_, err := tryResize(t, env, off.ID, "", 20)
		require.NoError(t, err, "it takes nothing of what is short")
		var quota *store.QuotaError
		_, err = tryResize(t, env, on.ID, "huge", 0)
		require.ErrorAs(t, err, &quota)
		require.Equal(t, []int64{7, 4, 7}, []int64{quota.Limit, quota.Used, quota.Requested}, "the difference is asked for")
		require.Equal(t, size(2, 1024, 10), heldSize(t, env, on.ID), "a refused resize holds nothing")
		require.Equal(t, operations+1, env.Count(t, "operations"))
	})
}

// TestResizeSettlements: what becomes of record and reservation.
func TestResizeSettlements(t *testing.T) {
	from, to := size(2, 1024, 10), size(4, 4096, 40)
	for name, c := range map[string]struct {
		end          models.Settlement
		abandoned    bool
		record, held models.Size
	}{
		"undone":             {end: models.Settlement{Outcome: models.OutcomeFailed, Size: from}, record: from, held: from},
		"undone but disk":    {end: models.Settlement{Outcome: models.OutcomeCancelled, Size: size(2, 1024, 40)}, record: size(2, 1024, 40), held: size(2, 1024, 40)},
		"never touched":      {end: models.Settlement{Outcome: models.OutcomeCancelled}, record: from, held: from},
		"not known":          {end: models.Settlement{Outcome: models.OutcomeFailed, SizeUnknown: true}, record: from, held: to},
		"ended from outside": {abandoned: true, record: from, held: to},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, env *storetest.Env) {
				env.Seed(t)
				flavors(t, env)
				vm := stopped(t, env, "a")
				op, err := tryResize(t, env, vm.ID, "large", 0)
				require.NoError(t, err)
				_, err = env.BeginJob(t.Context(), op.ID)
				require.NoError(t, err)
				if c.abandoned {
					require.NoError(t, env.SettleAbandoned(t.Context(), op.ID, models.JobUnknownOutcome, "terminated"))
				} else {
					c.end.JobID = op.ID
					settle(t, env, c.end)
				}
				after := env.VM(t, vm.ID)
				require.Equal(t, storetest.Flavor, after.FlavorID)
				require.Equal(t, c.record, size(after.VCPUs, after.MemoryMiB, after.DiskGiB))
				require.Equal(t, c.held, heldSize(t, env, vm.ID))

				putVM(t, env, vm.ID, models.VMActive, models.PowerStopped, "", "") // as a refresh finds it
				again, err := tryResize(t, env, vm.ID, "same", 0)
				require.NoError(t, err)
				now := size(2, 1024, c.record.DiskGiB)
				settle(t, env, models.Settlement{JobID: again.ID, Outcome: models.OutcomeSucceeded, Size: now})
				require.Equal(t, now, heldSize(t, env, vm.ID), "the next resize makes it true")
			})
		})
	}
}

// TestResizeNeedsTheNodesRoom: what the node has left, and only in what is added.
func TestResizeNeedsTheNodesRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		flavors(t, env)
		vm := stopped(t, env, "a")
		op, err := tryResize(t, env, vm.ID, "huge", 0)
		require.NoError(t, err)
		_, err = env.ReserveResize(t.Context(), op.ID, vm.ID)
		require.ErrorIs(t, err, models.ErrNoCapacity)
		_, err = env.ReserveResize(t.Context(), "another", vm.ID)
		require.ErrorIs(t, err, models.ErrNotFound)
		settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity})
		_, err = env.ReserveResize(t.Context(), op.ID, vm.ID)
		require.ErrorIs(t, err, models.ErrNotHolder)

		require.NoError(t, env.DB.Exec("UPDATE nodes SET vcpus = 1").Error)
		disk, err := tryResize(t, env, vm.ID, "", 20)
		require.NoError(t, err)
		_, err = env.ReserveResize(t.Context(), disk.ID, vm.ID)
		require.NoError(t, err, "a node that is overbooked gives no CPUs, and has none to give back")
	})
}

func TestRebuildAccept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		setCapabilities(t, env, models.Capabilities()...)
		vm := stopped(t, env, "a")
		for id, least := range map[string]int{"fits": 10, "wide": 11} {
			_, _, err := env.CreateImage(t.Context(), operators(), models.Image{ID: id, Name: id, MinDiskGiB: least}, nil, storetest.Created)
			require.NoError(t, err)
		}
		rebuild := func(image string) (models.Operation, error) {
			accepted, err := env.AcceptVMOperation(t.Context(), storetest.Caller(), store.VMOperation{
				ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMRebuild, Params: models.OperationParams{ImageID: image},
			}, nil, storetest.Respond)
			return accepted.Operation, err
		}
		for image, says := range map[string]string{"none": "there is no such image", "wide": "a disk of at least 11 GiB; the VM has 10"} {
			_, err := rebuild(image)
			var reference *store.ReferenceError
			require.ErrorAs(t, err, &reference)
			require.Equal(t, "/image_id", reference.Field)
			require.Contains(t, reference.Detail, says)
		}
		for _, end := range []models.Outcome{models.OutcomeFailed, models.OutcomeCancelled, models.OutcomeSucceeded} {
			op, err := rebuild("fits")
			require.NoError(t, err)
			require.Equal(t, models.OperationParams{ImageID: "fits", FromImageID: storetest.Image}, op.Params)
			require.Equal(t, storetest.Image, env.VM(t, vm.ID).ImageID, "until it is done")
			settle(t, env, models.Settlement{JobID: op.ID, Outcome: end})
		}
		require.Equal(t, "fits", env.VM(t, vm.ID).ImageID)

		_, err := env.BlueprintWith(t.Context(), vm.ID, "fits")
		require.ErrorIs(t, err, models.ErrImageNotReady, "it is bound nowhere")
		bp, err := env.BlueprintWith(t.Context(), vm.ID, storetest.Image)
		require.NoError(t, err)
		require.Equal(t, []string{storetest.Image, "debian-12"}, []string{bp.VM.ImageID, bp.Image.Ref})
	})
}
