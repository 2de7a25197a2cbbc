package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func listNames(t *testing.T, env *storetest.Env, f store.VMFilter, p store.Page) []string {
	t.Helper()
	names := []string{}
	for {
		vms, next, err := env.ListVMs(t.Context(), storetest.Tenant, storetest.Project, f, p)
		require.NoError(t, err)
		if p.Limit > 0 {
			require.LessOrEqual(t, len(vms), p.Limit)
		}
		for _, vm := range vms {
			names = append(names, vm.Name)
		}
		if next.IsZero() {
			return names
		}
		p.After = next
	}
}

func TestPages(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			for _, name := range []string{"d", "a", "C", "b", "B"} {
				env.AcceptVM(t, name)
			}
			for sort, want := range map[store.Sort]string{
				"": "BbCad", store.SortNewest: "BbCad", store.SortOldest: "daCbB", store.SortName: "BCabd", store.SortNameDesc: "dbaCB",
			} {
				for limit := range 7 {
					require.Equal(t, want, strings.Join(listNames(t, env, store.VMFilter{}, store.Page{Sort: sort, Limit: limit}), ""), "%s by %d", sort, limit)
				}
			}
			ctx := t.Context()
			_, next, err := env.ListVMsAny(ctx, store.VMFilter{}, store.Page{Limit: 2})
			require.NoError(t, err)
			require.False(t, next.IsZero())
			for name, page := range map[string]store.Page{
				"another order": {After: next, Sort: store.SortName},
				"not a time":    {After: store.Cursor{Sort: store.SortNewest, Key: "x", ID: "y"}},
				"unknown order": {Sort: "vcpus; DROP TABLE vms"},
			} {
				_, _, err = env.ListVMsAny(ctx, store.VMFilter{}, page)
				require.ErrorIs(t, err, store.ErrCursor, name)
			}
			_, _, err = env.ListJobs(ctx, storetest.Tenant, store.JobFilter{}, store.Page{Sort: store.SortName})
			require.ErrorIs(t, err, store.ErrCursor, "jobs have no names")
		})
	}
}

// Rows of the same microsecond are told apart by their ID; writes between two
// pages neither repeat nor lose a row.
func TestPagesAreStable(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			for i := range 6 {
				env.AcceptVM(t, fmt.Sprintf("vm-%d", i))
			}
			require.NoError(t, env.DB.Exec("UPDATE vms SET created_at = ?", env.Clock.Now()).Error)
			first, next, err := env.ListVMsAny(t.Context(), store.VMFilter{}, store.Page{Limit: 3})
			require.NoError(t, err)
			env.AcceptVM(t, "newer")
			rest, next, err := env.ListVMsAny(t.Context(), store.VMFilter{}, store.Page{Limit: 3, After: next})
			require.NoError(t, err)
			require.True(t, next.IsZero())
			seen := map[string]bool{}
			for _, vm := range append(first, rest...) {
				seen[vm.Name] = true
			}
			require.Len(t, seen, 6)
			require.NotContains(t, seen, "newer")
		})
	}
}

