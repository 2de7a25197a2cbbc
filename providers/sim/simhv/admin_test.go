package simhv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// side is a hypervisor and a raw client of both its sides.
type side struct {
	simhv.Admin
	t     *testing.T
	token string
}

func serve(t *testing.T, opts simhv.Options) *side {
	t.Helper()
	hv, err := simhv.New(opts)
	require.NoError(t, err)
	srv := httptest.NewServer(hv)
	t.Cleanup(func() {
		require.NoError(t, hv.Close())
		srv.Close()
	})
	s := &side{Admin: simhv.Admin{URL: srv.URL}, t: t}
	s.login()
	return s
}

func (s *side) login() {
	s.t.Helper()
	status, body := s.op("login", `{"username":"u","password":"p"}`)
	require.Equal(s.t, 200, status, body)
	var out struct{ Token string }
	require.NoError(s.t, json.Unmarshal([]byte(body), &out))
	s.token = out.Token
}

// send makes one HTTP call and returns the answer.
func (s *side) send(method, path, body string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("User-Agent", "test")
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(b), res.Header
}

func (s *side) op(name, body string) (int, string) {
	s.t.Helper()
	status, answer, _ := s.send("POST", "/v1/"+name, body)
	return status, answer
}

func createBody(id, name, node string) string {
	return fmt.Sprintf(`{"uuid":%q,"name":%q,"mark":{"vm_id":%q,"installation_id":"i"},"node":%q,"vcpus":1,"memory_mib":64,"disk_gib":1,`+
		`"image":"tiny","nics":[{"network":"net0","mac":"52:54:00:00:00:09"}],"cloud_init":{"hostname":"h","user_data":null,"ssh_keys":null}}`,
		id, name, id, node)
}

