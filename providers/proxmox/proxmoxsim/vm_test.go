package proxmoxsim

import (
	"io"
	"strings"
	"testing"
	"time"
)

const vm101 = "/nodes/pve1/qemu/101"

func (v *testVM) clone101(params ...string) {
	v.t.Helper()
	v.do("POST", "/nodes/pve1/qemu/9000/clone", append([]string{"newid", "101", "name", "web"}, params...)...)
}

func TestACloneIsALinkOrACopyOfItsTemplate(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101("description", "mine")
	v.do("POST", "/nodes/pve1/qemu/9000/clone", "newid", "102", "full", "1", "storage", "local-lvm")
	linked, full := v.config("101"), v.config("102")
	if got := linked["scsi0"]; got != "shared:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2,size=2G" {
		t.Errorf("the link's disk is %v", got)
	}
	if got := full["scsi0"]; got != "local-lvm:vm-102-disk-0,size=2G" {
		t.Errorf("the copy's disk is %v", got)
	}
	if linked["description"] != "mine" || linked["template"] != nil || linked["lock"] != nil || linked["smbios1"] == full["smbios1"] || linked["net0"] == full["net0"] {
		t.Errorf("the clones are %v and %v", linked, full)
	}
	if got := v.disk(102, "scsi0"); got != "image debian-12" {
		t.Errorf("the copy holds %q", got)
	}
	v.do("POST", "/nodes/pve1/qemu/9000/clone", "newid", "103", "target", "pve2")
	if node := v.server.state.guests[103].Node; node != "pve2" {
		t.Errorf("the clone is on %s", node)
	}
	v.refused("unable to create VM 101: config file already exists", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "101")
	v.refused("close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/103.conf' failed: File exists", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "103")
	v.refused("parameter 'storage' not allowed for linked clones", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "104", "storage", "local-lvm")
	v.refused("no such cluster node 'nope'", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "104", "target", "nope")
	v.refused("can't clone to non-shared storage", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "104", "target", "pve2", "full", "1", "storage", "local-lvm")
	v.refused("Linked clone feature is not supported for 'shared:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2' (scsi0)", "POST", vm101+"/clone", "newid", "104", "full", "0")
	v.refused("Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist", "POST", "/nodes/pve1/qemu/999/clone", "newid", "104")
	v.refused("is still in use by linked cloned", "DELETE", "/nodes/pve1/qemu/9000")
}

func TestACloneThatFailsLeavesNothing(t *testing.T) {
	v := cluster(t, Options{Storages: []Storage{
		{ID: "shared", Type: "nfs", Shared: true, Content: []string{"images"}, GiB: 10},
		{ID: "small", Type: "lvmthin", Content: []string{"images"}, GiB: 1},
	}})
	v.refused("insufficient free space", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "101", "full", "1", "storage", "small")
	v.refused("does not exist", "GET", vm101+"/config")
	for _, vol := range v.server.state.volumes {
		if vol.VMID == 101 {
			t.Errorf("%s was left", vol.id())
		}
	}
}

func TestAGuestIsMadeOfNothing(t *testing.T) {
	v := cluster(t, Options{})
	v.do("POST", "/nodes/pve1/qemu", "vmid", "101", "name", "empty", "cores", "2", "memory", "1024", "scsi0", "local-lvm:8", "net0", "virtio,bridge=vmbr0", "start", "1")
	c := v.config("101")
	if c["scsi0"] != "local-lvm:vm-101-disk-0,size=8G" || c["cores"] != 2.0 || c["memory"] != "1024" {
		t.Errorf("it is %v", c)
	}
	v.refused("unable to create VM 101 - VM 101 already exists on node 'pve1'", "POST", "/nodes/pve1/qemu", "vmid", "101")
	v.refused("storage 'nope' does not exist", "POST", "/nodes/pve1/qemu", "vmid", "102", "scsi0", "nope:1")
	v.refused("Parameter verification failed", "POST", "/nodes/pve1/qemu", "vmid", "102", "foo", "1")
}

func TestConfigurationChanges(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	digest, _ := v.config("101")["digest"].(string)
	v.do("PUT", vm101+"/config", "cores", "2", "tags", "b;A;b", "digest", digest, "net0", "virtio,bridge=vmbr1,tag=7")
	c := v.config("101")
	if c["cores"] != 2.0 || c["tags"] != "a;b" || !strings.HasSuffix(c["net0"].(string), ",bridge=vmbr1,tag=7") {
		t.Errorf("it is %v", c)
	}
	v.refused(modified, "PUT", vm101+"/config", "cores", "3", "digest", digest)
	v.refused("unknown option 'nonsense'", "PUT", vm101+"/config", "delete", "nonsense")

	v.do("POST", vm101+"/status/start")
	v.do("PUT", vm101+"/config", "cores", "4", "name", "later")
	current := v.do("GET", vm101+"/config", "current", "1").(map[string]any)
	if current["cores"] != 2.0 || current["name"] != "later" || v.config("101")["cores"] != 4.0 {
		t.Errorf("running it is %v", current)
	}
	v.do("POST", vm101+"/status/reboot")
	if current = v.do("GET", vm101+"/config", "current", "1").(map[string]any); current["cores"] != 4.0 {
		t.Errorf("after its reboot it is %v", current)
	}
}

