package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestAConsoleFromRequestToEnd(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		res := c.do(t, owner(), http.MethodPost, c.path(), map[string]any{"type": "vnc"}, "Host", "evil.example.test", "X-Forwarded-Host", "evil.example.test")
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
		require.Equal(t, "vnc", res.json(t)["type"])
		ticket := ticketOf(t, res)

		page := c.send(t, http.MethodGet, "/console/"+ticket, nil, "Accept", "text/html")
		require.Equal(t, http.StatusOK, page.StatusCode, "%s", page.body)
		require.Contains(t, string(page.body), "/console/"+ticket+"/stream")
		require.Contains(t, string(page.body), "&lt;b&gt;a&lt;/b&gt;", "the VM's name is text")
		require.NotContains(t, string(page.body), "<b>a")
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "no-referrer", page.Header.Get("Referrer-Policy"))
		require.Empty(t, page.Header.Values("Set-Cookie"))
		require.Equal(t, http.StatusOK, c.send(t, http.MethodHead, "/console/"+ticket, nil).StatusCode)
		asset := c.send(t, http.MethodGet, "/console/assets/vnc-1.js", nil)
		require.Equal(t, "start()", string(asset.body))
		c.send(t, http.MethodGet, "/console/assets/none.js", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		ws, status := c.dial(t, c.site, ticket)
		require.Equal(t, http.StatusSwitchingProtocols, status)
		require.Equal(t, "binary", ws.Subprotocol())
		end := c.host.end(t)
		_, err := end.Write([]byte("RFB"))
		require.NoError(t, err)
		kind, got, err := ws.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, websocket.MessageBinary, kind)
		require.Equal(t, "RFB", string(got))
		require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("hello")))
		buf := make([]byte, 5)
		_, err = end.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf))
		require.Equal(t, c.vm.ID, c.host.targets[0].VMID)

		list := c.do(t, owner(), http.MethodGet, vmsPath+"/"+c.vm.ID+"/console-sessions", nil).items(t)
		require.Len(t, list, 1)
		require.Equal(t, "OPEN", list[0]["state"])
		require.Equal(t, "https://idp.example.test|sub-owner", list[0]["requested_by"])
		require.Equal(t, "127.0.0.1", list[0]["client_address"])

		require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))
		requireHungUp(t, end)
		session := c.last(t)
		require.Equal(t, models.ConsoleClosedByClient, session.CloseReason)
		require.EqualValues(t, 5, session.BytesIn)
		require.EqualValues(t, 3, session.BytesOut)
		require.Eventually(t, func() bool {
			c.dispatcher.mu.Lock()
			defer c.dispatcher.mu.Unlock()
			return len(c.dispatcher.woken) == 2 // connected, ended
		}, patience, time.Millisecond)

		require.NotContains(t, c.state(t), ticket, "in the database")
		require.NotContains(t, c.logs.String(), ticket, "in the log")
		require.Contains(t, c.logs.String(), `"path":"/console/[ticket]/stream"`)
		require.Contains(t, c.logs.String(), `"session_id":"`+session.ID+`"`)
	})
}

// A repeat with the same key gets the same address, which is kept nowhere.
func TestAskingForAConsoleAgain(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		ask := func() reply {
			return c.do(t, owner(), http.MethodPost, c.path(), nil, "Idempotency-Key", "k")
		}
		first, second := ask(), ask()
		require.Equal(t, http.StatusOK, first.StatusCode)
		require.Equal(t, string(first.body), string(second.body))
		require.Empty(t, first.Header.Get("Idempotency-Replayed"))
		require.Equal(t, "true", second.Header.Get("Idempotency-Replayed"))
		require.Equal(t, "no-store", first.Header.Get("Cache-Control"))
		require.Equal(t, 1, c.Count(t, "console_sessions"))
		require.NotContains(t, c.state(t), ticketOf(t, first))

		_, status := c.dial(t, c.site, ticketOf(t, first))
		require.Equal(t, http.StatusSwitchingProtocols, status)
		ask().requireProblem(t, http.StatusGone, "CONSOLE_SESSION_GONE")
		require.Equal(t, 1, c.Count(t, "console_sessions"))
	})
}

// A console that takes long is in its job, for who asked for it alone.
func TestASlowConsoleIsInItsJob(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		carry := c.dispatcher.carry
		var op models.Operation
		c.dispatcher.carry = func(accepted models.Operation) {
			op = accepted
			c.server.Drain() // ends what waits
		}
		res := c.do(t, owner(), http.MethodPost, c.path(), nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		require.Equal(t, op.Params.SessionID, res.json(t)["resource_id"])
		require.Equal(t, op.ID, res.json(t)["job_id"])
		result := func(p who) any {
			t.Helper()
			return c.do(t, p, http.MethodGet, tenantBase+"/jobs/"+op.ID, nil).json(t)["result"]
		}
		require.Nil(t, result(owner()), "not ready")
		carry(op)
		access := result(owner()).(map[string]any)["console"].(map[string]any)
		ticket := strings.TrimPrefix(access["url"].(string), publicOrigin+"/console/")
		require.Equal(t, "vnc", access["type"])
		operator := owner()
		operator.roles = []string{"operator"}
		require.Nil(t, result(operator), "another subject")
		require.NotContains(t, string(c.do(t, admin(), http.MethodGet, opsBase+"/jobs/"+op.ID, nil).body), ticket)
		require.NotContains(t, string(c.do(t, owner(), http.MethodGet, tenantBase+"/jobs", nil).body), ticket)

		c.site = c.replica(t, c.Store)
		_, status := c.dial(t, c.site, ticket)
		require.Equal(t, http.StatusSwitchingProtocols, status)
		require.Nil(t, result(owner()), "used")
		require.NotContains(t, c.state(t)+c.logs.String(), ticket)
	})
}

