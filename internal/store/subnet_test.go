package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestSubnets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		create := func(network string, p ipam.Plan) error {
			_, _, err := env.CreateSubnet(ctx, storetest.Caller(), store.CreateSubnet{NetworkID: network, Plan: p}, nil, storetest.Created[store.SubnetUsage])
			return err
		}
		require.ErrorIs(t, create("nope", ipam.Plan{CIDR: "10.0.0.0/24"}), models.ErrNotFound)
		require.Equal(t, &store.ReferenceError{Field: "/gateway", Detail: "must be the address of a host in the subnet"},
			create(storetest.Network, ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "10.0.1.1"}))
		require.NoError(t, create(storetest.Network, ipam.Plan{CIDR: "10.0.0.0/24"}))
		for _, cidr := range []string{"10.0.0.0/24", "10.0.0.0/16", "10.0.0.128/25"} {
			require.Equal(t, &store.ReferenceError{Field: "/cidr", Detail: "overlaps the subnet 10.0.0.0/24 of the network"},
				create(storetest.Network, ipam.Plan{CIDR: cidr}))
		}
		require.NoError(t, create(storetest.Network, ipam.Plan{CIDR: "10.0.1.0/24", DNSServers: []string{"192.0.2.53"}}))
		addNetwork(t, env, "net-2")
		require.NoError(t, create("net-2", ipam.Plan{CIDR: "10.0.0.0/24"}), "networks are apart from each other")

		env.AcceptVM(t, "a")
		rows, next, err := env.ListSubnets(ctx, storetest.Network, store.Page{Limit: 1})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, []any{"10.0.0.0/24", int64(1)}, []any{rows[0].CIDR, rows[0].Allocated})
		more, end, err := env.ListSubnets(ctx, storetest.Network, store.Page{After: next})
		require.NoError(t, err)
		require.True(t, end.IsZero())
		require.Len(t, more, 1)
		require.Equal(t, []string{"192.0.2.53"}, more[0].DNSServers)
		_, _, err = env.ListSubnets(ctx, "nope", store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = env.ListAddresses(ctx, "nope", store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)

		_, err = env.GetSubnet(ctx, "net-2", rows[0].ID)
		require.ErrorIs(t, err, models.ErrNotFound, "another network's")
		got, err := env.GetSubnet(ctx, storetest.Network, rows[0].ID)
		require.NoError(t, err)
		require.Equal(t, rows[0], got)
		network, err := env.GetNetwork(ctx, storetest.Network)
		require.NoError(t, err)
		require.Equal(t, []models.Subnet{rows[0].Subnet, more[0].Subnet}, network.Subnets)

		stale := 2
		remove := func(network, id string, ifMatch *int) error {
			_, _, err := env.DeleteSubnet(ctx, storetest.Caller(), network, id, ifMatch, nil, store.Answer{Status: 204})
			return err
		}
		require.Equal(t, &store.InUseError{Detail: "addresses of the subnet are taken"}, remove(storetest.Network, rows[0].ID, nil))
		require.ErrorIs(t, remove("net-2", more[0].ID, nil), models.ErrNotFound)
		require.Equal(t, &store.PreconditionError{Generation: 1}, remove(storetest.Network, more[0].ID, &stale))
		require.NoError(t, remove(storetest.Network, more[0].ID, nil))
		require.ErrorIs(t, remove(storetest.Network, more[0].ID, nil), models.ErrNotFound)
	})
}

// TestASubnetTakesOverWhatVMsHave: what was asked for before a network had the
// subnet is counted to it and never given to another one.
func TestASubnetTakesOverWhatVMsHave(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		_, err := createWith(t, env.Store, "a", at(storetest.Network, "10.0.0.1"), at(storetest.Network, "192.0.2.1"))
		require.NoError(t, err)
		_, _, err = env.CreateSubnet(t.Context(), storetest.Caller(), store.CreateSubnet{
			NetworkID: storetest.Network, Plan: ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "10.0.0.1"},
		}, nil, storetest.Created[store.SubnetUsage])
		require.Equal(t, &store.ReferenceError{Field: "/gateway", Detail: "a VM has this address"}, err)
		id := addSubnet(t, env, storetest.Network, "10.0.0.0/24", "")
		got, err := env.GetSubnet(t.Context(), storetest.Network, id)
		require.NoError(t, err)
		require.Equal(t, int64(1), got.Allocated)
		op, err := createWith(t, env.Store, "b", on(storetest.Network))
		require.NoError(t, err)
		require.Equal(t, []string{"10.0.0.2"}, ips(env.VM(t, op.ResourceID)))
	})
}

// TestSubnetsComeAndGoUnderCreates: an address is always of the subnet that its
// network has, and a subnet with addresses stays.
func TestSubnetsComeAndGoUnderCreates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		other := env.Open()
		var wg sync.WaitGroup
		failures := make(chan error, 100)
		for i := range 4 {
			wg.Go(func() {
				for n := range 6 {
					op, err := createWith(t, other, fmt.Sprintf("vm-%d-%d", i, n), at(storetest.Network, fmt.Sprintf("10.0.0.%d", 10*i+n+2)))
					if err == nil && n%2 == 0 {
						err = other.SettleJob(t.Context(), models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
					}
					if err != nil {
						failures <- err
					}
				}
			})
		}
		for range 10 {
			id := addSubnet(t, env, storetest.Network, "10.0.0.0/24", "")
			_, _, err := env.DeleteSubnet(t.Context(), storetest.Caller(), storetest.Network, id, nil, nil, store.Answer{Status: 204})
			if err != nil {
				require.Equal(t, &store.InUseError{Detail: "addresses of the subnet are taken"}, err)
				break
			}
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			require.NoError(t, err)
		}
		require.Equal(t, 12, env.Count(t, "addresses"))
		requireAddressesMatch(t, env)
	})
}

