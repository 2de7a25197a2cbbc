package proxmoxsim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func TestCredentialsAreRefusedInTheRealWords(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	for _, tc := range []struct {
		name    string
		headers map[string]string
		want    string
	}{
		{"nothing", nil, "No ticket"},
		{"no such user", map[string]string{"Authorization": "PVEAPIToken=x@pve!t=1"}, "no such user ('x@pve')"},
		{"no such token", map[string]string{"Authorization": "PVEAPIToken=root@pam!t=1"}, "no such token 't' for user 'root@pam'"},
		{"a wrong secret", map[string]string{"Authorization": "PVEAPIToken=root@pam!hcp=1"}, "invalid token value!"},
		{"a forged ticket", map[string]string{"Cookie": "PVEAuthCookie=PVE:root@pam:00000000::x"}, "permission denied - invalid PVE ticket"},
	} {
		out := c.with(tc.headers).do(http.MethodGet, "/nodes")
		require.Equal(t, []any{401, tc.want}, []any{out.status, out.reason}, tc.name)
	}
	out := c.with(nil).do(http.MethodPost, "/access/ticket", "username", "root@pam", "password", "wrong")
	require.Equal(t, []any{401, "authentication failure"}, []any{out.status, out.reason})
	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 1}, []uint64{stats.Logins, stats.LoginsRefused})
}

// login returns a caller with a ticket, and the same one without the token
// against forged requests, and the ticket.
func login(t *testing.T, c *cluster, password string) (whole, bare *cluster, ticket string) {
	t.Helper()
	out := c.with(nil).do(http.MethodPost, "/access/ticket", "username", "root@pam", "password", password)
	require.Equal(t, 200, out.status, out.reason)
	data, ok := out.Data.(map[string]any)
	require.True(t, ok)
	ticket, ok = data["ticket"].(string)
	require.True(t, ok)
	csrf, ok := data["CSRFPreventionToken"].(string)
	require.True(t, ok)
	cookie := "PVEAuthCookie=" + ticket
	return c.with(map[string]string{"Cookie": cookie, "CSRFPreventionToken": csrf}), c.with(map[string]string{"Cookie": cookie}), ticket
}

func TestATicketWritesOnlyWithItsOtherToken(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{SnippetUpload: true})
	whole, bare, ticket := login(t, c, proxmoxsim.DefaultPassword)
	require.Equal(t, 200, bare.do(http.MethodGet, "/nodes").status, "reading needs the ticket alone")
	path := "/nodes/pve1/storage/shared/content/shared:snippets/x"
	out := bare.do(http.MethodDelete, path)
	require.Equal(t, []any{401, "Permission denied - invalid csrf token"}, []any{out.status, out.reason})
	require.Equal(t, 200, whole.do(http.MethodDelete, path).status)

	renewed, _, _ := login(t, c, ticket)
	require.Equal(t, 200, renewed.do(http.MethodGet, "/nodes").status, "a ticket is renewed by itself")
}

func TestATicketEnds(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{TicketTTL: time.Nanosecond})
	whole, _, _ := login(t, c, proxmoxsim.DefaultPassword)
	require.Equal(t, 401, whole.do(http.MethodGet, "/nodes").status)
}

func TestPrivilegesAreThoseOfTheDeepestGrant(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{Users: []proxmoxsim.User{
		{
			ID: "op@pve", Grants: map[string]string{"/": "PVEAuditor", "/vms/100": "NoAccess", "/nodes/pve2": "NoAccess"},
			Tokens: []proxmoxsim.Token{
				{Name: "all", Secret: "a"},
				{Name: "few", Secret: "f", PrivSep: true, Grants: map[string]string{"/vms": "PVEVMAdmin"}},
			},
		},
		{ID: "root@pam", Password: "x"},
	}})
	for _, name := range []string{"hidden", "seen"} {
		_, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: name})
		require.NoError(t, err)
	}
	all, few := c.token("op@pve!all=a"), c.token("op@pve!few=f")
	require.Equal(t, []any{"seen", "debian-12"}, column(all.rows("/cluster/resources", "type", "vm"), "name"))
	require.Equal(t, []any{"seen", "debian-12"}, column(few.rows("/cluster/resources", "type", "vm"), "name"))
	require.Equal(t, 200, all.do(http.MethodGet, "/nodes/pve1/status").status)
	out := all.do(http.MethodGet, "/nodes/pve2/status")
	require.Equal(t, []any{403, "Permission check failed (/nodes/pve2, Sys.Audit)"}, []any{out.status, out.reason})
	out = few.do(http.MethodGet, "/nodes/pve1/status")
	require.Equal(t, []any{403, "Permission check failed (/nodes/pve1, Sys.Audit)"}, []any{out.status, out.reason})
	require.Equal(t, map[string]any{"/vms/101": map[string]any{"VM.Audit": 1.0, "VM.GuestAgent.Audit": 1.0}},
		few.get("/access/permissions", "path", "/vms/101"), "what its user may and it may")
}

func TestAllCredentialsAreRefusedOnDemand(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	require.NoError(t, c.SetCredentials(t.Context(), false))
	out := c.do(http.MethodGet, "/nodes")
	require.Equal(t, []any{401, "authentication failure"}, []any{out.status, out.reason})
	require.NoError(t, c.SetCredentials(t.Context(), true))
	require.Equal(t, 200, c.do(http.MethodGet, "/nodes").status)
}

// What a caller may not see is missing in a list, without a word.
func TestListsHaveWhatTheCallerMaySee(t *testing.T) {
	user := func(id string, privileges map[string]string) proxmoxsim.User {
		return proxmoxsim.User{ID: id, Grants: privileges, Tokens: []proxmoxsim.Token{{Name: "t", Secret: "s"}}}
	}
	c, pve := serve(t, proxmoxsim.Options{
		Roles: map[string][]string{
			"Space": {"Datastore.AllocateSpace"}, "Storage": {"Datastore.Audit"}, "Node": {"Sys.Audit"},
			"Disks": {"Datastore.Audit", "VM.Config.Disk"}, "Master": {"Datastore.Allocate", "Datastore.Audit"},
		},
		Users: []proxmoxsim.User{
			user("space@pve", map[string]string{"/": "Space"}), user("storage@pve", map[string]string{"/": "Storage"}),
			user("node@pve", map[string]string{"/nodes/pve1": "Node"}), user("disks@pve", map[string]string{"/": "Disks"}),
			user("master@pve", map[string]string{"/storage": "Master"}),
		},
	})
	_, err := pve.AddVolume("shared", "pve1", 500, 1<<30)
	require.NoError(t, err)
	for who, want := range map[string]struct {
		storages, sized, images int
	}{
		"space": {}, "storage": {storages: 9}, "node": {sized: 1}, "disks": {storages: 9, images: 3}, "master": {storages: 9, images: 3},
	} {
		caller := c.token(who + "@pve!t=s")
		require.Len(t, caller.rows("/cluster/resources", "type", "storage"), want.storages, who)
		nodes := caller.rows("/cluster/resources", "type", "node")
		require.Len(t, nodes, 3, who)
		sized := 0
		for _, size := range column(nodes, "maxcpu") {
			if size != nil {
				sized++
			}
		}
		require.Equal(t, want.sized, sized, who)
		if who != "node" {
			require.Len(t, caller.rows("/nodes/pve1/storage/shared/content", "content", "images"), want.images, who)
		}
	}
}
