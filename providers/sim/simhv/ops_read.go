package simhv

import (
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	info     struct{ wire.Empty }
	login    struct{ wire.LoginRequest }
	listVMs  struct{ wire.ListVMsRequest }
	findVM   struct{ wire.FindVMRequest }
	pollTask struct{ wire.PollTaskRequest }
)

// Clusters are not simulated: every node is in this one.
const clusterName = "default"

func knownImages() []wire.Image {
	return []wire.Image{
		{Name: "tiny", Format: "qcow2", SizeGiB: 1},
		{Name: "debian-12", Format: "qcow2", SizeGiB: 2},
		{Name: "ubuntu-24.04", Format: "qcow2", SizeGiB: 4},
		{Name: "windows-2025", Format: "raw", SizeGiB: 32},
	}
}

func knownNetworks() []string { return []string{"net0", "net1"} }

func (login) target(*state) simadmin.Target { return simadmin.Target{} }

func (r login) run(s *Server, _ simadmin.Plan) (any, error) {
	if !s.sessions.mayLogin() || !s.opts.accepts(r.Username, r.Password) {
		return nil, &apiError{status: http.StatusUnauthorized, Code: wire.CodeUnauthenticated, Message: "wrong username or password"}
	}
	return wire.LoginResponse{
		Token: s.sessions.open(time.Now()), ExpiresInSeconds: int(s.opts.SessionTTL / time.Second),
	}, nil
}

// inquiry is a question without parameters.
type inquiry struct {
	wire.Empty
	about func(st *state) any
}

func inquire(about func(st *state) any) operation {
	return func(body []byte) (request, error) {
		r := inquiry{about: about}
		return r, strictly(body, &r.Empty)
	}
}

func (inquiry) target(*state) simadmin.Target { return simadmin.Target{} }

func (r inquiry) run(s *Server, _ simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, shuttingDown()
	}
	return r.about(s.state), nil
}

func (info) target(*state) simadmin.Target { return simadmin.Target{} }

func (info) run(s *Server, _ simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, shuttingDown()
	}
	return wire.InfoResponse{Product: "simhv", Version: Version, Capabilities: s.capabilities.list()}, nil
}

func nodes(st *state) any {
	out := wire.NodesResponse{Nodes: []wire.Node{}}
	for _, name := range st.nodeList {
		n := st.nodes[name]
		out.Nodes = append(out.Nodes, wire.Node{
			Name: n.Name, Cluster: clusterName, State: n.State, VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB,
		})
	}
	return out
}

func images(*state) any { return wire.ImagesResponse{Images: knownImages()} }

func networks(*state) any { return wire.NetworksResponse{Networks: knownNetworks()} }

// maxPage bounds a page of VMs.
const maxPage = 1000

func (listVMs) target(*state) simadmin.Target { return simadmin.Target{} }

func (r listVMs) run(s *Server, _ simadmin.Plan) (any, error) {
	after, ok := parsePageToken(r.InstallationID, r.PageToken)
	if !ok {
		return nil, invalid("this page token was not issued here")
	}
	if r.Limit < 1 || r.Limit > maxPage {
		return nil, invalid("limit must be 1 to 1000")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := wire.ListVMsResponse{VMs: []wire.VM{}}
	i, _ := s.state.place(after + 1)
	last := after
	for _, v := range s.state.order[i:] {
		if v.Mark == nil || v.Mark.InstallationID != r.InstallationID {
			continue
		}
		if len(out.VMs) == r.Limit {
			out.NextPageToken = pageToken(r.InstallationID, last)
			break
		}
		out.VMs = append(out.VMs, s.state.onWire(v))
		last = v.Seq
	}
	return out, nil
}

func (r findVM) find(st *state) *vmRecord {
	if marked := st.byMark[r.Mark]; len(marked) > 0 {
		return marked[0]
	}
	return st.byUUID[r.UUID]
}

func (r findVM) target(st *state) simadmin.Target {
	t := simadmin.Target{VMID: r.Mark.VMID}
	if v := r.find(st); v != nil {
		t.NativeID, t.Name, t.Node = v.NativeID, v.Name, v.Node
	}
	return t
}

func (r findVM) run(s *Server, _ simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := r.find(s.state)
	found := v != nil
	if !found {
		return wire.FindVMResponse{Found: &found}, nil
	}
	vm := s.state.onWire(v)
	return wire.FindVMResponse{Found: &found, VM: &vm}, nil
}

func (r pollTask) target(st *state) simadmin.Target {
	t := st.tasks[r.Task]
	if t == nil {
		return simadmin.Target{}
	}
	v := st.vms[t.VM]
	if v == nil {
		return simadmin.Target{}
	}
	return targetOf(v)
}

func (r pollTask) run(s *Server, p simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.state.tasks[r.Task]
	if t != nil && p.Forget {
		forgotten := *t
		forgotten.Hidden = true
		if err := s.commit(change{Tasks: []*taskRecord{&forgotten}}); err != nil {
			return nil, err
		}
		t = &forgotten
	}
	if t == nil || t.Hidden {
		return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoTask, Message: "no such task"}
	}
	out := wire.PollTaskResponse{Done: &t.Done, Progress: t.progress(now()), Started: t.Started}
	if t.Code != "" {
		out.Error = &wire.Error{Code: t.Code, Message: t.Op + " failed"}
	}
	return out, nil
}

// targetOf says what a call about v is about.
func targetOf(v *vmRecord) simadmin.Target {
	t := simadmin.Target{NativeID: v.NativeID, Name: v.Name, Node: v.Node}
	if v.Mark != nil {
		t.VMID = v.Mark.VMID
	}
	return t
}
