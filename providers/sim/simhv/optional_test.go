package simhv_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
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

func (s *side) vm(id string) simadmin.VM {
	s.t.Helper()
	vms, err := s.VMs(s.t.Context())
	require.NoError(s.t, err)
	for _, v := range vms {
		if v.UUID == id {
			return v
		}
	}
	s.t.Fatalf("there is no VM %s", id)
	return simadmin.VM{}
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
	_, err := s.PatchVM(t.Context(), s.native("id-1"), simadmin.VMChange{DiskData: map[string]string{"d1": text}})
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

	_, err = s.PatchVM(t.Context(), s.native("id-1"), simadmin.VMChange{Snapshot: &theirs})
	require.NoError(t, err)
	s.want(409, "wrong_state", "rebuild_vm", "id-1", rebuildBody("t", "tiny", 1))
	status, body := s.op("snapshot_list", on(s.native("id-1"), "id-1", ""))
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"snapshots":[{"id":"","memory":false,"incomplete":false`, "a foreign one is listed without an ID")
}

// TestALateRepeatOfAFinishedRebuildDoesNothing protects what was written since.
func TestALateRepeatOfAFinishedRebuildDoesNothing(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("id-1")
	s.want(200, "", "rebuild_vm", "id-1", rebuildBody("t1", "tiny", 1))
	s.want(200, "", "finish_rebuild", "id-1", `"token":"t1"`)
	text := "since"
	_, err := s.PatchVM(t.Context(), s.native("id-1"), simadmin.VMChange{RootData: &text})
	require.NoError(t, err)
	s.want(200, "", "rebuild_vm", "id-1", rebuildBody("t1", "tiny", 1))
	require.Equal(t, "since", s.vm("id-1").RootData)
	s.want(200, "", "rebuild_vm", "id-1", rebuildBody("t2", "tiny", 1))
	require.Empty(t, s.vm("id-1").RootData)
	require.Equal(t, "since", s.vm("id-1").AsideData)
}

// TestWorkThatWouldMeetOtherWorkIsLocked keeps a clone's source, and what copies
// disks, from being changed underneath.
func TestWorkThatWouldMeetOtherWorkIsLocked(t *testing.T) {
	s := serve(t, simhv.Options{})
	s.create("source")
	require.NoError(t, s.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{
		"clone_vm": simadmin.Duration(time.Hour), "rebuild_vm": simadmin.Duration(time.Hour),
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
