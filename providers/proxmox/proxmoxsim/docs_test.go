package proxmoxsim

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheDocumentedTemplateWorks carries out the commands that the documentation
// has for a template, and clones it.
func TestTheDocumentedTemplateWorks(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/providers/proxmox.md")
	if err != nil {
		t.Fatal(err)
	}
	v := cluster(t, Options{Templates: []Template{{VMID: 8000, Name: "other", Storage: "shared"}}})
	v.server.mu.Lock()
	v.server.state.putVolume(&volume{
		Storage: "local", Node: "pve1", Name: "import/debian-12-genericcloud-amd64.qcow2", Content: "import", Format: "qcow2",
		Size: 3 * gib, Data: "debian",
	})
	v.server.mu.Unlock()
	done := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^    qm (create|set|template) 9000(.*)$`).FindAllStringSubmatch(string(doc), -1) {
		var params []string
		for _, option := range strings.Split(m[2], " --")[1:] {
			name, value, _ := strings.Cut(option, " ")
			params = append(params, name, value)
		}
		done[m[1]]++
		switch m[1] {
		case "create":
			v.do("POST", "/nodes/pve1/qemu", append(params, "vmid", "9000")...)
		case "set":
			v.do("POST", "/nodes/pve1/qemu/9000/config", params...)
		case "template":
			v.do("POST", "/nodes/pve1/qemu/9000/template")
		}
	}
	if done["create"] != 1 || done["set"] == 0 || done["template"] != 1 {
		t.Fatalf("the documentation has the commands %v", done)
	}
	v.do("POST", "/nodes/pve1/qemu/9000/clone", "newid", "101", "target", "pve2")
	c := v.do("GET", "/nodes/pve2/qemu/101/config").(map[string]any)
	if disk := c["scsi0"].(string); !strings.HasPrefix(disk, "shared:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2") || !strings.Contains(disk, "size=3G") {
		t.Errorf("the clone's disk is %q", disk)
	}
	if v.disk(101, "scsi0") != "debian" || c["serial0"] != "socket" || c["agent"] != "enabled=1" || !strings.Contains(c["ide2"].(string), "cloudinit") {
		t.Errorf("the clone is %v", c)
	}
	v.do("POST", "/nodes/pve2/qemu/101/status/start")
}
