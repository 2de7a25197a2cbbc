package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// noun is a kind of row that can be retired, for tests that hold for each.
type noun struct {
	id     string // a row that a VM of the demo tenant uses
	table  string
	create func(id, name string) error
	read   func(id string) (name string, generation int, err error)
	list   func() (names []string, err error)
	rename func(id, name string, w store.Write) error
	retire func(id string, w store.Write) error
}

func nouns(t *testing.T, env *storetest.Env) map[string]noun {
	t.Helper()
	ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
	last := func(_ store.Answer, _ bool, err error) error { return err }
	return map[string]noun{
		"tenant": {
			storetest.Tenant, "tenants",
			func(id, name string) error {
				return last(env.CreateTenant(ctx, ops, models.Tenant{ID: id, Name: name}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetTenant(ctx, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListTenants(ctx, store.Page{})
				return namesOf(rows, func(r models.Tenant) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateTenant(ctx, id, &name, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteTenant(ctx, id, w, gone())) },
		},
		"project": {
			storetest.Project, "projects",
			func(id, name string) error {
				return last(env.CreateProject(ctx, ops, models.Project{ID: id, Name: name, TenantID: storetest.Tenant}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetProject(ctx, storetest.Tenant, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListProjects(ctx, storetest.Tenant, store.Page{})
				return namesOf(rows, func(r models.Project) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateProject(ctx, id, &name, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteProject(ctx, id, w, gone())) },
		},
		"zone": {
			storetest.Zone, "zones",
			func(id, name string) error {
				return last(env.CreateZone(ctx, ops, models.Zone{ID: id, Name: name}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetZone(ctx, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListZones(ctx, store.Page{})
				return namesOf(rows, func(r models.Zone) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateZone(ctx, id, store.ZonePatch{Name: &name}, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteZone(ctx, id, w, gone())) },
		},
		"flavor": {
			storetest.Flavor, "flavors",
			func(id, name string) error {
				return last(env.CreateFlavor(ctx, ops, models.Flavor{ID: id, Name: name, VCPUs: 1, MemoryMiB: 64, DiskGiB: 5}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetFlavor(ctx, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListFlavors(ctx, store.Page{})
				return namesOf(rows, func(r models.Flavor) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateFlavor(ctx, id, &name, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteFlavor(ctx, id, w, gone())) },
		},
		"image": {
			storetest.Image, "images",
			func(id, name string) error {
				return last(env.CreateImage(ctx, ops, models.Image{ID: id, Name: name}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetImage(ctx, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListImages(ctx, store.Page{})
				return namesOf(rows, func(r models.Image) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateImage(ctx, id, store.ImagePatch{Name: &name}, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteImage(ctx, id, w, gone())) },
		},
		"network": {
			storetest.Network, "networks",
			func(id, name string) error {
				return last(env.CreateNetwork(ctx, ops, models.Network{ID: id, Name: name}, nil, storetest.Created))
			},
			func(id string) (string, int, error) {
				r, err := env.GetNetwork(ctx, id)
				return r.Name, r.Generation, err
			},
			func() ([]string, error) {
				rows, _, err := env.ListNetworks(ctx, store.Page{})
				return namesOf(rows, func(r models.Network) string { return r.Name }), err
			},
			func(id, name string, w store.Write) error {
				return last(env.UpdateNetwork(ctx, id, store.NetworkPatch{Name: &name}, w, storetest.Created))
			},
			func(id string, w store.Write) error { return last(env.DeleteNetwork(ctx, id, w, gone())) },
		},
	}
}

func namesOf[T any](rows []T, name func(T) string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = name(r)
	}
	return out
}

// TestRevisions: each row that can be retired changes by generations, and ends
// so that its name is free and its ID is not.
func TestRevisions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		env.ActiveVM(t, "a")
		for name, n := range nouns(t, env) {
			t.Run(name, func(t *testing.T) {
				require.NoError(t, n.create("row", "Row"))
				require.NoError(t, n.create("second", "Other"))
				at := func(generation int) store.Write { return store.Write{IfMatch: &generation} }
				require.Equal(t, &store.PreconditionError{Generation: 1}, n.rename("row", "New", at(2)))
				require.NoError(t, n.rename("row", "New", at(1)))
				require.Equal(t, &store.NameConflictError{Field: "name"}, n.rename("row", "Other", store.Write{}))
				got, generation, err := n.read("row")
				require.NoError(t, err)
				require.Equal(t, "New", got)
				require.Equal(t, 2, generation)
				require.ErrorIs(t, n.rename("absent", "X", store.Write{}), models.ErrNotFound)

				var used *store.InUseError
				require.ErrorAs(t, n.retire(n.id, store.Write{}), &used)
				require.NotContains(t, used.Detail, "\x1f")
				require.Equal(t, &store.PreconditionError{Generation: 2}, n.retire("row", at(1)))
				require.NoError(t, n.retire("row", at(2)))
				_, _, err = n.read("row")
				require.ErrorIs(t, err, models.ErrNotFound)
				require.ErrorIs(t, n.retire("row", store.Write{}), models.ErrNotFound)
				require.ErrorIs(t, n.rename("row", "X", store.Write{}), models.ErrNotFound)
				names, err := n.list()
				require.NoError(t, err)
				require.Contains(t, names, "Other")
				for _, name := range names {
					require.False(t, strings.HasPrefix(name, "New"))
				}
				var taken *store.NameConflictError
				require.ErrorAs(t, n.create("row", "Again"), &taken, "an ID is never given again")
				require.NoError(t, n.create("again", "New"), "the name is free")
				require.NoError(t, n.retire("again", store.Write{}))
				require.NoError(t, n.create("and-again", "New"), "as often as one likes")
			})
		}
	})
}

// TestRetiredWithHistory: what only deleted VMs refer to can be retired, and
// they and their jobs stay readable.
func TestRetiredWithHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, vm := t.Context(), env.ActiveVM(t, "a")
		robot := account(t, env, "robot")
		_, _, err := key(t, env, robot.ID, nil)
		require.NoError(t, err)
		sshKey(t, env, "laptop")
		rows := nouns(t, env)
		op := acceptOp(t, env, vm.ID, models.OpVMDelete)
		_, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		for _, name := range []string{"project", "flavor", "image", "network"} {
			var used *store.InUseError
			require.ErrorAs(t, rows[name].retire(rows[name].id, store.Write{}), &used, "%s: the VM is only being deleted", name)
		}
		settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Release: true})
		var used *store.InUseError
		require.ErrorAs(t, rows["zone"].retire(storetest.Zone, store.Write{}), &used, "its provider is there")
		require.ErrorAs(t, rows["tenant"].retire(storetest.Tenant, store.Write{}), &used, "its project is there")

		require.NoError(t, rows["flavor"].retire(storetest.Flavor, store.Write{}))
		_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), nil, storetest.Respond)
		requireReference(t, err, "/flavor_id")
		require.NoError(t, rows["image"].retire(storetest.Image, store.Write{}))
		_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), nil, storetest.Respond)
		requireReference(t, err, "/image_id")
		require.NoError(t, rows["flavor"].create("small-2", "small"))
		require.NoError(t, rows["image"].create("debian-2", "debian"))
		in := storetest.CreateRequest("b")
		in.FlavorID, in.ImageID = "small-2", "debian-2"
		require.NoError(t, rows["network"].retire(storetest.Network, store.Write{}))
		_, err = env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
		requireReference(t, err, "/networks/0/network_id")
		for _, table := range []string{"image_bindings", "network_bindings"} {
			require.Zero(t, env.Count(t, table), "bindings go with what they bind")
		}

		require.NoError(t, rows["project"].retire(storetest.Project, store.Write{}))
		_, err = env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		for _, table := range []string{"service_accounts", "service_account_keys", "ssh_keys"} {
			require.Zero(t, env.Count(t, table), table)
		}
		_, _, err = env.ListSSHKeys(ctx, storetest.Tenant, storetest.Project, store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = env.CreateSSHKey(ctx, storetest.Caller(), models.SSHKey{ProjectID: storetest.Project, Name: "x"}, nil, storetest.Created)
		require.ErrorIs(t, err, models.ErrNotFound)
		require.NoError(t, rows["tenant"].retire(storetest.Tenant, store.Write{}))
		err = rows["project"].create("p", "P")
		requireReference(t, err, "/tenant_id")

		job, err := env.GetJob(ctx, storetest.Tenant, op.ID)
		require.NoError(t, err, "the record of what was done stays")
		require.Equal(t, storetest.Project, job.ProjectID)
		old, err := env.GetVM(ctx, storetest.Tenant, storetest.Project, vm.ID)
		require.NoError(t, err)
		require.Equal(t, models.VMDeleted, old.Status)
	})
}

func TestZonesInUse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		zones := nouns(t, env)["zone"]
		require.NoError(t, zones.create("empty", "Empty"))
		in := storetest.CreateRequest("a")
		in.ZoneID = "empty"
		_, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
		require.NoError(t, err)
		require.Equal(t, &store.InUseError{Detail: "there are VMs that asked for the zone"}, zones.retire("empty", store.Write{}))
		require.NoError(t, zones.create("spare", "Spare"))
		require.NoError(t, zones.retire("spare", store.Write{}))
		in.Name, in.ZoneID = "b", "spare"
		_, err = env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
		requireReference(t, err, "/placement/zone")
		_, err = env.AcceptProviderCreate(t.Context(), storetest.Caller(), store.CreateProvider{Name: "p", Kind: "sim", ZoneID: "spare"}, nil, storetest.Respond)
		requireReference(t, err, "/zone_id")
	})
}

func TestPatchedBindings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		image := func(bindings ...models.ImageBinding) error {
			_, _, err := env.UpdateImage(ctx, storetest.Image, store.ImagePatch{Bindings: &bindings}, store.Write{}, storetest.Created)
			return err
		}
		requireReference(t, image(models.ImageBinding{ProviderID: "none"}), "/bindings/0/provider_id")
		requireReference(t, image(models.ImageBinding{ProviderID: storetest.Provider}, models.ImageBinding{ProviderID: storetest.Provider}), "/bindings/1")
		got, err := env.GetImage(ctx, storetest.Image)
		require.NoError(t, err)
		require.Equal(t, "debian-12", got.Bindings[0].Ref, "a refused patch changes nothing")
		require.Equal(t, 1, got.Generation)
		require.NoError(t, image(models.ImageBinding{ProviderID: storetest.Provider, Ref: "debian-13"}))
		got, err = env.GetImage(ctx, storetest.Image)
		require.NoError(t, err)
		require.Len(t, got.Bindings, 1)
		require.Equal(t, "debian-13", got.Bindings[0].Ref)
		require.Equal(t, models.CloneLinked, got.Bindings[0].CloneMode)
		size := 7
		_, _, err = env.UpdateImage(ctx, storetest.Image, store.ImagePatch{MinDiskGiB: &size}, store.Write{}, func(row models.Image) (store.Answer, error) {
			require.Equal(t, got.Bindings, row.Bindings, "an answer shows what did not change too")
			return store.Answer{Status: 200}, nil
		})
		require.NoError(t, err)
		require.NoError(t, image())
		require.Zero(t, env.Count(t, "image_bindings"))

		none := []models.NetworkBinding{}
		_, _, err = env.UpdateNetwork(ctx, storetest.Network, store.NetworkPatch{Bindings: &none}, store.Write{}, storetest.Created)
		require.NoError(t, err)
		some := []models.NetworkBinding{{ProviderID: storetest.Provider, Ref: "br0", Type: models.NetworkBridge}}
		_, _, err = env.UpdateNetwork(ctx, storetest.Network, store.NetworkPatch{Bindings: &some}, store.Write{}, storetest.Created)
		require.NoError(t, err)
		network, err := env.GetNetwork(ctx, storetest.Network)
		require.NoError(t, err)
		require.Equal(t, models.NetworkBridge, network.Bindings[0].Type)
		require.Equal(t, 3, network.Generation)
	})
}

// TestRetirementUnderRace: of a create and the retirement of what it refers to,
// at once, one wins. No live VM is ever left with a retired row.
func TestRetirementUnderRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		rows := nouns(t, env)
		for name, refer := range map[string]func(in *store.CreateVM, id string){
			"flavor":  func(in *store.CreateVM, id string) { in.FlavorID = id },
			"image":   func(in *store.CreateVM, id string) { in.ImageID = id },
			"network": func(in *store.CreateVM, id string) { in.Networks[0].NetworkID = id },
			"project": func(in *store.CreateVM, id string) { in.ProjectID = id },
			"zone":    func(in *store.CreateVM, id string) { in.ZoneID = id },
		} {
			for i := range 12 {
				id := fmt.Sprintf("race-%s-%d", name, i)
				require.NoError(t, rows[name].create(id, id))
				in := storetest.CreateRequest(id)
				refer(&in, id)
				var create, retire error
				var wg sync.WaitGroup
				wg.Go(func() { _, create = env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond) })
				wg.Go(func() { retire = rows[name].retire(id, store.Write{}) })
				wg.Wait()
				require.True(t, (create == nil) != (retire == nil), "%s: create: %v, retire: %v", id, create, retire)
				if create != nil {
					var reference *store.ReferenceError
					require.True(t, errors.As(create, &reference) || errors.Is(create, models.ErrNotFound), "%v", create)
				} else {
					var used *store.InUseError
					require.ErrorAs(t, retire, &used)
				}
			}
		}
	})
}
