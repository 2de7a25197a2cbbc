package simhv_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// on is the body of a request about a VM of ours, with more fields.
func on(native, id, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"vm":{"native_id":%q,"uuid":%q,"mark":{"vm_id":%q,"installation_id":"i"}}%s}`, native, id, id, more)
}

// want makes a call about a VM and checks its status and code.
func (s *side) want(status int, code, op, id, more string) {
	s.t.Helper()
	got, body := s.op(op, on(s.native(id), id, more))
	require.Equal(s.t, status, got, "%s %s: %s", op, more, body)
	if code != "" {
		require.Contains(s.t, body, `"code":"`+code+`"`, "%s %s", op, more)
	}
}

func (s *side) vm(id string) simhv.VM {
	s.t.Helper()
	vms, err := s.VMs(s.t.Context())
	require.NoError(s.t, err)
	for _, v := range vms {
		if v.UUID == id {
			return v
		}
	}
	s.t.Fatalf("there is no VM %s", id)
	return simhv.VM{}
}

func (s *side) native(id string) string {
	s.t.Helper()
	return s.vm(id).NativeID
}

func (s *side) power(id, power string) {
	s.t.Helper()
	s.want(200, "", "set_power", id, fmt.Sprintf(`"power":%q,"force":true`, power))
}

// TestTheHypervisorIsStrict goes through what a real one refuses, in each power.
func TestTheHypervisorIsStrict(t *testing.T) {
	s := serve(t, simhv.Options{NodeVCPUs: 8, NodeMemoryMiB: 1024})
	s.create("off")
	s.create("runs")
	s.power("runs", "running")
	s.create("sleeps")
	s.power("sleeps", "running")
	s.want(200, "", "suspend_vm", "sleeps", "")
	s.create("has")
	s.want(200, "", "attach_disk", "has", `"id":"d1","size_gib":1`)
	s.want(200, "", "snapshot_create", "has", `"id":"s1","name":"n","memory":false`)
	s.create("rebuilt")
	s.want(200, "", "rebuild_vm", "rebuilt", rebuildBody("t1", "tiny", 1))
	before, err := s.VMs(t.Context())
	require.NoError(t, err)
	const mac = `"nic":{"network":"net0","mac":"52:54:00:00:00:%s"}`
	for _, tc := range []struct {
		status             int
		code, op, id, more string
	}{
		{409, "wrong_state", "suspend_vm", "off", ""},
		{409, "wrong_state", "resume_vm", "off", ""},
		{400, "invalid", "resize_vm", "off", `"vcpus":0,"memory_mib":64,"disk_gib":1`},
		{400, "invalid", "resize_vm", "off", `"vcpus":1,"memory_mib":64,"disk_gib":0`},
		{507, "no_capacity", "resize_vm", "off", `"vcpus":9,"memory_mib":64,"disk_gib":1`},
		{507, "no_capacity", "resize_vm", "off", `"vcpus":1,"memory_mib":1024,"disk_gib":1`},
		{507, "no_capacity", "resize_vm", "runs", `"vcpus":1,"memory_mib":1024,"disk_gib":1`},
		{409, "wrong_state", "resize_vm", "runs", `"vcpus":1,"memory_mib":63,"disk_gib":1`},
		{409, "wrong_state", "resize_vm", "sleeps", `"vcpus":2,"memory_mib":64,"disk_gib":1`},
		{400, "invalid", "rebuild_vm", "off", rebuildBody("", "tiny", 1)},
		{404, "no_image", "rebuild_vm", "off", rebuildBody("t", "huge", 1)},
		{400, "invalid", "rebuild_vm", "off", rebuildBody("t", "debian-12", 1)},
		{409, "wrong_state", "rebuild_vm", "runs", rebuildBody("t", "tiny", 1)},
		{409, "wrong_state", "rebuild_vm", "sleeps", rebuildBody("t", "tiny", 1)},
		{409, "wrong_state", "rebuild_vm", "has", rebuildBody("t", "tiny", 1)},
		{409, "wrong_state", "rebuild_vm", "rebuilt", rebuildBody("t2", "tiny", 1)},
		{409, "wrong_state", "snapshot_create", "rebuilt", `"id":"s","name":"","memory":false`},
		{409, "wrong_state", "snapshot_create", "off", `"id":"s","name":"","memory":true`},
		{409, "wrong_state", "snapshot_create", "sleeps", `"id":"s","name":"","memory":false`},
		{400, "invalid", "snapshot_create", "off", `"id":"","name":"","memory":false`},
		{400, "invalid", "snapshot_create", "off", `"id":"s","memory":false,"name":"` + strings.Repeat("n", 1025) + `"`},
		{404, "no_snapshot", "snapshot_revert", "has", `"id":"s9","token":"t"`},
		{400, "invalid", "snapshot_revert", "has", `"id":"s1"`},
		{404, "no_node", "migrate_vm", "off", `"node":"node-9","live":false`},
		{409, "wrong_state", "migrate_vm", "off", `"node":"node-2","live":true`},
		{409, "wrong_state", "migrate_vm", "runs", `"node":"node-2","live":false`},
		{409, "wrong_state", "migrate_vm", "sleeps", `"node":"node-2","live":true`},
		{409, "attached", "attach_disk", "has", `"id":"d1","size_gib":1`},
		{409, "wrong_state", "attach_disk", "has", `"id":"d2","size_gib":1`},
		{400, "invalid", "attach_disk", "off", `"id":"d2","size_gib":0`},
		{400, "invalid", "attach_disk", "off", `"id":"","size_gib":1`},
		{409, "wrong_state", "attach_disk", "sleeps", `"id":"d2","size_gib":1`},
		{409, "not_attached", "detach_disk", "off", `"id":"d1"`},
		{409, "wrong_state", "delete_disk", "has", `"id":"d1"`},
		{404, "no_disk", "delete_disk", "has", `"id":"d2"`},
		{409, "attached", "attach_nic", "off", fmt.Sprintf(mac, "09")},
		{404, "no_network", "attach_nic", "off", `"nic":{"network":"net9","mac":"52:54:00:00:00:10"}`},
		{400, "invalid", "attach_nic", "off", `"nic":{"network":"net0","mac":"x"}`},
		{409, "wrong_state", "attach_nic", "sleeps", fmt.Sprintf(mac, "10")},
		{409, "not_attached", "detach_nic", "off", `"mac":"52:54:00:00:00:10"`},
		{409, "wrong_state", "console_info", "off", ""},
		{409, "wrong_state", "console_info", "sleeps", ""},
		{409, "wrong_state", "open_console", "off", `"type":"vnc"`},
		{501, "unsupported", "open_console", "runs", `"type":"rdp"`},
		{400, "invalid", "open_console", "runs", `"type":"vnc"`}, // without an upgrade
	} {
		s.want(tc.status, tc.code, tc.op, tc.id, tc.more)
	}
	after, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after, "what was refused changed nothing")
}

func rebuildBody(token, image string, diskGiB int) string {
	return fmt.Sprintf(`"token":%q,"image":%q,"disk_gib":%d,"cloud_init":{"hostname":"h"}`, token, image, diskGiB)
}

func TestASnapshotInTheWay(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	s.want(200, "", "attach_disk", "id-1", `"id":"d1","size_gib":2`)
	text, theirs := "on d1", "theirs"
	_, err := s.PatchVM(t.Context(), s.native("id-1"), simhv.VMChange{DiskData: map[string]string{"d1": text}})
	require.NoError(t, err)
	s.want(200, "", "snapshot_create", "id-1", `"id":"s1","name":"n","memory":false`)
	s.want(200, "", "detach_disk", "id-1", `"id":"d1"`)
	s.want(409, "wrong_state", "delete_disk", "id-1", `"id":"d1"`)
	s.want(200, "", "attach_nic", "id-1", `"nic":{"network":"net1","mac":"52:54:00:00:00:10"}`)
	s.want(200, "", "resize_vm", "id-1", `"vcpus":2,"memory_mib":128,"disk_gib":5`)
	s.want(200, "", "snapshot_revert", "id-1", `"id":"s1","token":"t1"`)
	vm := s.vm("id-1")
	require.Equal(t, []int{1, 64, 1}, []int{vm.VCPUs, vm.MemoryMiB, vm.DiskGiB})
	require.Len(t, vm.NICs, 1)
	require.Len(t, vm.DataDisks, 1)
	require.True(t, vm.DataDisks[0].Attached)
	require.Equal(t, text, vm.DataDisks[0].Data)
	s.want(200, "", "snapshot_delete", "id-1", `"id":"s1"`)

	_, err = s.PatchVM(t.Context(), s.native("id-1"), simhv.VMChange{Snapshot: &theirs})
	require.NoError(t, err)
	s.want(409, "wrong_state", "rebuild_vm", "id-1", rebuildBody("t", "tiny", 1))
	status, body := s.op("snapshot_list", on(s.native("id-1"), "id-1", ""))
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"snapshots":[{"id":"","memory":false,"incomplete":false`, "a foreign one is listed without an ID")
}

