package vspheresim

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// account is one that has only some privileges, on the whole inventory.
type account struct {
	password   string
	privileges []string
}

// AddAccount adds an account that has these privileges and no others, on the root of
// the inventory and all below it.
func (s *Server) AddAccount(username, password string, privileges ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts == nil {
		s.accounts = map[string]account{}
	}
	s.accounts[username] = account{password: password, privileges: slices.Clone(privileges)}
}

// knows reports whether a login names an account, with its password.
func (s *Server) knows(login *types.Login) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.accounts[login.UserName]; ok {
		return login.Password == a.password
	}
	return login.UserName == Username && login.Password == Password
}

// account returns an account with only some privileges; ok is false for one that has
// all of them.
func (s *Server) account(username string) (a account, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok = s.accounts[username]
	return a, ok
}

// gate refuses a call whose caller lacks a privilege that it needs, as vCenter does
// before the call does anything. The library's simulator checks none.
func (s *Server) gate(ctx *simulator.Context, call *simulator.Method) types.BaseMethodFault {
	a, limited := s.account(ctx.Session.UserName)
	if !limited {
		return nil
	}
	if !slices.Contains(a.privileges, "System.View") {
		unseen(call)
	}
	missing := map[types.ManagedObjectReference][]string{}
	var fault types.NoPermission
	for _, n := range neededFor(ctx, call) {
		if slices.Contains(a.privileges, n.privilege) || slices.Contains(missing[n.on], n.privilege) {
			continue
		}
		missing[n.on] = append(missing[n.on], n.privilege)
		if fault.Object == nil {
			on := n.on
			fault.Object, fault.PrivilegeId = &on, n.privilege
		}
	}
	if fault.Object == nil {
		return nil
	}
	for on, privileges := range missing {
		fault.MissingPrivileges = append(fault.MissingPrivileges, types.NoPermissionEntityPrivileges{Entity: on, PrivilegeIds: privileges})
	}
	slices.SortFunc(fault.MissingPrivileges, func(a, b types.NoPermissionEntityPrivileges) int {
		return strings.Compare(a.Entity.String(), b.Entity.String())
	})
	return &fault
}

// unseen makes a search find nothing, as it does for who may not see what is there.
func unseen(call *simulator.Method) {
	switch req := call.Body.(type) {
	case *types.FindAllByUuid:
		req.Uuid = "unseen"
	case *types.FindByInventoryPath:
		req.InventoryPath = "/unseen"
	case *types.CreateContainerView:
		req.Type = []string{"VirtualApp"} // there is none
	}
}
