package simhv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestFaultsAreCountedAndMatched(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, _ := s.create("id-1")
	s.create("id-2")
	put := `{"faults":[
		{"op":"find_vm","kind":"locked","nth":2,"count":2,"match":{"vm_id":"id-1"}},
		{"op":"find_vm","kind":"error_before","status":418,"code":"tea","count":-1,"match":{"name":"name-id-2"}},
		{"op":"*","kind":"throttle","delay":"1500ms","match":{"node":"node-3"}},
		{"op":"set_power","kind":"hang"}]}`
	status, body, _ := s.send("PUT", "/_admin/faults", put)
	require.Equal(t, 200, status, body)
	find := func(id string) int {
		status, _ := s.op("find_vm", `{"mark":{"vm_id":"`+id+`","installation_id":"i"},"uuid":"`+id+`"}`)
		return status
	}
	require.Equal(t, []int{200, 409, 409, 200}, []int{find("id-1"), find("id-1"), find("id-1"), find("id-1")})
	require.Equal(t, []int{418, 418, 418}, []int{find("id-2"), find("id-2"), find("id-2")})
	status, _, header := s.send("POST", "/v1/create_vm", createBody("id-3", "n", "node-3"))
	require.Equal(t, 429, status)
	require.Equal(t, "2", header.Get("Retry-After"))

	faults, err := s.Faults(t.Context())
	require.NoError(t, err)
	type counts struct{ matched, fired, remaining int }
	var got []counts
	for _, f := range faults {
		got = append(got, counts{f.Matched, f.Fired, f.Remaining})
	}
	require.Equal(t, []counts{{4, 2, 0}, {3, 3, simadmin.Always}, {1, 1, 0}, {0, 0, 1}}, got)
	require.Equal(t, "tea", faults[1].Code)

	require.NoError(t, s.ClearFaults(t.Context()))
	faults, err = s.Faults(t.Context())
	require.NoError(t, err)
	require.Empty(t, faults)
	require.Equal(t, 200, find("id-2"))
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Equal(t, native, vms[0].NativeID)
}

func TestLatencies(t *testing.T) {
	s := serve(t, simhv.Options{TaskDelay: time.Hour})
	status, body, _ := s.send("PUT", "/_admin/latency", `{"call":{"info":"60ms"},"task":{"create_vm":"0s"}}`)
	require.Equal(t, 200, status, body)
	began := time.Now()
	s.op("info", `{}`)
	require.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)
	_, task := s.create("id-1")
	_, body = s.op("poll_task", `{"task":"`+task+`"}`)
	require.Contains(t, body, `"done":true`)
	require.NoError(t, s.SetLatency(t.Context(), simadmin.Latency{}))
	_, task = s.create("id-2")
	_, body = s.op("poll_task", `{"task":"`+task+`"}`)
	require.Contains(t, body, `"done":false`)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.TasksRunning)
}

func TestCredentialsAndStats(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	_, err := s.CreateVM(t.Context(), simadmin.NewVM{Name: "x", Power: "suspended"})
	require.NoError(t, err)
	require.NoError(t, s.SetCredentials(t.Context(), false))
	status, _ := s.op("info", `{}`)
	require.Equal(t, 401, status)
	status, _ = s.op("login", `{"username":"u","password":"p"}`)
	require.Equal(t, 401, status)
	require.NoError(t, s.SetCredentials(t.Context(), true))
	status, _ = s.op("info", `{}`)
	require.Equal(t, 401, status, "old sessions do not come back")
	s.login()
	status, _ = s.op("info", `{}`)
	require.Equal(t, 200, status)

	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, simadmin.Stats{
		VMs: map[string]int{"running": 0, "stopped": 1, "suspended": 1}, Logins: 3, LoginsRefused: 1,
		Calls: map[string]uint64{"login": 3, "create_vm": 1, "info": 3},
	}, stats)
}