func TestVMFilters(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			tags := map[string]map[string]string{
				"web-1": {"env": "prod", `we"ird.$key`: `v'a"l`},
				"web_2": {"env": "test"},
				"Web-3": {"env": "prod", "1": "one"},
				"100%":  nil,
			}
			created := map[string]time.Time{}
			for _, name := range []string{"web-1", "web_2", "Web-3", "100%"} {
				in := storetest.CreateRequest(name)
				in.Tags = tags[name]
				if name == "web_2" {
					in.ZoneID = storetest.Zone
				}
				accepted, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
				require.NoError(t, err)
				created[name] = env.VM(t, accepted.Operation.ResourceID).CreatedAt
			}
			active := env.ActiveVM(t, "active")
			gone := env.ActiveVM(t, "gone")
			settle(t, env, models.Settlement{JobID: acceptOp(t, env, gone.ID, models.OpVMDelete).ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted})
			require.Equal(t, active.Name, "active")
			for name, c := range map[string]struct {
				filter store.VMFilter
				want   string
			}{
				"deleted ones are left out": {store.VMFilter{}, "100% Web-3 active web-1 web_2"},
				"unless asked for":          {store.VMFilter{Status: []models.VMStatus{models.VMDeleted}}, "gone"},
				"with others":               {store.VMFilter{Status: []models.VMStatus{models.VMDeleted, models.VMActive}}, "active gone"},
				"status":                    {store.VMFilter{Status: []models.VMStatus{models.VMActive}}, "active"},
				"power":                     {store.VMFilter{PowerState: []models.PowerState{models.PowerRunning, models.PowerPaused}}, "active"},
				"zone, asked for or chosen": {store.VMFilter{Zone: storetest.Zone}, "active web_2"},
				"name":                      {store.VMFilter{Name: "web-1"}, "web-1"},
				"prefix, case counts":       {store.VMFilter{NamePrefix: "web"}, "web-1 web_2"},
				"prefix with _":             {store.VMFilter{NamePrefix: "web_"}, "web_2"},
				"prefix with %":             {store.VMFilter{NamePrefix: "100%"}, "100%"},
				"prefix of only %":          {store.VMFilter{NamePrefix: "%"}, ""},
				`prefix with \`:             {store.VMFilter{NamePrefix: `\`}, ""},
				"tag":                       {store.VMFilter{Tags: map[string]string{"env": "prod"}}, "Web-3 web-1"},
				"two tags":                  {store.VMFilter{Tags: map[string]string{"env": "prod", "1": "one"}}, "Web-3"},
				"tag of odd characters":     {store.VMFilter{Tags: map[string]string{`we"ird.$key`: `v'a"l`}}, "web-1"},
				"tag that is not there":     {store.VMFilter{Tags: map[string]string{"env": "PROD"}}, ""},
				"created after":             {store.VMFilter{CreatedAfter: created["web_2"]}, "100% Web-3 active"},
				"created before":            {store.VMFilter{CreatedBefore: created["Web-3"]}, "web-1 web_2"},
			} {
				got := strings.Join(listNames(t, env, c.filter, store.Page{Sort: store.SortName, Limit: 2}), " ")
				require.Equal(t, c.want, got, name)
			}
			got, err := env.GetVM(t.Context(), storetest.Tenant, storetest.Project, gone.ID)
			require.NoError(t, err)
			require.Equal(t, models.VMDeleted, got.Status, "a deleted VM can still be read by its ID")
		})
	}
}

func TestJobFilters(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			vm := env.ActiveVM(t, "a")
			other := env.AcceptVM(t, "b")
			stop := acceptOp(t, env, vm.ID, models.OpVMStop)
			list := func(f store.JobFilter) []string {
				t.Helper()
				jobs, _, err := env.ListJobs(ctx, storetest.Tenant, f, store.Page{Sort: store.SortOldest})
				require.NoError(t, err)
				kinds := []string{}
				for _, j := range jobs {
					kinds = append(kinds, string(j.Kind))
				}
				return kinds
			}
			require.Equal(t, []string{"vm.create", "vm.create", "vm.stop"}, list(store.JobFilter{}))
			require.Equal(t, []string{"vm.create", "vm.create", "vm.stop"}, list(store.JobFilter{ProjectID: storetest.Project, ResourceType: models.ResourceVM}))
			require.Equal(t, []string{"vm.create", "vm.stop"}, list(store.JobFilter{ResourceID: vm.ID}))
			require.Equal(t, []string{"vm.stop"}, list(store.JobFilter{Kinds: []models.OperationKind{models.OpVMStop}}))
			require.Equal(t, []string{"vm.create", "vm.stop"}, list(store.JobFilter{Outcomes: []models.Outcome{models.OutcomeNone}}))
			require.Equal(t, []string{"vm.create"}, list(store.JobFilter{Outcomes: []models.Outcome{models.OutcomeSucceeded, models.OutcomeFailed}}))
			require.Equal(t, []string{"vm.stop"}, list(store.JobFilter{CreatedAfter: other.CreatedAt}))
			require.Equal(t, []string{"vm.create", "vm.create"}, list(store.JobFilter{CreatedBefore: stop.CreatedAt}))
			require.Empty(t, list(store.JobFilter{ProjectID: storetest.OtherProject}))
			all, _, err := env.ListJobsAny(ctx, store.JobFilter{ResourceType: models.ResourceProvider}, store.Page{})
			require.NoError(t, err)
			require.Len(t, all, 1, "operators see their own jobs")
		})
	}
}

func TestCatalogLists(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, page := t.Context(), store.Page{}
			tenants, _, err := env.ListTenants(ctx, page)
			require.NoError(t, err)
			require.Len(t, tenants, 2)
			tenant, err := env.GetTenant(ctx, storetest.Tenant)
			require.NoError(t, err)
			require.Equal(t, tenants[0], tenant)
			own, _, err := env.ListProjects(ctx, storetest.Tenant, page)
			require.NoError(t, err)
			require.Len(t, own, 1)
			projects, next, err := env.ListProjectsAny(ctx, store.Page{Limit: 1})
			require.NoError(t, err)
			require.Equal(t, own, projects)
			projects, _, err = env.ListProjectsAny(ctx, store.Page{Limit: 1, After: next})
			require.NoError(t, err)
			require.Equal(t, storetest.OtherProject, projects[0].ID)
			project, err := env.GetProjectAny(ctx, storetest.OtherProject)
			require.NoError(t, err)
			require.Equal(t, projects[0], project)

			zones, _, err := env.ListZones(ctx, page)
			require.NoError(t, err)
			zone, err := env.GetZone(ctx, storetest.Zone)
			require.NoError(t, err)
			require.Equal(t, zones, []models.Zone{zone})
			flavors, _, err := env.ListFlavors(ctx, page)
			require.NoError(t, err)
			flavor, err := env.GetFlavor(ctx, storetest.Flavor)
			require.NoError(t, err)
			require.Equal(t, flavors, []models.Flavor{flavor})
			images, _, err := env.ListImages(ctx, page)
			require.NoError(t, err)
			image, err := env.GetImage(ctx, storetest.Image)
			require.NoError(t, err)
			require.Equal(t, images, []models.Image{image})
			networks, _, err := env.ListNetworks(ctx, page)
			require.NoError(t, err)
			network, err := env.GetNetwork(ctx, storetest.Network)
			require.NoError(t, err)
			require.Equal(t, networks, []models.Network{network})
			clusters, _, err := env.ListClusters(ctx, storetest.Provider, page)
			require.NoError(t, err)
			cluster, err := env.GetCluster(ctx, clusters[0].ID)
			require.NoError(t, err)
			require.Equal(t, clusters, []models.Cluster{cluster})
			nodes, _, err := env.ListNodes(ctx, "", page)
			require.NoError(t, err)
			require.Len(t, nodes, 2)
			node, err := env.GetNode(ctx, nodes[0].ID)
			require.NoError(t, err)
			require.Equal(t, nodes[0], node)
			none, _, err := env.ListNodes(ctx, "none", page)
			require.NoError(t, err)
			require.Empty(t, none)
			_, err = env.GetNode(ctx, "none")
			require.Equal(t, models.ErrNotFound, err)
		})
	}
}
