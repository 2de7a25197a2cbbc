package proxmoxsim

import (
	"strconv"
	"time"
)

// listGuests lists the guests of a node that the caller may see.
func (c *call) listGuests() (any, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	rows := []map[string]any{}
	for _, vmid := range c.server.state.vmids() {
		g := c.server.state.guests[vmid]
		if g.Node == c.node && c.server.state.permits(c.who, "/vms/"+strconv.Itoa(vmid), "VM.Audit") {
			rows = append(rows, c.server.statusOf(g))
		}
	}
	return rows, nil
}

// statusOf is what lists and the status call say of a guest. The caller holds
// Server.mu.
func (s *Server) statusOf(g *guest) map[string]any {
	row := map[string]any{
		"vmid": g.VMID, "status": "stopped", "cpus": g.vcpus(), "maxmem": int64(g.memoryMiB()) << 20,
		"maxdisk": s.rootSize(g), "mem": 0, "cpu": 0, "uptime": 0, "disk": 0, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
	}
	for _, key := range []string{"name", "lock", "tags"} {
		if v, ok := g.Config[key]; ok {
			row[key] = v
		}
	}
	if g.template() {
		row["template"] = 1
	}
	if g.isRunning() {
		up := time.Since(g.Started)
		row["status"], row["pid"], row["uptime"] = "running", g.PID, int(up/time.Second)
		row["mem"], row["cpu"] = int64(g.memoryMiB())<<19, 0.01
		row["diskread"], row["diskwrite"] = int64(up/time.Millisecond)*4096, int64(up/time.Millisecond)*2048
		row["netin"], row["netout"] = int64(up/time.Millisecond)*120, int64(up/time.Millisecond)*80
	}
	return row
}

// rootSize is the size of the first disk. The caller holds Server.mu.
func (s *Server) rootSize(g *guest) int64 {
	for _, key := range g.Config.drives() {
		d := parseDrive(g.Config[key])
		if v := s.state.volume(g.Node, d.file); v != nil && d.disk() {
			return v.Size
		}
	}
	return 0
}

func (c *call) currentStatus() (any, error) {
	var out map[string]any
	err := c.edit(func(g *guest) error {
		out = c.server.statusOf(g)
		out["qmpstatus"] = g.QMP
		out["ha"] = map[string]any{"managed": 0}
		if g.isRunning() {
			out["running-machine"], out["running-qemu"] = "pc-i440fx-10.1+pve0", "10.1.2"
		}
		if enabled, _ := truthOf(c.server.facts.properties("agent", g.Config["agent"])["enabled"]); enabled {
			out["agent"] = 1
		}
		return nil
	})
	return out, err
}

// hasFeature answers whether the guest's storages can do something.
func (c *call) hasFeature() (any, error) {
	out := map[string]any{"hasFeature": 1, "nodes": []string{c.node}}
	err := c.edit(func(g *guest) error {
		for _, key := range g.Config.drives() {
			d := parseDrive(g.Config[key])
			if s := c.server.state.storages[d.storage()]; d.disk() && c.text("feature") != "copy" && (s == nil || !s.Linked) {
				out["hasFeature"] = 0
			}
		}
		return nil
	})
	return out, err
}
