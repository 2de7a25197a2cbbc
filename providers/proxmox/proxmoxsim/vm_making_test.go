package proxmoxsim

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestACloneInTheMakingIsOnlyALock(t *testing.T) {
	v := cluster(t, Options{TaskDelay: 300 * time.Millisecond})
	upid, refusal := v.call("POST", "/nodes/pve1/qemu/9000/clone", "newid", "101", "name", "web", "description", "mine")
	if refusal != "" {
		t.Fatal(refusal)
	}
	v.until(func() bool { return v.server.state.guests[101] != nil })
	c := v.config("101")
	if c["lock"] != "clone" || c["name"] != nil || c["description"] != nil {
		t.Errorf("while it is copied it is %v", c)
	}
	v.refused("VM is locked (clone)", "PUT", vm101+"/config", "cores", "2")
	if !strings.HasSuffix(upid.(string), ":qmclone:9000:"+strings.SplitN(DefaultToken, "=", 2)[0]+":") {
		t.Errorf("the task is %v", upid)
	}
	if exit := v.exit(upid.(string)); exit != "OK" {
		t.Fatal(exit)
	}
	if c = v.config("101"); c["lock"] != nil || c["name"] != "web" {
		t.Errorf("then it is %v", c)
	}
}

func TestAVMIDIsGivenOutOnce(t *testing.T) {
	v := cluster(t, Options{})
	var mu sync.Mutex
	made, refused := 0, 0
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			upid, refusal := v.call("POST", "/nodes/pve1/qemu/9000/clone", "newid", "101")
			if refusal == "" {
				refusal = v.exit(upid.(string))
			}
			mu.Lock()
			defer mu.Unlock()
			if refusal == "OK" {
				made++
			} else if strings.Contains(refusal, "unable to create VM 101: config file already exists") {
				refused++
			}
		})
	}
	all.Wait()
	if made != 1 || refused != 9 {
		t.Errorf("%d were made and %d refused", made, refused)
	}
}

func TestWhatWaitsForTheNextStartIsListed(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101()
	v.do("POST", vm101+"/status/start")
	v.do("PUT", vm101+"/config", "memory", "2048", "delete", "serial0")
	seen := map[string]bool{}
	for _, row := range v.do("GET", vm101+"/pending").([]any) {
		r := row.(map[string]any)
		seen["memory"] = seen["memory"] || r["key"] == "memory" && r["value"] == "512" && r["pending"] == "2048"
		seen["serial0"] = seen["serial0"] || r["key"] == "serial0" && r["delete"] == 1.0
	}
	if !seen["memory"] || !seen["serial0"] {
		t.Errorf("only %v are listed", seen)
	}
	v.do("PUT", vm101+"/config", "revert", "serial0")
	v.do("POST", vm101+"/status/stop")
	v.do("POST", vm101+"/status/start")
	if c := v.do("GET", vm101+"/config", "current", "1").(map[string]any); c["memory"] != "2048" || c["serial0"] != "socket" {
		t.Errorf("started anew it is %v", c)
	}
}

func TestConfigurationNeedsThePrivilegeOfEachOption(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"cores", "2", "VM.Config.CPU"},
		{"numa0", "cpus=0", "VM.Config.CPU"},
		{"memory", "512", "VM.Config.Memory"},
		{"net3", "virtio,bridge=vmbr0", "VM.Config.Network"},
		{"scsi2", "local-lvm:1", "VM.Config.Disk"},
		{"unused0", "", "VM.Config.Disk"},
		{"boot", "order=scsi0", "VM.Config.Disk"},
		{"ide3", "local:iso/x.iso,media=cdrom", "VM.Config.CDROM"},
		{"name", "web", "VM.Config.Options"},
		{"tags", "a;b", "VM.Config.Options"},
		{"bios", "ovmf", "VM.Config.Options"},
		{"hotplug", "disk", "VM.Config.HWType"},
		{"serial0", "socket", "VM.Config.HWType"},
		{"smbios1", "uuid=x", "VM.Config.HWType"},
		{"ipconfig0", "ip=dhcp", "VM.Config.Cloudinit"},
		{"serial0", "/dev/ttyS0", ""},
		{"hostpci0", "00:02.0", ""},
		{"args", "-S", ""},
		{"hookscript", "local:snippets/x.sh", ""},
		{"affinity", "0-3", ""},
		{"lock", "", ""},
	} {
		got := privilegesOf(c.key, c.value)
		if c.want == "" && got != nil || c.want != "" && (len(got) == 0 || got[0] != c.want) {
			t.Errorf("%s=%s needs %v, want %q", c.key, c.value, got, c.want)
		}
	}
	v := cluster(t, Options{Users: []User{{
		ID: root, Tokens: []Token{{
			Name: "hcp", Secret: strings.SplitN(DefaultToken, "=", 2)[1], PrivSep: true, Grants: map[string]string{"/vms": "PVEVMUser"},
		}},
	}}})
	v.refused("403 Permission check failed (/vms/9000, VM.Config.CPU)", "PUT", "/nodes/pve1/qemu/9000/config", "cores", "2")
	v.refused("403 Permission check failed (/vms/9000, VM.Config.Disk)", "PUT", "/nodes/pve1/qemu/9000/config", "boot", "order=scsi0")
	v.refused("500 only root can set 'args' config", "PUT", "/nodes/pve1/qemu/9000/config", "args", "-S")
	v.refused("403 Permission check failed (/vms/101, VM.Allocate)", "DELETE", vm101)
	v.do("GET", "/nodes/pve1/qemu/9000/config")
}

// A copy says of itself what its source says, unless it is told otherwise: whose
// mark a description has proves nothing.
func TestACopyIsDescribedAsItsSource(t *testing.T) {
	v := cluster(t, Options{})
	v.clone101("description", "mine")
	v.do("PUT", vm101+"/config", "tags", "one;two")
	v.do("POST", vm101+"/clone", "newid", "102", "full", "1")
	v.do("POST", vm101+"/clone", "newid", "103", "full", "1", "description", "another")
	source, copied, told := v.config("101"), v.config("102"), v.config("103")
	if copied["description"] != "mine" || copied["tags"] != "one;two" || copied["name"] != "Copy-of-VM-web" {
		t.Errorf("the copy is %v", copied)
	}
	if told["description"] != "another" {
		t.Errorf("the copy that was told is %v", told)
	}
	if copied["smbios1"] == source["smbios1"] {
		t.Error("the copy has its source's UUID")
	}
}