func TestMigrationsNeedRoomOnBothNodes(t *testing.T) {
	s := serve(t, simhv.Options{Nodes: 3, NodeVCPUs: 2, NodeMemoryMiB: 256, TaskDelay: time.Hour})
	quick := simhv.Latency{Task: map[string]simhv.Duration{"create_vm": 0, "set_power": 0, "abort_migration": 0, "delete_vm": 0}}
	require.NoError(t, s.SetLatency(t.Context(), quick))
	s.create("id-1")
	s.create("id-2")
	s.power("id-1", "running")
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":true`)
	s.want(200, "", "migrate_vm", "id-2", `"node":"node-2","live":false`)
	require.Equal(t, "node-2", s.vm("id-1").MovingTo)
	status, body := s.op("create_vm", createBody("id-3", "n", "node-2"))
	require.Equal(t, 507, status, "the migrations hold the room: %s", body)
	status, body = s.op("create_vm", createBody("id-3", "n", "node-1"))
	require.Equal(t, 507, status, "and where they come from, too: %s", body)

	s.want(200, "", "abort_migration", "id-2", "")
	require.Empty(t, s.vm("id-2").MovingTo)
	require.Equal(t, "node-1", s.vm("id-2").Node)
	status, body = s.op("create_vm", createBody("id-3", "n", "node-2"))
	require.Equal(t, 200, status, body)
	s.want(507, "no_capacity", "migrate_vm", "id-2", `"node":"node-2","live":false`)

	state := "down"
	require.NoError(t, s.SetNode(t.Context(), "node-3", simhv.NodeChange{State: &state}))
	s.want(503, "node_down", "migrate_vm", "id-2", `"node":"node-3","live":false`)
	s.power("id-1", "stopped") // ends the live migration
	require.Empty(t, s.vm("id-1").MovingTo)
	require.Equal(t, "stopped", s.vm("id-1").Power)
}

