package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch/jobwatchtest"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

const patience = 20 * time.Second

func (w *world) opsCaller() store.Caller { return store.Caller{Subject: "issuer|root"} }

// played is a served world in which one dispatched job happens as recorded.
type played struct {
	*world
	rec    *jobwatchtest.World
	op     models.Operation
	url    string
	server *server.Server
	stop   func() // the process, and waits for it

	watching func() (jobs, followers int)
}

func (p *played) hub(l jobwatch.Limits) *jobwatch.Hub {
	return jobwatch.New(p.rec, p.Store, jobwatch.Options{Limits: l, Every: 20 * time.Millisecond})
}

func play(t *testing.T, recording string, change func(*played, *server.Deps)) *played {
	t.Helper()
	p := &played{world: onSQLite(t), rec: jobwatchtest.Load(t, "../internal/jobview/testdata/"+recording+".json")}
	p.op = p.AcceptVM(t, "played")
	require.NoError(t, p.MarkDispatched(t.Context(), p.op.ID))
	deps := p.deps
	deps.Registry = nil
	deps.Watch = p.hub(jobwatch.DefaultLimits())
	deps.Jobs = server.TemporalJobs(p.rec)
	if change != nil {
		change(p, &deps)
	}
	p.watching = deps.Watch.Watching
	s, err := server.New(deps)
	require.NoError(t, err)
	p.server, p.handler = s, s.Handler()
	l := listen(t)
	srv := server.HTTPServer(s.Handler(), slog.New(slog.DiscardHandler))
	srv.RegisterOnShutdown(s.Drain)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l, srv, 10*time.Second) }()
	stopped := false
	p.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(p.stop)
	p.url = "http://" + l.Addr().String()
	return p
}

// event is one server-sent event.
type event struct{ id, name, data string }

// stream is an open answer.
type stream struct {
	*http.Response
	events <-chan event
}

// open follows a job.
func (p *played) open(t *testing.T, as who, path string, headers ...string) stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+p.token(t, as))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	events := make(chan event, 256)
	go func() {
		defer close(events)
		_ = parseEvents(res.Body, func(e event) { events <- e })
	}()
	return stream{res, events}
}

// parseEvents reads a stream until it ends.
func parseEvents(r io.Reader, each func(event)) error {
	var e event
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name != "" {
				each(e)
			}
			e = event{}
		}
	}
	return lines.Err()
}

// next waits for an event; ok is false at the end of the stream.
func (s stream) next(t *testing.T) (e event, ok bool) {
	t.Helper()
	select {
	case e, ok = <-s.events:
		return e, ok
	case <-time.After(patience):
		require.FailNow(t, "no event in time")
		return event{}, false
	}
}

// rest takes all events until the stream ends.
func (s stream) rest(t *testing.T) (out []event) {
	t.Helper()
	for {
		e, ok := s.next(t)
		if !ok {
			return out
		}
		out = append(out, e)
	}
}

func (e event) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(e.data), &m), e.data)
	return m
}