func TestDisksComeGrowAndGo(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("POST", vm101+"/config", "scsi1", "local-lvm:8,serial=data")
	v.disk(101, "scsi1", "precious")
	v.do("PUT", vm101+"/resize", "disk", "scsi1", "size", "10G")
	v.do("PUT", vm101+"/resize", "disk", "scsi1", "size", "+1G")
	if got := v.config("101")["scsi1"]; got != "local-lvm:vm-101-disk-0,serial=data,size=11G" {
		t.Errorf("it is %v", got)
	}
	v.refused("shrinking disks is not supported", "PUT", vm101+"/resize", "disk", "scsi1", "size", "2G")
	v.refused("disk 'scsi5' does not exist", "PUT", vm101+"/resize", "disk", "scsi5", "size", "2G")
	v.refused("does not exist", "PUT", "/nodes/pve1/qemu/999/resize", "disk", "scsi0", "size", "2G")
	v.refused("insufficient free space", "PUT", vm101+"/config", "scsi2", "local-lvm:99999")

	v.do("POST", vm101+"/move_disk", "disk", "scsi1", "storage", "shared", "delete", "1")
	if got := v.config("101")["scsi1"]; got != "shared:101/vm-101-disk-0.qcow2,serial=data,size=11G" || v.disk(101, "scsi1") != "precious" {
		t.Errorf("moved it is %v", got)
	}
	v.do("PUT", vm101+"/config", "delete", "scsi1")
	c := v.config("101")
	if c["scsi1"] != nil || c["unused0"] != "shared:101/vm-101-disk-0.qcow2" {
		t.Errorf("detached it is %v", c)
	}
	v.do("PUT", vm101+"/config", "scsi2", "shared:101/vm-101-disk-0.qcow2")
	if c = v.config("101"); c["unused0"] != nil || v.disk(101, "scsi2") != "precious" {
		t.Errorf("attached again it is %v", c)
	}
	v.do("PUT", vm101+"/unlink", "idlist", "scsi2")
	v.do("PUT", vm101+"/config", "delete", "unused0")
	if vol := v.server.state.volume("pve1", "shared:101/vm-101-disk-0.qcow2"); vol != nil {
		t.Error("the deleted disk is there")
	}
}

func TestDeleteTakesTheDisksAlong(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("PUT", vm101+"/config", "scsi1", "local-lvm:1")
	v.do("POST", vm101+"/status/start")
	v.refused("VM 101 is running - destroy failed", "DELETE", vm101, "purge", "1")
	v.do("POST", vm101+"/status/stop")
	v.do("PUT", vm101+"/config", "protection", "1")
	v.refused("can't remove VM 101 - protection mode enabled", "DELETE", vm101)
	v.do("PUT", vm101+"/config", "delete", "protection")
	v.do("DELETE", vm101, "purge", "1", "destroy-unreferenced-disks", "1")
	for _, vol := range v.server.state.volumes {
		if vol.VMID == 101 {
			t.Errorf("%s was left", vol.id())
		}
	}
	v.refused("Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist", "DELETE", vm101)
}

func TestLocksAreHeldAndTimeOut(t *testing.T) {
	v := cluster(t, Options{LockTimeout: 20 * time.Millisecond, Templates: []Template{{VMID: 9000, Name: "deaf", Storage: "shared", Deaf: true}}})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	upid, _ := v.call("POST", vm101+"/status/shutdown", "timeout", "600")
	const timeout = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"
	for held := false; !held; {
		v.server.mu.Lock()
		held = len(v.server.locks[101]) > 0
		v.server.mu.Unlock()
	}
	v.refused(timeout, "PUT", vm101+"/config", "cores", "2")
	v.refused(timeout, "POST", vm101+"/status/stop")
	v.server.mu.Lock()
	v.server.state.tasks[upid.(string)].cancel(io.EOF)
	v.server.mu.Unlock()
	v.exit(upid.(string))
	v.do("POST", vm101+"/status/stop")
	v.server.mu.Lock()
	v.server.state.quorate = false
	v.server.mu.Unlock()
	v.refused("cluster not ready - no quorum?", "POST", vm101+"/status/start")
	v.refused("cluster not ready - no quorum?", "PUT", vm101+"/config", "cores", "2")
	v.refused("cluster not ready - no quorum?", "POST", "/nodes/pve1/qemu/9000/clone", "newid", "102")
}

func TestCloudInitTellsTheGuest(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("PUT", vm101+"/config", "ciuser", "admin", "sshkeys", "ssh-ed25519%20AAAA%0A", "ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1")
	v.do("PUT", vm101+"/cloudinit")
	got, _ := v.do("GET", vm101+"/cloudinit/dump", "type", "user").(string)
	if !strings.Contains(got, "hostname: web\n") || !strings.Contains(got, "  - ssh-ed25519 AAAA\n") {
		t.Errorf("it is told %q", got)
	}
	v.refused("cloud-init drive is already attached at 'ide2'", "PUT", vm101+"/config", "ide0", "shared:cloudinit")
	v.do("POST", vm101+"/status/start")
	v.refused("No QEMU guest agent configured", "POST", vm101+"/agent/ping")
	if rows := v.do("GET", vm101+"/rrddata", "timeframe", "hour").([]any); len(rows) != 60 {
		t.Errorf("there are %d points", len(rows))
	}
}
