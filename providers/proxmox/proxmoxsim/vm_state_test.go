package proxmoxsim

import (
	"strings"
	"testing"
	"time"
)

func TestPower(t *testing.T) {
	v := cluster(t, Options{GuestShutdown: 10 * time.Millisecond})
	v.clone101()
	status := func(want, qmp string) {
		t.Helper()
		got := v.do("GET", vm101+"/status/current").(map[string]any)
		if got["status"] != want || got["qmpstatus"] != qmp {
			t.Errorf("it is %v, %v, not %s, %s", got["status"], got["qmpstatus"], want, qmp)
		}
	}
	v.refused("VM 101 not running", "POST", vm101+"/status/reset")
	v.refused("VM 101 not running", "POST", vm101+"/status/suspend")
	v.do("POST", vm101+"/status/start")
	status("running", "running")
	v.refused("VM 101 already running", "POST", vm101+"/status/start")
	v.do("POST", vm101+"/status/reset")
	v.do("POST", vm101+"/status/suspend")
	status("running", "paused")
	v.do("POST", vm101+"/status/resume")
	status("running", "running")
	v.do("POST", vm101+"/status/shutdown", "timeout", "5")
	status("stopped", "stopped")
	v.do("POST", vm101+"/status/start")
	v.do("POST", vm101+"/status/suspend", "todisk", "1")
	status("stopped", "stopped")
	if c := v.config("101"); c["lock"] != "suspended" || c["vmstate"] == nil {
		t.Errorf("asleep it is %v", c)
	}
	v.refused("VM is locked (suspended)", "PUT", vm101+"/config", "cores", "2")
	v.do("POST", vm101+"/status/start")
	if c := v.config("101"); c["lock"] != nil || c["vmstate"] != nil {
		t.Errorf("awake it is %v", c)
	}
	v.do("POST", vm101+"/status/stop")
	v.do("POST", vm101+"/status/stop")
	if boots := v.server.state.guests[101].Boots; boots != 3 {
		t.Errorf("it booted %d times", boots)
	}
	v.refused("you can't start a vm if it's a template", "POST", "/nodes/pve1/qemu/9000/status/start")
	v.refused("does not exist", "POST", "/nodes/pve1/qemu/999/status/start")
}

func TestADeafGuestIsStoppedByForceOnly(t *testing.T) {
	v := cluster(t, Options{Templates: []Template{{VMID: 9000, Name: "deaf", Storage: "shared", Deaf: true}}})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	v.refused("VM quit/powerdown failed - got timeout", "POST", vm101+"/status/shutdown", "timeout", "0")
	v.do("POST", vm101+"/status/shutdown", "timeout", "0", "forceStop", "1")
	v.do("POST", vm101+"/status/start")
	upid, _ := v.call("POST", vm101+"/status/shutdown", "timeout", "600")
	v.do("POST", vm101+"/status/stop", "overrule-shutdown", "1")
	if exit := v.exit(upid.(string)); exit != "interrupted by signal" {
		t.Errorf("the shutdown ended with %q", exit)
	}
}

func TestSnapshotsKeepDisksAndConfiguration(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.disk(101, "scsi0", "before")
	v.do("POST", vm101+"/snapshot", "snapname", "first", "description", "one")
	v.disk(101, "scsi0", "after")
	v.do("PUT", vm101+"/config", "cores", "3", "scsi1", "local-lvm:1")
	v.do("POST", vm101+"/status/start")
	v.do("POST", vm101+"/snapshot", "snapname", "ram", "vmstate", "1")
	rows := v.do("GET", vm101+"/snapshot").([]any)
	if last := rows[2].(map[string]any); len(rows) != 3 || last["name"] != "current" || last["parent"] != "ram" {
		t.Errorf("the snapshots are %v", rows)
	}
	v.refused("snapshot name 'first' already used", "POST", vm101+"/snapshot", "snapname", "first")
	v.refused("reserved name", "POST", vm101+"/snapshot", "snapname", "current")
	v.refused("snapshot 'none' does not exist", "POST", vm101+"/snapshot/none/rollback")
	v.refused("snapshot 'none' does not exist", "DELETE", vm101+"/snapshot/none")
	v.refused("you can't take a snapshot if it's a template", "POST", "/nodes/pve1/qemu/9000/snapshot", "snapname", "first")

	v.do("POST", vm101+"/snapshot/first/rollback")
	// The disk that came later is kept by the snapshot with RAM.
	if c := v.config("101"); c["cores"] != 1.0 || c["scsi1"] != nil || v.disk(101, "scsi0") != "before" {
		t.Errorf("back it is %v, and holds %q", c, v.disk(101, "scsi0"))
	}
	if v.server.state.guests[101].isRunning() {
		t.Error("it runs after a rollback without RAM")
	}
	v.do("POST", vm101+"/snapshot/ram/rollback")
	if g := v.server.state.guests[101]; !g.isRunning() || g.Boots != 1 || v.disk(101, "scsi0") != "after" {
		t.Errorf("after a rollback with RAM it runs: %v, booted %d times", g.isRunning(), g.Boots)
	}
	v.do("DELETE", vm101+"/snapshot/ram")
	v.do("DELETE", vm101+"/snapshot/first")
	if rows := v.do("GET", vm101+"/snapshot").([]any); len(rows) != 1 {
		t.Errorf("the snapshots are %v", rows)
	}
}

func TestMigration(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.refused("target is local node.", "POST", vm101+"/migrate", "target", "pve1")
	v.refused("no such cluster node 'nope'", "POST", vm101+"/migrate", "target", "nope")
	v.do("POST", vm101+"/status/start")
	v.refused("can't migrate running VM without --online", "POST", vm101+"/migrate", "target", "pve2")
	v.do("POST", vm101+"/migrate", "target", "pve2", "online", "1")
	v.refused("Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist", "GET", vm101+"/config")
	const there = "/nodes/pve2/qemu/101"
	v.do("PUT", there+"/config", "scsi1", "local-lvm:1")
	v.disk(101, "scsi1", "local")
	v.aborted("can't live migrate attached local disks without with-local-disks option", there, "target", "pve1", "online", "1")
	v.do("POST", there+"/migrate", "target", "pve1", "online", "1", "with-local-disks", "1", "targetstorage", "local-lvm:shared")
	if got := v.config("101")["scsi1"].(string); !strings.HasPrefix(got, "shared:") || v.disk(101, "scsi1") != "local" {
		t.Errorf("its local disk is %v", got)
	}
	if boots := v.server.state.guests[101].Boots; boots != 1 {
		t.Errorf("it booted %d times", boots)
	}
}
