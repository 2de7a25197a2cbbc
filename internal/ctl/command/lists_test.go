package command_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// vm is a VM of a list.
func vm(i int, name string) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("0198c2de-0000-7000-8000-%012d", i), "name": name, "status": "ACTIVE", "power_state": "RUNNING", "created_at": "2026-01-02T03:00:05Z",
		"vcpus": 2, "memory_mib": 1024, "disk_gib": 10, "addresses": []any{map[string]string{"ip": "10.0.0.1"}, map[string]string{"ip": "10.0.0.2"}}, "tags": map[string]string{"env": "prod"},
	}
}

// paged lists VMs in pages as large as was asked for.
func paged(all []map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		q := req.URL.Query()
		var match []map[string]any
		for _, v := range all {
			if q.Get("name") == "" || v["name"] == q.Get("name") {
				match = append(match, v)
			}
		}
		from, _ := strconv.Atoi(q.Get("page_token"))
		size, err := strconv.Atoi(q.Get("limit"))
		if err != nil {
			size = 50
		}
		to, next := min(from+size, len(match)), ""
		if to < len(match) {
			next = strconv.Itoa(to)
		}
		ctltest.Answer(w, http.StatusOK, map[string]any{"items": append([]map[string]any{}, match[from:to]...), "next_page_token": next})
	}
}

func many(n int) []map[string]any {
	out := make([]map[string]any, n)
	for i := range out {
		out[i] = vm(i, fmt.Sprintf("vm-%03d", i))
	}
	return out
}

func TestListsPageThroughEverything(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged(many(450)))
	require.Len(t, strings.Split(strings.TrimSpace(r.ok("vm", "list", "--no-headers")), "\n"), 450)
	require.Equal(t, 3, r.server.Seen()["listVMs"])
	require.Len(t, strings.Fields(r.ok("vm", "list", "-o", "name", "--limit", "210")), 210)
	require.Equal(t, "10", query(t, r, 4, "limit"), "the last page is as small as it may be")
	r.ok("vm", "list", "--limit", "30", "--page-size", "20")
	require.Equal(t, 7, r.server.Seen()["listVMs"])
	require.Equal(t, 2, r.run("vm", "list", "--page-size", "201").code)
}

func query(t *testing.T, r *rig, i int, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.Requests("listVMs")[i].URL, nil)
	require.NoError(t, err)
	return req.URL.Query().Get(name)
}

