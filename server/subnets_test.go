package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	networkPath = opsBase + "/networks/" + storetest.Network
	subnetsPath = networkPath + "/subnets"
)

func (w *world) addSubnet(t *testing.T, body map[string]any) map[string]any {
	t.Helper()
	res := w.do(t, admin(), http.MethodPost, subnetsPath, body)
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
	return res.json(t)
}

func withAddress(name, ip string) map[string]any {
	body := createBody(name)
	body["networks"].([]any)[0].(map[string]any)["ip_address"] = ip
	return body
}

func TestSubnetRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := map[string]any{
			"id": "lan", "cidr": "10.20.0.0/24", "gateway": "10.20.0.1", "dns_servers": []string{"192.0.2.53"},
			"pool_start": "10.20.0.100", "pool_end": "10.20.0.199",
		}
		res := w.do(t, admin(), http.MethodPost, subnetsPath, body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
		require.Equal(t, subnetsPath+"/lan", res.Header.Get("Location"))
		again := w.do(t, admin(), http.MethodPost, subnetsPath, body, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, string(res.body), string(again.body))
		w.do(t, admin(), http.MethodPost, subnetsPath, body, "Idempotency-Key", "other").requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		made := res.json(t)
		delete(made, "created_at")
		body["network_id"], body["allocated"], body["dns_servers"] = storetest.Network, float64(0), []any{"192.0.2.53"}
		require.Equal(t, body, made)

		network := w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks/"+storetest.Network, nil)
		require.Equal(t, []any{map[string]any{"cidr": "10.20.0.0/24", "gateway": "10.20.0.1", "dns_servers": []any{"192.0.2.53"}}}, network.json(t)["subnets"])
		require.NotContains(t, network.json(t), "bindings")
		tag := network.Header.Get("ETag")
		require.Equal(t, http.StatusNotModified, w.do(t, owner(), http.MethodGet,
			tenantBase+"/projects/"+storetest.Project+"/networks/"+storetest.Network, nil, "If-None-Match", tag).StatusCode)
		w.addSubnet(t, map[string]any{"cidr": "2001:db8::/64"})
		changed := w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks/"+storetest.Network, nil, "If-None-Match", tag)
		require.Equal(t, http.StatusOK, changed.StatusCode, "another subnet is another document")
		require.Len(t, w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks", nil).items(t)[0]["subnets"], 2)
		require.Len(t, w.do(t, admin(), http.MethodGet, networkPath, nil).json(t)["subnets"], 2)

		vmID := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a")).json(t)["vm_id"].(string)
		vm := w.do(t, owner(), http.MethodGet, vmsPath+"/"+vmID, nil).json(t)
		nic := vm["networks"].([]any)[0].(map[string]any)
		require.Equal(t, "10.20.0.100", nic["ip_address"])
		taken := w.do(t, admin(), http.MethodGet, networkPath+"/addresses?limit=1", nil).items(t)
		require.Len(t, taken, 1)
		delete(taken[0], "created_at")
		require.Equal(t, map[string]any{
			"ip_address": "10.20.0.100", "subnet_id": "lan", "vm_id": vmID, "project_id": storetest.Project, "tenant_id": storetest.Tenant, "mac": nic["mac"],
		}, taken[0])

		got := w.do(t, admin(), http.MethodGet, subnetsPath+"/lan", nil)
		require.Equal(t, float64(1), got.json(t)["allocated"])
		w.do(t, admin(), http.MethodDelete, subnetsPath+"/lan", nil).requireProblem(t, http.StatusConflict, "RESOURCE_IN_USE")
		list := w.do(t, admin(), http.MethodGet, subnetsPath, nil).items(t)
		require.Len(t, list, 2)
		second := subnetsPath + "/" + list[1]["id"].(string)
		w.do(t, admin(), http.MethodDelete, second, nil, "If-Match", `"9"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		res = w.do(t, admin(), http.MethodDelete, second, nil, "If-Match", w.do(t, admin(), http.MethodGet, second, nil).Header.Get("ETag"), "Idempotency-Key", "d")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		require.Empty(t, res.body)
		res = w.do(t, admin(), http.MethodDelete, second, nil, "If-Match", `"1"`, "Idempotency-Key", "d")
		require.Equal(t, []string{"204 No Content", "true"}, []string{res.Status, res.Header.Get("Idempotency-Replayed")})
		w.do(t, admin(), http.MethodDelete, second, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, admin(), http.MethodGet, opsBase+"/networks/nope/subnets", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, admin(), http.MethodGet, opsBase+"/networks/nope/addresses", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, admin(), http.MethodPost, opsBase+"/networks/nope/subnets", map[string]any{"cidr": "10.0.0.0/24"}).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, otherOwner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks/"+storetest.Network, nil).
			requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks/nope", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	})
}

func TestBadSubnetsAndAddresses(t *testing.T) {
	w := onSQLite(t)
	w.addSubnet(t, map[string]any{"cidr": "10.20.0.0/24", "gateway": "10.20.0.1"})
	w.do(t, owner(), http.MethodPost, vmsPath, withAddress("a", "10.20.0.9"))
	before := w.state(t)
	at := func(p map[string]any) string { return p["errors"].([]any)[0].(map[string]any)["pointer"].(string) }
	for pointer, body := range map[string]map[string]any{
		"/cidr":          {"cidr": "10.20.0.128/25"}, // overlaps
		"/gateway":       {"cidr": "10.30.0.0/24", "gateway": "10.31.0.1"},
		"/dns_servers/0": {"cidr": "10.30.0.0/24", "dns_servers": []string{"dns"}},
		"/pool_start":    {"cidr": "10.30.0.0/24", "pool_start": "10.30.0.0"},
		"/pool_end":      {"cidr": "10.30.0.0/24", "pool_start": "10.30.0.9", "pool_end": "10.30.0.8"},
	} {
		p := w.do(t, admin(), http.MethodPost, subnetsPath, body, "Idempotency-Key", "k").requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		require.Equal(t, pointer, at(p))
	}
	const address = "/networks/0/ip_address"
	for ip, code := range map[string]string{"10.21.0.9": "SEMANTIC_INVALID", "10.20.0.1": "SEMANTIC_INVALID", "10.20.0.255": "SEMANTIC_INVALID"} {
		p := w.do(t, owner(), http.MethodPost, vmsPath, withAddress("b", ip)).requireProblem(t, http.StatusUnprocessableEntity, code)
		require.Equal(t, address, at(p), ip)
	}
	for _, ip := range []string{"10.20.0.9", "::ffff:10.20.0.9"} { // the same one
		p := w.do(t, owner(), http.MethodPost, vmsPath, withAddress("b", ip)).requireProblem(t, http.StatusConflict, "RESOURCE_IN_USE")
		require.Equal(t, address, at(p))
		require.NotContains(t, fmt.Sprint(p), w.VM(t, w.firstVM(t)).ID, "whose it is, is not told")
	}
	require.Equal(t, before, w.state(t))
}

func (w *world) firstVM(t *testing.T) string {
	t.Helper()
	var id string
	require.NoError(t, w.DB.Raw("SELECT id FROM vms ORDER BY id LIMIT 1").Scan(&id).Error)
	return id
}

// TestManyCreatesOnASmallSubnet: a /28 has 16 addresses; the network's, the
// broadcast's and the gateway's are not given. So of 50 creates 13 succeed, each
// with an address of its own, and when all are gone all are free again.
func TestManyCreatesOnASmallSubnet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.addSubnet(t, map[string]any{"id": "small", "cidr": "10.20.0.0/28", "gateway": "10.20.0.1"})
		const asked, room = 50, 13
		replies := make([]reply, asked)
		for round := range 2 {
			var wg sync.WaitGroup
			for i := range asked {
				wg.Go(func() {
					replies[i] = w.do(t, owner(), http.MethodPost, vmsPath, createBody(fmt.Sprintf("vm-%d-%d", round, i)))
				})
			}
			wg.Wait()
			given := map[string]bool{}
			for _, r := range replies {
				if r.StatusCode != http.StatusAccepted {
					p := r.requireProblem(t, http.StatusConflict, "ADDRESSES_EXHAUSTED")
					require.Equal(t, true, p["retryable"])
					require.Equal(t, "/networks/0", p["errors"].([]any)[0].(map[string]any)["pointer"])
					continue
				}
				vm := w.VM(t, r.json(t)["vm_id"].(string))
				ip := vm.NICs[0].IPAddress
				require.False(t, given[ip], "%s is given twice", ip)
				given[ip] = true
				addr := netip.MustParseAddr(ip)
				require.True(t, netip.MustParsePrefix("10.20.0.0/28").Contains(addr))
				require.NotContains(t, []string{"10.20.0.0", "10.20.0.1", "10.20.0.15"}, ip)
			}
			require.Len(t, given, room)
			require.Equal(t, float64(room), w.do(t, admin(), http.MethodGet, subnetsPath+"/small", nil).json(t)["allocated"])
			w.deleteAll(t, replies)
			require.Empty(t, w.do(t, admin(), http.MethodGet, networkPath+"/addresses", nil).items(t))
		}
	})
}

// deleteAll deletes the VMs of accepted creates, and settles the jobs as their
// workflows do.
func (w *world) deleteAll(t *testing.T, replies []reply) {
	t.Helper()
	for _, r := range replies {
		if r.StatusCode != http.StatusAccepted {
			continue
		}
		created := r.json(t)
		require.NoError(t, w.SettleJob(t.Context(), models.Settlement{
			JobID: created["job_id"].(string), Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning,
		}))
		res := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+created["vm_id"].(string), nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		require.NoError(t, w.SettleJob(t.Context(), models.Settlement{
			JobID: res.json(t)["job_id"].(string), Outcome: models.OutcomeSucceeded, Status: models.VMDeleted,
		}))
	}
}
