package proxmoxsim

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Faults, latency and the list of calls speak of the operations of all
// simulated hypervisors. A step of the API is counted as the operation that it
// is the work of; what is not in this table has no such name, and a fault can
// still name it as "METHOD /path/{template}".

// mark is whose a guest is, as its description says.
type mark struct {
	VMID           string `json:"vm_id"`
	InstallationID string `json:"installation_id"`
	Making         bool   `json:"making,omitempty"`
	// Notes are what the control plane remembers of its work on the guest.
	Notes struct {
		Disks   map[string]diskNote `json:"disks"` // by the disk's ID
		Rebuild struct {
			Token string `json:"token"`
			Root  string `json:"root"` // the value that the root disk's key had
		} `json:"rebuild"`
	} `json:"notes"`
}

// diskNote is a data disk; one that is detached has its volume here.
type diskNote struct {
	Volume string `json:"volume"`
}

// markPrefix begins the line of a description that holds the mark.
const markPrefix = "hcp: "

// markOf reads the mark of a description; nil where it has none.
func markOf(description string) *mark {
	for line := range strings.SplitSeq(description, "\n") {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), markPrefix)
		if !ok {
			continue
		}
		var m mark
		if json.Unmarshal([]byte(text), &m) == nil && m.VMID != "" {
			return &m
		}
	}
	return nil
}

// setMark replaces whose it is in a description, or takes the mark away. What
// else the mark remembers stays.
func setMark(description string, m *mark) (string, error) {
	kept, remembered := []string{}, map[string]any{}
	for line := range strings.SplitSeq(description, "\n") {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), markPrefix)
		switch {
		case ok:
			if err := json.Unmarshal([]byte(text), &remembered); err != nil {
				return "", err
			}
		case line != "":
			kept = append(kept, line)
		}
	}
	if m != nil {
		remembered["vm_id"], remembered["installation_id"] = m.VMID, m.InstallationID
		text, err := json.Marshal(remembered)
		if err != nil {
			return "", err
		}
		kept = append(kept, markPrefix+string(text))
	}
	return strings.Join(kept, "\n"), nil
}

const (
	opLogin    = "login"
	opPollTask = "poll_task"
	opCreate   = "create_vm"
	opClone    = "clone_vm"
	opResize   = "resize_vm"
)

// operations are the names of calls that are always the same operation.
func operations() map[string]string {
	const vm = "/nodes/{node}/qemu/{vmid}"
	return map[string]string{
		"POST /access/ticket":                          opLogin,
		"GET /version":                                 "info",
		"GET /nodes":                                   "list_nodes",
		"GET /nodes/{node}/network":                    "list_networks",
		"GET /cluster/resources":                       "list_vms",
		"GET " + vm + "/config":                        "find_vm",
		"POST /nodes/{node}/qemu":                      opCreate,
		"POST " + vm + "/status/start":                 "set_power",
		"POST " + vm + "/status/stop":                  "set_power",
		"POST " + vm + "/status/shutdown":              "set_power",
		"POST " + vm + "/status/reboot":                "reboot",
		"POST " + vm + "/status/reset":                 "reboot",
		"POST " + vm + "/status/suspend":               "suspend_vm",
		"POST " + vm + "/status/resume":                "resume_vm",
		"DELETE " + vm:                                 "delete_vm",
		"POST " + vm + "/snapshot":                     "snapshot_create",
		"GET " + vm + "/snapshot":                      "snapshot_list",
		"DELETE " + vm + "/snapshot/{snapname}":        "snapshot_delete",
		"POST " + vm + "/snapshot/{snapname}/rollback": "snapshot_revert",
		"POST " + vm + "/migrate":                      "migrate_vm",
		"POST " + vm + "/vncproxy":                     "open_console",
		"POST " + vm + "/termproxy":                    "open_console",
		"GET /nodes/{node}/tasks/{upid}/status":        opPollTask,
	}
}

// opOf is the operation that a call is counted as.
func (s *Server) opOf(c *call) string {
	endpoint := c.method + " " + c.template
	if op, ok := s.operations[endpoint]; ok {
		return op
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.state.guests[c.vmid]
	switch {
	case g == nil:
		return ""
	case strings.HasSuffix(endpoint, "/clone"):
		if g.template() {
			return opCreate
		}
		return opClone
	case strings.HasSuffix(endpoint, "/resize"), strings.HasSuffix(endpoint, "/config") && c.method != "GET":
		if m := markOf(g.Config["description"]); m != nil && m.Making {
			return opCreate
		}
		return changeOf(c)
	}
	return ""
}

// changeOf names a change of a configuration by what it attaches or detaches. One
// of what the guest is called, or of what is remembered of it, has no name.
func changeOf(c *call) string {
	for _, name := range c.list("delete") {
		switch {
		case strings.HasPrefix(name, "net"):
			return "detach_nic"
		case strings.HasPrefix(name, "unused"):
			return "delete_disk"
		case isDisk(name):
			return "detach_disk"
		}
	}
	op := ""
	for name, value := range c.params {
		switch {
		case isDisk(name) && strings.Contains(value, "import-from="):
			return "rebuild_vm"
		case isIndexed(name, "net"):
			op = "attach_nic"
		case isDisk(name) && op == "":
			op = "attach_disk"
		}
	}
	if op != "" {
		return op
	}
	for name := range c.params {
		if !slices.Contains([]string{"description", "name", "tags", "digest"}, name) {
			return opResize
		}
	}
	return ""
}

func isDisk(name string) bool {
	return isIndexed(name, "scsi") || isIndexed(name, "virtio") || isIndexed(name, "sata") || isIndexed(name, "ide")
}

// isIndexed reports whether a name is of a numbered kind: "net0".
func isIndexed(name, kind string) bool {
	rest, ok := strings.CutPrefix(name, kind)
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}

// target finds out what a call is about.
func (s *Server) target(c *call) simadmin.Target {
	t := simadmin.Target{Op: c.op, Call: c.method + " " + c.template, NativeID: c.vars["vmid"], Node: c.node}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.state.guests[c.vmid]; g != nil {
		t.Name = g.Config["name"]
		if m := markOf(g.Config["description"]); m != nil {
			t.VMID = m.VMID
		}
	}
	if strings.HasSuffix(c.template, "/clone") {
		t.Name, t.NativeID, t.VMID = c.text("name"), c.text("newid"), ""
		if to := c.text("target"); to != "" {
			t.Node = to
		}
	}
	if m := markOf(c.text("description")); m != nil {
		t.VMID = m.VMID
	}
	return t
}
