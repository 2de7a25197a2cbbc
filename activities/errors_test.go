package activities

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// TestEachCodeHasItsFate is the table of what becomes of a provider's code: the
// job's error, and whether the step waits, tries a few times, or fails at once.
func TestEachCodeHasItsFate(t *testing.T) {
	const wait, few, once = "waits", "three tries", "fails at once"
	table := map[providers.Code]struct {
		job  models.JobErrorCode
		fate string
	}{
		providers.Unknown:            {models.JobUnknownOutcome, few},
		providers.InvalidArgument:    {models.JobProviderRejected, once},
		providers.NotFound:           {models.JobProviderRejected, once},
		providers.AlreadyExists:      {models.JobProviderConflict, once},
		providers.FailedPrecondition: {models.JobProviderConflict, once},
		providers.PermissionDenied:   {models.JobProviderAuthFailed, once},
		providers.Unauthenticated:    {models.JobProviderAuthFailed, wait},
		providers.ResourceExhausted:  {models.JobNoCapacity, once},
		providers.Aborted:            {models.JobProviderConflict, wait},
		providers.Throttled:          {models.JobProviderUnavailable, wait},
		providers.Unavailable:        {models.JobProviderUnavailable, wait},
		providers.DeadlineExceeded:   {models.JobProviderTimeout, few},
		providers.Unimplemented:      {models.JobFeatureNotSupported, once},
		providers.Internal:           {models.JobUnknownOutcome, once},
	}
	require.Len(t, table, len(providers.Codes()))
	for _, code := range providers.Codes() {
		want, ok := table[code]
		require.True(t, ok, code)
		require.Equal(t, want.job, JobCode(string(code)), code)
		fate := once
		switch {
		case waits(code):
			fate = wait
		case bounded(code):
			fate = few
		}
		require.Equal(t, want.fate, fate, code)
		require.True(t, TenantSafe(string(code)))

		app := asApp(t, toTemporal(t.Context(), &providers.Error{Code: code, Message: "m"}, false))
		require.Equal(t, fate == once, app.NonRetryable(), code)
		require.Equal(t, string(code), app.Type())
	}
}

func asApp(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	return app
}

func TestJobCodesStandForThemselves(t *testing.T) {
	for _, code := range []models.JobErrorCode{
		models.JobNoCapacity, models.JobFeatureNotSupported, models.JobProviderUnavailable, models.JobProviderTimeout,
		models.JobProviderAuthFailed, models.JobProviderConflict, models.JobProviderRejected, models.JobImageNotReady,
		models.JobGuestTimeout, models.JobNodeLost, models.JobUnknownOutcome, models.JobDeadlineExceeded,
		models.JobCancelled, models.JobCompensationIncomplete,
	} {
		require.Equal(t, code, JobCode(string(code)))
		require.True(t, TenantSafe(string(code)))
	}
	require.Equal(t, models.JobUnknownOutcome, JobCode("PanicError"))
	require.False(t, TenantSafe("PanicError"))
	require.False(t, TenantSafe(""))
}

// TestMessageIsForTenantsAndCauseForOperators.
func TestMessageIsForTenantsAndCauseForOperators(t *testing.T) {
	cause := errors.New("node-7: " + strings.Repeat("x", 5000))
	app := asApp(t, toTemporal(t.Context(), &providers.Error{Code: providers.Aborted, Message: "the VM is busy", Err: cause}, false))
	require.Equal(t, "the VM is busy", app.Message())
	require.Contains(t, app.Unwrap().Error(), "node-7")
	require.LessOrEqual(t, len(app.Unwrap().Error()), causeLimit+3)

	app = asApp(t, toTemporal(t.Context(), errors.New("raw text of node-7"), false))
	require.NotContains(t, app.Message(), "node-7")
}

func TestRetryDelays(t *testing.T) {
	app := asApp(t, toTemporal(t.Context(), &providers.Error{Code: providers.Throttled, RetryAfter: 7 * time.Second}, false))
	require.Equal(t, 7*time.Second, app.NextRetryDelay())
	app = asApp(t, toTemporal(t.Context(), &providers.Error{Code: providers.Unauthenticated}, false))
	require.Equal(t, slowRetry, app.NextRetryDelay(), "our account is not locked out by retries")
}

func TestCancelledJobIsToldFromLostAttempt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(temporal.NewCanceledError())
	require.ErrorIs(t, toTemporal(ctx, errors.New("any"), false), context.Canceled)

	ctx, cancel = context.WithCancelCause(t.Context())
	cancel(errors.New("worker is now shutdown"))
	app := asApp(t, toTemporal(ctx, context.Canceled, false))
	require.Equal(t, FailureInterrupted, app.Type())
	require.False(t, app.NonRetryable())
}

func TestFromStore(t *testing.T) {
	for err, want := range map[error]string{
		models.ErrNoCapacity:         string(models.JobNoCapacity),
		models.ErrImageNotReady:      string(models.JobImageNotReady),
		models.ErrQuotaExceeded:      string(models.JobQuotaExceeded),
		models.ErrAddressesExhausted: string(models.JobAddressesExhausted),
		models.ErrAddressInUse:       string(models.JobResourceInUse),
		models.ErrNotFound:           string(models.JobUnknownOutcome),
		models.ErrNotHolder:          string(models.JobUnknownOutcome),
		errors.New("no connections"): FailureStore,
	} {
		app := asApp(t, fromStore(err))
		require.Equal(t, want, app.Type())
		require.Equal(t, want != FailureStore, app.NonRetryable(), "the database is waited for")
	}
	require.NoError(t, fromStore(nil))
}

func TestHostname(t *testing.T) {
	for name, want := range map[string]string{
		"web-1":                  "web-1",
		"Web Server #1":          "web-server-1",
		"--a--b--":               "a-b",
		"日本語":                    "vm-0190b5a2",
		"a\nb: c":                "a-b-c",
		strings.Repeat("a", 100): strings.Repeat("a", 63),
		strings.Repeat("a", 62) + "-b" + strings.Repeat("c", 9): strings.Repeat("a", 62),
	} {
		require.Equal(t, want, hostname(name, "0190b5a2"))
	}
}

func FuzzHostname(f *testing.F) {
	f.Add("Web Server #1")
	f.Add("a\x00b")
	f.Fuzz(func(t *testing.T, name string) {
		h := hostname(name, "id")
		require.Regexp(t, `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, h)
	})
}
