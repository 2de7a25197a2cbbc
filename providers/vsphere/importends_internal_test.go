package vsphere

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestDeathAnywhereWhileImporting ends the provider before each call of the making of a
// VM from an OVF item. Another one goes on.
func TestDeathAnywhereWhileImporting(t *testing.T) {
	t.Parallel()
	s, probe, ids := libraryPeer(t)
	var g trigger
	s.Before(g.pull)
	died := true
	for n := 1; died; n += 3 {
		item, err := s.AddOVF(t.Context(), ids["lib"], models.NewID(), ovfGiB)
		require.NoError(t, err)
		req := newRequest()
		req.Image.Ref = libraryPrefix + item
		var closing sync.WaitGroup
		first, next := openWith(t, testConfig(s, nil)), openWith(t, testConfig(s, nil))
		g.arm(n, func() { closing.Go(func() { _ = first.Close() }) })
		makeAnyhow(t, func() *Provider {
			if first.session.transport.closed.Load() || !g.armed() {
				return next
			}
			return first
		}, req)
		closing.Wait()
		died = !g.armed()
		require.NoError(t, first.Close())
		require.NoError(t, next.Close())
		wantAsAsked(t, found(t, probe, req.VMID), req)
		_, unfinished := imports(s)
		require.Empty(t, unfinished)
		require.NoError(t, s.RemoveItem(t.Context(), item))
	}
	page, err := probe.ListVMs(t.Context(), providers.PageRequest{Limit: 1000})
	require.NoError(t, err)
	require.Equal(t, len(page.VMs), vmsWithout(s, importPrefix, vspheresim.Template, "vmtx"))
}

// vmsWithout counts the VMs whose names do not begin so.
func vmsWithout(s *vspheresim.Server, prefixes ...string) int {
	n := 0
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if ok && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(vm.Name, p) }) {
			n++
		}
	}
	return n
}

// TestSessionsEndWhileImporting ends both sessions before each call.
func TestSessionsEndWhileImporting(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	var g trigger
	s.Before(g.pull)
	ended := true
	for n := 1; ended; n += 3 {
		item, err := s.AddOVF(t.Context(), ids["lib"], models.NewID(), ovfGiB)
		require.NoError(t, err)
		req := newRequest()
		req.Image.Ref = libraryPrefix + item
		g.arm(n, func() {
			s.EndRESTSessions()
			if err := s.EndSessions(t.Context()); err != nil {
				t.Error(err)
			}
		})
		makeAnyhow(t, func() *Provider { return p }, req)
		ended = !g.armed()
		wantAsAsked(t, found(t, p, req.VMID), req)
	}
}

// TestAnswersAreLostWhileImporting loses one answer of each method.
func TestAnswersAreLostWhileImporting(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	s.Forget()
	makeAnyhow(t, func() *Provider { return p }, fromLibrary("ovf"))
	var seen []string
	for _, c := range s.Calls() {
		if !slices.Contains(seen, c.Method) && c.Method != "Login" && c.Method != "RetrieveServiceContent" {
			seen = append(seen, c.Method)
		}
	}
	require.Contains(t, seen, deployCall)
	require.Contains(t, seen, "MarkAsTemplate")
	for _, method := range seen {
		s, p, _ := libraryPeer(t)
		s.LoseAnswer(method)
		req := fromLibrary("ovf")
		makeAnyhow(t, func() *Provider { return p }, req)
		wantAsAsked(t, found(t, p, req.VMID), req)
		wantOneImport(t, s)
		require.Equal(t, 1, vmsWithout(s, importPrefix, vspheresim.Template, "vmtx"), method)
	}
}
