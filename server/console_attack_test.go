package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestConsoleOrigins: pages of the allowed origins open streams, and a program
// with the token of who asked; nothing that a request says of itself adds one.
func TestConsoleOrigins(t *testing.T) {
	w := withConsoles(t, onSQLite(t))
	mine, others := "Bearer "+w.token(t, owner()), "Bearer "+w.token(t, otherOwner())
	operator := owner()
	operator.roles = []string{"operator"}
	limited := owner()
	limited.project = "elsewhere"
	for name, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"our page":             {[]string{"Origin", publicOrigin}, 101},
		"an allowed page":      {[]string{"Origin", "https://portal.example.test:8443"}, 101},
		"our page, with token": {[]string{"Origin", publicOrigin, "Authorization", mine}, 101},
		"a program":            {[]string{"Authorization", mine}, 101},

		"another site":             {[]string{"Origin", "https://evil.example.test"}, 403},
		"another site, with token": {[]string{"Origin", "https://evil.example.test", "Authorization", mine}, 403},
		"another scheme":           {[]string{"Origin", "http://hcp.example.test"}, 403},
		"another port":             {[]string{"Origin", publicOrigin + ":8443"}, 403},
		"an allowed host's port":   {[]string{"Origin", "https://portal.example.test"}, 403},
		"a longer host":            {[]string{"Origin", publicOrigin + ".evil.test"}, 403},
		"large letters":            {[]string{"Origin", "https://HCP.example.test"}, 403},
		"a sandbox":                {[]string{"Origin", "null"}, 403},
		"an empty one":             {[]string{"Origin", ""}, 403},
		"two":                      {[]string{"Origin", publicOrigin, "Origin", "https://evil.example.test"}, 403},
		"a forged host":            {[]string{"Origin", "https://evil.example.test", "Host", "evil.example.test"}, 403},
		"a forwarded host":         {[]string{"Origin", "https://evil.example.test", "X-Forwarded-Host", "evil.example.test", "Forwarded", "host=evil.example.test"}, 403},
		"a program without token":  {[]string{"X-Nothing", "1"}, 403},
		"a program, bad token":     {[]string{"Authorization", "Bearer x"}, 401},

		"another tenant":   {[]string{"Authorization", others}, 404},
		"another subject":  {[]string{"Origin", publicOrigin, "Authorization", "Bearer " + w.token(t, operator)}, 404},
		"another project":  {[]string{"Authorization", "Bearer " + w.token(t, limited)}, 404},
		"an administrator": {[]string{"Authorization", "Bearer " + w.token(t, admin())}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			ticket := w.ask(t, owner())
			ws, status := w.dial(t, w.site, ticket, tc.headers...)
			require.Equal(t, tc.status, status)
			if tc.status == http.StatusSwitchingProtocols {
				require.NoError(t, ws.CloseNow())
			} else {
				_, status = w.dial(t, w.site, ticket)
				require.Equal(t, http.StatusSwitchingProtocols, status, "what was refused has used nothing up")
			}
			require.NoError(t, w.DB.Exec("DELETE FROM console_sessions").Error)
		})
	}
}

// A request that cannot become a stream leaves the ticket as it is.
func TestConsoleHandshakes(t *testing.T) {
	w := withConsoles(t, onSQLite(t))
	ticket := w.ask(t, owner())
	good := []string{
		"Origin", publicOrigin, "Connection", "keep-alive, Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol", "binary",
	}
	for i := 2; i < len(good); i += 2 {
		for _, bad := range []string{"", "x"} {
			headers := append([]string(nil), good...)
			headers[i+1] = bad
			w.send(t, http.MethodGet, "/console/"+ticket+"/stream", nil, headers...).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		}
	}
	w.send(t, http.MethodGet, "/console/"+ticket+"/stream", nil, append(good, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")...).
		requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	_, status := w.dial(t, w.site, ticket)
	require.Equal(t, http.StatusSwitchingProtocols, status)
}

// TestOneTicketManyAtOnce: of 50 that come with one ticket to two replicas, one
// gets the console.
func TestOneTicketManyAtOnce(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		sites := []*httptest.Server{c.site, c.replica(t, c.Open())}
		ticket := c.ask(t, owner())
		statuses := make(chan int, 50)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ws, status, err := dialAt(context.WithoutCancel(t.Context()), sites[i%2].URL, ticket, "Origin", publicOrigin)
				if err != nil {
					t.Error(err)
				}
				statuses <- status
				if ws != nil {
					_ = ws.CloseNow()
				}
			})
		}
		wg.Wait()
		close(statuses)
		count := map[int]int{}
		for s := range statuses {
			count[s]++
		}
		require.Equal(t, map[int]int{http.StatusSwitchingProtocols: 1, http.StatusGone: 49}, count)
		require.Len(t, c.host.targets, 1)
	})
}

