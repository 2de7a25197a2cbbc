package proxmoxsim

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

func (s *Server) taskRoutes() []endpoint {
	const one = "/nodes/{node}/tasks/{upid}"
	return []endpoint{
		{method: http.MethodGet, path: "/nodes/{node}/tasks", handle: s.taskList},
		{method: http.MethodGet, path: "/cluster/tasks", handle: s.clusterTasks},
		{method: http.MethodGet, path: one + "/status", handle: s.taskStatus},
		{method: http.MethodGet, path: one + "/log", handle: s.taskLog},
		{method: http.MethodDelete, path: one, handle: s.stopTask},
	}
}

// owner splits a task's caller as lists show it.
func (t *task) owner() (user, token string) {
	user, token, _ = strings.Cut(t.Who, "!")
	return user, token
}

func (t *task) row() map[string]any {
	user, token := t.owner()
	row := map[string]any{
		"upid": t.UPID, "node": t.Node, "pid": t.PID, "pstart": t.PStart, "starttime": t.Start.Unix(), "type": t.Type,
		"id": t.ID, "user": user,
	}
	if token != "" {
		row["tokenid"] = token
	}
	return row
}

// taskOf finds the task of the path, which the caller owns or may audit. The
// caller holds Server.mu.
func (s *Server) taskOf(c *call, privilege string) (*task, error) {
	upid := c.vars["upid"]
	parts := strings.Split(upid, ":")
	if len(parts) != 9 || parts[0] != "UPID" {
		return nil, badParameter("upid", "unable to parse worker upid")
	}
	t := s.state.tasks[upid]
	if t == nil || t.Forgotten || t.Node != c.node {
		return nil, badParameter("upid", "no such task")
	}
	if user, _ := t.owner(); user != c.who.user {
		if err := c.needLocked("/nodes/"+c.node, privilege); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (s *Server) taskStatus(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.taskOf(c, "Sys.Audit")
	if err != nil {
		return nil, err
	}
	if c.plan.Forget {
		t.Forgotten = true
		return nil, badParameter("upid", "no such task")
	}
	row := t.row()
	row["status"] = "running"
	if !t.Running {
		row["status"], row["exitstatus"] = "stopped", t.Exit
	}
	return row, nil
}

func (s *Server) taskLog(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.taskOf(c, "Sys.Audit")
	if err != nil {
		return nil, err
	}
	start, _ := c.number("start")
	limit, given := c.number("limit")
	if !given {
		limit = 50
	}
	out := []map[string]any{}
	for i := start; i < len(t.Log) && (limit == 0 || len(out) < limit); i++ {
		out = append(out, map[string]any{"n": i + 1, "t": t.Log[i]})
	}
	if len(t.Log) == 0 {
		out = append(out, map[string]any{"n": 1, "t": "no content"})
	}
	return out, nil
}

var errStopped = errors.New("interrupted by signal")

func (s *Server) stopTask(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.taskOf(c, "Sys.Modify")
	if err != nil {
		return nil, err
	}
	t.cancel(errStopped)
	return nil, nil
}

func (s *Server) taskList(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, _ := c.number("start")
	limit, given := c.number("limit")
	if !given {
		limit = 50
	}
	out := []map[string]any{}
	for i := len(s.state.order) - 1; i >= 0 && (limit == 0 || len(out) < limit); i-- {
		t := s.state.tasks[s.state.order[i]]
		if t.Node != c.node || !s.lists(c, t) || !selected(c, t) {
			continue
		}
		if start--; start >= 0 {
			continue
		}
		out = append(out, t.listed())
	}
	return out, nil
}

func (t *task) listed() map[string]any {
	row := t.row()
	if !t.Running {
		row["status"], row["endtime"] = t.Exit, t.End.Unix()
	}
	return row
}

// lists reports whether a caller sees a task: its own, or with the privilege.
func (s *Server) lists(c *call, t *task) bool {
	user, _ := t.owner()
	return !t.Forgotten && (user == c.who.user || s.state.permits(c.who, "/nodes/"+t.Node, "Sys.Audit"))
}

// selected applies the filters of a list of tasks.
func selected(c *call, t *task) bool {
	source := c.text("source")
	if (source == "" || source == "archive") && t.Running || source == "active" && !t.Running {
		return false
	}
	if vmid, ok := c.number("vmid"); ok && t.ID != strconv.Itoa(vmid) {
		return false
	}
	if since, ok := c.number("since"); ok && t.Start.Unix() < int64(since) {
		return false
	}
	if until, ok := c.number("until"); ok && t.Start.Unix() > int64(until) {
		return false
	}
	if typ := c.text("typefilter"); typ != "" && t.Type != typ {
		return false
	}
	if c.flag("errors", false) && (t.Running || t.Exit == "OK") {
		return false
	}
	return strings.Contains(t.Who, c.text("userfilter"))
}

// clusterTasks are the recent tasks of all nodes.
func (s *Server) clusterTasks(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	for i := len(s.state.order) - 1; i >= 0 && len(out) < 25*len(s.state.nodes); i-- {
		if t := s.state.tasks[s.state.order[i]]; s.lists(c, t) {
			out = append(out, t.listed())
		}
	}
	return out, nil
}
