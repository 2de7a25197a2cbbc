package store_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestCreateWritesEverythingAtOnce(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			in := storetest.CreateRequest("web")
			in.UserData, in.SSHKeys = []byte("#cloud-config\npassword: s3cret"), []string{"ssh-ed25519 AAAA"}
			in.Tags, in.Metadata = map[string]string{"env": "prod"}, map[string]string{"owner": "ops"}
			in.Networks = append(in.Networks, store.NICRequest{NetworkID: storetest.Network, IPAddress: "10.0.0.9"})
			accepted, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
			require.NoError(t, err)
			op := accepted.Operation
			require.Equal(t, 202, accepted.Answer.Status)
			require.Equal(t, op.ResourceID+" "+op.ID, string(accepted.Answer.Body))

			vm, err := env.GetVM(t.Context(), storetest.Tenant, storetest.Project, op.ResourceID)
			require.NoError(t, err)
			require.Equal(t, models.VMPending, vm.Status)
			require.Equal(t, models.PowerNone, vm.PowerState)
			require.Equal(t, models.PowerRunning, vm.DesiredPowerState)
			require.Equal(t, op.ID, vm.CurrentJobID)
			require.Equal(t, 1, vm.Generation)
			require.Equal(t, []int{2, 1024, 10}, []int{vm.VCPUs, vm.MemoryMiB, vm.DiskGiB})
			require.Equal(t, in.Tags, vm.Tags)
			require.Equal(t, in.Metadata, vm.Metadata)
			require.Equal(t, in.SSHKeys, vm.SSHKeys)
			require.Nil(t, vm.SealedUserData, "reads leave the user data where it is")
			require.Len(t, vm.NICs, 2)
			require.Equal(t, "10.0.0.9", vm.NICs[1].IPAddress)
			require.Regexp(t, `^02(:[0-9a-f]{2}){5}$`, vm.NICs[0].MAC)
			require.NotEqual(t, vm.NICs[0].MAC, vm.NICs[1].MAC)
			require.Equal(t, "UTC", vm.CreatedAt.Location().String())

			var sealed []byte
			require.NoError(t, env.DB.Raw("SELECT sealed_user_data FROM vms").Row().Scan(&sealed))
			require.NotEmpty(t, sealed)
			require.False(t, bytes.Contains(sealed, []byte("s3cret")))

			var r models.Reservation
			require.NoError(t, env.DB.Take(&r).Error)
			require.Equal(t, models.Reservation{
				VMID: vm.ID, TenantID: storetest.Tenant, ProjectID: storetest.Project,
				VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10, JobID: op.ID, CreatedAt: r.CreatedAt,
			}, r)

			got, err := env.GetJob(t.Context(), storetest.Tenant, op.ID)
			require.NoError(t, err)
			require.Equal(t, op, got)
			require.Equal(t, models.OpVMCreate, got.Kind)
			require.Equal(t, models.OperationParams{Start: true}, got.Params)
			require.Equal(t, "issuer|alice", got.Subject)
			require.Equal(t, models.OutcomeNone, got.Outcome)
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	cases := map[string]struct {
		change func(*store.CreateVM)
		want   error
	}{
		"image":         {func(in *store.CreateVM) { in.ImageID = "x" }, &store.ReferenceError{Field: "/image_id"}},
		"flavor":        {func(in *store.CreateVM) { in.FlavorID = "x" }, &store.ReferenceError{Field: "/flavor_id"}},
		"zone":          {func(in *store.CreateVM) { in.ZoneID = "x" }, &store.ReferenceError{Field: "/placement/zone"}},
		"location":      {func(in *store.CreateVM) { in.Location = "x" }, &store.ReferenceError{Field: "/placement/location"}},
		"network":       {func(in *store.CreateVM) { in.Networks[0].NetworkID = "x" }, &store.ReferenceError{Field: "/networks/0/network_id"}},
		"disk":          {func(in *store.CreateVM) { in.DiskGiB = 4 }, &store.ReferenceError{Field: "/disk_gib"}},
		"NUL in name":   {func(in *store.CreateVM) { in.Name = "a\x00b" }, &store.ReferenceError{Field: "/name"}},
		"NUL in tag":    {func(in *store.CreateVM) { in.Tags = map[string]string{"a": "\x00"} }, &store.ReferenceError{Field: "/tags"}},
		"not UTF-8":     {func(in *store.CreateVM) { in.Metadata = map[string]string{"\xff": ""} }, &store.ReferenceError{Field: "/metadata"}},
		"project":       {func(in *store.CreateVM) { in.ProjectID = "x" }, models.ErrNotFound},
		"other project": {func(in *store.CreateVM) { in.ProjectID = storetest.OtherProject }, models.ErrNotFound},
		"name":          {func(in *store.CreateVM) { in.Name = "taken" }, &store.NameConflictError{Field: "name"}},
	}
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			env.AcceptVM(t, "taken")
			before := [4]int{env.Count(t, "vms"), env.Count(t, "reservations"), env.Count(t, "operations"), env.Count(t, "idempotency_records")}
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					in := storetest.CreateRequest("new")
					c.change(&in)
					idem := &store.Idempotency{Scope: "s", Key: "k", RequestHash: []byte(name)}
					_, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, idem, storetest.Respond)
					var want, got *store.ReferenceError
					if errors.As(c.want, &want) {
						require.ErrorAs(t, err, &got)
						require.Equal(t, want.Field, got.Field)
						require.NotEmpty(t, got.Detail)
					} else if errors.Is(c.want, models.ErrNotFound) {
						require.ErrorIs(t, err, models.ErrNotFound)
					} else {
						require.Equal(t, c.want, err)
					}
				})
			}
			after := [4]int{env.Count(t, "vms"), env.Count(t, "reservations"), env.Count(t, "operations"), env.Count(t, "idempotency_records")}
			require.Equal(t, before, after, "a refused create leaves nothing")
		})
	}
}

