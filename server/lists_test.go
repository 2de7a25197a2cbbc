package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// pages follows a list to its end and returns the names.
func (w *world) pages(t *testing.T, p who, target string) (names []string) {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	for range 100 {
		res := w.do(t, p, http.MethodGet, u.String(), nil)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
		for _, item := range res.items(t) {
			name, ok := item["name"].(string)
			if !ok {
				name = item["id"].(string)
			}
			names = append(names, name)
		}
		token := res.json(t)["next_page_token"].(string)
		if token == "" {
			return names
		}
		q := u.Query()
		q.Set("page_token", token)
		u.RawQuery = q.Encode()
	}
	t.Fatal("the list does not end")
	return nil
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var created []string
		for i := range 7 {
			name := fmt.Sprintf("vm-%d", i)
			w.AcceptVM(t, name)
			created = append([]string{name}, created...)
		}
		require.Equal(t, created, w.pages(t, owner(), vmsPath+"?limit=2"), "newest first")
		require.Equal(t, created, w.pages(t, owner(), vmsPath))
		ascending := []string{"vm-0", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5", "vm-6"}
		require.Equal(t, ascending, w.pages(t, owner(), vmsPath+"?limit=3&sort=created_at"))
		require.Equal(t, ascending, w.pages(t, owner(), vmsPath+"?limit=3&sort=name"))
		require.Equal(t, created, w.pages(t, owner(), vmsPath+"?limit=3&sort=-name"))
		require.Len(t, w.pages(t, owner(), tenantBase+"/jobs?limit=3"), 7)
		require.Len(t, w.pages(t, admin(), opsBase+"/vms?limit=3"), 7)
		require.Len(t, w.pages(t, admin(), opsBase+"/jobs?limit=3"), 8, "and the provider's")
	})
}

// TestPagesAreStableUnderWrites: rows that come while a list is read neither
// repeat nor hide others.
func TestPagesAreStableUnderWrites(t *testing.T) {
	w := onSQLite(t)
	for i := range 4 {
		w.AcceptVM(t, fmt.Sprintf("vm-%d", i))
	}
	first := w.do(t, owner(), http.MethodGet, vmsPath+"?limit=2", nil)
	w.AcceptVM(t, "late")
	second := w.do(t, owner(), http.MethodGet, vmsPath+"?limit=2&page_token="+first.json(t)["next_page_token"].(string), nil)
	var names []any
	for _, item := range append(first.items(t), second.items(t)...) {
		names = append(names, item["name"])
	}
	require.Equal(t, []any{"vm-3", "vm-2", "vm-1", "vm-0"}, names)
	require.Empty(t, second.json(t)["next_page_token"])
}

// TestPageTokensAreBound: a token is good for nothing but the list it came from.
func TestPageTokensAreBound(t *testing.T) {
	w := onSQLite(t)
	for i := range 3 {
		w.AcceptVM(t, fmt.Sprintf("vm-%d", i))
	}
	token := w.do(t, owner(), http.MethodGet, vmsPath+"?limit=1&status=PENDING", nil).json(t)["next_page_token"].(string)
	require.NotEmpty(t, token)
	get := func(p who, target string) reply { t.Helper(); return w.do(t, p, http.MethodGet, target, nil) }

	require.Equal(t, http.StatusOK, get(owner(), vmsPath+"?limit=1&status=PENDING&page_token="+token).StatusCode)
	require.Equal(t, http.StatusOK, get(owner(), vmsPath+"?status=PENDING&limit=200&page_token="+token).StatusCode, "the limit may change")
	limited := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: storetest.Project, roles: []string{"owner"}}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		p      who
		target string
	}{
		"another filter":   {owner(), vmsPath + "?status=ACTIVE&page_token=" + token},
		"no filter":        {owner(), vmsPath + "?page_token=" + token},
		"another order":    {owner(), vmsPath + "?status=PENDING&sort=name&page_token=" + token},
		"another list":     {owner(), tenantBase + "/jobs?page_token=" + token},
		"another tenant":   {otherOwner(), tenantBase + "/projects/" + storetest.OtherProject + "/vms?status=PENDING&page_token=" + token},
		"another scope":    {limited, vmsPath + "?status=PENDING&page_token=" + token},
		"an operator":      {admin(), opsBase + "/vms?status=PENDING&page_token=" + token},
		"cut":              {owner(), vmsPath + "?status=PENDING&page_token=" + token[:len(token)-4]},
		"changed":          {owner(), vmsPath + "?status=PENDING&page_token=" + base64.RawURLEncoding.EncodeToString(append([]byte{1}, append(raw[1:len(raw)-1:len(raw)-1], raw[len(raw)-1]^1)...))},
		"another version":  {owner(), vmsPath + "?status=PENDING&page_token=" + base64.RawURLEncoding.EncodeToString(append([]byte{2}, raw[1:]...))},
		"without a mac":    {owner(), vmsPath + "?status=PENDING&page_token=" + base64.RawURLEncoding.EncodeToString([]byte(`{"i":"a"}`))},
		"padded":           {owner(), vmsPath + "?status=PENDING&page_token=" + token + "%3D"},
		"in other letters": {owner(), vmsPath + "?status=PENDING&page_token=%2B" + token[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			get(tc.p, tc.target).requireProblem(t, http.StatusBadRequest, "INVALID_PAGE_TOKEN")
		})
	}
}