// create makes a VM by the adapter's side and returns its native ID and task.
func (s *side) create(id string) (native, task string) {
	s.t.Helper()
	status, body := s.op("create_vm", createBody(id, "name-"+id, "node-1"))
	require.Equal(s.t, 200, status, body)
	var out struct {
		NativeID string `json:"native_id"`
		Task     string `json:"task"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(body), &out))
	return out.NativeID, out.Task
}

func TestVMsAreShownAsDocumented(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, _ := s.create("id-1")
	_, body, _ := s.send("GET", "/_admin/vms", "")
	var out struct{ VMs []map[string]any }
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	require.Len(t, out.VMs, 1)
	vm := out.VMs[0]
	created, ok := vm["created_at"].(string)
	require.True(t, ok)
	_, err := time.Parse(time.RFC3339, created)
	require.NoError(t, err)
	for field, want := range map[string]any{
		"native_id": native, "name": "name-id-1", "mark": map[string]any{"vm_id": "id-1", "installation_id": "i"}, "power": "stopped",
		"vcpus": 1.0, "memory_mib": 64.0, "disk_gib": 1.0, "node": "node-1", "snapshots": []any{}, "uuid": "id-1",
	} {
		require.Equal(t, want, vm[field], field)
	}
	require.Len(t, vm["disks"], 1)
}

func TestAForeignVMIsMadeChangedAndLost(t *testing.T) {
	s := serve(t, simhv.Options{})
	status, body, _ := s.send("POST", "/_admin/vms", `{"name":"theirs","node":"node-2","vcpus":3,"memory_mib":2048,"power":"suspended"}`)
	require.Equal(t, 201, status, body)
	var vm simhv.VM
	require.NoError(t, json.Unmarshal([]byte(body), &vm))
	require.Nil(t, vm.Mark)
	require.Equal(t, []any{"theirs", "node-2", 3, 2048, "suspended"}, []any{vm.Name, vm.Node, vm.VCPUs, vm.MemoryMiB, vm.Power})

	path := "/_admin/vms/" + vm.NativeID
	status, body, _ = s.send("PATCH", path, `{"power":"running","name":"n","node":"node-3","vcpus":4,"memory_mib":96,`+
		`"mark":{"vm_id":"v","installation_id":"j"},"native_id":"renamed"}`)
	require.Equal(t, 200, status, body)
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1)
	got := vms[0]
	require.Equal(t, []any{"running", "n", "node-3", 4, 96, "renamed", simhv.Mark{VMID: "v", InstallationID: "j"}},
		[]any{got.Power, got.Name, got.Node, got.VCPUs, got.MemoryMiB, got.NativeID, *got.Mark})
	status, _, _ = s.send("PATCH", "/_admin/vms/renamed", `{"mark":null}`)
	require.Equal(t, 200, status)

	status, _, _ = s.send("DELETE", path, "")
	require.Equal(t, 404, status, "the old native ID is gone")
	require.NoError(t, s.DeleteVM(t.Context(), "renamed"))
	vms, err = s.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, vms)
}

func TestTheAdminSideRefuses(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	taken, err := s.CreateVM(t.Context(), simhv.NewVM{Name: "taken"})
	require.NoError(t, err)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/_admin/nothing", "", 404},
		{"GET", "/_admin/", "", 404},
		{"GET", "/elsewhere", "", 404},
		{"POST", "/_admin/stats", "", 405},
		{"POST", "/_admin/vms", `{`, 400},
		{"POST", "/_admin/vms", `{"name":"x","colour":"red"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x"}{}`, 400},
		{"POST", "/_admin/vms", `{}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","node":"node-99"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","vcpus":-1}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","power":"melted"}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","mark":{"vm_id":"v"}}`, 400},
		{"POST", "/_admin/vms", `{"name":"x","uuid":"id-1"}`, 409},
		{"PATCH", "/_admin/vms/none", `{}`, 404},
		{"PATCH", "/_admin/vms/" + taken.NativeID, `{"native_id":"vm-1"}`, 409},
		{"PATCH", "/_admin/vms/" + taken.NativeID, `{"uuid":"x"}`, 400},
		{"PATCH", "/_admin/vms/" + taken.NativeID, `{"mark":{"owner":"x"}}`, 400},
		{"PATCH", "/_admin/vms/" + taken.NativeID, `{"name":""}`, 400},
		{"PATCH", "/_admin/vms/" + taken.NativeID, `{"memory_mib":0}`, 400},
		{"DELETE", "/_admin/vms/none", "", 404},
		{"GET", "/_admin/calls?since=x", "", 400},
		{"GET", "/_admin/calls?before=1", "", 400},
		{"GET", "/_admin/calls?since=1&since=2", "", 400},
		{"PUT", "/_admin/faults", `{}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"melt","kind":"hang"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"melt"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"kind":"hang"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","nth":0}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","count":0}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","count":-2}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","delay":"-1s"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","delay":2}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"error_before","status":200}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","match":{"host":"x"}}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"hang","when":"now"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"partial"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"info","kind":"task_fails"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"create_vm","kind":"partial","part":"soul"}]}`, 400},
		{"PUT", "/_admin/latency", `{"call":{"melt":"1s"}}`, 400},
		{"PUT", "/_admin/latency", `{"task":{"info":"1s"}}`, 400},
		{"PUT", "/_admin/latency", `{"call":{"info":"soon"}}`, 400},
		{"PUT", "/_admin/credentials", `{}`, 400},
		{"PUT", "/_admin/credentials", `{"valid":"yes"}`, 400},
		{"PUT", "/_admin/nodes/node-99", `{}`, 404},
		{"PUT", "/_admin/nodes/node-1", `{"state":"sideways"}`, 400},
		{"PUT", "/_admin/nodes/node-1", `{"vcpus":0}`, 400},
		{"PUT", "/_admin/nodes/node-1", `{"cpus":1}`, 400},
	} {
		status, body, _ := s.send(tc.method, tc.path, tc.body)
		require.Equal(t, tc.want, status, "%s %s %s: %s", tc.method, tc.path, tc.body, body)
	}
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 2)
	faults, err := s.Faults(t.Context())
	require.NoError(t, err)
	require.Empty(t, faults)
}

func TestTheAdminSideIsForThisMachineOnly(t *testing.T) {
	hv, err := simhv.New(simhv.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, hv.Close()) })
	for _, tc := range []struct {
		remote, origin string
		want           int
	}{
		{"192.0.2.1:1000", "", 403},
		{"nonsense", "", 403},
		{"127.0.0.1:1000", "http://evil.example", 403},
		{"127.0.0.1:1000", "", 200},
		{"[::1]:1000", "", 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/_admin/stats", nil)
		r.RemoteAddr = tc.remote
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		w := httptest.NewRecorder()
		hv.ServeHTTP(w, r)
		require.Equal(t, tc.want, w.Code, "%+v", tc)
	}
}

