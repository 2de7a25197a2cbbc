package server_test

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/server/console"
)

// TestWhatEndsAConsole: whatever ends a session ends both halves, within two
// seconds, and tells the client and the record why.
func TestWhatEndsAConsole(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		operation := func(kind models.OperationKind, p models.OperationParams) {
			t.Helper()
			_, err := c.AcceptVMOperation(t.Context(), storetest.Caller(), store.VMOperation{
				ProjectID: storetest.Project, VMID: c.vm.ID, Kind: kind, Params: p, Preempt: true,
			}, nil, storetest.Respond)
			require.NoError(t, err)
		}
		migrate := func() {
			_, err := c.AcceptMigrateVM(t.Context(), storetest.Caller(), store.MigrateVM{VMID: c.vm.ID}, nil, storetest.Respond)
			require.NoError(t, err)
		}
		for _, tc := range []struct {
			name   string
			do     func()
			code   websocket.StatusCode
			word   string
			reason models.ConsoleEnd
		}{
			{"its time is over", func() { c.Clock.Advance(31 * time.Minute) }, 4000, "session_expired", models.ConsoleExpired},
			{"the guest goes down", func() { require.NoError(t, c.DB.Exec("UPDATE vms SET power_state = 'STOPPED'").Error) }, 4001, "vm_stopped", models.ConsoleVMStopped},
			{"the VM is elsewhere", func() { require.NoError(t, c.DB.Exec("UPDATE vms SET node_id = 'other'").Error) }, 4003, "vm_migrated", models.ConsoleVMMigrated},
			{"a forced stop", func() { operation(models.OpVMStop, models.OperationParams{Mode: models.ModeForce}) }, 4001, "vm_stopped", models.ConsoleVMStopped},
			{"a migration", migrate, 4003, "vm_migrated", models.ConsoleVMMigrated},
			{"a delete", func() { operation(models.OpVMDelete, models.OperationParams{}) }, 4002, "vm_deleted", models.ConsoleVMDeleted},
		} {
			c.vm = c.ActiveVM(t, models.NewID())
			ws, end := c.connect(t)
			began := time.Now()
			tc.do()
			requireFarewell(t, ws, tc.code, tc.word)
			require.Less(t, time.Since(began), prompt, tc.name)
			requireHungUp(t, end)
			require.Equal(t, tc.reason, c.last(t).CloseReason, tc.name)
			require.NoError(t, c.DB.Exec("DELETE FROM reservations").Error)
			require.NoError(t, c.DB.Exec("UPDATE console_sessions SET vm_id = 'past'").Error)
		}
	})
}

// boundOperator may open consoles by a binding alone.
func boundOperator(t *testing.T, c *consoleWorld) (p who, binding string) {
	t.Helper()
	p = who{plane: "tenant", tenant: storetest.Tenant, roles: []string{"nothing"}}
	return p, c.create(t, tenantBase+"/projects/"+storetest.Project+"/role-bindings", map[string]any{
		"role_id": "operator", "principal": map[string]any{"issuer": "https://idp.example.test", "subject": "sub-nothing"},
	})
}

func TestARevokedRoleEndsItsConsoles(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		p, binding := boundOperator(t, c)
		require.Eventually(t, func() bool { // the binding is seen
			return c.do(t, p, http.MethodGet, vmsPath+"/"+c.vm.ID, nil).StatusCode == http.StatusOK
		}, patience, 20*time.Millisecond)
		ws, status := c.dial(t, c.site, c.ask(t, p))
		require.Equal(t, http.StatusSwitchingProtocols, status)
		end, waiting := c.host.end(t), c.ask(t, p)
		began := time.Now()
		res := c.do(t, owner(), http.MethodDelete, tenantBase+"/projects/"+storetest.Project+"/role-bindings/"+binding, nil)
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		requireFarewell(t, ws, 4004, "access_revoked")
		require.Less(t, time.Since(began), prompt)
		requireHungUp(t, end)
		_, status = c.dial(t, c.site, waiting)
		require.Equal(t, http.StatusGone, status, "nor is a ticket good any more")
		require.Equal(t, models.ConsoleAccessRevoked, c.last(t).CloseReason)
	})
}

