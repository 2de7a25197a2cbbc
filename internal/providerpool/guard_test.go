package providerpool

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// scripted is an adapter whose FindVM answers what a test says.
type scripted struct {
	providers.Provider
	calls  int
	err    error
	closed int
}

func (s *scripted) FindVM(context.Context, string) (providers.VM, error) {
	s.calls++
	return providers.VM{}, s.err
}

func (s *scripted) PollTask(context.Context, providers.TaskRef) (providers.TaskStatus, error) {
	return providers.TaskStatus{Done: true, Err: s.err}, nil
}

func (s *scripted) Close() error { s.closed++; return nil }

func code(c providers.Code) error { return &providers.Error{Code: c, Message: "m"} }

func guardOf(s *scripted, pause time.Duration) *guarded {
	c := Breaker{Pause: pause}.withDefaults()
	return guard(s, "p", "sim", secretsOf(models.Credentials{}, ""), c, slog.New(slog.DiscardHandler))
}

func TestBreakerOpensProbesAndCloses(t *testing.T) {
	s := &scripted{err: code(providers.Unavailable)}
	g := guardOf(s, 100*time.Millisecond)
	for range 5 {
		_, err := g.FindVM(t.Context(), "vm")
		require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	}
	_, err := g.FindVM(t.Context(), "vm")
	require.Equal(t, 5, s.calls, "the call fails without being made")
	var e *providers.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, providers.Unavailable, e.Code)
	require.Positive(t, e.RetryAfter, "the step learns when to come back")

	s.err = nil
	require.Eventually(t, func() bool { _, err := g.FindVM(t.Context(), "vm"); return err == nil }, 30*time.Second, 5*time.Millisecond)
	for range 3 {
		_, err := g.FindVM(t.Context(), "vm")
		require.NoError(t, err)
	}
	s.err = code(providers.Unavailable)
	before := s.calls
	_, err = g.FindVM(t.Context(), "vm")
	require.Error(t, err)
	require.Equal(t, before+1, s.calls, "closed again: one failure does not open it")
}

func TestBreakerOpensAgainWhenTheProbeFails(t *testing.T) {
	s := &scripted{err: code(providers.DeadlineExceeded)}
	g := guardOf(s, 50*time.Millisecond)
	for range 5 {
		_, err := g.FindVM(t.Context(), "vm")
		require.Error(t, err)
	}
	require.Eventually(t, func() bool { _, _ = g.FindVM(t.Context(), "vm"); return s.calls == 6 }, 30*time.Second, 5*time.Millisecond)
	_, err := g.FindVM(t.Context(), "vm")
	require.Error(t, err)
	require.Equal(t, 6, s.calls)
}

// TestBreakerCountsOnlyUnreachable: a provider that answers, if only with a
// refusal, is up, and a caller that leaves says nothing of it.
func TestBreakerCountsOnlyUnreachable(t *testing.T) {
	for _, c := range providers.Codes() {
		if c == providers.Unavailable || c == providers.DeadlineExceeded {
			continue
		}
		s := &scripted{err: code(c)}
		g := guardOf(s, time.Hour)
		for range 20 {
			_, err := g.FindVM(t.Context(), "vm")
			require.Equal(t, c, providers.CodeOf(err))
		}
		require.Equal(t, 20, s.calls)
	}
	s := &scripted{err: code(providers.Unavailable)}
	g := guardOf(s, time.Hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		_, err := g.FindVM(gone, "vm")
		require.Error(t, err)
	}
	require.Equal(t, 20, s.calls)
}

// TestSecretsDoNotLeaveInErrors: whatever a library puts into an error, in
// whatever form it travels.
func TestSecretsDoNotLeaveInErrors(t *testing.T) {
	creds := models.Credentials{Username: "root", Password: "p@ss word", Token: "tok/en", ClientKey: "-----KEY-----"}
	s := &scripted{}
	g := guard(s, "p", "sim", secretsOf(creds, "https://root:inurl@host/"), Breaker{}.withDefaults(), slog.New(slog.DiscardHandler))
	for _, leak := range []string{
		creds.Password, creds.Token, creds.ClientKey, "inurl", url.QueryEscape(creds.Password), url.PathEscape(creds.Token),
		base64.StdEncoding.EncodeToString([]byte("root:" + creds.Password)),
	} {
		for _, err := range []error{
			errors.New("raw: " + leak),
			&providers.Error{Code: providers.Aborted, Provider: "sim", Op: "FindVM", Message: "m " + leak, RetryAfter: time.Second, Err: errors.New("inner " + leak)},
		} {
			s.err = err
			_, got := g.FindVM(t.Context(), "vm")
			require.NotContains(t, got.Error(), leak)
			require.Equal(t, providers.CodeOf(err), providers.CodeOf(got))
			for e := got; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, e.Error(), leak)
			}
			st, err := g.PollTask(t.Context(), "t")
			require.NoError(t, err)
			require.NotContains(t, st.Err.Error(), leak)
		}
	}
	clean := code(providers.Aborted)
	s.err = clean
	_, got := g.FindVM(t.Context(), "vm")
	require.Same(t, clean, got, "an error without a secret is passed on as it is")
}
