package store_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// addSubnet adds a subnet and returns its ID.
func addSubnet(t testing.TB, env *storetest.Env, network, cidr, gateway string) string {
	t.Helper()
	id := models.NewID()
	_, _, err := env.CreateSubnet(t.Context(), storetest.Caller(), store.CreateSubnet{
		ID: id, NetworkID: network, Plan: ipam.Plan{CIDR: cidr, Gateway: gateway, DNSServers: []string{"192.0.2.53"}},
	}, nil, storetest.Created[store.SubnetUsage])
	require.NoError(t, err)
	return id
}

// addNetwork adds a network, bound as Seed's is.
func addNetwork(t testing.TB, env *storetest.Env, id string) {
	t.Helper()
	_, _, err := env.CreateNetwork(t.Context(), storetest.Caller(), models.Network{
		ID: id, Name: id, Bindings: []models.NetworkBinding{{ProviderID: storetest.Provider, Ref: id}},
	}, nil, storetest.Created)
	require.NoError(t, err)
}

// createWith accepts a VM with interfaces on networks, "network" or "network=address".
func createWith(t testing.TB, s *store.Store, name string, nics ...store.NICRequest) (models.Operation, error) {
	t.Helper()
	in := storetest.CreateRequest(name)
	in.Networks = nics
	accepted, err := s.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
	return accepted.Operation, err
}

func on(network string) store.NICRequest { return store.NICRequest{NetworkID: network} }

func at(network, ip string) store.NICRequest {
	return store.NICRequest{NetworkID: network, IPAddress: ip}
}

// ips are the addresses of a VM's interfaces.
func ips(vm models.VM) []string {
	out := make([]string, len(vm.NICs))
	for i, n := range vm.NICs {
		out[i] = n.IPAddress
	}
	return out
}

// addressesOf reads the rows of a VM.
func addressesOf(t *testing.T, env *storetest.Env, vmID string) []string {
	t.Helper()
	var out []string
	require.NoError(t, env.DB.Raw("SELECT ip FROM addresses WHERE vm_id = ? ORDER BY ip", vmID).Scan(&out).Error)
	return out
}

func TestAddressesOfTheFirstSubnetWithRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/30", "10.0.0.1") // one address to give
		addSubnet(t, env, storetest.Network, "2001:db8::/126", "")
		addNetwork(t, env, "bare")
		op, err := createWith(t, env.Store, "a", on(storetest.Network), on("bare"), on(storetest.Network))
		require.NoError(t, err)
		vm := env.VM(t, op.ResourceID)
		require.Equal(t, []string{"10.0.0.2", "", "2001:db8::1"}, ips(vm))
		require.False(t, vm.NICs[0].Requested)
		rows, _, err := env.ListAddresses(t.Context(), storetest.Network, store.Page{})
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, []string{vm.ID, vm.NICs[0].MAC, storetest.Tenant, storetest.Project, op.ID},
			[]string{rows[0].VMID, rows[0].MAC, rows[0].TenantID, rows[0].ProjectID, rows[0].JobID})

		_, err = createWith(t, env.Store, "b", on("bare"), on(storetest.Network), on(storetest.Network), on(storetest.Network))
		require.Equal(t, &store.AddressesExhaustedError{Field: "/networks/3"}, err)
		require.ErrorIs(t, err, models.ErrAddressesExhausted)
		require.Equal(t, 2, env.Count(t, "addresses"), "a refused create takes nothing")
	})
}

func TestRequestedAddresses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/24", "10.0.0.1")
		addNetwork(t, env, "bare")
		first, err := createWith(t, env.Store, "a", at(storetest.Network, "10.0.0.77"), at("bare", "192.0.2.9"))
		require.NoError(t, err)
		require.Equal(t, []string{"10.0.0.77", "192.0.2.9"}, ips(env.VM(t, first.ResourceID)))
		require.True(t, env.VM(t, first.ResourceID).NICs[0].Requested)

		for _, c := range []struct {
			nics []store.NICRequest
			want error
		}{
			{[]store.NICRequest{on("bare"), at(storetest.Network, "10.0.0.77")}, &store.AddressInUseError{Field: "/networks/1/ip_address"}},
			{[]store.NICRequest{at("bare", "192.0.2.9")}, &store.AddressInUseError{Field: "/networks/0/ip_address"}},
			{[]store.NICRequest{at("bare", "192.0.2.10"), at("bare", "192.0.2.10")}, &store.AddressInUseError{Field: "/networks/1/ip_address"}},
			{[]store.NICRequest{at(storetest.Network, "10.0.1.5")}, &store.ReferenceError{Field: "/networks/0/ip_address", Detail: "is in none of the network's subnets"}},
			{[]store.NICRequest{at(storetest.Network, "10.0.0.1")}, &store.ReferenceError{Field: "/networks/0/ip_address", Detail: "is the gateway's"}},
			{[]store.NICRequest{at(storetest.Network, "10.0.0.255")}, &store.ReferenceError{Field: "/networks/0/ip_address", Detail: "is not the address of a host"}},
			{[]store.NICRequest{at(storetest.Network, "10.0.0.0")}, &store.ReferenceError{Field: "/networks/0/ip_address", Detail: "is not the address of a host"}},
		} {
			_, err := createWith(t, env.Store, "b", c.nics...)
			require.Equal(t, c.want, err, "%v", c.nics)
		}
		require.Equal(t, 2, env.Count(t, "addresses"))
		other, err := createWith(t, env.Store, "b", at("bare", "10.0.0.77"))
		require.NoError(t, err, "networks do not share addresses")
		require.Equal(t, []string{"10.0.0.77"}, ips(env.VM(t, other.ResourceID)))
	})
}

