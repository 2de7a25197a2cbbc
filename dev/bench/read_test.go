package bench_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/models"
)

// readVMs is how many VMs the project has while it is read.
const readVMs = 10_000

// BenchmarkRead lists a page of 50 VMs and gets one VM, of 10,000, beside a
// bare Echo handler that asks the store the same and writes its rows as JSON.
func BenchmarkRead(b *testing.B) {
	s := startStack(b, "sqlite")
	ids := fill(b, s)
	c := newTenant(s)
	bare := bareReads(b, s)
	for _, read := range []struct{ name, ours, bare string }{
		{"list", c.vms() + "?limit=50", bare + "/list"},
		{"get", c.vms() + "/" + ids[readVMs/2], bare + "/get/" + ids[readVMs/2]},
	} {
		b.Run(read.name, func(b *testing.B) {
			get := func(url string) func(context.Context, int) error {
				return func(ctx context.Context, _ int) error {
					_, err := c.do(ctx, http.MethodGet, url, nil, http.StatusOK)
					return err
				}
			}
			measure(b, 50, 1, get(read.ours)) // warm
			measure(b, 50, 1, get(read.bare))
			b.ResetTimer()
			var ours, yardstick []meter
			const rounds = 5
			n := max(1, b.N/rounds)
			for range rounds {
				ours = append(ours, measure(b, n, 1, get(read.ours)))
				yardstick = append(yardstick, measure(b, n, 1, get(read.bare)))
			}
			o, w := merge(ours), merge(yardstick)
			b.ReportMetric(ms(o.percentile(.5)), "p50-ms")
			b.ReportMetric(ms(o.percentile(.99)), "p99-ms")
			b.ReportMetric(ms(w.percentile(.5)), "bare-p50-ms")
			b.ReportMetric(ms(w.percentile(.99)), "bare-p99-ms")
			b.ReportMetric(ms(o.percentile(.99))/ms(w.percentile(.99)), "p99-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// fill writes VMs into the record as if they had been created and started.
func fill(b *testing.B, s *stack.Stack) []string {
	b.Helper()
	db, err := gorm.Open(sqlitedb.Dialector(s.Dir().File("hcp.db")), &gorm.Config{})
	must(b, err)
	sqlDB, err := db.DB()
	must(b, err)
	defer func() { must(b, sqlDB.Close()) }()
	now := time.Now().UTC().Truncate(time.Microsecond)
	rows, ids := make([]models.VM, readVMs), make([]string, readVMs)
	for i := range rows {
		ids[i] = models.NewID()
		rows[i] = models.VM{
			ID: ids[i], TenantID: stack.DemoTenant, ProjectID: stack.DemoProject, Name: fmt.Sprintf("vm-%05d", i),
			ImageID: stack.TinyImage, FlavorID: stack.SmallFlavor, VCPUs: 1, MemoryMiB: 512, DiskGiB: 1, ZoneID: stack.SimZone,
			NICs: []models.NIC{{NetworkID: stack.SimNetwork, MAC: "52:54:00:00:00:01"}}, Tags: map[string]string{"role": "web"},
			Status: models.VMActive, PowerState: models.PowerRunning, DesiredPowerState: models.PowerRunning,
			Addresses: []models.Address{{IP: "10.0.0.1"}}, ProviderID: stack.SimProvider,
			Generation: 1, ObservedGeneration: 1, CreatedAt: now.Add(time.Duration(i) * time.Millisecond), UpdatedAt: now,
		}
	}
	must(b, db.CreateInBatches(rows, 200).Error)
	return ids
}

// bareReads serves the same queries without anything around them.
func bareReads(b *testing.B, s *stack.Stack) string {
	b.Helper()
	e := echo.New()
	e.GET("/list", func(c echo.Context) error {
		vms, _, err := s.Store().ListVMs(c.Request().Context(), stack.DemoTenant, stack.DemoProject, store.VMFilter{}, store.Page{Limit: 50})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, vms)
	})
	e.GET("/get/:id", func(c echo.Context) error {
		vm, err := s.Store().GetVM(c.Request().Context(), stack.DemoTenant, stack.DemoProject, c.Param("id"))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, vm)
	})
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	srv := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	}()
	b.Cleanup(func() { must(b, srv.Close()) })
	return "http://" + l.Addr().String()
}
