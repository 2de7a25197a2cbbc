package proxmoxsim

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newServer(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// callOn is a call as a handler gets it.
func (s *Server) callOn(t *testing.T, node, template string, vars, params map[string]string) *call {
	t.Helper()
	return &call{
		server: s, ctx: t.Context(), method: http.MethodGet, template: template, vars: vars, params: params, node: node,
		who: identity{user: root}, w: httptest.NewRecorder(),
	}
}

func (s *Server) exitOf(t *testing.T, upid string) string {
	t.Helper()
	var exit string
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		exit = s.state.tasks[upid].Exit
		return !s.state.tasks[upid].Running
	}, 30*time.Second, time.Millisecond)
	return exit
}

func TestATaskEndsWithWhatItsWorkReturns(t *testing.T) {
	s := newServer(t, Options{})
	c := s.callOn(t, "pve2", "", nil, nil)
	for want, err := range map[string]error{
		"OK": nil, "WARNINGS: 2": warn{2}, "no space left": errors.New("no space left\n"),
	} {
		upid := s.spawn(c, "qmclone", "100", func(*worker) error { return err })
		require.Regexp(t, `^UPID:pve2:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:qmclone:100:root@pam:$`, upid)
		require.Equal(t, want, s.exitOf(t, upid))
	}
	log, err := s.taskLog(s.callOn(t, "pve2", "", map[string]string{"upid": s.state.order[0]}, nil))
	require.NoError(t, err)
	require.Len(t, log, 1)
}

func TestATaskIsStopped(t *testing.T) {
	s := newServer(t, Options{TaskDelay: time.Hour})
	c := s.callOn(t, "pve1", "", nil, nil)
	upid := s.spawn(c, "qmclone", "100", func(w *worker) error { return w.pause() })
	vars := map[string]string{"upid": upid}
	list, err := s.taskList(s.callOn(t, "pve1", "", nil, map[string]string{"source": "active"}))
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = s.stopTask(s.callOn(t, "pve1", "", vars, nil))
	require.NoError(t, err)
	require.Equal(t, "interrupted by signal", s.exitOf(t, upid))
	list, err = s.taskList(s.callOn(t, "pve1", "", nil, map[string]string{"errors": "1", "vmid": "100"}))
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = s.taskList(s.callOn(t, "pve1", "", nil, map[string]string{"typefilter": "qmstart"}))
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestATaskOfAnotherIsNotShown(t *testing.T) {
	s := newServer(t, Options{})
	upid := s.spawn(s.callOn(t, "pve1", "", nil, nil), "qmclone", "100", func(*worker) error { return nil })
	for name, tc := range map[string]struct {
		node, upid, want string
		who              identity
	}{
		"another's":    {"pve1", upid, "Permission check failed (/nodes/pve1, Sys.Audit)", identity{user: "op@pve"}},
		"another node": {"pve2", upid, "Parameter verification failed.", identity{user: root}},
		"unknown": {
			"pve1", "UPID:pve1:00000001:00000001:00000001:qmstart:1:root@pam:", "Parameter verification failed.", identity{user: root},
		},
		"no UPID": {"pve1", "x", "Parameter verification failed.", identity{user: root}},
	} {
		c := s.callOn(t, tc.node, "", map[string]string{"upid": tc.upid}, nil)
		c.who = tc.who
		_, err := s.taskStatus(c)
		require.EqualError(t, err, tc.want, name)
	}
}

func TestAHeldLockTimesOut(t *testing.T) {
	s := newServer(t, Options{LockTimeout: time.Millisecond})
	unlock, err := s.lockGuest(t.Context(), 101)
	require.NoError(t, err)
	_, err = s.lockGuest(t.Context(), 101)
	require.EqualError(t, err, "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout")
	other, err := s.lockGuest(t.Context(), 102)
	require.NoError(t, err, "another guest's lock is another")
	other()
	unlock()
	again, err := s.lockGuest(t.Context(), 101)
	require.NoError(t, err)
	again()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	held, err := s.lockGuest(t.Context(), 103)
	require.NoError(t, err)
	defer held()
	_, err = s.lockGuest(ctx, 103)
	require.Error(t, err)
}

func TestAPoolGivesPrivilegesOnItsMembers(t *testing.T) {
	s := newServer(t, Options{
		Pools: []string{"hcp"}, Users: []User{{ID: "op@pve", Grants: map[string]string{"/pool/hcp": "PVEVMAdmin"}}},
	})
	who := identity{user: "op@pve"}
	require.False(t, s.state.permits(who, "/vms/9000", "VM.Clone"))
	s.state.pools["hcp"].Members = []int{9000}
	require.True(t, s.state.permits(who, "/vms/9000", "VM.Clone"))
	require.False(t, s.state.permits(who, "/vms/9000", "Sys.Audit"))
}
