package proxmoxsim

import (
	"net/http"
	"strings"
	"time"
)

func (s *Server) nodeRoutes() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "/nodes", handle: s.nodeList},
		{method: http.MethodGet, path: "/nodes/{node}/status", allow: may("/nodes/{node}", "Sys.Audit"), handle: s.nodeStatus},
		{method: http.MethodGet, path: "/nodes/{node}/network", handle: s.networks},
	}
}

func (s *Server) nodeList(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	for _, n := range s.state.nodes {
		row := s.nodeRow(c.who, n)
		row["id"], row["type"] = "node/"+n.Name, "node"
		out = append(out, row)
	}
	return out, nil
}

// nodeRow is a node in a list. Its sizes are an auditor's to see.
func (s *Server) nodeRow(who identity, n *node) map[string]any {
	row := map[string]any{"node": n.Name, "status": "offline", "level": ""}
	if !n.Online {
		return row
	}
	row["status"] = "online"
	if n.Maintenance {
		row["hastate"] = "maintenance"
	}
	if !s.state.permits(who, "/nodes/"+n.Name, "Sys.Audit") {
		return row
	}
	row["maxcpu"], row["maxmem"] = n.VCPUs, int64(n.MemoryMiB)<<20
	row["cpu"], row["mem"] = 0.01, int64(s.state.memoryInUse(n.Name))<<20
	row["maxdisk"], row["disk"] = 100*gib, 4*gib
	row["uptime"] = int64(time.Since(n.Booted).Seconds()) + 1
	return row
}

// memoryInUse is what the running guests of a node hold, in MiB.
func (st *state) memoryInUse(node string) int {
	sum := 1024
	for _, g := range st.guests {
		if g.Node == node && g.isRunning() {
			sum += g.memoryMiB()
		}
	}
	return sum
}

func (s *Server) nodeStatus(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.state.node(c.node)
	total, used := int64(n.MemoryMiB)<<20, int64(s.state.memoryInUse(n.Name))<<20
	return map[string]any{
		"pveversion": "pve-manager/" + Version + "/0123456789abcdef",
		"kversion":   "Linux 6.17.2-1-pve #1 SMP",
		"uptime":     int64(time.Since(n.Booted).Seconds()) + 1,
		"cpu":        0.01,
		"loadavg":    []string{"0.10", "0.10", "0.10"},
		"cpuinfo": map[string]any{
			"cpus": n.VCPUs, "cores": n.VCPUs, "sockets": 1, "model": "Simulated CPU", "mhz": "3000.000", "hvm": "1",
		},
		"memory": map[string]any{"total": total, "used": used, "free": total - used},
		"swap":   map[string]any{"total": 0, "used": 0, "free": 0},
		"rootfs": map[string]any{"total": 100 * gib, "used": 4 * gib, "free": 96 * gib, "avail": 96 * gib},
	}, nil
}

func (s *Server) networks(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	kind := c.text("type")
	n := s.state.node(c.node)
	if kind == "" || kind == "eth" {
		out = append(out, map[string]any{"iface": "eno1", "type": "eth", "active": 1, "exists": 1, "method": "manual", "priority": 1})
	}
	if kind != "" && kind != "bridge" && !strings.HasPrefix(kind, "any_") && kind != "include_sdn" {
		return out, nil
	}
	for i, bridge := range n.Bridges {
		if !s.state.permits(c.who, "/sdn/zones/localnetwork/"+bridge, "SDN.Audit") &&
			!s.state.permits(c.who, "/sdn/zones/localnetwork/"+bridge, "SDN.Use") &&
			!s.state.permits(c.who, "/nodes/"+n.Name, "Sys.Audit") {
			continue
		}
		out = append(out, map[string]any{
			"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "method": "manual", "bridge_ports": "eno1",
			"bridge_vlan_aware": 1, "priority": i + 2,
		})
	}
	return out, nil
}