// faultySource is a record of roles that can be taken away.
type faultySource struct {
	*store.Store
	down atomic.Bool
}

func (s *faultySource) PolicyVersion(ctx context.Context) (int64, error) {
	if s.down.Load() {
		return 0, errDown
	}
	return s.Store.PolicyVersion(ctx)
}

// What is not known is not allowed: nobody keeps a console by cutting the server
// off from the roles.
func TestUnknownRolesEndConsoles(t *testing.T) {
	w := onSQLite(t)
	source := &faultySource{Store: w.Store}
	enforcer, err := policies.New(policies.Options{Source: source})
	require.NoError(t, err)
	w.deps.Enforcer = enforcer
	c := withConsoles(t, w)
	ws, end := c.connect(t)
	began := time.Now()
	source.down.Store(true)
	requireFarewell(t, ws, 4004, "access_revoked")
	require.Less(t, time.Since(began), prompt)
	requireHungUp(t, end)
}

func TestAStoppingServerEndsConsoles(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		ticket := c.ask(t, owner())
		ws, end := c.connect(t)
		closed := make(chan struct{})
		go func() { defer close(closed); c.server.Drain() }()
		requireFarewell(t, ws, websocket.StatusGoingAway, "shutting_down")
		requireHungUp(t, end)
		<-closed
		_, status := c.dial(t, c.site, ticket)
		require.Equal(t, http.StatusServiceUnavailable, status)
		c.site = c.replica(t, c.Store)
		_, status = c.dial(t, c.site, ticket)
		require.Equal(t, http.StatusSwitchingProtocols, status, "another replica takes it")
	})
}

// withLimits makes the world's gateway strict.
func withLimits(t *testing.T, l console.Limits) *consoleWorld {
	t.Helper()
	w := onSQLite(t)
	c := withConsoles(t, w)
	c.deps.Config.Consoles.Limits = l
	c.site = c.replica(t, c.Store)
	return c
}

func TestHypervisorsThatHangUp(t *testing.T) {
	c := withLimits(t, console.Limits{})
	ws, end := c.connect(t)
	require.NoError(t, end.Close())
	requireFarewell(t, ws, 4006, "hypervisor_closed")
	require.Equal(t, models.ConsoleHypervisorClosed, c.last(t).CloseReason)

	ws, end = c.connect(t) // a forced stop: the hypervisor is faster than our look at the record
	require.NoError(t, c.CloseConsoleOf(t.Context(), c.opened(t), models.ConsoleVMStopped))
	require.NoError(t, end.Close())
	requireFarewell(t, ws, 4001, "vm_stopped")

	for code, want := range map[providers.Code]websocket.StatusCode{providers.Unavailable: 4006, providers.Unimplemented: 4006, providers.FailedPrecondition: 4001} {
		c.host.fail = &providers.Error{Code: code, Message: "no"}
		ws, status := c.dial(t, c.site, c.ask(t, owner()))
		require.Equal(t, http.StatusSwitchingProtocols, status)
		requireFarewell(t, ws, want, map[websocket.StatusCode]string{4006: "hypervisor_closed", 4001: "vm_stopped"}[want])
	}
}

// A hypervisor that takes nothing in is hung up on: nothing is kept for it.
func TestAHypervisorThatDoesNotRead(t *testing.T) {
	c := withLimits(t, console.Limits{Write: 200 * time.Millisecond})
	ws, _ := c.connect(t)
	require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("hello")))
	requireFarewell(t, ws, 4006, "hypervisor_closed")
}

