package proxmoxsim

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// report has the nodes tell the cluster of their guests, as often as they do. The
// caller holds Server.mu.
func (s *Server) report() {
	if s.reports != nil && time.Since(s.reported) < s.opts.StatusLag {
		return
	}
	s.reports, s.reported = map[int]map[string]any{}, time.Now()
	for vmid, g := range s.state.guests {
		s.reports[vmid] = s.reportOf(g)
	}
}

// reportOf is what a node tells of a guest. Its state is that of QEMU's monitor.
// The caller holds Server.mu.
func (s *Server) reportOf(g *guest) map[string]any {
	row := map[string]any{
		"status": g.QMP, "template": flagOf(g.template()), "maxcpu": g.vcpus(), "maxmem": int64(g.memoryMiB()) << 20,
		"maxdisk": s.state.rootSize(g), "cpu": 0, "mem": 0, "disk": 0, "uptime": g.uptime(), "netin": 0, "netout": 0,
		"diskread": 0, "diskwrite": 0,
	}
	if name := g.Config["name"]; name != "" {
		row["name"] = name
	}
	if g.isRunning() {
		row["cpu"], row["mem"] = 0.01, int64(g.memoryMiB())<<19
	}
	return row
}

// guestRow is a guest in the list of the cluster's resources: what the cluster
// knows of itself, and what was last reported. A guest that nobody has reported
// yet has no name, and is in no known state. The caller holds Server.mu.
func (s *Server) guestRow(g *guest) map[string]any {
	row := map[string]any{"id": "qemu/" + strconv.Itoa(g.VMID), "type": "qemu", "vmid": g.VMID, "status": "unknown"}
	maps.Copy(row, s.reports[g.VMID])
	row["node"] = g.Node
	if n := s.state.node(g.Node); n == nil || !n.Online {
		row["status"] = "unknown"
	}
	for _, name := range []string{"tags", "lock"} {
		if v := g.Config[name]; v != "" {
			row[name] = v
		}
	}
	for _, p := range s.state.pools {
		if slices.Contains(p.Members, g.VMID) {
			row["pool"] = p.ID
		}
	}
	return row
}
