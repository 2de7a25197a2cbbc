package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	pgtest.Main(m)
}

const (
	tenantBase = "/api/hcp/tenant/v1"
	opsBase    = "/api/hcp/ops/v1"
	commonBase = "/api/hcp/common/v1"
	vmsPath    = tenantBase + "/projects/" + storetest.Project + "/vms"
)

// dispatcher is a fake of Temporal's side: it remembers what it was given.
type dispatcher struct {
	mu         sync.Mutex
	dispatched []models.Operation
	delivered  []models.Operation
	woken      []string
	fail       error
	before     func() // runs first in Dispatch
	traced     func(context.Context)
	carry      func(models.Operation) // does what the job would
	settle     func(jobID string) (bool, error)
}

func (d *dispatcher) Dispatch(ctx context.Context, op models.Operation) error {
	if d.before != nil {
		d.before()
	}
	if d.traced != nil {
		d.traced(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	d.dispatched = append(d.dispatched, op)
	if d.carry != nil {
		d.carry(op)
	}
	return d.fail
}

func (d *dispatcher) Deliver(ctx context.Context, op models.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	d.delivered = append(d.delivered, op)
	return d.fail
}

func (d *dispatcher) WakeConsole(_ context.Context, jobID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.woken = append(d.woken, jobID)
	return nil
}

func (d *dispatcher) SettleIfClosed(_ context.Context, jobID string) (bool, error) {
	if d.settle == nil {
		return false, nil
	}
	return d.settle(jobID)
}

func (d *dispatcher) jobs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]string, len(d.dispatched))
	for i, op := range d.dispatched {
		ids[i] = op.ID
	}
	return ids
}

// temporal is a fake of what the server reads from Temporal.
type temporal struct {
	job    func(models.Operation) (jobview.Job, error)
	read   func(context.Context, models.Operation) (jobview.Job, error)
	health error
}

func (t *temporal) Job(ctx context.Context, op models.Operation) (jobview.Job, error) {
	if t.read != nil {
		return t.read(ctx, op)
	}
	if t.job == nil {
		return jobview.FromRow(op), nil
	}
	return t.job(op)
}

func (t *temporal) CheckHealth(context.Context, *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	return &client.CheckHealthResponse{}, t.health
}

// world is a server over a seeded store.
type world struct {
	*storetest.Env
	server     *server.Server
	handler    http.Handler
	dispatcher *dispatcher
	temporal   *temporal
	signer     *auth.Signer
	logs       *syncBuffer
	doc        *openapi3.T
	deps       server.Deps
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// each runs f on both databases.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, env *storetest.Env) { f(t, newWorld(t, env)) })
}

// onSQLite makes a world for what does not depend on the database.
func onSQLite(t testing.TB) *world {
	t.Helper()
	return newWorld(t, storetest.New(t, storetest.SQLite))
}

func newWorld(t testing.TB, env *storetest.Env) *world {
	t.Helper()
	env.Seed(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := auth.NewSigner("https://idp.example.test", key)
	require.NoError(t, err)
	verifier, err := auth.New(context.Background(), []auth.Issuer{signer.Issuer()})
	require.NoError(t, err)
	enforcer, err := policies.New(policies.Options{Source: env.Store})
	require.NoError(t, err)
	w := &world{Env: env, dispatcher: &dispatcher{}, temporal: &temporal{}, signer: signer, logs: &syncBuffer{}}
	w.deps = server.Deps{
		Store: env.Store, Dispatcher: w.dispatcher, Jobs: w.temporal, Temporal: w.temporal, Auth: verifier, Enforcer: enforcer,
		Registry: prometheus.NewRegistry(),
		Logger:   slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Config:   server.Config{PageTokenKey: bytes.Repeat([]byte{7}, 32), Version: "1.2.3"},
	}
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.server, w.handler = s, s.Handler()
	w.doc = description(t)
	return w
}

func description(t testing.TB) *openapi3.T {
	t.Helper()
	raw, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	return doc
}

// who is a principal of a test.
type who struct {
	plane   auth.Plane
	tenant  string
	project string
	roles   []string
}

func owner() who {
	return who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: []string{"owner"}}
}

func otherOwner() who {
	return who{plane: auth.PlaneTenant, tenant: storetest.OtherTenant, roles: []string{"owner"}}
}
func admin() who { return who{plane: auth.PlaneOps, roles: []string{"admin"}} }