func TestStreamOfAJob(t *testing.T) {
	p := play(t, "create_vm-failed", nil)
	p.rec.Happen(1)
	s := p.open(t, owner(), tenantJob(p.op.ID)+"/events")
	require.Equal(t, http.StatusOK, s.StatusCode)
	require.Equal(t, "text/event-stream", s.Header.Get("Content-Type"))
	require.Equal(t, "no-store", s.Header.Get("Cache-Control"))
	require.Equal(t, "no", s.Header.Get("X-Accel-Buffering"))
	first, _ := s.next(t)
	require.Equal(t, "job", first.name)
	require.Equal(t, p.op.ID, first.json(t)["id"])
	require.Equal(t, "QUEUED", first.json(t)["state"])
	require.NotEmpty(t, first.id)

	p.rec.Happen(p.rec.Len() - 1)
	p.settle(t, p.op, models.Settlement{Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, ErrorText: "full", Status: models.VMError, Release: true})
	p.rec.Happen(p.rec.Len())
	all := s.rest(t)
	last := all[len(all)-1]
	require.Equal(t, "job", last.name)
	require.Equal(t, "FAILED", last.json(t)["state"])
	require.Equal(t, map[string]any{"code": "NO_CAPACITY", "message": "full"}, last.json(t)["error"])
	var told []string
	for _, e := range all {
		if e.name == "step" {
			m := e.json(t)
			require.Equal(t, p.op.ID, m["job_id"])
			require.EqualValues(t, 1, m["run"])
			told = append(told, m["name"].(string)+" "+m["state"].(string))
		}
		require.NotContains(t, e.data, "simhv", "a cause is not for tenants")
	}
	require.Equal(t, []string{"BeginJob SUCCEEDED", "ReserveCapacity SUCCEEDED", "CreateVM RUNNING", "CreateVM SUCCEEDED", "PowerOnVM RUNNING", "PowerOnVM FAILED"}, told[:6])

	t.Run("operators see causes", func(t *testing.T) {
		events := p.open(t, admin(), opsJob(p.op.ID)+"/events", "Last-Event-ID", first.id).rest(t)
		require.Len(t, events, len(all), "who comes back is told what it has missed")
		var words strings.Builder
		for i, e := range events {
			require.Equal(t, all[i].id, e.id)
			words.WriteString(e.data)
		}
		require.Contains(t, words.String(), `"causes":[{"cause":"simhv answered 409`)
	})
	t.Run("who has seen the end", func(t *testing.T) {
		s := p.open(t, owner(), tenantJob(p.op.ID)+"/events", "Last-Event-ID", last.id)
		require.Equal(t, http.StatusNoContent, s.StatusCode)
	})
	t.Run("as the description says", func(t *testing.T) {
		res := p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"/events", nil)
		require.True(t, strings.HasPrefix(string(res.body), "retry: 2000\n\nid: "+last.id+"\nevent: job\ndata: {"), "%s", res.body)
		require.Equal(t, http.StatusNoContent, p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"/events", nil, "Last-Event-ID", last.id).StatusCode)
	})
	t.Run("garbage counts as none", func(t *testing.T) {
		events := p.open(t, owner(), tenantJob(p.op.ID)+"/events", "Last-Event-ID", "12.34.56.78").rest(t)
		require.Len(t, events, 1)
		require.Equal(t, "FAILED", events[0].json(t)["state"])
	})
	t.Run("an ID that no event can have", func(t *testing.T) {
		p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"/events", nil, "Last-Event-ID", strings.Repeat("x", 129)).
			requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	})
}

// bound is somebody whose only role is a binding.
func bound() who { return who{plane: auth.PlaneTenant, tenant: storetest.Tenant} }