func TestTheAdaptersSideRefuses(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	with := func(good, bad string) string {
		return strings.Replace(createBody("id-2", "n", "node-1"), good, bad, 1)
	}
	for _, tc := range []struct {
		op, body string
		want     int
	}{
		{"melt", `{}`, 404},
		{"info", `{"x":1}`, 400},
		{"info", `{}{}`, 400},
		{"info", ``, 400},
		{"info", strings.Repeat(" ", 2<<20), 400},
		{"create_vm", createBody("id-1", "again", "node-1"), 409},
		{"create_vm", createBody("id-2", "n", "node-99"), 404},
		{"create_vm", createBody("", "n", "node-1"), 400},
		{"create_vm", with(`"tiny"`, `"huge"`), 404},
		{"create_vm", with(`"tiny"`, `"debian-12"`), 400}, // 2 GiB on a disk of 1
		{"create_vm", with(`"net0"`, `"net9"`), 404},
		{"create_vm", with(`52:54`, `5x:54`), 400},
		{"create_vm", with(`"vcpus":1`, `"vcpus":0`), 400},
		{"create_vm", with(`"vcpus":1`, `"vcpus":65`), 507},
		{"set_power", `{"vm":{"native_id":"none","uuid":"x","mark":null},"power":"running"}`, 404},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":null},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"j"}},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-9","mark":{"vm_id":"id-1","installation_id":"i"}},"power":"running"}`, 412},
		{"set_power", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"power":"melted"}`, 400},
		{"delete_vm", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-2","installation_id":"i"}}}`, 412},
		{"delete_vm", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"},"revision":99}}`, 412},
		{"reboot", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"token":""}`, 400},
		{"reboot", `{"vm":{"native_id":"vm-1","uuid":"id-1","mark":{"vm_id":"id-1","installation_id":"i"}},"token":"t"}`, 409},
		{"poll_task", `{"task":"none"}`, 404},
		{"list_vms", `{"installation_id":"i","limit":0}`, 400},
		{"list_vms", `{"installation_id":"i","limit":1001}`, 400},
		{"list_vms", `{"installation_id":"i","limit":1,"page_token":"x"}`, 400},
	} {
		status, body := s.op(tc.op, tc.body)
		require.Equal(t, tc.want, status, "%s %.200s: %s", tc.op, tc.body, body)
	}
	status, _, _ := s.send("GET", "/v1/info", "")
	require.Equal(t, 404, status)
	s.token = "made up"
	status, _ = s.op("info", `{}`)
	require.Equal(t, 401, status)
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 1)
	require.Equal(t, "stopped", vms[0].Power)
}

func TestCallsAreLogged(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, task := s.create("id-1")
	s.op("find_vm", `{"mark":{"vm_id":"id-1","installation_id":"i"},"uuid":"id-1"}`)
	s.op("poll_task", `{"task":"`+task+`"}`)
	s.op("find_vm", `{"mark":{"vm_id":"id-2","installation_id":"i"},"uuid":"id-2"}`)
	s.op("info", `{"x":1}`)
	calls, err := s.Calls(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, calls, 6)
	for i, want := range []simhv.Call{
		{Op: "login", Status: 200},
		{Op: "create_vm", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "find_vm", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "poll_task", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "find_vm", VMID: "id-2", Status: 200},
		{Op: "info", Status: 400},
	} {
		want.Seq, want.Client, want.At = uint64(i+1), "test", calls[i].At
		require.Equal(t, want, calls[i])
		require.WithinDuration(t, time.Now(), calls[i].At, time.Minute)
	}
	later, err := s.Calls(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, calls[5:], later)
	none, err := s.Calls(t.Context(), 6)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestTheLogOfCallsIsBounded(t *testing.T) {
	s := serve(t, simhv.Options{CallLog: 4})
	for range 10 {
		s.op("info", `{}`)
	}
	calls, err := s.Calls(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, calls, 4)
	require.Equal(t, uint64(8), calls[0].Seq)
	require.Equal(t, uint64(11), calls[3].Seq)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(10), stats.Calls["info"], "the counts go on")
}

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
	require.Equal(t, []counts{{4, 2, 0}, {3, 3, simhv.Always}, {1, 1, 0}, {0, 0, 1}}, got)
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

func TestAHungCallGoesOnWhenTheFaultIsCleared(t *testing.T) {
	s := serve(t, simhv.Options{})
	require.NoError(t, s.SetFaults(t.Context(), simhv.Fault{Op: "create_vm", Kind: simhv.FaultHang}))
	done := make(chan int, 1)
	go func() {
		res, err := http.DefaultClient.Do(s.request("create_vm", createBody("id-1", "n", "node-1")))
		if err != nil {
			done <- 0
			return
		}
		done <- res.StatusCode
		_ = res.Body.Close()
	}()
	s.until("the call hangs", func() bool {
		faults, err := s.Faults(t.Context())
		require.NoError(t, err)
		return faults[0].Fired == 1
	})
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, vms)
	require.NoError(t, s.ClearFaults(t.Context()))
	require.Equal(t, 200, <-done)
}

func (s *side) request(op, body string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.URL+"/v1/"+op, bytes.NewReader([]byte(body)))
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	return req
}

func (s *side) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			s.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
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
	require.NoError(t, s.SetLatency(t.Context(), simhv.Latency{}))
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
	_, err := s.CreateVM(t.Context(), simhv.NewVM{Name: "x", Power: "suspended"})
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
	require.Equal(t, simhv.Stats{
		VMs: map[string]int{"running": 0, "stopped": 1, "suspended": 1}, Logins: 3, LoginsRefused: 1,
		Calls: map[string]uint64{"login": 3, "create_vm": 1, "info": 3},
	}, stats)
}

func TestNewRefusesBadOptions(t *testing.T) {
	for _, opts := range []simhv.Options{
		{Nodes: -1},
		{NodeVCPUs: -1},
		{NodeMemoryMiB: -1},
		{CPUOvercommit: 0.5},
		{TaskDelay: -1},
		{CallLog: -1},
		{StateFile: t.TempDir() + "/no/such/folder/state"},
	} {
		_, err := simhv.New(opts)
		require.Error(t, err, "%+v", opts)
	}
}

func TestCPUOvercommit(t *testing.T) {
	s := serve(t, simhv.Options{Nodes: 1, NodeVCPUs: 1, CPUOvercommit: 2})
	s.create("id-1")
	s.create("id-2")
	status, body := s.op("create_vm", createBody("id-3", "n", "node-1"))
	require.Equal(t, 507, status, body)
}
