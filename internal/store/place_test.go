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

// Concurrent creates and deletes never sell a node's room twice, and use it all.
func TestPlacementNeverExceedsCapacity(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			stores := []*store.Store{env.Store, env.Open(), env.Open()}
			// Two nodes of 8 vCPUs hold 8 VMs of 2; 20 are asked for, twice.
			const asked, room = 20, 8
			for round := range 2 {
				ops := make([]models.Operation, asked)
				for i := range ops {
					ops[i] = env.AcceptVM(t, fmt.Sprintf("vm-%d-%d", round, i))
				}
				placed := make([]bool, asked)
				errs := make([]error, asked)
				var wg sync.WaitGroup
				for i, op := range ops {
					wg.Go(func() {
						_, errs[i] = stores[i%len(stores)].PlaceVM(ctx, op.ID, op.ResourceID)
						placed[i] = errs[i] == nil
					})
				}
				wg.Wait()
				n := 0
				for i, err := range errs {
					if err == nil {
						n++
						continue
					}
					require.ErrorIs(t, err, models.ErrNoCapacity, i)
				}
				require.Equal(t, room, n)
				requireWithinCapacity(t, env)
				for i, op := range ops {
					wg.Go(func() {
						s := stores[i%len(stores)]
						var err error
						if placed[i] {
							err = s.UnplaceVM(ctx, op.ID, op.ResourceID)
						}
						errs[i] = errors.Join(err, s.SettleJob(ctx, models.Settlement{
							JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true,
						}))
					})
				}
				wg.Wait()
				require.NoError(t, errors.Join(errs...))
				require.Zero(t, env.Count(t, "reservations"), "everything is given back")
			}
		})
	}
}

func requireWithinCapacity(t *testing.T, env *storetest.Env) {
	t.Helper()
	var over []string
	require.NoError(t, env.DB.Raw(`SELECT n.name FROM nodes n JOIN providers p ON p.id = n.provider_id JOIN reservations r ON r.node_id = n.id
		GROUP BY n.id, n.name, n.vcpus, n.memory_mib, p.cpu_overcommit
		HAVING SUM(r.vcpus) > n.vcpus * p.cpu_overcommit OR SUM(r.memory_mib) > n.memory_mib`).Scan(&over).Error)
	require.Empty(t, over)
	var apart int64
	require.NoError(t, env.DB.Raw("SELECT count(*) FROM vms v LEFT JOIN reservations r ON r.vm_id = v.id WHERE v.node_id <> COALESCE(r.node_id, '')").Scan(&apart).Error)
	require.Zero(t, apart, "a VM is where its reservation is")
}

