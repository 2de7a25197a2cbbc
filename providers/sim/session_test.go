package sim_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// crowd makes many calls at once and returns their errors.
func crowd(t *testing.T, a providers.Provider) []error {
	t.Helper()
	errs := make([]error, 40)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = a.Info(t.Context()) })
	}
	wg.Wait()
	return errs
}

func (p *peer) logins(t *testing.T) uint64 {
	t.Helper()
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	return stats.Logins
}

func (p *peer) endSessions(t *testing.T) {
	t.Helper()
	require.NoError(t, p.SetCredentials(t.Context(), false))
	require.NoError(t, p.SetCredentials(t.Context(), true))
}

func TestAllCallsShareOneLogin(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	for round := uint64(1); round <= 3; round++ {
		for _, err := range crowd(t, a) {
			require.NoError(t, err)
		}
		require.Equal(t, round, p.logins(t), "logins after sessions ended %d times", round-1)
		p.endSessions(t)
	}
}

func TestAnExpiredSessionIsRenewed(t *testing.T) {
	p := start(t, simhv.Options{SessionTTL: 300 * time.Millisecond})
	a := p.open(t)
	within(t, 10*time.Second, "a session has expired and was renewed", func() bool {
		_, err := a.Info(t.Context())
		require.NoError(t, err)
		return p.logins(t) == 2
	})
}

func TestRevokedCredentialsMakeNoStormOfLogins(t *testing.T) {
	p := start(t, simhv.Options{})
	p.options[sim.OptionLoginCooldown] = "10m"
	a := p.open(t)
	_, err := a.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.SetCredentials(t.Context(), false))
	for range 5 {
		for _, err := range crowd(t, a) {
			require.Equal(t, providers.Unauthenticated, providers.CodeOf(err), "%v", err)
		}
	}
	require.Equal(t, uint64(2), p.logins(t), "one login that was good, one that was refused")
}

func TestAWrongPasswordMakesNoStormOfLogins(t *testing.T) {
	p := start(t, simhv.Options{Username: "hcp", Password: "right"})
	p.options[sim.OptionLoginCooldown] = "10m"
	a := p.open(t)
	for range 5 {
		for _, err := range crowd(t, a) {
			require.Equal(t, providers.Unauthenticated, providers.CodeOf(err), "%v", err)
			require.NotContains(t, err.Error(), p.creds.Password)
		}
	}
	require.Equal(t, uint64(1), p.logins(t))
	p.creds.Password = "right"
	_, err := p.open(t).Info(t.Context())
	require.NoError(t, err)
}

func TestAfterTheCooldownALoginIsTriedAgain(t *testing.T) {
	p := start(t, simhv.Options{})
	p.options[sim.OptionLoginCooldown] = "20ms"
	a := p.open(t)
	require.NoError(t, p.SetCredentials(t.Context(), false))
	_, err := a.Info(t.Context())
	require.Equal(t, providers.Unauthenticated, providers.CodeOf(err))
	require.NoError(t, p.SetCredentials(t.Context(), true))
	within(t, 5*time.Second, "the provider is reached again", func() bool {
		_, err := a.Info(t.Context())
		return err == nil
	})
}

// TestSessionsThatAreNeverGoodMakeNoStorm has logins succeed and every call
// refused all the same.
func TestSessionsThatAreNeverGoodMakeNoStorm(t *testing.T) {
	p := start(t, simhv.Options{})
	p.options[sim.OptionLoginCooldown] = "10m"
	a := p.open(t)
	require.NoError(t, p.SetFaults(t.Context(), simadmin.Fault{
		Op: "info", Kind: simadmin.FaultErrorBefore, Status: 401, Code: "unauthenticated", Count: simadmin.Always,
	}))
	for range 20 {
		_, err := a.Info(t.Context())
		require.Equal(t, providers.Unauthenticated, providers.CodeOf(err))
	}
	require.Equal(t, uint64(2), p.logins(t))
}

// TestALoginOutlivesItsCaller lets the caller that started a login leave; the
// others get their session.
func TestALoginOutlivesItsCaller(t *testing.T) {
	p := start(t, simhv.Options{})
	a := p.open(t)
	require.NoError(t, p.SetFaults(t.Context(), simadmin.Fault{Op: "login", Kind: simadmin.FaultHang}))
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := a.Info(ctx); first <- err }()
	within(t, 5*time.Second, "the login hangs", func() bool { return p.logins(t) == 1 })
	leave()
	require.ErrorIs(t, <-first, context.Canceled)

	second := make(chan error, 1)
	go func() { _, err := a.Info(t.Context()); second <- err }()
	require.NoError(t, p.ClearFaults(t.Context()))
	require.NoError(t, <-second)
	require.Equal(t, uint64(1), p.logins(t))
}

func TestACallEndsAtItsOwnDeadline(t *testing.T) {
	p := start(t, simhv.Options{})
	p.options[sim.OptionCallTimeout] = "50ms"
	a := p.open(t)
	_, err := a.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.SetFaults(t.Context(), simadmin.Fault{Op: "info", Kind: simadmin.FaultHang, Count: simadmin.Always}))
	began := time.Now()
	_, err = a.Info(t.Context()) // no deadline of the caller's
	require.Equal(t, providers.DeadlineExceeded, providers.CodeOf(err))
	require.Less(t, time.Since(began), 30*time.Second)
}

func TestAHypervisorThatIsGoneIsUnavailable(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	a, err := sim.Factory().Open(t.Context(), providers.Config{ProviderID: "p", InstallationID: installation, URL: srv.URL})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	_, err = a.FindVM(t.Context(), models.NewID())
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
}

func TestOpenRefusesBadSettings(t *testing.T) {
	good := func() providers.Config {
		return providers.Config{ProviderID: "p", InstallationID: installation, URL: "http://127.0.0.1:1", Options: map[string]string{}}
	}
	for name, spoil := range map[string]func(*providers.Config){
		"no URL":                func(c *providers.Config) { c.URL = "" },
		"another scheme":        func(c *providers.Config) { c.URL = "ftp://127.0.0.1" },
		"no host":               func(c *providers.Config) { c.URL = "http:///path" },
		"credentials in URL":    func(c *providers.Config) { c.URL = "http://u:hunter2@127.0.0.1" },
		"unparsable with creds": func(c *providers.Config) { c.URL = "http://u:hunter2@127.0.0.1:x" },
		"a query":               func(c *providers.Config) { c.URL = "http://127.0.0.1?a=b" },
		"no installation":       func(c *providers.Config) { c.InstallationID = "" },
		"unknown option":        func(c *providers.Config) { c.Options["colour"] = "red" },
		"bad duration":          func(c *providers.Config) { c.Options[sim.OptionCallTimeout] = "soon" },
		"negative duration":     func(c *providers.Config) { c.Options[sim.OptionCallTimeout] = "-1s" },
		"long duration":         func(c *providers.Config) { c.Options[sim.OptionLoginCooldown] = "11m" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			a, err := sim.Factory().Open(t.Context(), cfg)
			require.Nil(t, a)
			var e *providers.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, providers.InvalidArgument, e.Code)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	a, err := sim.Factory().Open(t.Context(), good())
	require.NoError(t, err)
	require.NoError(t, a.Close())
}
