package vsphere

import (
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestSessionEndsMidway ends the session under twenty callers: they share one login,
// and none of them notices.
func TestSessionEndsMidway(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	if m, err := p.find(t.Context(), "Find", testVM); m != nil || err != nil {
		t.Fatalf("find: %v, %v", m, err)
	}
	if err := s.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if m, err := p.find(t.Context(), "Find", testVM); m != nil || err != nil {
				t.Errorf("find: %v, %v", m, err)
			}
		})
	}
	group.Wait()
	if n := s.Count("Login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestSessionEndsUnderPropertyCollector covers the one service that answers without a
// session: it says of each property why it is missing.
func TestSessionEndsUnderPropertyCollector(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	if _, err := p.taskInfo(t.Context(), "Task", "task-none"); !isGone(err) {
		t.Fatalf("err = %v", err)
	}
	ref := s.Model.Map().Any("VirtualMachine").Reference()
	if err := s.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	vm, err := p.readVM(t.Context(), "Read", ref)
	if err != nil || vm.Name != vspheresim.Template {
		t.Errorf("vm = %q, err = %v", vm.Name, err)
	}
	if n := s.Count("Login"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

// TestRefusedPasswordIsNotTriedAgain has one login for many calls: refusals in a row
// lock accounts.
func TestRefusedPasswordIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	cfg := testConfig(s, map[string]string{optCoolDown: "1h"})
	cfg.Credentials.Password = "not-the-password"
	p := openWith(t, cfg)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := p.find(t.Context(), "Find", testVM)
			wantCode(t, "find", err, providers.Unauthenticated)
			if strings.Contains(err.Error(), cfg.Credentials.Password) {
				t.Error("the password is in the error")
			}
		})
	}
	group.Wait()
	if n := s.Count("Login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// TestNewSessionIsRefusedAtOnce has a server that takes every login and no call: that
// is no reason to log in for ever.
func TestNewSessionIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	s.Service.AddFaultRule(&simulator.FaultInjectionRule{
		MethodName: "FindAllByUuid", ObjectType: "*", ObjectName: "*", Probability: 1, Enabled: true,
		FaultType: simulator.FaultTypeNotAuthenticated,
	})
	p := openWith(t, testConfig(s, map[string]string{optCoolDown: "1h"}))
	for range 5 {
		_, err := p.find(t.Context(), "Find", testVM)
		wantCode(t, "find", err, providers.Unauthenticated)
	}
	if n := s.Count("Login"); n > 2 {
		t.Errorf("%d logins, want at most 2", n)
	}
}

// TestCloseLogsOut leaves no session on the server.
func TestCloseLogsOut(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	p := openWith(t, testConfig(s, nil))
	if _, err := p.find(t.Context(), "Find", testVM); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.Count("Logout"); n != 1 {
		t.Errorf("%d logouts, want 1", n)
	}
	_, err := p.find(t.Context(), "Find", testVM)
	wantCode(t, "find after close", err, providers.Unavailable)
}

// TestSignsOfLife keeps an idle session alive.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	seen := make(chan struct{}, 1000)
	s.Before(func(c vspheresim.Call) {
		if c.Method == "CurrentTime" {
			seen <- struct{}{}
		}
	})
	p := openWith(t, testConfig(s, map[string]string{optKeepAlive: "5ms"}))
	if _, err := p.find(t.Context(), "Find", testVM); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case <-seen:
		case <-deadline(t):
			t.Fatal("no sign of life")
		}
	}
}

// TestTrust knows the server by its thumbprint or by its CA, and by nothing else.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	byCA := testConfig(s, nil)
	delete(byCA.Options, optThumbprint)
	unknown := byCA
	byCA.Credentials.CACert = s.CertificatePEM()
	wrong := testConfig(s, map[string]string{optThumbprint: strings.Repeat("00:", 31) + "00"})
	for _, c := range []struct {
		name string
		cfg  providers.Config
		want providers.Code
	}{
		{"by thumbprint", testConfig(s, nil), ""},
		{"by CA", byCA, ""},
		{"by another thumbprint", wrong, providers.Unauthenticated},
		{"by the system's CAs", unknown, providers.Unauthenticated},
	} {
		_, err := openWith(t, c.cfg).find(t.Context(), "Find", testVM)
		if (err == nil) != (c.want == "") || (err != nil && err.Code != c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestESXi logs in at a host that stands alone.
func TestESXi(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{ESXi: true})
	p := openWith(t, testConfig(s, nil))
	if m, err := p.find(t.Context(), "Find", testVM); m != nil || err != nil {
		t.Fatalf("find: %v, %v", m, err)
	}
	_, err := p.taskInfo(t.Context(), "Task", "haTask-1-vim.VirtualMachine.powerOn-7")
	wantCode(t, "a task that is not there", err, providers.NotFound)
}