// TestAMigrationToANodeThatDiesEndsAtHome lets the node go down in between.
func TestAMigrationToANodeThatDiesEndsAtHome(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	require.NoError(t, s.SetLatency(t.Context(), simhv.Latency{Task: map[string]simhv.Duration{"migrate_vm": simhv.Duration(50 * time.Millisecond)}}))
	_, body := s.op("migrate_vm", on(s.native("id-1"), "id-1", `"node":"node-2","live":false`))
	state := "down"
	require.NoError(t, s.SetNode(t.Context(), "node-2", simhv.NodeChange{State: &state}))
	var work struct{ Task string }
	require.NoError(t, json.Unmarshal([]byte(body), &work))
	s.until("the migration has failed", func() bool {
		_, body := s.op("poll_task", `{"task":"`+work.Task+`"}`)
		return strings.Contains(body, `"node_down"`)
	})
	vm := s.vm("id-1")
	require.Equal(t, []string{"node-1", ""}, []string{vm.Node, vm.MovingTo})
}

// TestAnInterruptedMigrationHoldsItsRoomUntilItIsAborted shows the residue.
func TestAnInterruptedMigrationHoldsItsRoomUntilItIsAborted(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	require.NoError(t, s.SetFaults(t.Context(), simhv.Fault{Op: "migrate_vm", Kind: simhv.FaultPartial}))
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":false`)
	vm := s.vm("id-1")
	require.Equal(t, []string{"node-1", "node-2"}, []string{vm.Node, vm.MovingTo})
	s.want(409, "wrong_state", "migrate_vm", "id-1", `"node":"node-1","live":false`)
	s.want(200, "", "abort_migration", "id-1", "")
	require.Empty(t, s.vm("id-1").MovingTo)
	s.want(200, "", "migrate_vm", "id-1", `"node":"node-2","live":false`)
	require.Equal(t, "node-2", s.vm("id-1").Node)
}

