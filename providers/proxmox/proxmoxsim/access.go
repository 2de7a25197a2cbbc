package proxmoxsim

import (
	"slices"
	"strconv"
	"strings"
)

// root may everything.
const root = "root@pam"

// privileges are all that there are to guests, storage, nodes and accounts.
func privileges() []string {
	return []string{
		"Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
		"Group.Allocate", "Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify",
		"Pool.Allocate", "Pool.Audit", "Realm.Allocate", "Realm.AllocateUser", "SDN.Allocate", "SDN.Audit", "SDN.Use",
		"Sys.AccessNetwork", "Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Sys.Syslog",
		"User.Modify", "VM.Allocate", "VM.Audit", "VM.Backup", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU",
		"VM.Config.Cloudinit", "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network",
		"VM.Config.Options", "VM.Console", "VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.FileSystemMgmt",
		"VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.PowerMgmt", "VM.Replicate",
		"VM.Snapshot", "VM.Snapshot.Rollback",
	}
}

func builtInRoles() map[string][]string {
	all := privileges()
	vms := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return !strings.HasPrefix(p, "VM.") })
	audit := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return !strings.HasSuffix(p, ".Audit") })
	return map[string][]string{
		"Administrator":    all,
		"NoAccess":         {},
		"PVEVMAdmin":       vms,
		"PVEAuditor":       audit,
		"PVEDatastoreUser": {"Datastore.AllocateSpace", "Datastore.Audit"},
		"PVESDNUser":       {"SDN.Audit", "SDN.Use"},
		"PVEVMUser": {
			"VM.Audit", "VM.Backup", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.GuestAgent.Audit", "VM.PowerMgmt",
		},
		"PVEAdmin": slices.DeleteFunc(slices.Clone(all), func(p string) bool {
			return slices.Contains([]string{"Permissions.Modify", "Realm.Allocate", "Sys.PowerMgmt", "Sys.Modify", "Sys.AccessNetwork"}, p)
		}),
	}
}

func (st *state) addUser(u User) {
	account := &user{ID: u.ID, Password: u.Password, Enabled: true, Tokens: map[string]*apiToken{}}
	for path, role := range u.Grants {
		st.acl = append(st.acl, grant{Path: path, Who: u.ID, Role: role, Propagate: true})
	}
	for _, t := range u.Tokens {
		account.Tokens[t.Name] = &apiToken{Secret: t.Secret, PrivSep: t.PrivSep}
		for path, role := range t.Grants {
			st.acl = append(st.acl, grant{Path: path, Who: u.ID + "!" + t.Name, Role: role, Propagate: true})
		}
	}
	st.users[u.ID] = account
}

// permits reports whether a caller has a privilege at a path.
func (st *state) permits(who identity, path, privilege string) bool {
	return slices.Contains(st.privilegesAt(who, path), privilege)
}

// privilegesAt are a caller's privileges at a path. A token with privilege
// separation has what both it and its user have.
func (st *state) privilegesAt(who identity, path string) []string {
	of := st.granted(who.user, path)
	if who.token == "" {
		return of
	}
	account := st.users[who.user]
	if account == nil || account.Tokens[who.token] == nil {
		return nil
	}
	if !account.Tokens[who.token].PrivSep {
		return of
	}
	own := st.granted(who.name(), path)
	return slices.DeleteFunc(slices.Clone(own), func(p string) bool { return !slices.Contains(of, p) })
}

// granted are the privileges of one user or token at a path: those of the
// deepest level that says something of it, and those of the pools that hold a VM.
func (st *state) granted(who, path string) []string {
	if who == root {
		return privileges()
	}
	out := st.grantedAt(who, path)
	if id, ok := strings.CutPrefix(path, "/vms/"); ok {
		vmid, err := strconv.Atoi(id)
		for _, p := range st.pools {
			if err == nil && slices.Contains(p.Members, vmid) {
				out = append(slices.Clone(out), st.grantedAt(who, "/pool/"+p.ID)...)
			}
		}
	}
	return out
}

func (st *state) grantedAt(who, path string) []string {
	var out []string
	for _, level := range levels(path) {
		var here []string
		found := false
		for _, g := range st.acl {
			if g.Who == who && g.Path == level && (g.Propagate || level == path) {
				found = true
				here = append(here, st.roles[g.Role]...)
			}
		}
		if found {
			out = here
		}
	}
	return out
}

// levels are the paths from the root to a path: "/", "/vms", "/vms/101".
func levels(path string) []string {
	out := []string{"/"}
	at := ""
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part != "" {
			at += "/" + part
			out = append(out, at)
		}
	}
	return out
}

// expand puts the values of a path's variables in.
func expand(template string, vars map[string]string) string {
	for name, value := range vars {
		template = strings.ReplaceAll(template, "{"+name+"}", value)
	}
	return template
}