func TestCreateNeedsCloudInitWhereItIsKnownToBeMissing(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			require.NoError(t, env.SaveInventory(t.Context(), storetest.Provider, models.InventoryReport{}))
			in := storetest.CreateRequest("a")
			in.UserData = []byte("#cloud-config")
			_, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
			require.Equal(t, &store.CapabilityError{Capability: models.CapCloudInit}, err)
			in.UserData = nil
			_, err = env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
			require.NoError(t, err)
		})
	}
}

func TestANameIsFreeAgainOnceItsVMIsDeleted(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "web")
			del := acceptOp(t, env, vm.ID, models.OpVMDelete)
			settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Release: true})
			require.NotEqual(t, vm.ID, env.AcceptVM(t, "web").ResourceID)
		})
	}
}

func TestRespondsErrorStoresNothing(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			boom := errors.New("boom")
			_, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), nil,
				func(string, string) (store.Answer, error) { return store.Answer{}, boom })
			require.ErrorIs(t, err, boom)
			require.Zero(t, env.Count(t, "vms"))
		})
	}
}

func acceptOp(t *testing.T, env *storetest.Env, vmID string, kind models.OperationKind) models.Operation {
	t.Helper()
	accepted, err := tryOp(t, env, vmID, kind, true)
	require.NoError(t, err)
	return accepted.Operation
}

func tryOp(t *testing.T, env *storetest.Env, vmID string, kind models.OperationKind, preempt bool) (store.Accepted, error) {
	t.Helper()
	return env.AcceptVMOperation(t.Context(), storetest.Caller(),
		store.VMOperation{ProjectID: storetest.Project, VMID: vmID, Kind: kind, Preempt: preempt}, nil, storetest.Respond)
}

func settle(t *testing.T, env *storetest.Env, in models.Settlement) {
	t.Helper()
	require.NoError(t, env.SettleJob(t.Context(), in))
}