// A client that does not read is closed, and what the hypervisor sends meanwhile
// is not kept.
func TestASlowReader(t *testing.T) {
	c := withLimits(t, console.Limits{Write: 500 * time.Millisecond})
	_, end := c.connect(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	piece, sent := bytes.Repeat([]byte{'x'}, 64<<10), 0
	for {
		n, err := end.Write(piece)
		sent += n
		if err != nil {
			require.False(t, isTimeout(err))
			break
		}
		require.Less(t, sent, 64<<20, "nobody reads, and yet it goes on")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d KiB went into the sockets' buffers, and the heap grew by %d KiB", sent>>10, grown>>10)
	require.Less(t, grown, int64(2<<20))
	require.Equal(t, models.ConsoleTooSlow, c.last(t).CloseReason)
}

func TestClientsThatSendTooMuch(t *testing.T) {
	c := withLimits(t, console.Limits{Frame: 1 << 10, InputRate: 1 << 10, InputBurst: 16 << 10})
	drain := func(end interface{ Read([]byte) (int, error) }) {
		go func() {
			buf := make([]byte, 4096)
			for {
				if _, err := end.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	t.Run("a giant frame", func(t *testing.T) {
		ws, end := c.connect(t)
		drain(end)
		require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, make([]byte, 1<<20)))
		_, _, err := ws.Read(t.Context())
		require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err))
		require.Equal(t, models.ConsoleTooFast, c.last(t).CloseReason)
		require.Less(t, c.last(t).BytesIn, int64(2<<10))
	})
	for name, size := range map[string]int{"many frames": 1 << 10, "many empty frames": 0} {
		t.Run(name, func(t *testing.T) {
			ws, end := c.connect(t)
			drain(end)
			for range 4096 {
				if err := ws.Write(t.Context(), websocket.MessageBinary, make([]byte, size)); err != nil {
					break
				}
			}
			require.Equal(t, models.ConsoleTooFast, c.last(t).CloseReason)
			requireHungUp(t, end)
		})
	}
	t.Run("text", func(t *testing.T) {
		ws, _ := c.connect(t)
		require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte("hello")))
		requireFarewell(t, ws, websocket.StatusUnsupportedData, "binary frames only")
	})
}

// A client that has gone without a word is noticed.
func TestAClientThatIsGone(t *testing.T) {
	c := withLimits(t, console.Limits{Ping: 100 * time.Millisecond, Write: 100 * time.Millisecond})
	_, end := c.connect(t) // it reads nothing, so it answers no ping
	requireHungUp(t, end)
	require.Equal(t, models.ConsoleClosedByClient, c.last(t).CloseReason)

	ws, end := c.connect(t)
	reading := ws.CloseRead(t.Context())
	select {
	case <-reading.Done():
		t.Fatal("one that answers is left alone")
	case <-time.After(400 * time.Millisecond):
	}
	require.NoError(t, ws.CloseNow())
	requireHungUp(t, end)
}

// The gateway tells the record that it carries a session.
func TestLeasesAreRenewed(t *testing.T) {
	c := withLimits(t, console.Limits{Lease: 20 * time.Millisecond, Renew: 40 * time.Millisecond})
	c.connect(t)
	session := func() models.ConsoleSession {
		rows, _, err := c.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, c.vm.ID, store.Page{Limit: 1})
		require.NoError(t, err)
		return rows[0]
	}
	before := *session().LeaseAt
	c.Clock.Advance(store.ConsoleLease / 2)
	require.Eventually(t, func() bool { return session().LeaseAt.Sub(before) >= store.ConsoleLease/2 }, patience, 10*time.Millisecond)
}

// No goroutine is left of consoles, however they ended.
func TestConsolesLeaveNothingBehind(t *testing.T) {
	c := withLimits(t, console.Limits{Write: 200 * time.Millisecond})
	stacks := func() int {
		buf := make([]byte, 4<<20)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "server/console.")
	}
	for i := range 8 {
		ws, end := c.connect(t)
		switch i % 4 {
		case 0:
			require.NoError(t, ws.CloseNow())
		case 1:
			require.NoError(t, end.Close())
		case 2:
			require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("never read")))
			ws.CloseRead(t.Context())
		case 3:
			require.NoError(t, c.CloseConsoleOf(t.Context(), c.opened(t), models.ConsoleClosedByUser))
			ws.CloseRead(t.Context())
		}
	}
	require.Eventually(t, func() bool { return stacks() == 0 }, patience, 20*time.Millisecond)
}

func (c *consoleWorld) opened(t *testing.T) string {
	t.Helper()
	var id string
	require.NoError(t, c.DB.Raw("SELECT id FROM console_sessions WHERE state = 'OPEN' ORDER BY created_at DESC LIMIT 1").Scan(&id).Error)
	return id
}