func TestPlaceAndUnplaceAreIdempotent(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, op := t.Context(), env.AcceptVM(t, "a")
			first, err := env.PlaceVM(ctx, op.ID, op.ResourceID)
			require.NoError(t, err)
			require.Equal(t, "n1", first.NodeName)
			require.Equal(t, storetest.Provider, first.ProviderID)
			again, err := env.PlaceVM(ctx, op.ID, op.ResourceID)
			require.NoError(t, err)
			require.Equal(t, first, again)
			vm := env.VM(t, op.ResourceID)
			require.Equal(t, []string{first.ProviderID, first.ClusterID, first.NodeID}, []string{vm.ProviderID, vm.ClusterID, vm.NodeID})
			require.NoError(t, env.SetNativeRef(ctx, op.ID, vm.ID, "ref"))
			for range 2 {
				require.NoError(t, env.UnplaceVM(ctx, op.ID, op.ResourceID))
				vm = env.VM(t, op.ResourceID)
				require.Empty(t, vm.ProviderID+vm.ClusterID+vm.NodeID+vm.NativeRef)
				require.Equal(t, 1, env.Count(t, "reservations"), "its share of the quota stays")
			}
			_, err = env.PlaceVM(ctx, op.ID, "none")
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

func TestPlacementLooksAtTheNodes(t *testing.T) {
	cases := []struct {
		name    string
		arrange string
		change  func(*store.CreateVM)
		node    string
		want    error
	}{
		{name: "first by name", node: "n1"},
		{name: "its zone", change: func(in *store.CreateVM) { in.ZoneID = storetest.Zone }, node: "n1"},
		{name: "its location", change: func(in *store.CreateVM) { in.Location = storetest.Location }, node: "n1"},
		{name: "a zone without nodes", change: func(in *store.CreateVM) { in.ZoneID = "zone-2" }, want: models.ErrNoCapacity},
		{name: "node down", arrange: "UPDATE nodes SET state = 'DOWN' WHERE name = 'n1'", node: "n2"},
		{name: "node cordoned", arrange: "UPDATE nodes SET cordoned = TRUE WHERE name = 'n1'", node: "n2"},
		{name: "node too small", arrange: "UPDATE nodes SET memory_mib = 1023 WHERE name = 'n1'", node: "n2"},
		{name: "too few vCPUs", arrange: "UPDATE nodes SET vcpus = 1", want: models.ErrNoCapacity},
		{name: "overcommit takes room", arrange: "UPDATE providers SET cpu_overcommit = 0.125", want: models.ErrNoCapacity},
		{name: "overcommit makes room", arrange: "UPDATE nodes SET vcpus = 1; UPDATE providers SET cpu_overcommit = 2", node: "n1"},
		{name: "provider disabled", arrange: "UPDATE providers SET enabled = FALSE", want: models.ErrNoCapacity},
		{name: "provider unreachable, the job waits for it", arrange: "UPDATE providers SET status = 'UNREACHABLE'", node: "n1"},
		{name: "provider never reached", arrange: "UPDATE providers SET status = 'PENDING'", want: models.ErrNoCapacity},
		{name: "image not bound", arrange: "UPDATE image_bindings SET image_id = 'other'", want: models.ErrImageNotReady},
		{name: "image bound on another cluster", arrange: "UPDATE image_bindings SET cluster_id = 'other'", want: models.ErrImageNotReady},
		{name: "network not bound", arrange: "UPDATE network_bindings SET network_id = 'other'", want: models.ErrImageNotReady},
		{
			name: "no cloud-init where it is needed", arrange: "UPDATE providers SET capabilities = '[]'",
			change: func(in *store.CreateVM) { in.SSHKeys = []string{"ssh-ed25519 AAAA"} }, want: models.ErrNoCapacity,
		},
		{name: "no cloud-init where it is not needed", arrange: "UPDATE providers SET capabilities = '[]'", node: "n1"},
		{
			name: "no network asked for", arrange: "UPDATE network_bindings SET network_id = 'other'",
			change: func(in *store.CreateVM) { in.Networks = nil }, node: "n1",
		},
		{
			name:   "two interfaces in one network",
			change: func(in *store.CreateVM) { in.Networks = append(in.Networks, in.Networks[0]) }, node: "n1",
		},
	}
	const reset = `UPDATE nodes SET state = 'UP', cordoned = FALSE, vcpus = 8, memory_mib = 8192;
		UPDATE providers SET cpu_overcommit = 1, enabled = TRUE, status = 'UP', capabilities = '["cloud_init"]';
		UPDATE image_bindings SET image_id = 'debian', cluster_id = ''; UPDATE network_bindings SET network_id = 'net-1'`
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			_, _, err := env.CreateZone(ctx, store.Caller{}, models.Zone{ID: "zone-2", Name: "zone-2"}, nil, storetest.Created)
			require.NoError(t, err)
			_, _, err = env.CreateImage(ctx, store.Caller{}, models.Image{ID: "other", Name: "other"}, nil, storetest.Created)
			require.NoError(t, err)
			_, _, err = env.CreateNetwork(ctx, store.Caller{}, models.Network{ID: "other", Name: "other"}, nil, storetest.Created)
			require.NoError(t, err)
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					in := storetest.CreateRequest(fmt.Sprintf("vm-%d", i))
					if c.change != nil {
						c.change(&in)
					}
					accepted, err := env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
					require.NoError(t, err)
					execEach(t, env, c.arrange)
					where, err := env.PlaceVM(ctx, accepted.Operation.ID, accepted.Operation.ResourceID)
					require.ErrorIs(t, err, c.want)
					require.Equal(t, c.node, where.NodeName)
					execEach(t, env, reset)
					settle(t, env, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
				})
			}
		})
	}
}

func execEach(t *testing.T, env *storetest.Env, statements string) {
	t.Helper()
	for statement := range strings.SplitSeq(statements, ";") {
		if strings.TrimSpace(statement) != "" {
			require.NoError(t, env.DB.Exec(statement).Error)
		}
	}
}