// TestFreedAddressesRest: the search goes on behind the last one, around the end,
// and passes over the gateway and what was asked for.
func TestFreedAddressesRest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/29", "10.0.0.3") // 1, 2, 4, 5, 6
		names := 0
		create := func() (models.Operation, string) {
			names++
			op, err := createWith(t, env.Store, fmt.Sprintf("vm-%d", names), on(storetest.Network))
			require.NoError(t, err)
			return op, ips(env.VM(t, op.ResourceID))[0]
		}
		first, ip := create()
		require.Equal(t, "10.0.0.1", ip)
		release(t, env, first.ID)
		require.Empty(t, addressesOf(t, env, first.ResourceID))
		_, ip = create()
		require.Equal(t, "10.0.0.2", ip, "the first one rests")
		_, err := createWith(t, env.Store, "asked", at(storetest.Network, "10.0.0.4"))
		require.NoError(t, err)
		for _, want := range []string{"10.0.0.5", "10.0.0.6", "10.0.0.1"} {
			_, ip = create()
			require.Equal(t, want, ip)
		}
		_, err = createWith(t, env.Store, "full", on(storetest.Network))
		require.Equal(t, &store.AddressesExhaustedError{Field: "/networks/0"}, err)
	})
}

// TestAddressesGoWithTheReservation, however that goes: by compensation, by a
// delete, and by the settlement of what was never placed.
func TestAddressesGoWithTheReservation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addSubnet(t, env, storetest.Network, "10.0.0.0/28", "")
		ctx := t.Context()
		gone := func(vmID string) {
			t.Helper()
			require.Zero(t, env.Count(t, "addresses"))
			require.Zero(t, env.Count(t, "reservations"))
			nic := env.VM(t, vmID).NICs[0]
			require.Empty(t, nic.IPAddress, "what is given back is not shown")
			require.NotEmpty(t, nic.LastIPAddress)
		}
		failed := env.AcceptVM(t, "failed")
		release(t, env, failed.ID)
		gone(failed.ResourceID)

		abandoned := env.AcceptVM(t, "abandoned")
		require.NoError(t, env.SettleAbandoned(ctx, abandoned.ID, models.JobUnknownOutcome, "ended from outside"))
		gone(abandoned.ResourceID)

		vm := env.ActiveVM(t, "deleted")
		require.Equal(t, []string{vm.NICs[0].IPAddress}, addressesOf(t, env, vm.ID))
		del, err := env.AcceptVMOperation(ctx, storetest.Caller(),
			store.VMOperation{ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMDelete, Preempt: true}, nil, storetest.Respond)
		require.NoError(t, err)
		require.Len(t, addressesOf(t, env, vm.ID), 1, "kept until it is proven gone")
		settle(t, env, models.Settlement{JobID: del.Operation.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted})
		gone(vm.ID)
	})
}

