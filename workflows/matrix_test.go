package workflows_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

var update = flag.Bool("update", false, "write the fault matrices in docs anew")

// TestFaultMatrix disturbs every workflow at each of its steps, and holds what
// comes of it against docs/fault-matrix.md. An operation without a scenario
// fails the test.
func TestFaultMatrix(t *testing.T) {
	faultMatrix(t, simBreed(), "../docs/fault-matrix.md", func(*testing.T, string) string { return "" })
}

// faultMatrix is the matrix on a kind of hypervisor, held against a file. about is
// what the file says of it beside the tables.
func faultMatrix(t *testing.T, b breed, file string, about func(t *testing.T, tables string) string) {
	t.Helper()
	parts := make([]string, len(models.Operations()))
	t.Run("operations", func(t *testing.T) {
		for i, spec := range models.Operations() {
			t.Run(string(spec.Kind), func(t *testing.T) {
				t.Parallel()
				scenario, ok := scenarios()[spec.Kind]
				require.True(t, ok, "the matrix has no scenario of %s", spec.Kind)
				if why := b.lacks[spec.Kind]; why != "" {
					parts[i] = "\n## " + string(spec.Kind) + "\n\nNot accepted: " + why + ".\n"
					return
				}
				m := matrix{w: newWorldOf(t, b), spec: spec, scenario: scenario}
				if hasSuite(spec.Kind) {
					m.elsewhere = b.elsewhere
				}
				parts[i] = m.run(t)
			})
		}
	})
	if t.Failed() || slices.Contains(parts, "") { // a matrix with holes is no matrix
		return
	}
	tables := strings.Join(parts, "")
	doc := matrixHead(b.on) + about(t, tables) + tables
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(doc), 0o600))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(written), doc, `if this is meant, run: go test ./workflows -run TestFaultMatrix -update`)
}

// hasSuite reports whether an operation has a suite of its own, Test...UnderFaults, which
// disturbs each of its steps by itself.
func hasSuite(kind models.OperationKind) bool {
	return kind != models.OpVMRetry && kind != models.OpProviderSync
}

// TestEachOperationHasItsSuite, which runs on every kind of hypervisor: what a matrix
// leaves to it is tried.
func TestEachOperationHasItsSuite(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(raw)
	}
	for _, spec := range models.Operations() {
		if hasSuite(spec.Kind) {
			require.Regexp(t, "func Test"+spec.Workflow+`UnderFaults\(t \*testing.T\) {\s+on(Each|Movers)\(`, all.String())
		}
	}
}

// disturbance is something that happens at a step of a workflow.
type disturbance int

const (
	failsBefore disturbance = iota
	failsAfter
	diesBefore
	diesAfter
	workFails
	gone
	answerLost
	asks
	cancelBefore
	cancelDuring
	abandoned
	disturbances int = iota
)

// lasts reports whether the job cannot succeed after it, but at its last step.
func (d disturbance) lasts() bool { return d == failsBefore || d == failsAfter || d == abandoned }

// passing reports whether the job must succeed in spite of it.
func (d disturbance) passing() bool {
	return d == diesBefore || d == diesAfter || d == gone || d == answerLost || d == asks
}

// onHypervisor reports whether it happens between us and a hypervisor.
func (d disturbance) onHypervisor() bool {
	return d == workFails || d == gone || d == answerLost || d == asks || d == cancelDuring || d == abandoned
}

// goneFor is for how many calls a provider is away.
const goneFor = 5

// at is one run with one disturbance.
type at struct {
	interceptor.WorkerInterceptorBase
	w    *world
	t    *testing.T
	kind disturbance
	step string
	deaf bool
	env  *testsuite.TestWorkflowEnvironment
	// turn is held by the step that runs. The test environment goes on as soon as a
	// step is cancelled, where Temporal waits, as it is told to, until the step has
	// stopped: an undoing would not find what its step is still asking for.
	turn chan struct{}

	mu     sync.Mutex
	hit    bool
	struck bool     // what was to happen at the hypervisor has happened
	steps  []string // all that ran, once each
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (a *at) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &meddler{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, a: a}
}

type meddler struct {
	interceptor.ActivityInboundInterceptorBase
	a *at
}

