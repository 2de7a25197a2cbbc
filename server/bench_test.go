package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

const (
	manyVMs = 10_000
	// benchClients ask at one time, over connections of their own.
	benchClients = 4
	// benchRounds alternate with as many of the yardstick, so that both see the
	// same machine.
	benchRounds = 10
)

// manyVMWorld has manyVMs active VMs in one project.
func manyVMWorld(b *testing.B, dialect string) (w *world, vmID string) {
	b.Helper()
	w = newWorld(b, storetest.New(b, dialect))
	vm := w.ActiveVM(b, "template")
	rows := make([]models.VM, manyVMs)
	for i := range rows {
		rows[i] = vm
		rows[i].ID, rows[i].Name, rows[i].CreatedAt = models.NewID(), fmt.Sprintf("vm-%05d", i), w.Clock.Now()
		rows[i].Tags = map[string]string{"env": "prod", "index": fmt.Sprint(i)}
	}
	require.NoError(b, w.DB.WithContext(b.Context()).CreateInBatches(rows, 500).Error)
	require.NoError(b, w.DB.WithContext(b.Context()).Exec("ANALYZE").Error) // as autovacuum does it in a minute
	w.deps.Logger, w.deps.Registry = slog.New(slog.DiscardHandler), nil
	s, err := server.New(w.deps)
	require.NoError(b, err)
	w.handler = s.Handler()
	return w, rows[manyVMs/2].ID
}

// bare is an Echo server that does the same queries and nothing else.
func bare(w *world) http.Handler {
	e := echo.New()
	e.GET("/api/hcp/tenant/v1/projects/:p/vms/:v", func(c echo.Context) error {
		vm, err := w.GetVM(c.Request().Context(), storetest.Tenant, c.Param("p"), c.Param("v"))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, vm)
	})
	e.GET("/api/hcp/tenant/v1/projects/:p/vms", func(c echo.Context) error {
		vms, _, err := w.ListVMs(c.Request().Context(), storetest.Tenant, c.Param("p"), store.VMFilter{}, store.Page{Limit: 100})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, vms)
	})
	e.POST("/api/hcp/tenant/v1/projects/:p/vms", func(c echo.Context) error {
		var body api.CreateVMRequest
		if err := json.NewDecoder(c.Request().Body).Decode(&body); err != nil {
			return err
		}
		in := storetest.CreateRequest(body.Name)
		accepted, err := w.AcceptCreateVM(c.Request().Context(), storetest.Caller(), in, nil, storetest.Respond)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, accepted.Operation)
	})
	return e
}

// BenchmarkNorthbound asks the API over loopback, beside a bare Echo handler
// that makes the same queries of the same store: a VM of 10,000, a page of 100
// of them, and the accept of one more. ratio is of the requests a second, more
// is better; p99-ratio is of the times, less is better.
func BenchmarkNorthbound(b *testing.B) {
	for _, dialect := range []string{storetest.SQLite, storetest.Postgres} {
		w, vmID := manyVMWorld(b, dialect)
		ours, yardstick := httptest.NewServer(w.handler), httptest.NewServer(bare(w))
		b.Cleanup(ours.Close)
		b.Cleanup(yardstick.Close)
		token := w.token(b, owner())
		var made atomic.Int64
		for _, one := range []struct {
			name, method, target string
			status               int
		}{
			{"get", http.MethodGet, vmsPath + "/" + vmID, http.StatusOK},
			{"list100", http.MethodGet, vmsPath + "?limit=100", http.StatusOK},
			{"accept", http.MethodPost, vmsPath, http.StatusAccepted},
		} {
			b.Run(dialect+"/"+one.name, func(b *testing.B) {
				ask := func(ctx context.Context, base string) error {
					var body io.Reader
					if one.method == http.MethodPost {
						raw, err := json.Marshal(createBody(fmt.Sprint("bench-", made.Add(1))))
						if err != nil {
							return err
						}
						body = strings.NewReader(string(raw))
					}
					r, err := http.NewRequestWithContext(ctx, one.method, base+one.target, body)
					if err != nil {
						return err
					}
					r.Header.Set("Authorization", "Bearer "+token)
					r.Header.Set("Content-Type", "application/json")
					return exchange(r, one.status)
				}
				n := max(benchClients, b.N/benchRounds)
				load(b, benchClients, func(ctx context.Context) error { return ask(ctx, ours.URL) })
				load(b, benchClients, func(ctx context.Context) error { return ask(ctx, yardstick.URL) })
				var o, y loadResult
				b.ResetTimer()
				for range benchRounds {
					y.add(load(b, n, func(ctx context.Context) error { return ask(ctx, yardstick.URL) }))
					o.add(load(b, n, func(ctx context.Context) error { return ask(ctx, ours.URL) }))
				}
				b.ReportMetric(o.rate(), "req/s")
				b.ReportMetric(y.rate(), "bare-req/s")
				b.ReportMetric(o.rate()/y.rate(), "ratio")
				b.ReportMetric(o.percentile(.99), "p99-µs")
				b.ReportMetric(y.percentile(.99), "bare-p99-µs")
				b.ReportMetric(o.percentile(.99)/y.percentile(.99), "p99-ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// exchange makes a request and reads the answer to its end.
func exchange(r *http.Request, status int) error {
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != status {
		return fmt.Errorf("%d %s", res.StatusCode, raw)
	}
	return err
}

type loadResult struct {
	elapsed time.Duration
	took    []time.Duration
}

func (l *loadResult) add(one loadResult) {
	l.elapsed += one.elapsed
	l.took = append(l.took, one.took...)
}

func (l *loadResult) rate() float64 { return float64(len(l.took)) / l.elapsed.Seconds() }

// percentile is in microseconds.
func (l *loadResult) percentile(q float64) float64 {
	slices.Sort(l.took)
	return float64(l.took[min(len(l.took)-1, int(q*float64(len(l.took))))].Microseconds())
}

// load runs work n times by benchClients.
func load(b *testing.B, n int, work func(context.Context) error) loadResult {
	b.Helper()
	out := loadResult{took: make([]time.Duration, n)}
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	began := time.Now()
	for range benchClients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				t0 := time.Now()
				if err := work(b.Context()); err != nil {
					failed.Store(&err)
					return
				}
				out.took[i] = time.Since(t0)
			}
		})
	}
	wg.Wait()
	out.elapsed = time.Since(began)
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return out
}
