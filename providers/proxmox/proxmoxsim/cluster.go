package proxmoxsim

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clusterName is what the cluster calls itself.
const clusterName = "simulated"

func (s *Server) clusterRoutes() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "/version", handle: version},
		{method: http.MethodGet, path: "/nodes/{node}/version", handle: version},
		{method: http.MethodGet, path: "/cluster/resources", handle: s.resources},
		{method: http.MethodGet, path: "/cluster/nextid", handle: s.nextID},
		{method: http.MethodGet, path: "/cluster/status", allow: may("/", "Sys.Audit"), handle: s.clusterStatus},
		{method: http.MethodGet, path: "/cluster/options", handle: func(*call) (any, error) { return map[string]any{}, nil }},
		{method: http.MethodGet, path: "/pools", handle: s.poolList},
	}
}

func version(*call) (any, error) {
	return map[string]any{"version": Version, "release": Release, "repoid": "0123456789abcdef"}, nil
}

// resources is the one list of all that there is, as far as the caller may see it.
func (s *Server) resources(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	kind := c.text("type")
	if kind == "" || kind == "node" {
		for _, n := range s.state.nodes {
			row := s.nodeRow(c.who, n)
			row["id"], row["type"] = "node/"+n.Name, "node"
			out = append(out, row)
		}
	}
	if kind == "" || kind == "vm" {
		s.report()
		for _, vmid := range s.state.vmids() {
			if s.state.permits(c.who, "/vms/"+strconv.Itoa(vmid), "VM.Audit") {
				out = append(out, s.guestRow(s.state.guests[vmid]))
			}
		}
	}
	if kind == "" || kind == "storage" {
		out = append(out, s.storageRows(c)...)
	}
	return out, nil
}

func flagOf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// vcpus are those that the guest sees, as configured.
func (g *guest) vcpus() int {
	return max(1, atoi(g.Config["cores"])) * max(1, atoi(g.Config["sockets"]))
}

func (g *guest) memoryMiB() int {
	if n := atoi(g.Config["memory"]); n > 0 {
		return n
	}
	return 512
}

func (g *guest) uptime() int64 {
	if !g.isRunning() {
		return 0
	}
	return int64(time.Since(g.Started).Seconds())
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// rootKey is the configuration's key of the disk that the guest boots from.
func (g *guest) rootKey() string {
	order := strings.TrimPrefix(g.Config["boot"], "order=")
	for key := range strings.SplitSeq(order, ";") {
		if isDisk(key) && g.Config[key] != "" && !strings.Contains(g.Config[key], "media=cdrom") {
			return key
		}
	}
	return ""
}

// rootVolume is the volume that the guest boots from, nil where there is none.
func (st *state) rootVolume(g *guest) *volume {
	volid, _, _ := strings.Cut(g.Config[g.rootKey()], ",")
	return st.volume(g.Node, volid)
}

func (st *state) rootSize(g *guest) int64 {
	if v := st.rootVolume(g); v != nil {
		return v.Size
	}
	return 0
}

// nextID names a free VMID and reserves nothing.
func (s *Server) nextID(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if vmid, ok := c.number("vmid"); ok {
		if s.state.guests[vmid] != nil {
			return nil, badParameter("vmid", "VM "+strconv.Itoa(vmid)+" already exists")
		}
		return strconv.Itoa(vmid), nil
	}
	return strconv.Itoa(s.state.free()), nil
}

// free is the first VMID that no guest has.
func (st *state) free() int {
	for vmid := 100; ; vmid++ {
		if st.guests[vmid] == nil {
			return vmid
		}
	}
}

func (s *Server) clusterStatus(*call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{{
		"type": "cluster", "id": "cluster", "name": clusterName, "version": 1, "nodes": len(s.state.nodes),
		"quorate": flagOf(s.state.quorate),
	}}
	entry := s.entry()
	for i, n := range s.state.nodes {
		out = append(out, map[string]any{
			"type": "node", "id": "node/" + n.Name, "name": n.Name, "nodeid": i + 1, "ip": "192.0.2." + strconv.Itoa(i+1),
			"online": flagOf(n.Online), "local": flagOf(n.Name == entry), "level": "",
		})
	}
	return out, nil
}

func (s *Server) poolList(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(s.state.pools)) {
		if s.state.permits(c.who, "/pool/"+id, "Pool.Audit") {
			out = append(out, map[string]any{"poolid": id, "comment": s.state.pools[id].Comment})
		}
	}
	return out, nil
}