func TestBlueprint(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			addSubnet(t, env, storetest.Network, "10.0.0.0/22", "10.0.0.1")
			addNetwork(t, env, "bare")
			in := storetest.CreateRequest("a")
			in.Networks = append(in.Networks, store.NICRequest{NetworkID: "bare", IPAddress: "192.0.2.7"})
			in.UserData = []byte("#cloud-config\npassword: s3cret")
			accepted, err := env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
			require.NoError(t, err)
			op := accepted.Operation
			_, err = env.Blueprint(ctx, op.ResourceID)
			require.ErrorIs(t, err, models.ErrNotFound, "it is not placed")
			where, err := env.PlaceVM(ctx, op.ID, op.ResourceID)
			require.NoError(t, err)
			blueprint, err := env.Blueprint(ctx, op.ResourceID)
			require.NoError(t, err)
			require.Equal(t, in.UserData, blueprint.UserData)
			require.Nil(t, blueprint.VM.SealedUserData)
			require.Equal(t, "n1", blueprint.NodeName)
			require.Equal(t, "debian-12", blueprint.Image.Ref)
			require.Equal(t, "vmnet0", blueprint.NICs[0].Binding.Ref)
			require.Equal(t, []models.BoundNIC{
				{
					NIC: blueprint.VM.NICs[0], Binding: blueprint.NICs[0].Binding,
					PrefixLength: 22, Gateway: "10.0.0.1", DNSServers: []string{"192.0.2.53"},
				},
				{NIC: blueprint.VM.NICs[1], Binding: blueprint.NICs[1].Binding},
			}, blueprint.NICs)
			require.Equal(t, []string{"10.0.0.2", "192.0.2.7"}, ips(blueprint.VM))
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", blueprint, blueprint, blueprint), "s3cret")

			// The cluster's own binding goes first.
			require.NoError(t, env.DB.Create(&models.ImageBinding{
				ID: "b", ImageID: storetest.Image, ProviderID: storetest.Provider, ClusterID: where.ClusterID, Ref: "special", CloneMode: models.CloneFull,
			}).Error)
			require.NoError(t, env.DB.Create(&models.NetworkBinding{
				ID: "b", NetworkID: storetest.Network, ProviderID: storetest.Provider, ClusterID: where.ClusterID, Ref: "special", Type: models.NetworkBridge,
			}).Error)
			blueprint, err = env.Blueprint(ctx, op.ResourceID)
			require.NoError(t, err)
			require.Equal(t, []string{"special", "special"}, []string{blueprint.Image.Ref, blueprint.NICs[0].Binding.Ref})
			require.NoError(t, env.DB.Exec("DELETE FROM network_bindings").Error)
			_, err = env.Blueprint(ctx, op.ResourceID)
			require.ErrorIs(t, err, models.ErrImageNotReady)
			require.NoError(t, env.DB.Exec("DELETE FROM image_bindings").Error)
			_, err = env.Blueprint(ctx, op.ResourceID)
			require.ErrorIs(t, err, models.ErrImageNotReady)
			_, err = env.Blueprint(ctx, "none")
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

// A ciphertext that is moved to another row does not open there.
func TestSealedValuesStayInTheirRow(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			ids := map[string]string{}
			for _, name := range []string{"a", "b"} {
				in := storetest.CreateRequest(name)
				in.UserData = []byte("data of " + name)
				accepted, err := env.AcceptCreateVM(ctx, storetest.Caller(), in, nil, storetest.Respond)
				require.NoError(t, err)
				ids[name] = accepted.Operation.ResourceID
				_, err = env.PlaceVM(ctx, accepted.Operation.ID, ids[name])
				require.NoError(t, err)
			}
			require.NoError(t, env.DB.Exec("UPDATE vms SET sealed_user_data = (SELECT o.sealed_user_data FROM vms o WHERE o.id = ?) WHERE id = ?", ids["a"], ids["b"]).Error)
			blueprint, err := env.Blueprint(ctx, ids["a"])
			require.NoError(t, err)
			require.Equal(t, "data of a", string(blueprint.UserData))
			_, err = env.Blueprint(ctx, ids["b"])
			require.Error(t, err)

			_, err = env.AcceptProviderCreate(ctx, store.Caller{}, store.CreateProvider{ID: "evil", Name: "evil", Kind: "sim", ZoneID: storetest.Zone}, nil, storetest.Respond)
			require.NoError(t, err)
			require.NoError(t, env.DB.Exec("UPDATE providers SET sealed_credentials = (SELECT o.sealed_credentials FROM providers o WHERE o.id = ?) WHERE id = 'evil'", storetest.Provider).Error)
			_, err = env.Credentials(ctx, "evil")
			require.Error(t, err)
			got, err := env.Credentials(ctx, storetest.Provider)
			require.NoError(t, err)
			require.Equal(t, models.Credentials{Username: "root", Password: "hunter2"}, got)
		})
	}
}