// TestWorkThatWouldMeetOtherWorkIsLocked keeps a clone's source, and what copies
// disks, from being changed underneath.
func TestWorkThatWouldMeetOtherWorkIsLocked(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("source")
	require.NoError(t, s.SetLatency(t.Context(), simhv.Latency{Task: map[string]simhv.Duration{
		"clone_vm": simhv.Duration(time.Hour), "rebuild_vm": simhv.Duration(time.Hour),
	}}))
	clone := fmt.Sprintf(`{"source":{"native_id":%q,"uuid":"source","mark":{"vm_id":"source","installation_id":"i"}},"vm":%s}`,
		s.native("source"), createBody("clone", "n", "node-1"))
	status, body := s.op("clone_vm", clone)
	require.Equal(t, 200, status, body)
	s.want(409, "locked", "set_power", "source", `"power":"running"`)
	s.want(409, "locked", "delete_vm", "source", "")
	s.want(409, "locked", "resize_vm", "source", `"vcpus":2,"memory_mib":64,"disk_gib":1`)
	s.want(200, "", "delete_vm", "clone", "")
	s.power("source", "running")
	s.power("source", "stopped")

	s.want(200, "", "rebuild_vm", "source", rebuildBody("t", "tiny", 1))
	s.want(409, "locked", "set_power", "source", `"power":"running","force":true`)
	s.want(409, "locked", "finish_rebuild", "source", `"token":"t"`)
	s.want(409, "locked", "snapshot_create", "source", `"id":"s","name":"","memory":false`)
	require.Empty(t, s.vm("source").Disks)
	s.want(200, "", "revert_rebuild", "source", `"token":"t"`) // ends it
	require.Len(t, s.vm("source").Disks, 1)
	require.Empty(t, s.vm("source").AsideToken)
}

