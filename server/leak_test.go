package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// forbidden is what no field of a tenant's answer may be named after.
var forbidden = regexp.MustCompile(`(?i)(^|_)(node|host|hosts|vmid|moid|moref|provider|providers|cluster|clusters|datastore|pool|native|ref|binding|bindings|hypervisor|uuid|url|overcommit)(_|$)`)

// requireNoPlace demands that a field names no place. A role binding is none, and
// the address of a console is the public one of this server.
func requireNoPlace(t *testing.T, field, where string) {
	t.Helper()
	if field != "role_binding_id" && field != "url" {
		require.NotRegexp(t, forbidden, field, "%s of %s", field, where)
	}
}

// TestNoSchemaOfATenantNamesThePlace walks every answer that a tenant can get.
func TestNoSchemaOfATenantNamesThePlace(t *testing.T) {
	doc := description(t)
	fields := 0
	for path, item := range doc.Paths.Map() {
		if strings.HasPrefix(path, "/ops/") {
			continue
		}
		for _, op := range item.Operations() {
			for _, response := range op.Responses.Map() {
				for _, media := range response.Value.Content {
					walkSchema(media.Schema, map[*openapi3.Schema]bool{}, func(name string) {
						fields++
						requireNoPlace(t, name, path)
					})
				}
			}
		}
	}
	require.Greater(t, fields, 100)
}

func walkSchema(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool, visit func(name string)) {
	if ref == nil || seen[ref.Value] {
		return
	}
	seen[ref.Value] = true
	for name, property := range ref.Value.Properties {
		visit(strings.TrimPrefix(name, "role_binding_")) // roles are bound too, and by the tenant
		walkSchema(property, seen, visit)
	}
	walkSchema(ref.Value.Items, seen, visit)
	walkSchema(ref.Value.AdditionalProperties.Schema, seen, visit)
	for _, list := range []openapi3.SchemaRefs{ref.Value.AllOf, ref.Value.AnyOf, ref.Value.OneOf} {
		for _, s := range list {
			walkSchema(s, seen, visit)
		}
	}
}

// TestNoAnswerToATenantNamesThePlace reads everything that a tenant can read of
// a placed VM and of a failed job, and looks for what only operators may see.
func TestNoAnswerToATenantNamesThePlace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.temporal.job = func(op models.Operation) (jobview.Job, error) { return projected(op), nil }
		vm := w.ActiveVM(t, "a")
		failed := w.AcceptVM(t, "b")
		require.NoError(t, w.SettleAbandoned(t.Context(), failed.ID, models.JobUnknownOutcome, "ended from outside"))
		require.NoError(t, w.SetProviderStatus(t.Context(), storetest.Provider, models.ProviderUnreachable, "dial 10.9.8.7"))
		require.NoError(t, w.MarkMissing(t.Context(), vm.ID, w.Clock.Now()))
		secrets := []string{
			storetest.Provider, vm.NodeID, vm.ClusterID, vm.NativeRef, "ref-a", "n1", "n2", "10.1.2.3", "10.9.8.7", "debian-12", "vmnet0", "hunter2", "127.0.0.1",
		}
		reads, ids := 0, seededIDs(vm.ID, failed.ID)
		for _, x := range ownedBy(t, w) {
			if ids[x.param] == "none" {
				ids[x.param] = x.id
			}
		}
		for _, r := range w.sweep(t, ids) {
			if r.plane == "ops" || r.method != http.MethodGet {
				continue
			}
			res := w.do(t, owner(), r.method, r.path, nil)
			if strings.Contains(r.path, "/absent-") { // of what the world has none
				res.requireProblem(t, http.StatusNotFound, "NOT_FOUND")
				continue
			}
			reads++
			require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", r.id, res.body)
			for _, secret := range secrets {
				require.NotRegexp(t, `"[^"]*\b`+regexp.QuoteMeta(secret)+`\b[^"]*"`, string(res.body), r.id)
			}
		}
		require.Greater(t, reads, 12)
		for _, action := range []string{":start", ":stop", ":reboot"} {
			res := w.do(t, owner(), http.MethodPost, vmsPath+"/"+failed.ResourceID+action, nil)
			for _, secret := range secrets {
				require.NotContains(t, string(res.body), secret)
			}
		}
	})
}

// TestATenantsDescriptionHasNoOperatorsRoutes, and is whole without them.
func TestATenantsDescriptionHasNoOperatorsRoutes(t *testing.T) {
	w := onSQLite(t)
	full := w.do(t, admin(), http.MethodGet, commonBase+"/openapi.json", nil)
	require.Contains(t, string(full.body), "/ops/v1/")
	res := w.do(t, owner(), http.MethodGet, commonBase+"/openapi.json", nil)
	doc, err := openapi3.NewLoader().LoadFromData(res.body)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	require.NotEmpty(t, doc.Paths.Map())
	for path := range doc.Paths.Map() {
		require.False(t, strings.HasPrefix(path, "/ops/"), path)
	}
	for name, schema := range doc.Components.Schemas {
		require.NotRegexp(t, `(?i)provider|cluster|node|hypervisor|binding|credential`, strings.ReplaceAll(name, "RoleBinding", "Role"))
		walkSchema(schema, map[*openapi3.Schema]bool{}, func(field string) { requireNoPlace(t, field, name) })
	}
}