func TestVMFilters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, tags := range []map[string]string{{"env": "prod", "tier": "web"}, {"env": "prod"}, {"env": "a:b"}} {
			body := createBody(fmt.Sprintf("vm-%d", i))
			body["tags"] = tags
			body["placement"] = map[string]string{"zone": storetest.Zone}
			require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, vmsPath, body).StatusCode)
		}
		w.ActiveVM(t, "active")
		middle := w.do(t, owner(), http.MethodGet, vmsPath+"?name=vm-1", nil).items(t)[0]["created_at"].(string)
		_, err := time.Parse(time.RFC3339Nano, middle)
		require.NoError(t, err)
		for query, want := range map[string][]string{
			"status=PENDING":                        {"vm-2", "vm-1", "vm-0"},
			"status=ACTIVE":                         {"active"},
			"status=ACTIVE&status=PENDING":          {"active", "vm-2", "vm-1", "vm-0"},
			"status=DELETED":                        nil,
			"power_state=RUNNING":                   {"active"},
			"power_state=NONE&power_state=RUNNING":  {"active", "vm-2", "vm-1", "vm-0"},
			"zone=" + storetest.Zone:                {"active", "vm-2", "vm-1", "vm-0"},
			"zone=nowhere":                          nil,
			"name=vm-1":                             {"vm-1"},
			"name_prefix=vm":                        {"vm-2", "vm-1", "vm-0"},
			"name_prefix=%25":                       nil,
			"name_prefix=v_":                        nil,
			"tag=env:prod":                          {"vm-1", "vm-0"},
			"tag=env:prod&tag=tier:web":             {"vm-0"},
			"tag=env:a:b":                           {"vm-2"},
			"tag=env:":                              nil,
			"created_after=" + middle:               {"active", "vm-2"},
			"created_before=" + middle:              {"vm-0"},
			"status=PENDING&name_prefix=vm&limit=1": {"vm-2", "vm-1", "vm-0"},
		} {
			require.Equal(t, want, w.pages(t, owner(), vmsPath+"?"+query), query)
			require.Equal(t, want, w.pages(t, admin(), opsBase+"/vms?"+query), "ops: "+query)
		}
		require.Empty(t, w.pages(t, otherOwner(), tenantBase+"/projects/"+storetest.OtherProject+"/vms"))
	})
}

func TestJobFilters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		stop := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", nil).json(t)["job_id"].(string)
		w.AcceptVM(t, "b")
		count := func(p who, target string, want int) {
			t.Helper()
			require.Len(t, w.pages(t, p, target), want, target)
		}
		count(owner(), tenantBase+"/jobs", 3)
		count(owner(), tenantBase+"/jobs?type=vm.create", 2)
		count(owner(), tenantBase+"/jobs?type=vm.create&type=vm.stop", 3)
		count(owner(), tenantBase+"/jobs?outcome=OPEN", 2)
		count(owner(), tenantBase+"/jobs?outcome=SUCCEEDED", 1)
		count(owner(), tenantBase+"/jobs?outcome=OPEN&outcome=SUCCEEDED", 3)
		count(owner(), tenantBase+"/jobs?resource_id="+vm.ID, 2)
		count(owner(), vmsPath+"/"+vm.ID+"/jobs", 2)
		count(owner(), vmsPath+"/"+vm.ID+"/jobs?outcome=OPEN", 1)
		count(admin(), opsBase+"/jobs?type=provider.sync", 1)
		count(owner(), tenantBase+"/jobs?type=provider.sync", 0)
		require.Equal(t, []string{stop}, w.pages(t, owner(), vmsPath+"/"+vm.ID+"/jobs?type=vm.stop"))
	})
}