func TestTicketsThatAreOfNoUse(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		refused := func(ticket string, status int, code string) {
			t.Helper()
			_, got := c.dial(t, c.site, ticket)
			require.Equal(t, status, got)
			c.send(t, http.MethodGet, "/console/"+ticket, nil, "Accept", "application/json").requireProblem(t, status, code)
			page := c.send(t, http.MethodGet, "/console/"+ticket, nil, "Accept", "text/html,*/*")
			require.Equal(t, status, page.StatusCode)
			require.Contains(t, page.Header.Get("Content-Type"), "text/html")
		}
		gone := func(ticket string) { t.Helper(); refused(ticket, http.StatusGone, "CONSOLE_SESSION_GONE") }
		for _, never := range []string{strings.Repeat("A", 43), strings.Repeat("A", 42), strings.Repeat("A", 4096), strings.Repeat("!", 43), "x"} {
			refused(never, http.StatusNotFound, "NOT_FOUND")
		}
		use := func(ticket string) {
			t.Helper()
			ws, status := c.dial(t, c.site, ticket)
			require.Equal(t, http.StatusSwitchingProtocols, status)
			require.NoError(t, ws.CloseNow())
		}

		used := c.ask(t, owner())
		use(used)
		gone(used)
		c.manySessions(t, 5000)
		gone(used) // after 5,000 other tickets

		late := c.ask(t, owner())
		c.Clock.Advance(time.Minute)
		gone(late)

		waiting := c.ask(t, owner())
		c.site = c.replica(t, c.Open()) // the server was started anew
		gone(used)
		use(waiting)

		revoked := c.ask(t, owner())
		require.NoError(t, c.CloseConsoleOf(t.Context(), c.newest(t), models.ConsoleAccessRevoked))
		gone(revoked)

		stopped := c.ask(t, owner())
		require.NoError(t, c.DB.Exec("UPDATE vms SET power_state = 'STOPPED'").Error)
		_, status := c.dial(t, c.site, stopped)
		require.Equal(t, http.StatusGone, status, "the VM does not run")
	})
}

// manySessions writes that many sessions that have ended.
func (c *consoleWorld) manySessions(t *testing.T, n int) {
	t.Helper()
	like := c.last(t)
	rows := make([]models.ConsoleSession, n)
	for i := range rows {
		rows[i] = like
		rows[i].ID, rows[i].JobID = models.NewID(), models.NewID()
		rows[i].TicketHash = []byte(rows[i].ID)
	}
	require.NoError(t, c.DB.CreateInBatches(rows, 100).Error)
}

func (c *consoleWorld) newest(t *testing.T) string {
	t.Helper()
	var id string
	require.NoError(t, c.DB.Raw("SELECT id FROM console_sessions WHERE state = 'READY' ORDER BY created_at DESC LIMIT 1").Scan(&id).Error)
	return id
}

// Guessing is limited by address, as with tokens.
func TestGuessingTicketsIsLimited(t *testing.T) {
	w := onSQLite(t)
	w.deps.Config.RateLimits.Source.PerSecond, w.deps.Config.RateLimits.Source.Burst = 0.001, 5
	c := withConsoles(t, w)
	for range 5 {
		c.send(t, http.MethodGet, "/console/"+strings.Repeat("A", 43), nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	}
	c.send(t, http.MethodGet, "/console/"+strings.Repeat("A", 43), nil).requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
}

// The tickets of a tenant's sessions are in no answer of anybody's but theirs.
func TestNobodyElseLearnsATicket(t *testing.T) {
	eachWithConsoles(t, func(t *testing.T, c *consoleWorld) {
		ticket := c.ask(t, owner())
		base := vmsPath + "/" + c.vm.ID
		for _, p := range []who{owner(), admin(), {plane: "tenant", tenant: storetest.Tenant, roles: []string{"viewer"}}} {
			for _, path := range []string{base + "/console-sessions", base + "/jobs", tenantBase + "/jobs", opsBase + "/jobs", base} {
				require.NotContains(t, string(c.do(t, p, http.MethodGet, path, nil).body), ticket)
			}
		}
		wrong := c.send(t, http.MethodGet, "/elsewhere/console/"+ticket, nil)
		require.Equal(t, http.StatusNotFound, wrong.StatusCode)
		require.NotContains(t, string(wrong.body), ticket, "nor does an answer say it back")
		c.send(t, http.MethodPost, "/console/"+ticket, nil)
		c.send(t, http.MethodGet, "/CONSOLE/"+ticket+"/stream", nil)
		require.NotContains(t, c.state(t)+c.logs.String(), ticket)
	})
}