func TestWithdrawnCapabilities(t *testing.T) {
	s := serve(t, simhv.Options{Capabilities: simhv.Capabilities{Withdraw: []string{"suspend", "hot_resize"}}})
	s.create("id-1")
	_, body := s.op("info", `{}`)
	require.NotContains(t, body, `"suspend"`)
	require.NotContains(t, body, `"console_rdp"`)
	require.Contains(t, body, `"clone"`)
	s.want(501, "unsupported", "suspend_vm", "id-1", "")
	s.power("id-1", "running")
	s.want(409, "wrong_state", "resize_vm", "id-1", `"vcpus":2,"memory_mib":64,"disk_gib":1`)

	require.NoError(t, s.SetCapabilities(t.Context(), simhv.Capabilities{
		Withdraw: []string{"snapshot_memory", "snapshot_live", "cloud_init"}, RDPOnly: true,
	}))
	_, body = s.op("info", `{}`)
	for name, listed := range map[string]bool{
		"suspend": true, "snapshot": true, "snapshot_memory": false, "console_vnc": false, "console_serial": false, "console_rdp": true,
	} {
		require.Equal(t, listed, strings.Contains(body, `"`+name+`"`), name)
	}
	s.want(501, "unsupported", "snapshot_create", "id-1", `"id":"s","name":"","memory":true`)
	s.want(501, "unsupported", "snapshot_create", "id-1", `"id":"s","name":"","memory":false`)
	s.want(501, "unsupported", "open_console", "id-1", `"type":"vnc"`)
	status, body := s.op("console_info", on(s.native("id-1"), "id-1", ""))
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{"types":["rdp"],"descriptor":{"host":"node-1","port":"2179","pre_connection_blob":"id-1"}}`, body)
	status, body = s.op("create_vm", strings.Replace(createBody("id-2", "n", "node-1"), `"ssh_keys":null`, `"ssh_keys":["k"]`, 1))
	require.Equal(t, 501, status, body)
	require.NoError(t, s.SetCapabilities(t.Context(), simhv.Capabilities{Withdraw: []string{"console_vnc", "console_serial"}}))
	s.want(501, "unsupported", "console_info", "id-1", "")

	require.Error(t, s.SetCapabilities(t.Context(), simhv.Capabilities{Withdraw: []string{"flying"}}))
	_, err := simhv.New(simhv.Options{Capabilities: simhv.Capabilities{Withdraw: []string{"flying"}}})
	require.Error(t, err)
}

// TestTheStateFileKeepsEverything compares all that the admin side shows, before
// and after a restart, with work in between.
func TestTheStateFileKeepsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	var before []simhv.VM
	reopen(t, file, func(s *side) {
		s.t = t
		s.create("id-1")
		s.want(200, "", "attach_disk", "id-1", `"id":"d1","size_gib":2`)
		text := "here"
		_, err := s.PatchVM(t.Context(), s.native("id-1"), simhv.VMChange{RootData: &text, DiskData: map[string]string{"d1": "there"}})
		require.NoError(t, err)
		s.power("id-1", "running")
		s.want(200, "", "snapshot_create", "id-1", `"id":"s1","name":"n","memory":true`)
		s.want(200, "", "suspend_vm", "id-1", "")
		s.create("id-2")
		s.want(200, "", "rebuild_vm", "id-2", rebuildBody("t1", "tiny", 3))
		require.NoError(t, s.SetLatency(t.Context(), simhv.Latency{Task: map[string]simhv.Duration{"migrate_vm": simhv.Duration(200 * time.Millisecond)}}))
		s.create("id-3")
		s.want(200, "", "migrate_vm", "id-3", `"node":"node-2","live":false`)
		before, err = s.VMs(t.Context())
		require.NoError(t, err)
	})
	reopen(t, file, func(s *side) {
		after, err := s.VMs(t.Context())
		require.NoError(t, err)
		require.Equal(t, before[:2], after[:2])
		require.Equal(t, "suspended", after[0].Power)
		require.NotNil(t, after[0].UptimeSince)
		require.Equal(t, "t1", after[1].AsideToken)
		s.until("the migration goes on to its end", func() bool { return s.vm("id-3").Node == "node-2" })
		require.Empty(t, s.vm("id-3").MovingTo)
		s.want(200, "", "snapshot_revert", "id-1", `"id":"s1","token":"t"`)
		vm := s.vm("id-1")
		require.Equal(t, "running", vm.Power)
		require.Equal(t, before[0].Boot, vm.Boot)
		require.Equal(t, "there", vm.DataDisks[0].Data)
		s.want(200, "", "revert_rebuild", "id-2", `"token":"t1"`)
		require.Equal(t, 1, s.vm("id-2").DiskGiB)
	})
}

func TestTheAdminSideOfGuestsRefuses(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, _ := s.create("id-1")
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/_admin/vms/none/screen", "", 404},
		{"GET", "/_admin/vms/" + native + "/screen", "", 409},
		{"PATCH", "/_admin/vms/" + native, `{"root_data":"` + strings.Repeat("x", 65) + `"}`, 400},
		{"PATCH", "/_admin/vms/" + native, `{"disk_data":{"d":"x"}}`, 400},
		{"PUT", "/_admin/capabilities", `{"withdraw":["flying"]}`, 400},
		{"PUT", "/_admin/capabilities", `{"offer":["flying"]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"resize_vm","kind":"partial"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"rebuild_vm","kind":"partial","part":"mark"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"snapshot_list","kind":"task_fails"}]}`, 400},
		{"PUT", "/_admin/faults", `{"faults":[{"op":"rebuild_vm","kind":"partial"}]}`, 200},
		{"PUT", "/_admin/latency", `{"task":{"migrate_vm":"1s"}}`, 200},
		{"PUT", "/_admin/latency", `{"task":{"open_console":"1s"}}`, 400},
	} {
		status, body, _ := s.send(tc.method, tc.path, tc.body)
		require.Equal(t, tc.want, status, "%s %s %s: %s", tc.method, tc.path, tc.body, body)
	}
}