// bind gives bound a role, has the policies followed, and returns the binding's
// path.
func (p *played) bind(t *testing.T) string {
	t.Helper()
	p.followPolicies(t)
	const path = tenantBase + "/role-bindings"
	id := p.create(t, path, map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": "https://idp.example.test", "subject": "sub-"}})
	require.Eventually(t, func() bool {
		return p.do(t, bound(), http.MethodGet, tenantJob(p.op.ID), nil).StatusCode == http.StatusOK
	}, patience, time.Millisecond)
	return path + "/" + id
}

// followPolicies keeps the policies fresh, as a process does.
func (w *world) followPolicies(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var followed sync.WaitGroup
	followed.Go(func() { w.deps.Enforcer.Follow(ctx) })
	t.Cleanup(func() { cancel(); followed.Wait() })
}

// TestAStreamLeasesItsAuthorization: who loses the permission, or whose token
// expires, is sent nothing more within 2 s.
func TestAStreamLeasesItsAuthorization(t *testing.T) {
	for name, c := range map[string]struct {
		lose   func(p *played, binding string, passed *time.Duration)
		reason string
	}{
		"role taken away": {func(p *played, binding string, _ *time.Duration) {
			require.Equal(t, http.StatusNoContent, p.do(t, owner(), http.MethodDelete, binding, nil).StatusCode)
		}, "PERMISSION_DENIED"},
		"token expired": {func(_ *played, _ string, passed *time.Duration) { *passed = 2 * time.Hour }, "TOKEN_EXPIRED"},
	} {
		t.Run(name, func(t *testing.T) {
			var passed time.Duration
			begun := time.Now()
			p := play(t, "create_vm-running", func(p *played, d *server.Deps) {
				var err error
				d.Auth, err = auth.New(context.Background(), []auth.Issuer{p.signer.Issuer()}, auth.Options{Now: func() time.Time { return begun.Add(passed) }})
				require.NoError(t, err)
			})
			p.rec.Happen(p.rec.Len())
			binding := p.bind(t)
			s := p.open(t, bound(), tenantJob(p.op.ID)+"/events")
			first, _ := s.next(t)
			require.Equal(t, "job", first.name)
			lost := time.Now()
			c.lose(p, binding, &passed)
			e, ok := s.next(t)
			require.True(t, ok)
			require.Equal(t, "unauthorized", e.name)
			require.Equal(t, c.reason, e.json(t)["reason"])
			_, ok = s.next(t)
			require.False(t, ok, "the stream is closed")
			require.Less(t, time.Since(lost), patience)
		})
	}
}

// TestLongAnswersOutliveTheServersLimits, which are for requests that are
// answered at once.
func TestLongAnswersOutliveTheServersLimits(t *testing.T) {
	p := play(t, "create_vm-running", nil)
	p.rec.Happen(4)
	short := httptest.NewUnstartedServer(p.handler)
	short.Config.ReadTimeout, short.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	short.Start()
	defer short.Close() // waits for what is open
	defer p.server.Drain()
	p.url = short.URL
	s := p.open(t, owner(), tenantJob(p.op.ID)+"/events")
	first, _ := s.next(t)
	began := time.Now()
	waited := p.open(t, owner(), tenantJob(p.op.ID)+"?wait=PT1S")
	require.Equal(t, http.StatusOK, waited.StatusCode)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	p.rec.Happen(p.rec.Len())
	next, ok := s.next(t)
	require.True(t, ok, "the stream is still there")
	require.NotEqual(t, first.id, next.id)
}

// TestAShutdownEndsStreams: it does not wait for them, and tells them to come
// again; who waits for a job is answered.
func TestAShutdownEndsStreams(t *testing.T) {
	p := play(t, "create_vm-running", nil)
	p.rec.Happen(p.rec.Len())
	s := p.open(t, owner(), tenantJob(p.op.ID)+"/events")
	_, ok := s.next(t)
	require.True(t, ok)
	waited := make(chan int, 1)
	go func() { waited <- p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"?wait=PT60S", nil).StatusCode }()
	require.Eventually(t, func() bool { _, n := p.watching(); return n == 2 }, patience, time.Millisecond)
	began := time.Now()
	p.stop()
	require.Less(t, time.Since(began), patience)
	e, _ := s.next(t)
	require.Equal(t, "shutdown", e.name)
	_, ok = s.next(t)
	require.False(t, ok)
	require.Equal(t, http.StatusOK, <-waited)
	p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"/events", nil).requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
}

// TestTooManyFollowers: the limit is told as such, and a place that is given up
// is free.
func TestTooManyFollowers(t *testing.T) {
	l := jobwatch.Limits{Jobs: 9, PerJob: 9, PerTenant: 1, Total: 9, Buffer: 9}
	p := play(t, "create_vm-running", func(p *played, d *server.Deps) { d.Watch = p.hub(l) })
	p.rec.Happen(p.rec.Len())
	s := p.open(t, owner(), tenantJob(p.op.ID)+"/events")
	_, ok := s.next(t)
	require.True(t, ok)
	for _, path := range []string{tenantJob(p.op.ID) + "/events", tenantJob(p.op.ID) + "?wait=PT10S"} {
		res := p.do(t, owner(), http.MethodGet, path, nil)
		require.Equal(t, true, res.requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")["retryable"])
		require.NotEmpty(t, res.Header.Get("Retry-After"))
	}
	other := p.open(t, admin(), opsJob(p.op.ID)+"/events")
	require.Equal(t, http.StatusOK, other.StatusCode, "operators have a share of their own")
	require.NoError(t, s.Body.Close())
	require.Eventually(t, func() bool { _, n := p.watching(); return n == 1 }, patience, 10*time.Millisecond, "a client that goes away leaves its place")
}

// stuckWriter is a client that reads nothing until it is released.
type stuckWriter struct {
	*httptest.ResponseRecorder
	entered chan struct{}
	release chan struct{}
}

func (s *stuckWriter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("event: ")) {
		select {
		case s.entered <- struct{}{}:
		default:
		}
		<-s.release
	}
	return s.ResponseRecorder.Write(b)
}