func (w *world) token(t testing.TB, p who) string {
	t.Helper()
	s, err := w.signer.Mint(auth.Grant{
		Plane: p.plane, Subject: "sub-" + strings.Join(p.roles, "-"), TenantID: p.tenant, ProjectID: p.project, Roles: p.roles, TTL: time.Hour,
	}, time.Now())
	require.NoError(t, err)
	return s
}

// reply is an answer.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(r.body, &m), "%s", r.body)
	return m
}

func (r reply) into(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.body, v), "%s", r.body)
}

// requireProblem demands a problem of a status and a code.
func (r reply) requireProblem(t testing.TB, status int, code string) map[string]any {
	t.Helper()
	require.Equal(t, status, r.StatusCode, "%s", r.body)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	m := r.json(t)
	require.Equal(t, code, m["code"], "%s", r.body)
	require.EqualValues(t, status, m["status"])
	require.Equal(t, r.Header.Get("X-Request-Id"), m["request_id"])
	require.NotEmpty(t, m["type"])
	require.NotEmpty(t, m["title"])
	require.Contains(t, m, "retryable")
	return m
}

func (r reply) items(t testing.TB) []map[string]any {
	t.Helper()
	var l struct {
		Items []map[string]any `json:"items"`
	}
	r.into(t, &l)
	require.NotNil(t, l.Items, "items must never be null: %s", r.body)
	return l.Items
}

// do sends a request as p. The body is JSON text, or a value to encode; headers
// come in pairs. Every answer is held against the API's description.
func (w *world) do(t testing.TB, p who, method, target string, body any, headers ...string) reply {
	t.Helper()
	headers = append([]string{"Authorization", "Bearer " + w.token(t, p)}, headers...)
	return w.send(t, method, target, body, headers...)
}

func (w *world) send(t testing.TB, method, target string, body any, headers ...string) reply {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		require.NoError(t, err)
		reader = bytes.NewReader(raw)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, reader)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			r.Header.Set(headers[i], headers[i+1])
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	res := rec.Result()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	w.validate(t, method, target, res, raw)
	return reply{Response: res, body: raw}
}

// validate holds an answer against the description of its route.
func (w *world) validate(t testing.TB, method, target string, res *http.Response, body []byte) {
	t.Helper()
	route := w.route(method, target)
	if route == nil {
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: httptest.NewRequest(method, "/", nil), Route: route},
		Status:                 res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: false, MultiError: true},
	}
	in.SetBodyBytes(body)
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), in), "%s %s: %d %s", method, target, res.StatusCode, body)
}

// route finds the description of a path by its shape.
func (w *world) route(method, target string) *routers.Route {
	path, _, _ := strings.Cut(strings.TrimPrefix(target, "/api/hcp"), "?")
	have := strings.Split(path, "/")
	for pattern, item := range w.doc.Paths.Map() {
		want := strings.Split(pattern, "/")
		if len(want) != len(have) || item.GetOperation(method) == nil {
			continue
		}
		match := true
		for i := range want {
			head, verb, hasVerb := strings.Cut(want[i], ":")
			id, act, has := strings.Cut(have[i], ":")
			param := strings.HasPrefix(head, "{")
			match = match && hasVerb == has && verb == act && (param || head == id)
		}
		if match {
			return &routers.Route{Spec: w.doc, Path: pattern, PathItem: item, Method: method, Operation: item.GetOperation(method)}
		}
	}
	return nil
}

// state is everything in the database, to see that nothing has changed.
func (w *world) state(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	tables, err := w.DB.WithContext(t.Context()).Migrator().GetTables()
	require.NoError(t, err)
	slices.Sort(tables)
	for _, table := range tables {
		var rows []map[string]any
		require.NoError(t, w.DB.WithContext(t.Context()).Table(table).Find(&rows).Error)
		lines := make([]string, len(rows))
		for i, r := range rows {
			for column, value := range r {
				if raw, ok := value.([]byte); ok { // as text, so that what is looked for in it is found
					r[column] = string(raw)
				}
			}
			lines[i] = fmt.Sprint(r)
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "%s: %d\n%s\n", table, len(rows), strings.Join(lines, "\n"))
	}
	return b.String()
}

func createBody(name string) map[string]any {
	return map[string]any{
		"name": name, "image_id": storetest.Image, "flavor_id": storetest.Flavor,
		"networks": []any{map[string]any{"network_id": storetest.Network}},
	}
}

var errDown = errors.New("connection refused")
