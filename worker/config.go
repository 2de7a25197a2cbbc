package worker

import (
	"time"

	sdk "go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
)

// Config tunes a worker. The zero value is the default of each.
type Config struct {
	// Providers are the IDs of the providers to serve; empty serves all.
	Providers []string
	// FollowEvery is how often the providers table is read.
	FollowEvery time.Duration
	// RefreshEvery is how often each provider is read, and SweepEvery how often
	// jobs that were ended from outside are looked for.
	RefreshEvery time.Duration
	SweepEvery   time.Duration
	// WorkflowPollers, ControlPollers and ProviderPollers are how many polls
	// are kept open on the queues of workflows, of control steps and of each
	// provider.
	WorkflowPollers int
	ControlPollers  int
	ProviderPollers int
	// LocalConcurrency bounds the database steps at work, and
	// ProviderConcurrency the steps on one provider that sets no bound itself.
	LocalConcurrency    int
	ProviderConcurrency int
	// A provider's circuit breaker opens after BreakerFailures calls in a row
	// that failed as unreachable, lets a call through after BreakerPause, and
	// closes after BreakerSuccesses.
	BreakerFailures  int
	BreakerPause     time.Duration
	BreakerSuccesses int
}

func (c Config) withDefaults() Config {
	setDefault(&c.FollowEvery, 2*time.Second)
	setDefault(&c.RefreshEvery, 30*time.Second)
	setDefault(&c.SweepEvery, 30*time.Second)
	setDefault(&c.WorkflowPollers, 4)
	c.WorkflowPollers = max(c.WorkflowPollers, 2) // the SDK panics on one
	setDefault(&c.ControlPollers, 2)
	setDefault(&c.ProviderPollers, 4)
	setDefault(&c.LocalConcurrency, 64)
	setDefault(&c.ProviderConcurrency, 32)
	return c
}

func (c Config) breaker() providerpool.Breaker {
	return providerpool.Breaker{Failures: c.BreakerFailures, Pause: c.BreakerPause, Successes: c.BreakerSuccesses}
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// stopTimeout is what the SDK gives each part of a worker to end by itself.
// Steps watch for the stop, so only a call to a hypervisor takes that long; it
// is cut off then, and the step is carried on by another worker.
const stopTimeout = 1500 * time.Millisecond

func (c Config) options(broken func(error)) sdk.Options {
	return sdk.Options{
		WorkerStopTimeout:                stopTimeout,
		MaxHeartbeatThrottleInterval:     activities.HeartbeatThrottle,
		DefaultHeartbeatThrottleInterval: activities.HeartbeatThrottle,
		DisableRegistrationAliasing:      true,
		OnFatalError:                     broken,
	}
}
