package store_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
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

func TestIdempotency(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
			first, err := env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
			require.NoError(t, err)
			require.False(t, first.Replayed)

			again, err := env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
			require.NoError(t, err)
			require.True(t, again.Replayed)
			require.Equal(t, first.Answer, again.Answer)
			require.Zero(t, again.Operation)
			require.Equal(t, 1, env.Count(t, "vms"))

			other := *idem
			other.RequestHash = []byte("other")
			_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), &other, storetest.Respond)
			require.Equal(t, &store.IdempotencyError{Problem: store.IdempotencyReused}, err)

			other.Scope = "another scope"
			_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), &other, storetest.Respond)
			require.NoError(t, err, "keys of different scopes have nothing to do with each other")
		})
	}
}

// However many requests come at once with one key, one is carried out, and all
// get its answer.
func TestIdempotencyUnderRace(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			stores := []*store.Store{env.Store, env.Open(), env.Open()}
			answers := make([]string, 24)
			errs := make([]error, len(answers))
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
					accepted, err := stores[i%len(stores)].AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
					answers[i], errs[i] = string(accepted.Answer.Body), err
				})
			}
			wg.Wait()
			for i := range answers {
				require.NoError(t, errs[i])
				require.Equal(t, answers[0], answers[i])
			}
			require.Equal(t, 1, env.Count(t, "vms"))
			require.Equal(t, 1, env.Count(t, "operations")-1, "one create beside the provider's sync")
		})
	}
}

// A request whose twin is still being accepted is told so after a bounded wait.
func TestIdempotencyInProgress(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	tx := env.DB.Begin()
	require.NoError(t, tx.Exec(`INSERT INTO idempotency_records (scope, key, request_hash, job_id, status, created_at, expires_at)
		VALUES ('scope', 'key', 'hash', '', 202, now(), now())`).Error)
	idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
	_, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
	require.Equal(t, &store.IdempotencyError{Problem: store.IdempotencyInProgress}, err)
	require.NoError(t, tx.Rollback().Error)
	_, err = env.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
	require.NoError(t, err, "the twin failed, and left nothing")
}

func TestExpiredIdempotencyRecords(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			var ops []models.Operation
			for _, name := range []string{"a", "b"} {
				idem := &store.Idempotency{Scope: "scope", Key: name, RequestHash: []byte("hash")}
				accepted, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest(name), idem, storetest.Respond)
				require.NoError(t, err)
				ops = append(ops, accepted.Operation)
			}
			settle(t, env, models.Settlement{JobID: ops[0].ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive})
			remove := func(want int) {
				t.Helper()
				n, err := env.DeleteExpiredIdempotency(t.Context(), 10)
				require.NoError(t, err)
				require.Equal(t, want, n)
			}
			remove(0)
			env.Clock.Advance(store.IdempotencyLifetime)
			remove(1)
			require.Equal(t, 1, env.Count(t, "idempotency_records"), "the other one's job has not ended")
			settle(t, env, models.Settlement{JobID: ops[1].ID, Outcome: models.OutcomeFailed})
			remove(1)
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

func TestCatalogCreates(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
			idem := &store.Idempotency{Scope: "zones", Key: "1", RequestHash: []byte("h")}
			respond := func(z models.Zone) (store.Answer, error) {
				return store.Answer{Status: 201, Body: []byte(z.ID + z.CreatedAt.String())}, nil
			}
			first, replayed, err := env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, idem, respond)
			require.NoError(t, err)
			require.False(t, replayed)
			again, replayed, err := env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, idem, respond)
			require.NoError(t, err)
			require.True(t, replayed)
			require.Equal(t, first, again)

			_, _, err = env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, nil, storetest.Created)
			require.Equal(t, &store.NameConflictError{Field: "name"}, err)
			_, _, err = env.CreateZone(ctx, ops, models.Zone{ID: storetest.Zone, Name: "z3"}, nil, storetest.Created)
			require.Equal(t, &store.NameConflictError{Field: "id"}, err)
			for _, id := range []string{"Upper", "-a", "a_b", "a:b", "a/b", strings.Repeat("a", 64)} {
				_, _, err = env.CreateZone(ctx, ops, models.Zone{ID: id, Name: "z4"}, nil, storetest.Created)
				requireReference(t, err, "/id")
			}
			_, _, err = env.CreateProject(ctx, ops, models.Project{TenantID: "none", Name: "p"}, nil, storetest.Created)
			requireReference(t, err, "/tenant_id")
			_, err = env.AcceptProviderCreate(ctx, ops, store.CreateProvider{Name: "p", Kind: "sim", ZoneID: "none"}, nil, storetest.Respond)
			requireReference(t, err, "/zone_id")
			_, err = env.AcceptProviderCreate(ctx, ops, store.CreateProvider{Name: storetest.Provider, Kind: "sim", ZoneID: storetest.Zone}, nil, storetest.Respond)
			require.Equal(t, &store.NameConflictError{Field: "name"}, err)

			image := func(bindings ...models.ImageBinding) error {
				_, _, err := env.CreateImage(ctx, ops, models.Image{Name: "i", Bindings: bindings}, nil, storetest.Created)
				return err
			}
			requireReference(t, image(models.ImageBinding{ProviderID: "none"}), "/bindings/0/provider_id")
			requireReference(t, image(models.ImageBinding{ProviderID: storetest.Provider, ClusterID: "none"}), "/bindings/0/cluster_id")
			requireReference(t, image(models.ImageBinding{ProviderID: storetest.Provider}, models.ImageBinding{ProviderID: storetest.Provider}), "/bindings/1")
			got, err := env.GetImage(ctx, storetest.Image)
			require.NoError(t, err)
			require.Equal(t, "linux", got.OSType)
			require.Len(t, got.Bindings, 1)
			require.Equal(t, models.CloneLinked, got.Bindings[0].CloneMode)
			network, err := env.GetNetwork(ctx, storetest.Network)
			require.NoError(t, err)
			require.Equal(t, models.NetworkNetwork, network.Bindings[0].Type)
		})
	}
}

func TestProviderAccepts(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
			accepted, err := env.AcceptProviderSync(ctx, ops, storetest.Provider, nil, storetest.Respond)
			require.NoError(t, err)
			require.Equal(t, models.OpProviderSync, accepted.Operation.Kind)
			begun, err := env.BeginJob(ctx, accepted.Operation.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{ProviderID: storetest.Provider}, begun)
			settle(t, env, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeSucceeded})
			settle(t, env, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeFailed})
			require.Equal(t, models.OutcomeSucceeded, env.Job(t, accepted.Operation.ID).Outcome, "the first outcome stays")
			_, err = env.AcceptProviderSync(ctx, ops, "none", nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

func requireReference(t *testing.T, err error, field string) {
	t.Helper()
	var ref *store.ReferenceError
	require.ErrorAs(t, err, &ref)
	require.Equal(t, field, ref.Field)
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