// fillSubnet takes offsets of a subnet as VMs would.
func fillSubnet(tb testing.TB, env *storetest.Env, subnetID string, from, to int64) {
	tb.Helper()
	op := env.AcceptVM(tb, "holder")
	require.NoError(tb, env.DB.Exec("DELETE FROM addresses").Error)
	const numbers = "WITH RECURSIVE n (o) AS (SELECT CAST(? AS bigint) UNION ALL SELECT o + 1 FROM n WHERE o < ?) "
	require.NoError(tb, env.DB.Exec("INSERT INTO addresses (network_id, ip, subnet_id, host_offset, vm_id, mac, tenant_id, project_id, job_id, created_at) "+
		numbers+"SELECT ?, 'o' || o, ?, o, ?, '', ?, ?, '', ? FROM n",
		from, to, storetest.Network, subnetID, op.ResourceID, storetest.OtherTenant, storetest.OtherProject, env.Clock.Now()).Error)
	require.NoError(tb, env.DB.Exec("ANALYZE").Error)
}

// TestALargeSubnet: among 65,000 addresses, with the search in the worst place,
// the last free one is found in no time that a person notices.
func TestALargeSubnet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		id := addSubnet(t, env, storetest.Network, "10.0.0.0/16", "10.0.0.1")
		fillSubnet(t, env, id, 2, 65533) // all but the last one
		require.NoError(t, env.DB.Exec("UPDATE subnets SET next_offset = 2").Error)
		begun := time.Now()
		op, err := createWith(t, env.Store, "a", on(storetest.Network))
		found := time.Since(begun)
		require.NoError(t, err)
		require.Equal(t, []string{"10.0.255.254"}, ips(env.VM(t, op.ResourceID)))
		begun = time.Now()
		_, err = createWith(t, env.Store, "b", on(storetest.Network))
		full := time.Since(begun)
		require.Equal(t, &store.AddressesExhaustedError{Field: "/networks/0"}, err)
		require.NoError(t, env.DB.Exec("DELETE FROM addresses WHERE host_offset = 40000").Error)
		op, err = createWith(t, env.Store, "c", on(storetest.Network))
		require.NoError(t, err)
		require.Equal(t, []string{"10.0.156.64"}, ips(env.VM(t, op.ResourceID)))
		require.NoError(t, env.DB.Exec("UPDATE subnets SET next_offset = 39000").Error) // the search wraps, behind itself
		require.NoError(t, env.DB.Exec("DELETE FROM addresses WHERE host_offset = 38999").Error)
		op, err = createWith(t, env.Store, "d", on(storetest.Network))
		require.NoError(t, err)
		require.Equal(t, []string{"10.0.152.87"}, ips(env.VM(t, op.ResourceID)))
		t.Logf("the last of 65,533: %v; none: %v", found, full)
		require.Less(t, max(found, full), 2*time.Second)
	})
}

// The statements over addresses, with 20,000 of them in the tables, and the sums
// of a quota, are index scans; a page of addresses needs no sort.
func TestPlansOfShares(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	fill(t, env, 5_000)
	id := addSubnet(t, env, storetest.Network, "10.0.0.0/16", "")
	fillSubnet(t, env, id, 1, 20_000)
	require.NoError(t, env.DB.Exec("VACUUM ANALYZE").Error)
	for query, index := range map[string]string{
		"SELECT count(*), SUM(vcpus), SUM(memory_mib), SUM(disk_gib) FROM reservations WHERE tenant_id = 'x'":  "reservations_tenant",
		"SELECT count(*), SUM(vcpus), SUM(memory_mib), SUM(disk_gib) FROM reservations WHERE project_id = 'x'": "reservations_project",
		"SELECT count(*) FROM addresses WHERE tenant_id = 'x'":                                                 "addresses_tenant",
		"SELECT count(*) FROM addresses WHERE project_id = 'x'":                                                "addresses_project",
		"SELECT 1 FROM addresses a WHERE a.subnet_id = 'x' AND a.subnet_id <> '' AND a.host_offset = 7":        "addresses_subnet",
		"DELETE FROM addresses WHERE vm_id = 'x'":                                                              "addresses_vm",
	} {
		var plan []string
		require.NoError(t, env.DB.Raw("EXPLAIN "+query).Scan(&plan).Error)
		require.Contains(t, strings.Join(plan, "\n"), index, query)
		require.NotContains(t, strings.Join(plan, "\n"), "Seq Scan", query)
	}
	s, sent := openRecorded(t, env, nil)
	_, _, err := s.ListAddresses(t.Context(), storetest.Network, store.Page{})
	require.NoError(t, err)
	var plan []string
	query := sent.last(t)
	require.NoError(t, env.DB.Raw("EXPLAIN "+strings.NewReplacer("$1", "'"+storetest.Network+"'", "$2", "50").Replace(query.SQL)).Scan(&plan).Error)
	require.Contains(t, strings.Join(plan, "\n"), "addresses_page")
	require.NotContains(t, strings.Join(plan, "\n"), "Sort")
}
