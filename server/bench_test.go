package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

const manyVMs = 10_000

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
	return e
}

// BenchmarkReads compares reads of 10,000 VMs with a bare Echo handler that
// makes the same query, request by request in turn.
func BenchmarkReads(b *testing.B) {
	for _, dialect := range []string{storetest.SQLite, storetest.Postgres} {
		w, vmID := manyVMWorld(b, dialect)
		token := "Bearer " + w.token(b, owner())
		plain := bare(w)
		for name, target := range map[string]string{"get": vmsPath + "/" + vmID, "list100": vmsPath + "?limit=100"} {
			b.Run(dialect+"/"+name, func(b *testing.B) {
				once := func(h http.Handler) time.Duration {
					r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
					r.Header.Set("Authorization", token)
					rec := httptest.NewRecorder()
					start := time.Now()
					h.ServeHTTP(rec, r)
					took := time.Since(start)
					if rec.Code != http.StatusOK {
						b.Fatal(rec.Body.String())
					}
					return took
				}
				var ours, theirs []time.Duration
				for b.Loop() {
					theirs = append(theirs, once(plain))
					ours = append(ours, once(w.handler))
				}
				report(b, ours, theirs)
			})
		}
	}
}

func report(b *testing.B, ours, theirs []time.Duration) {
	b.Helper()
	at := func(d []time.Duration, q float64) float64 {
		slices.Sort(d)
		return float64(d[min(len(d)-1, int(q*float64(len(d))))].Microseconds())
	}
	b.ReportMetric(at(ours, .5), "p50-µs")
	b.ReportMetric(at(ours, .99), "p99-µs")
	b.ReportMetric(at(theirs, .99), "bare-p99-µs")
	b.ReportMetric(at(ours, .5)/at(theirs, .5), "ratio-p50")
	b.ReportMetric(at(ours, .99)/at(theirs, .99), "ratio-p99")
}

// BenchmarkAccept is what accepting a VM costs, beside its transaction alone.
func BenchmarkAccept(b *testing.B) {
	for _, dialect := range []string{storetest.SQLite, storetest.Postgres} {
		b.Run(dialect, func(b *testing.B) {
			w := newWorld(b, storetest.New(b, dialect))
			w.deps.Logger, w.deps.Registry = slog.New(slog.DiscardHandler), nil
			s, err := server.New(w.deps)
			require.NoError(b, err)
			w.handler = s.Handler()
			token := w.token(b, owner())
			var ours, theirs []time.Duration
			n := 0
			for b.Loop() {
				n++
				start := time.Now()
				_, err := w.AcceptCreateVM(b.Context(), storetest.Caller(), storetest.CreateRequest(fmt.Sprint("store-", n)), nil, storetest.Respond)
				theirs = append(theirs, time.Since(start))
				require.NoError(b, err)
				body, err := json.Marshal(createBody(fmt.Sprint("api-", n)))
				require.NoError(b, err)
				start = time.Now()
				res := w.send(b, http.MethodPost, vmsPath, string(body), "Authorization", "Bearer "+token)
				ours = append(ours, time.Since(start))
				require.Equal(b, http.StatusAccepted, res.StatusCode)
			}
			report(b, ours, theirs)
		})
	}
}
