package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// OpenConsoleInput is recorded in history. Add fields; never rename or reuse them.
type OpenConsoleInput struct {
	VMID      string
	SessionID string
	Type      models.ConsoleType
}

// OpenConsoleResult is recorded in history: it is the audit record of the
// session.
type OpenConsoleResult struct {
	Type          models.ConsoleType
	ConnectedAt   *time.Time `json:",omitempty"`
	ClosedAt      *time.Time `json:",omitempty"`
	Reason        models.ConsoleEnd
	ClientAddress string `json:",omitempty"`
	BytesIn       int64  `json:",omitempty"`
	BytesOut      int64  `json:",omitempty"`
}

// SignalConsole is the signal by which a gateway says that a session has
// changed. It bears no payload: the record says how.
const SignalConsole = "console"

const (
	// consoleLife bounds how long the hypervisor is asked: who wants a console
	// waits for it.
	consoleLife = 5 * time.Minute
	// consoleReview is how often an open session is looked at, so that one whose
	// gateway is gone ends. Six events each keep eight hours under 2,000.
	consoleReview = 2 * time.Minute
	// consoleSlack is how much later than its time a ticket is looked at, for
	// clocks that differ.
	consoleSlack = 2 * time.Second
)

// OpenConsole prepares a console session and lives as long as the session: a
// cancel of the job closes it, and the result says who was connected and how it
// ended. It takes no lock.
//
//	step            undone by
//	BeginJob        SettleJob (always the last step)
//	PrepareConsole  nothing: it only reads
//	ReadyConsole    SettleJob, which closes a session that is not closed
//	ReviewConsole   nothing: it only closes what should be closed
func OpenConsole(ctx workflow.Context, in OpenConsoleInput) (out OpenConsoleResult, err error) {
	j := newJob(ctx, in.VMID)
	defer func() { err = j.settle(ctx, err) }()
	if err := j.begin(ctx); err != nil {
		return out, err
	}
	err = do(ctx, lasting(hypervisor(j.begun.ProviderID), consoleLife), vms().PrepareConsole,
		activities.PrepareConsoleInput{VMInput: j.input(), Type: in.Type})
	if err != nil {
		return out, err
	}
	session := activities.ConsoleInput{SessionID: in.SessionID}
	seen, err := callLocal(ctx, consoles().ReadyConsole, session)
	if err != nil {
		return out, err
	}
	if seen.Reason == models.ConsoleFailed { // by an earlier run of the job
		return out, temporal.NewNonRetryableApplicationError("the session has ended: open another console", string(models.JobProviderConflict), nil)
	}
	changed := workflow.GetSignalChannel(ctx, SignalConsole)
	for first := true; first || seen.State != models.ConsoleClosed; first = false {
		if err := awaitConsole(ctx, changed, seen); err != nil {
			return out, err
		}
		if seen, err = callLocal(ctx, consoles().ReviewConsole, session); err != nil {
			return out, err
		}
	}
	return OpenConsoleResult{
		Type: seen.Type, ConnectedAt: seen.ConnectedAt, ClosedAt: seen.ClosedAt, Reason: seen.Reason,
		ClientAddress: seen.ClientAddress, BytesIn: seen.BytesIn, BytesOut: seen.BytesOut,
	}, nil
}

// awaitConsole waits until a session is worth another look: a gateway has said
// so, its ticket is over, or some time has passed.
func awaitConsole(ctx workflow.Context, changed workflow.ReceiveChannel, seen models.ConsoleRecord) error {
	wait := consoleReview
	switch seen.State {
	case models.ConsoleReady:
		wait = max(seen.ExpiresAt.Sub(workflow.Now(ctx)), 0) + consoleSlack
	case models.ConsoleClosed:
		return nil
	case models.ConsolePending, models.ConsoleOpen:
	}
	timing, stop := workflow.WithCancel(ctx)
	defer stop()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(changed, func(c workflow.ReceiveChannel, _ bool) {
		for c.ReceiveAsync(nil) { // one look answers them all
		}
	})
	sel.AddFuture(workflow.NewTimer(timing, wait), func(workflow.Future) {})
	sel.Select(ctx)
	return ctx.Err()
}