func TestAConsoleThatCannotBeHad(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		for _, tc := range []struct {
			job    models.JobErrorCode
			status int
			code   string
		}{
			{models.JobFeatureNotSupported, http.StatusConflict, "FEATURE_NOT_SUPPORTED"},
			{models.JobProviderConflict, http.StatusConflict, "INVALID_STATE"},
			{models.JobProviderUnavailable, http.StatusServiceUnavailable, "PROVIDER_UNAVAILABLE"},
		} {
			c.dispatcher.carry = func(op models.Operation) {
				if err := c.SettleJob(t.Context(), models.Settlement{
					JobID: op.ID, Outcome: models.OutcomeFailed, ErrorCode: tc.job, ErrorText: "no",
				}); err != nil {
					t.Error(err)
				}
			}
			c.do(t, owner(), http.MethodPost, c.path(), map[string]any{"type": "vnc"}).requireProblem(t, tc.status, tc.code)
		}
		op := c.Job(t, c.last(t).JobID)
		c.do(t, admin(), http.MethodPost, opsBase+"/jobs/"+op.ID+":retry", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")

		p := c.do(t, owner(), http.MethodPost, c.path(), map[string]any{"type": "spice"}).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		require.Equal(t, "supports_console_spice", p["capability"])
		viewer := who{plane: "tenant", tenant: storetest.Tenant, roles: []string{"viewer"}}
		c.do(t, viewer, http.MethodPost, c.path(), nil).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		c.do(t, otherOwner(), http.MethodPost, c.path(), nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		require.NoError(t, c.DB.Exec("UPDATE vms SET power_state = 'STOPPED'").Error)
		c.do(t, owner(), http.MethodPost, c.path(), nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
	})
}

func TestConsolesOfAnInstallationWithoutAGateway(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "a")
	w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":console", nil).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
	w.send(t, http.MethodGet, "/console/"+strings.Repeat("a", 43), nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
}

// The file for a native client is handed out once, and holds what is known to be
// harmless alone.
func TestADescriptorIsHandedOutOnce(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		c.host.descriptor = map[string]string{"full address": "10.0.0.1:2179", "pcb": "0198-guid"}
		rdp := func() string {
			return ticketOf(t, c.do(t, owner(), http.MethodPost, c.path(), map[string]any{"type": "rdp"}))
		}
		ticket := rdp()
		require.Equal(t, http.StatusNoContent, c.send(t, http.MethodGet, "/console/"+ticket, nil, "Sec-Purpose", "prefetch").StatusCode)
		require.Equal(t, http.StatusNoContent, c.send(t, http.MethodHead, "/console/"+ticket, nil).StatusCode)
		_, status := c.dial(t, c.site, ticket)
		require.Equal(t, http.StatusNotFound, status, "there is no stream")
		file := c.send(t, http.MethodGet, "/console/"+ticket, nil)
		require.Equal(t, http.StatusOK, file.StatusCode, "%s", file.body)
		require.Equal(t, "full address:s:10.0.0.1:2179\r\npcb:s:0198-guid\r\n", string(file.body))
		require.Equal(t, "application/x-rdp", file.Header.Get("Content-Type"))
		require.Equal(t, models.ConsoleClosedByClient, c.last(t).CloseReason)
		c.send(t, http.MethodGet, "/console/"+ticket, nil).requireProblem(t, http.StatusGone, "CONSOLE_SESSION_GONE")

		for _, hostile := range []map[string]string{
			{"full address": "h\r\nalternate shell:s:calc.exe"}, {"full address": "h", "alternate shell": "calc.exe"}, {"pcb": "x"}, {"full address": "h", "server port": "1\n"},
		} {
			c.host.descriptor = hostile
			p := c.send(t, http.MethodGet, "/console/"+rdp(), nil)
			p.requireProblem(t, http.StatusServiceUnavailable, "PROVIDER_UNAVAILABLE")
			require.NotContains(t, string(p.body), "calc")
			require.Equal(t, models.ConsoleHypervisorClosed, c.last(t).CloseReason)
		}
	})
}

func TestCloseConsoleSession(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		ws, end := c.connect(t)
		rows, _, err := c.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, c.vm.ID, store.Page{})
		require.NoError(t, err)
		path := vmsPath + "/" + c.vm.ID + "/console-sessions/" + rows[0].ID
		c.do(t, otherOwner(), http.MethodDelete, path, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		began := time.Now()
		res := c.do(t, owner(), http.MethodDelete, path, nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Equal(t, rows[0].ID, res.json(t)["resource_id"])
		require.Equal(t, rows[0].JobID, res.json(t)["job_id"])
		requireFarewell(t, ws, 4005, "closed_by_user")
		require.Less(t, time.Since(began), prompt)
		requireHungUp(t, end)
		require.Equal(t, models.ConsoleClosedByUser, c.last(t).CloseReason)
		res = c.do(t, owner(), http.MethodDelete, path, nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "a session that has ended answers its job")
	})
}

// Consoles are on the tenants' listener; on the operators' there is no such path.
func TestConsolesAreOnTheTenantsListener(t *testing.T) {
	c := withConsoles(t, onSQLite(t))
	ticket := c.ask(t, owner())
	for _, path := range []string{"/console/" + ticket, "/console/" + ticket + "/stream", "/console/assets/vnc-1.js"} {
		c.handler = c.server.OpsHandler()
		c.send(t, http.MethodGet, path, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	}
	c.handler = c.server.TenantHandler()
	require.Equal(t, http.StatusOK, c.send(t, http.MethodGet, "/console/"+ticket, nil).StatusCode)
}
