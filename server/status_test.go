package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

type status struct {
	State      string
	Components []struct{ Name, State string }
	Zones      []struct {
		ZoneID string `json:"zone_id"`
		State  string
	}
}

// status reads it from a server that has read none before.
func (w *world) status(t *testing.T) (out status) {
	t.Helper()
	w.rebuilt(t, func(*server.Deps) {})
	res := w.do(t, owner(), http.MethodGet, commonBase+"/status", nil)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
	require.NotContains(t, string(res.body), storetest.Provider, "a tenant sees no provider")
	res.into(t, &out)
	return out
}

func TestStatus(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		addProvider := func(id string, enabled bool, s models.ProviderStatus) {
			require.NoError(t, w.DB.WithContext(t.Context()).Create(&models.Provider{
				ID: id, Name: id, Kind: "sim", URL: "http://127.0.0.1:1", ZoneID: storetest.Zone, Enabled: enabled, CPUOvercommit: 1,
				Status: s, Generation: 1, CreatedAt: time.Now(), UpdatedAt: time.Now(),
			}).Error)
		}
		set := func(id string, s models.ProviderStatus) {
			require.NoError(t, w.SetProviderStatus(t.Context(), id, s, "the hypervisor at sim-1 said no"))
		}
		zone := func() (overall, zone string) {
			s := w.status(t)
			require.Len(t, s.Zones, 1)
			require.Equal(t, storetest.Zone, s.Zones[0].ZoneID)
			return s.State, s.Zones[0].State
		}
		require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE providers SET status = 'UP'").Error)

		overall, z := zone()
		require.Equal(t, []string{"OPERATIONAL", "OPERATIONAL"}, []string{overall, z})
		addProvider("sim-disabled", false, models.ProviderUnreachable)
		overall, z = zone()
		require.Equal(t, []string{"OPERATIONAL", "OPERATIONAL"}, []string{overall, z}, "a disabled provider does not count")
		addProvider("sim-second", true, models.ProviderPending)
		for _, s := range []models.ProviderStatus{models.ProviderPending, models.ProviderDegraded, models.ProviderUnreachable} {
			set("sim-second", s)
			overall, z = zone()
			require.Equal(t, []string{"DEGRADED", "DEGRADED"}, []string{overall, z}, s)
		}
		set(storetest.Provider, models.ProviderUnreachable)
		overall, z = zone()
		require.Equal(t, []string{"DEGRADED", "UNAVAILABLE"}, []string{overall, z})
		set(storetest.Provider, models.ProviderUp)
		set("sim-second", models.ProviderUp)
		overall, z = zone()
		require.Equal(t, []string{"OPERATIONAL", "OPERATIONAL"}, []string{overall, z})

		w.temporal.health = errDown
		s := w.status(t)
		require.Equal(t, "DEGRADED", s.State)
		require.Equal(t, []struct{ Name, State string }{{"database", "OPERATIONAL"}, {"temporal", "UNAVAILABLE"}}, s.Components)
		w.temporal.health = nil

		require.NoError(t, w.Close())
		s = w.status(t)
		require.Equal(t, "UNAVAILABLE", s.State)
		require.Equal(t, []struct{ Name, State string }{{"database", "UNAVAILABLE"}, {"temporal", "OPERATIONAL"}}, s.Components)
		require.Empty(t, s.Zones)
	})
}

// TestStatusIsRememberedAWhile: many who ask cost no more than one.
func TestStatusIsRememberedAWhile(t *testing.T) {
	w := onSQLite(t)
	before := w.do(t, owner(), http.MethodGet, commonBase+"/status", nil)
	require.NoError(t, w.Close())
	after := w.do(t, admin(), http.MethodGet, commonBase+"/status", nil)
	require.Equal(t, string(before.body), string(after.body))
}