// TestAddressesAreTakenAnew by a create that is run again: the same if it is
// free, else another one, unless the tenant asked for that very one.
func TestAddressesAreTakenAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		subnet := addSubnet(t, env, storetest.Network, "10.0.0.0/28", "")
		ctx := t.Context()
		again := func(op models.Operation) (string, error) {
			t.Helper()
			_, err := env.BeginJob(ctx, op.ID)
			return ips(env.VM(t, op.ResourceID))[0], err
		}
		op, err := createWith(t, env.Store, "a", on(storetest.Network))
		require.NoError(t, err)
		release(t, env, op.ID)
		ip, err := again(op)
		require.NoError(t, err)
		require.Equal(t, "10.0.0.1", ip)
		require.Equal(t, []string{"10.0.0.1"}, addressesOf(t, env, op.ResourceID))
		ip, err = again(op)
		require.NoError(t, err)
		require.Equal(t, "10.0.0.1", ip, "a step that is repeated")

		release(t, env, op.ID)
		_, err = createWith(t, env.Store, "thief", at(storetest.Network, "10.0.0.1"))
		require.NoError(t, err)
		ip, err = again(op)
		require.NoError(t, err)
		require.Equal(t, "10.0.0.2", ip)
		release(t, env, op.ID)

		asked, err := createWith(t, env.Store, "asked", at(storetest.Network, "10.0.0.9"))
		require.NoError(t, err)
		release(t, env, asked.ID)
		_, err = createWith(t, env.Store, "thief-2", at(storetest.Network, "10.0.0.9"))
		require.NoError(t, err)
		ip, err = again(asked)
		require.ErrorIs(t, err, models.ErrAddressInUse)
		require.Empty(t, ip)
		require.Empty(t, addressesOf(t, env, asked.ResourceID))

		require.NoError(t, env.DB.Exec("DELETE FROM addresses").Error)
		_, _, err = env.DeleteSubnet(ctx, storetest.Caller(), storetest.Network, subnet, nil, nil, store.Answer{Status: 204})
		require.NoError(t, err)
		ip, err = again(op)
		require.NoError(t, err)
		require.Empty(t, ip, "a network without subnets gives no addresses")
		release(t, env, op.ID)
		addSubnet(t, env, storetest.Network, "10.9.0.0/30", "10.9.0.1")
		_, err = again(asked)
		require.ErrorIs(t, err, models.ErrAddressInUse, "the address is of no subnet now")
		ip, err = again(op)
		require.NoError(t, err)
		require.Equal(t, "10.9.0.2", ip)
		release(t, env, op.ID)
		_, err = createWith(t, env.Store, "last", on(storetest.Network))
		require.NoError(t, err)
		_, err = again(op)
		require.ErrorIs(t, err, models.ErrAddressesExhausted)
	})
}

// TestNoAddressIsGivenTwice: creates from several processes, with both kinds of
// requests, on networks in every order, and with ends in between.
func TestNoAddressIsGivenTwice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		addNetwork(t, env, "net-2")
		addSubnet(t, env, storetest.Network, "10.0.0.0/27", "10.0.0.1")
		addSubnet(t, env, "net-2", "10.0.2.0/27", "10.0.2.1")
		stores := []*store.Store{env.Store, env.Open(), env.Open()}
		var wg sync.WaitGroup
		failures := make(chan error, 200)
		for i := range 8 {
			wg.Go(func() {
				s := stores[i%len(stores)]
				for n := range 8 {
					nics := []store.NICRequest{on(storetest.Network), on("net-2")}
					if i%2 == 0 {
						nics[0], nics[1] = nics[1], nics[0]
					}
					if n%4 == 3 {
						nics[0].IPAddress = map[string]string{storetest.Network: "10.0.0.", "net-2": "10.0.2."}[nics[0].NetworkID] + fmt.Sprint(10+n)
					}
					op, err := createWith(t, s, fmt.Sprintf("vm-%d-%d", i, n), nics...)
					if err != nil {
						failures <- err
						continue
					}
					if n%2 == 0 {
						err = s.SettleJob(t.Context(), models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
						if err != nil {
							failures <- err
						}
					}
				}
			})
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			if _, exhausted := err.(*store.AddressesExhaustedError); !exhausted { //nolint:errorlint // as it is returned
				require.ErrorIs(t, err, models.ErrAddressInUse)
			}
		}
		requireAddressesMatch(t, env)
	})
}

// requireAddressesMatch compares the rows with what the VMs' interfaces say.
func requireAddressesMatch(t *testing.T, env *storetest.Env) {
	t.Helper()
	vms, _, err := env.ListVMsAny(t.Context(), store.VMFilter{}, store.Page{Limit: 200})
	require.NoError(t, err)
	want := map[string]string{}
	for _, vm := range vms {
		for _, nic := range vm.NICs {
			if nic.IPAddress != "" {
				key := nic.NetworkID + " " + nic.IPAddress
				require.NotContains(t, want, key, "given twice")
				want[key] = vm.ID + " " + nic.MAC
			}
		}
	}
	var rows []models.AllocatedAddress
	require.NoError(t, env.DB.Find(&rows).Error)
	have := map[string]string{}
	for _, r := range rows {
		have[r.NetworkID+" "+r.IP] = r.VMID + " " + r.MAC
		if r.SubnetID != "" {
			var s models.Subnet
			require.NoError(t, env.DB.Take(&s, "id = ?", r.SubnetID).Error)
			require.Equal(t, r.IP, ipam.Block{Prefix: s.Prefix()}.At(*r.HostOffset).String())
			require.NotEqual(t, s.Gateway, r.IP)
			require.True(t, s.Prefix().Contains(netip.MustParseAddr(r.IP)))
		}
	}
	require.Equal(t, want, have)
}