func TestFormats(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged(many(2)))
	table := strings.Split(r.ok("vm", "list"), "\n")
	require.Equal(t, []string{"NAME", "STATUS", "POWER", "ADDRESSES", "VCPUS", "MEMORY_MIB", "DISK_GIB", "AGE", "ID"}, strings.Fields(table[0]))
	require.Equal(t, []string{"vm-000", "ACTIVE", "RUNNING", "10.0.0.1,10.0.0.2", "2", "1024", "10", "5m", "0198c2de-0000-7000-8000-000000000000"}, strings.Fields(table[1]))
	require.Contains(t, r.ok("vm", "list", "-o", "wide"), "env:prod")
	require.Equal(t, "ADDRESSES           NAME\n10.0.0.1,10.0.0.2   vm-000\n10.0.0.1,10.0.0.2   vm-001\n", r.ok("vm", "list", "--columns", "addresses[].ip,name"))

	var list struct {
		Items []map[string]any `json:"items" yaml:"items"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.ok("vm", "list", "-o", "json")), &list))
	require.Equal(t, "vm-001", list.Items[1]["name"])
	list.Items = nil
	require.NoError(t, yaml.Unmarshal([]byte(r.ok("vm", "list", "-o", "yaml")), &list))
	require.Equal(t, "vm-001", list.Items[1]["name"])

	rows, err := csv.NewReader(strings.NewReader(r.ok("vm", "list", "-o", "csv"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, "name", rows[0][0])
	require.Contains(t, rows[1], "2026-01-02T03:00:05Z")

	require.Equal(t, "vm/0198c2de-0000-7000-8000-000000000000\nvm/0198c2de-0000-7000-8000-000000000001\n", r.ok("vm", "list", "-o", "name"))
	for _, path := range []string{"$.items[*].name", "{.items[*].name}", "items[*].name"} {
		require.Equal(t, "vm-000\nvm-001\n", r.ok("vm", "list", "-o", "jsonpath="+path))
	}
	r.server.Handle("listVMs", paged(nil))
	require.JSONEq(t, `{"items":[]}`, r.ok("vm", "list", "-o", "json"))
	for _, bad := range []string{"xml", "jsonpath", "jsonpath=$[", "json=x"} {
		require.Equal(t, 2, r.run("vm", "list", "-o", bad).code, bad)
	}
	require.Equal(t, 2, r.run("vm", "list", "-o", "json", "--columns", "id").code)
}

// What a server sends cannot steer the terminal.
func TestTablesAreHarmless(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(1, "a\x1b]0;owned\x07\u202eb\nc")}))
	out := r.ok("vm", "list")
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out, "\x07")
	require.NotContains(t, out, "\u202e")
	require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 2)
}

func TestFiltersReachTheServer(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged(many(1)))
	r.ok("vm", "list", "--status", "active,error", "--power", "running", "--tag", "env:prod", "--tag", "tier:web", "--name-prefix", "vm", "--zone", "z1",
		"--created-after", "2026-01-01T00:00:00Z", "--sort", "-name")
	got := r.server.Requests("listVMs")[0].URL
	for _, want := range []string{"status=ACTIVE&status=ERROR", "power_state=RUNNING", "tag=env%3Aprod&tag=tier%3Aweb", "name_prefix=vm", "zone=z1", "created_after=2026", "sort=-name"} {
		require.Contains(t, got, want)
	}
	require.Equal(t, 2, r.run("vm", "list", "--status", "gone").code)
}

func TestNamesAreAcceptedForIDs(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(1, "web"), vm(2, "db"), vm(3, "twin"), vm(4, "twin")}))
	r.ok("vm", "start", "db")
	require.Contains(t, r.server.Requests("startVM")[0].URL, "000000000002:start")

	got := r.run("vm", "start", "twin")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, `"twin" names several`)
	require.Contains(t, got.errOut, "0198c2de-0000-7000-8000-000000000003  twin")
	require.Contains(t, got.errOut, "0198c2de-0000-7000-8000-000000000004  twin")
	require.Len(t, r.server.Requests("startVM"), 1)

	r.ok("vm", "start", "unheard-of") // may be an ID: the server knows
	require.Contains(t, r.server.Requests("startVM")[1].URL, "/unheard-of:start")
	require.Equal(t, 2, r.run("vm", "start", "no such/thing").code)
}

// The command that repeats a request names IDs: a name may be gone by then.
func TestRepeatNamesIDs(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(2, "db")}))
	r.server.Handle("deleteVM", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Problem(w, http.StatusGatewayTimeout, "X", "gateway")
	})
	got := r.run("vm", "delete", "db", "--yes")
	require.Equal(t, 5, got.code)
	require.Contains(t, got.errOut, "hcpctl vm delete 0198c2de-0000-7000-8000-000000000002 --yes --idempotency-key ")
}

// Without a terminal nobody can confirm, and nothing is done.
func TestDestructiveCommandsNeedYes(t *testing.T) {
	r := newRig(t)
	r.server.Handle("listVMs", paged([]map[string]any{vm(1, "web")}))
	for _, args := range [][]string{
		{"vm", "delete", "web"},
		{"vm", "stop", "web", "--mode", "force"},
		{"vm", "reboot", "web", "--mode", "force"},
		{"job", "cancel", ctltest.SampleJob},
		{"job", "abandon", ctltest.SampleJob, "--reason", "x"},
		{"role", "delete", ctltest.SampleID},
		{"ssh-key", "delete", ctltest.SampleID},
		{"service-account", "delete", ctltest.SampleID},
		{"service-account", "key", "delete", ctltest.SampleID, ctltest.SampleID},
		{"role-binding", "delete", ctltest.SampleID},
		{"ops", "tenant", "delete", ctltest.SampleID},
		{"ops", "subnet", "delete", ctltest.SampleID, ctltest.SampleID},
	} {
		got := r.run(args...)
		require.Equal(t, 2, got.code, "%v", args)
		require.Contains(t, got.errOut, "--yes", "%v", args)
	}
	for op := range r.server.Seen() {
		require.True(t, strings.HasPrefix(op, "list") || strings.HasPrefix(op, "opsList"), "%s was called", op)
	}
	require.Contains(t, r.run("vm", "delete", "web").errOut, "Delete VM web (0198c2de-0000-7000-8000-000000000001)? Its disks are deleted with it; this cannot be undone.")
}

func TestUsageErrors(t *testing.T) {
	r := newRig(t)
	for name, args := range map[string][]string{
		"unknown command": {"vm", "lst"}, "unknown flag": {"vm", "list", "--nope"}, "too few": {"vm", "get"}, "too many": {"vm", "list", "x"},
		"no image": {"vm", "create", "x"}, "bad label": {"vm", "create", "x", "--image", "a", "--flavor", "b", "--tag", "no"},
		"bad member": {"vm", "create", "x", "--image", "a", "--flavor", "b", "--network", "n,foo=bar"}, "absolute URL": {"api", "GET", "https://evil.example.com/"},
		"no such file": {"vm", "create", "x", "-f", "/does/not/exist"}, "grace": {"vm", "stop", ctltest.SampleID, "--grace", "2h"}, "noun": {"nope"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.run(args...)
			require.Equal(t, 2, got.code, got.errOut)
			require.True(t, strings.HasPrefix(got.errOut, "error: "), got.errOut)
		})
	}
	require.Contains(t, r.run("vm", "lst").errOut, "Did you mean: hcpctl vm list")
	require.Contains(t, r.run("vm", "create", "x", "-f", r.file("x.yaml", "image: y\n")).errOut, `unknown field "image"`)
}

// The only project there is needs no choice.
func TestTheOnlyProject(t *testing.T) {
	r := newRig(t)
	delete(r.env, "HCP_PROJECT")
	r.ok("vm", "list")
	require.Contains(t, r.server.Requests("listVMs")[0].URL, ctltest.SampleID)
	r.server.Handle("listProjects", answering(map[string]any{"items": []any{map[string]string{"id": "a"}, map[string]string{"id": "b"}}, "next_page_token": ""}))
	got := r.run("vm", "list")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, "hcpctl project use NAME")
}
