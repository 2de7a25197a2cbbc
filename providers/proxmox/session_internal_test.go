package proxmox

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

func withPassword(url, password string, options map[string]string) providers.Config {
	cfg := testConfig(url, options)
	cfg.Credentials = models.Credentials{Username: "root@pam", Password: password}
	return cfg
}

// together makes n calls at once and returns what each said.
func together(t *testing.T, n int, call func(context.Context) *providers.Error) []*providers.Error {
	t.Helper()
	out := make([]*providers.Error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { out[i] = call(t.Context()) })
	}
	wait.Wait()
	return out
}

func version(p *Provider) func(context.Context) *providers.Error {
	return func(ctx context.Context) *providers.Error { return p.get(ctx, "Test", "/version", nil, nil) }
}

func (p peer) logins(t *testing.T) (all, refused uint64) {
	t.Helper()
	st, err := p.admin.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Logins, st.LoginsRefused
}

func TestFiftyCallersShareOneLogin(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{})
	p := openWith(t, withPassword(sim.url, proxmoxsim.DefaultPassword, nil))
	for _, err := range together(t, 50, version(p)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if all, _ := sim.logins(t); all != 1 {
		t.Errorf("%d logins, want 1", all)
	}
}

func TestAWrongPasswordIsTriedOnce(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{})
	p := openWith(t, withPassword(sim.url, "wrong", map[string]string{optCoolDown: "1h"}))
	for range 3 {
		for _, err := range together(t, 50, version(p)) {
			if !hasCode(err, providers.Unauthenticated) {
				t.Fatalf("%v, want Unauthenticated", err)
			}
		}
	}
	if all, refused := sim.logins(t); all != 1 || refused != 1 {
		t.Errorf("%d logins, %d refused, want 1 of each", all, refused)
	}
}

// A ticket that ends early is replaced by one login for all, and a write that was
// refused for it is sent again.
func TestATicketThatEndsIsReplacedOnce(t *testing.T) {
	var logins, good atomic.Int64
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/access/ticket") {
			n := logins.Add(1)
			good.Store(n)
			_, _ = w.Write([]byte(`{"data":{"ticket":"PVE:root@pam:` + string(rune('0'+n)) + `","CSRFPreventionToken":"x:` + string(rune('0'+n)) + `"}}`))
			return
		}
		c, err := r.Cookie("PVEAuthCookie")
		if err != nil || c.Value != "PVE:root@pam:"+string(rune('0'+good.Load())) {
			refuse(t, w, "401 permission denied - invalid PVE ticket")
			return
		}
		if r.Method != http.MethodGet && r.Header.Get("CSRFPreventionToken") == "" {
			refuse(t, w, "401 Permission denied - invalid csrf token")
			return
		}
		_, _ = w.Write([]byte(`{"data":null}`))
	})
	p := openWith(t, withPassword(url, "secret", nil))
	clock := time.Now()
	var mu sync.Mutex
	p.transport.session.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	if err := version(p)(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	clock = clock.Add(time.Hour)
	mu.Unlock()
	good.Store(5) // what was given out is good no more
	post := func(ctx context.Context) *providers.Error {
		return p.post(ctx, "Test", "/nodes/pve1/qemu/100/status/start", params{"timeout": 1}, nil)
	}
	for _, err := range together(t, 50, post) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := logins.Load(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

func TestATicketIsRenewedBeforeItEnds(t *testing.T) {
	secrets := make(chan string, 10)
	s := &session{
		credentials: models.Credentials{Username: "root@pam", Password: "secret"}, coolDown: time.Minute, timeout: time.Minute,
		login: func(_ context.Context, secret string) (ticket, error) {
			secrets <- secret
			return ticket{value: "ticket after " + secret}, nil
		},
	}
	clock := time.Now()
	s.now = func() time.Time { return clock }
	first, err := s.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-secrets
	s.mu.Lock()
	clock = clock.Add(renewAfter)
	s.mu.Unlock()
	again, err := s.take(t.Context())
	if err != nil || again.ticket != first.ticket {
		t.Errorf("the caller that begins the renewal got %v, %v, want the ticket that is still good", again.ticket, err)
	}
	if got := <-secrets; got != first.ticket.value {
		t.Error("the renewal does not use the ticket")
	}
}

// A token that is revoked and given back: while it is refused, the hypervisor is
// asked once for each cool-down, and it is found good again without a restart.
func TestARevokedTokenMakesNoStorm(t *testing.T) {
	var asked atomic.Int64
	var revoked atomic.Bool
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if revoked.Load() {
			refuse(t, w, "401 no such token 'hcp' for user 'root@pam'")
			return
		}
		_, _ = w.Write([]byte(`{"data":{}}`))
	})
	p := openWith(t, testConfig(url, map[string]string{optCoolDown: "1m"}))
	clock := time.Now()
	var mu sync.Mutex
	p.transport.session.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}
	later := func() {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(time.Minute)
	}
	revoked.Store(true)
	wantCode(t, "the first call", version(p)(t.Context()), providers.Unauthenticated)
	for cool := int64(1); cool <= 3; cool++ {
		for _, err := range together(t, 50, version(p)) {
			wantCode(t, "a call", err, providers.Unauthenticated)
		}
		if n := asked.Load(); n != cool {
			t.Fatalf("the hypervisor was asked %d times in %d cool-downs", n, cool)
		}
		later()
		wantCode(t, "the probe", version(p)(t.Context()), providers.Unauthenticated)
	}
	revoked.Store(false)
	later()
	if err := version(p)(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range together(t, 50, version(p)) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretsAreInNoError(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{})
	cfg := testConfig(sim.url, nil)
	cfg.Credentials.Token = "root@pam!hcp=not-the-secret"
	err := version(openWith(t, cfg))(t.Context())
	wantCode(t, "a wrong token", err, providers.Unauthenticated)
	if strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("%v holds the token", err)
	}
	err = version(openWith(t, withPassword(sim.url, "not-the-secret", nil)))(t.Context())
	wantCode(t, "a wrong password", err, providers.Unauthenticated)
	if strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("%v holds the password", err)
	}
}
