package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Failure types beside the providers' codes and the job error codes.
const (
	// FailureInterrupted: the worker stopped, or lost the activity to another
	// attempt. The next attempt carries on.
	FailureInterrupted = "interrupted"
	// FailureStore: the database did not take the step; it is retried.
	FailureStore = "store_unavailable"
)

const (
	// slowRetry keeps refused credentials from locking our account out.
	slowRetry = 15 * time.Second
	// causeLimit bounds the operators' text in a failure, in bytes.
	causeLimit = 1024
)

// exhausted marks an error that was met as often as a step bears.
type exhausted struct{ err error }

func (e *exhausted) Error() string { return e.err.Error() }
func (e *exhausted) Unwrap() error { return e.err }

// waits reports whether a step waits out failures of this code for as long as
// its schedule-to-close timeout allows, while the job shows WAITING.
func waits(c providers.Code) bool {
	switch c {
	case providers.Unavailable, providers.Throttled, providers.Aborted, providers.Unauthenticated:
		return true
	case providers.Unknown, providers.DeadlineExceeded, providers.InvalidArgument, providers.NotFound,
		providers.AlreadyExists, providers.FailedPrecondition, providers.PermissionDenied,
		providers.ResourceExhausted, providers.Unimplemented, providers.Internal:
		return false
	}
	return false
}

// bounded reports whether failures of this code are tried maxTries times.
func bounded(c providers.Code) bool {
	return c == providers.Unknown || c == providers.DeadlineExceeded
}

// hopeless reports whether not even a person at the hypervisor could make the
// same request succeed. A compensation gives up only then.
func hopeless(c providers.Code) bool {
	return c == providers.InvalidArgument || c == providers.Unimplemented || c == providers.Internal
}

// toTemporal is the one place where the failure of a provider step becomes a
// Temporal failure. Its type is the provider's code, so that retries, the API
// and the audit trail all see the same word; its message is safe for a tenant;
// the hypervisor's own words are in its cause, for operators.
func toTemporal(ctx context.Context, err error, patient bool) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return interruption(ctx)
	}
	var done *temporal.ApplicationError
	if errors.As(err, &done) {
		return err
	}
	code := providers.CodeOf(err)
	var spent *exhausted
	final := !waits(code) && !bounded(code) || errors.As(err, &spent)
	if patient {
		final = hopeless(code)
	}
	opts := temporal.ApplicationErrorOptions{NonRetryable: final, Category: temporal.ApplicationErrorCategoryUnspecified}
	if !final {
		opts.Category = temporal.ApplicationErrorCategoryBenign // waited out, and shown in the job
	}
	msg := "the provider answered in a way that is not understood"
	var e *providers.Error
	if errors.As(err, &e) {
		msg, opts.NextRetryDelay = e.Message, e.RetryAfter
		if e.Err != nil {
			opts.Cause = operatorCause(e.Err)
		}
	}
	if code == providers.Unauthenticated && opts.NextRetryDelay < slowRetry && !final {
		opts.NextRetryDelay = slowRetry
	}
	return temporal.NewApplicationErrorWithOptions(msg, string(code), opts)
}

// interruption tells a cancellation of the job, which the activity obeys, from
// the loss of this attempt, which the next one makes good.
func interruption(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && temporal.IsCanceledError(cause) {
		return ctx.Err()
	}
	return interrupted()
}

func interrupted() error {
	return temporal.NewApplicationErrorWithOptions("the worker stopped; another carries on", FailureInterrupted,
		temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign, NextRetryDelay: 10 * time.Millisecond})
}

// operatorCause keeps the text of a hypervisor's error and drops its type: a
// failure's cause is for reading.
func operatorCause(err error) error {
	text := err.Error()
	if len(text) > causeLimit {
		text = text[:causeLimit] + "..."
	}
	return errors.New(text)
}

// fromStore turns the failure of a database step into a Temporal failure.
func fromStore(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, models.ErrNoCapacity):
		return final(models.JobNoCapacity, "no capacity is left for a VM of this size")
	case errors.Is(err, models.ErrImageNotReady):
		return final(models.JobImageNotReady, "the image or a network is not available in the zone")
	case errors.Is(err, models.ErrQuotaExceeded):
		return final(models.JobQuotaExceeded, "the quota has no room for the VM any more")
	case errors.Is(err, models.ErrAddressesExhausted):
		return final(models.JobAddressesExhausted, "a network has no free address any more")
	case errors.Is(err, models.ErrAddressInUse):
		return final(models.JobResourceInUse, "an address that was asked for cannot be had any more")
	case errors.Is(err, models.ErrTaken):
		return final(models.JobResourceInUse, "what the job needs cannot be had any more")
	case errors.Is(err, models.ErrNotFound):
		return final(models.JobUnknownOutcome, "the record of the job or its resource is gone")
	case errors.Is(err, models.ErrNotHolder):
		return final(models.JobUnknownOutcome, "another job has taken the resource over")
	}
	return temporal.NewApplicationErrorWithOptions("the database did not take the step", FailureStore,
		temporal.ApplicationErrorOptions{Cause: operatorCause(err)})
}

// final makes a failure that ends the job with the given code.
func final(code models.JobErrorCode, msg string) error {
	return temporal.NewNonRetryableApplicationError(msg, string(code), nil)
}

// JobCode says with which code a job fails whose step failed with the given
// failure type: a provider's code, a job error code, or one of this package.
func JobCode(failureType string) models.JobErrorCode {
	switch code := models.JobErrorCode(failureType); code {
	case models.JobNoCapacity, models.JobFeatureNotSupported, models.JobProviderUnavailable, models.JobProviderTimeout,
		models.JobProviderAuthFailed, models.JobProviderConflict, models.JobProviderRejected, models.JobImageNotReady,
		models.JobGuestTimeout, models.JobNodeLost, models.JobUnknownOutcome, models.JobDeadlineExceeded,
		models.JobCancelled, models.JobCompensationIncomplete, models.JobQuotaExceeded, models.JobAddressesExhausted, models.JobResourceInUse:
		return code
	}
	switch providers.Code(failureType) {
	case providers.ResourceExhausted:
		return models.JobNoCapacity
	case providers.Unimplemented:
		return models.JobFeatureNotSupported
	case providers.Unavailable, providers.Throttled:
		return models.JobProviderUnavailable
	case providers.DeadlineExceeded:
		return models.JobProviderTimeout
	case providers.Unauthenticated, providers.PermissionDenied:
		return models.JobProviderAuthFailed
	case providers.AlreadyExists, providers.FailedPrecondition, providers.Aborted:
		return models.JobProviderConflict
	case providers.InvalidArgument, providers.NotFound:
		return models.JobProviderRejected
	case providers.Unknown, providers.Internal:
		return models.JobUnknownOutcome
	}
	return models.JobUnknownOutcome
}

// TenantSafe reports whether the message of a failure of this type was written
// by a step for tenants to see. Others (a panic, an error of the SDK's) may
// name what a tenant must not see.
func TenantSafe(failureType string) bool {
	return failureType == FailureInterrupted || failureType == FailureStore ||
		slices.Contains(providers.Codes(), providers.Code(failureType)) ||
		string(JobCode(failureType)) == failureType
}

// attempt is the number of this try of the activity, 1 for the first.
func attempt(ctx context.Context) int { return int(activity.GetInfo(ctx).Attempt) }