// ExecuteActivity runs a step, and meddles with the first try of the one meant.
func (m *meddler) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	a := m.a
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.turn }()
	if !a.begins(activity.GetInfo(ctx)) {
		return m.Next.ExecuteActivity(ctx, in)
	}
	switch a.kind {
	case failsBefore:
		return nil, temporal.NewNonRetryableApplicationError("injected", workflowtest.InjectedFault, nil)
	case diesBefore:
		return nil, temporal.NewApplicationError("the worker is gone", workflowtest.InjectedFault)
	case cancelBefore:
		a.env.CancelWorkflow()
		if !a.deaf && a.step != workflowtest.LastStep {
			return nil, temporal.NewCanceledError()
		}
	case workFails:
		a.w.faults(a.t, simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultTaskFails, Count: 3})
	case gone, answerLost, asks, cancelDuring:
		// The hypervisor is at work by the time of the cancel: a request that is still
		// on its way would begin the work behind the back of the undoing.
		a.w.line.then = a.env.CancelWorkflow
		a.w.line.disturb(a.rule())
	case failsAfter, diesAfter, abandoned:
	}
	out, err := m.Next.ExecuteActivity(ctx, in)
	switch a.kind {
	case failsAfter:
		return nil, temporal.NewNonRetryableApplicationError("injected", workflowtest.InjectedFault, nil)
	case abandoned:
		a.struck = true
		a.w.line.disturb(func(string) verdict { return refused })
		return nil, temporal.NewNonRetryableApplicationError("injected", workflowtest.InjectedFault, nil)
	case diesAfter:
		return nil, temporal.NewApplicationError("the worker is gone", workflowtest.InjectedFault)
	case failsBefore, diesBefore, workFails, gone, answerLost, asks, cancelBefore, cancelDuring:
	}
	return out, err
}

// begins notes a step and reports whether it is the one meant.
func (a *at) begins(info activity.Info) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := info.ActivityType.Name
	if !slices.Contains(a.steps, name) {
		a.steps = append(a.steps, name)
	}
	if a.hit || name != a.step || info.Attempt > 1 {
		return false
	}
	a.hit = true
	return true
}

// rule is what becomes of the calls from the step on. It runs under the line's
// lock.
func (a *at) rule() func(string) verdict {
	calls := 0
	return func(op string) verdict {
		calls++
		switch {
		case a.kind == gone && calls <= goneFor:
			a.struck = true
			return refused
		case a.kind == asks && a.struck:
			return garbled
		case a.kind == gone, reads(op), a.struck:
			return passes
		}
		a.struck = true
		switch a.kind {
		case cancelDuring:
			return followed
		case answerLost, asks:
			return lost
		case failsBefore, failsAfter, diesBefore, diesAfter, workFails, gone, cancelBefore, abandoned:
		}
		return passes
	}
}

// run carries the operation out under the disturbance.
func (a *at) run(op models.Operation) error {
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	a.env = s.NewTestWorkflowEnvironment()
	a.env.SetTestTimeout(stuck)
	a.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{workflowtest.Backoff(), a}})
	a.w.register(a.env)
	if a.kind == asks {
		a.env.RegisterDelayedCallback(func() {
			require.Empty(a.t, a.w.Job(a.t, op.ID).Outcome, "it asks an operator")
			a.w.line.restore()
			a.env.SignalWorkflow(workflows.SignalRetryStep, nil)
		}, time.Hour)
	}
	if a.kind == abandoned {
		a.env.RegisterDelayedCallback(func() { a.env.SignalWorkflow(saga.SignalAbandon, nil) }, 4*time.Second)
	}
	if op.Kind == models.OpVMConsole {
		a.visit(op)
	}
	wf, in, err := workflows.Start(op)
	require.NoError(a.t, err)
	a.env.SetStartWorkflowOptions(startOptions(op.ID))
	a.env.ExecuteWorkflow(wf, in)
	require.True(a.t, a.env.IsWorkflowCompleted())
	return a.env.GetWorkflowError()
}

// visit has somebody come and go as soon as the console is ready: its job lives
// as long as the session.
func (a *at) visit(op models.Operation) {
	hash := sha256.Sum256([]byte(op.Params.SessionID))
	a.env.SetStartTime(a.w.Clock.Now())
	for i := range 20 {
		a.env.RegisterDelayedCallback(func() {
			if a.w.session(a.t, op).State == models.ConsoleReady {
				a.w.visit(a.t, op, hash[:])
			}
			a.env.SignalWorkflow(workflows.SignalConsole, nil)
		}, time.Duration(i+1)*30*time.Second)
	}
}