// TestASlowReaderIsTold that it was dropped, and may carry on from where it was.
func TestASlowReaderIsTold(t *testing.T) {
	l := jobwatch.DefaultLimits()
	l.Buffer = 2
	p := play(t, "create_vm-failed", func(p *played, d *server.Deps) { d.Watch = p.hub(l) })
	p.rec.Happen(1)
	w := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), entered: make(chan struct{}, 1), release: make(chan struct{})}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tenantJob(p.op.ID)+"/events", nil)
	r.Header.Set("Authorization", "Bearer "+p.token(t, owner()))
	done := make(chan struct{})
	go func() { defer close(done); p.handler.ServeHTTP(w, r) }()
	<-w.entered
	quick := p.open(t, admin(), opsJob(p.op.ID)+"/events")
	_, ok := quick.next(t)
	require.True(t, ok)
	for n := 2; n < p.rec.Len()-1; n++ {
		p.rec.Happen(n)
	}
	for {
		e, ok := quick.next(t)
		require.True(t, ok)
		if e.name == "dropped" || strings.Contains(e.data, "COMPENSATING") {
			break
		}
	}
	close(w.release)
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "the stream was not ended")
	}
	var events []event
	require.NoError(t, parseEvents(w.Body, func(e event) { events = append(events, e) }))
	require.Len(t, events, 2)
	require.Equal(t, "dropped", events[1].name)
	require.Equal(t, "SLOW_READER", events[1].json(t)["reason"])
	require.Empty(t, events[1].id, "the place to carry on from is that of the last event before")
}

func TestWaitForAChange(t *testing.T) {
	p := play(t, "create_vm-failed", nil)
	p.rec.Happen(2)
	get := func(wait string) (map[string]any, time.Duration) {
		began := time.Now()
		res := p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"?wait="+wait, nil)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
		return res.json(t), time.Since(began)
	}
	changes := 0
	job, took := get("PT1S")
	require.Equal(t, "QUEUED", job["state"], "nothing has changed")
	require.GreaterOrEqual(t, took, time.Second)

	for n := 2; n < p.rec.Len()-1; {
		before := p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID), nil).json(t)
		answered := make(chan map[string]any, 1)
		go func() { j, _ := get("PT10S"); answered <- j }()
		require.Eventually(t, func() bool { _, n := p.watching(); return n == 1 }, patience, time.Millisecond)
		var after map[string]any
		for after == nil && n < p.rec.Len()-1 { // not each event changes something
			n++
			p.rec.Happen(n)
			select {
			case after = <-answered:
			case <-time.After(100 * time.Millisecond):
			}
		}
		if after != nil {
			require.NotEqual(t, before, after)
			changes++
		}
		require.Eventually(t, func() bool { _, n := p.watching(); return n == 0 }, patience, time.Millisecond)
	}
	require.Greater(t, changes, 5)
	p.settle(t, p.op, models.Settlement{Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, Status: models.VMError, Release: true})
	p.rec.Happen(p.rec.Len())
	job, took = get("PT60S")
	require.Equal(t, "FAILED", job["state"])
	require.Less(t, took, patience, "what has ended is answered at once")
	_, n := p.watching()
	require.Zero(t, n)

	for _, bad := range []string{"PT61S", "PT2M", "PT1H"} {
		res := p.do(t, owner(), http.MethodGet, tenantJob(p.op.ID)+"?wait="+bad, nil).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		require.Contains(t, res["errors"].([]any)[0].(map[string]any)["pointer"], "/query/wait")
	}
}

// TestAWaitLeasesItsAuthorization as a stream does.
func TestAWaitLeasesItsAuthorization(t *testing.T) {
	p := play(t, "create_vm-running", nil)
	p.rec.Happen(p.rec.Len())
	answered := make(chan reply, 1)
	binding := p.bind(t)
	go func() { answered <- p.do(t, bound(), http.MethodGet, tenantJob(p.op.ID)+"?wait=PT60S", nil) }()
	require.Eventually(t, func() bool { _, n := p.watching(); return n == 1 }, patience, time.Millisecond)
	lost := time.Now()
	require.Equal(t, http.StatusNoContent, p.do(t, owner(), http.MethodDelete, binding, nil).StatusCode)
	(<-answered).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
	require.Less(t, time.Since(lost), patience)
}
