// Package workflowtest runs a workflow with every step repeated, and with a
// fault, a lost answer and a cancellation at each step, and lets the caller
// check that nothing is left behind. Database steps count as steps.
//
// It imports the Temporal SDK only, and is for tests.
package workflowtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
)

// LastStep is the step that ends every job. A fault there is never final: it
// is tried until it succeeds.
const LastStep = "SettleJob"

// Case is one workflow in a world where it has not run yet.
type Case struct {
	Workflow, Input any
	// JobID is the workflow ID.
	JobID    string
	Register func(*testsuite.TestWorkflowEnvironment)
	// Steps are the steps of a run that goes well.
	Steps []string
	// Deaf says that the workflow ignores a cancellation.
	Deaf bool
	// Forward names the steps from which the workflow does not turn back: it goes
	// on to success in spite of a failure or a cancellation there.
	Forward []string
	// CheckDone looks at the world after success, CheckUnwound after a failure
	// or, with cancelled set, after a cancellation.
	CheckDone    func(t *testing.T)
	CheckUnwound func(t *testing.T, cancelled bool)
}

// Run checks a workflow in these ways, each at every step:
//
//   - repeated: every step is run twice, and the workflow succeeds
//   - fail-before, fail-after: the step fails for good without or with its
//     effect, and the workflow unwinds
//   - lost-before, lost-after: a worker dies before or after the effect, and
//     the next attempt makes it good
//   - cancel-before, cancel-after: a cancellation meets the step before or
//     after its effect, and the workflow unwinds
//
// Steps that undo are run twice throughout. fresh makes a case of its own for
// each run. The outcomes are logged as a table.
func Run(t *testing.T, fresh func(t *testing.T) Case) {
	t.Helper()
	var table strings.Builder
	first := fresh(t)
	t.Run("repeated", func(t *testing.T) {
		f := &faults{at: -1}
		if err := f.run(first); err != nil {
			t.Fatalf("the workflow failed: %v", err)
		}
		if got, want := strings.Join(f.seen, " "), strings.Join(first.Steps, " "); got != want {
			t.Fatalf("steps run: %s\nsteps of the plan: %s", got, want)
		}
		first.CheckDone(t)
	})
	for _, k := range kinds() {
		for i, step := range first.Steps {
			name := fmt.Sprintf("%s/%s", k, step)
			t.Run(name, func(t *testing.T) { fmt.Fprintf(&table, "%-32s %s\n", name, check(t, fresh(t), k, i, step)) })
		}
	}
	t.Logf("outcomes:\n%s", table.String())
}

// check runs one case with one fault and says how it ended.
func check(t *testing.T, c Case, k kind, at int, step string) string {
	t.Helper()
	f := &faults{kind: k, at: at}
	err := f.run(c)
	if !f.hit {
		t.Fatalf("the fault at %s did not fire", step)
	}
	survives := k.transient() || step == LastStep || k.cancels() && c.Deaf || slices.Contains(c.Forward, step)
	switch {
	case survives && err != nil:
		t.Fatalf("the workflow failed: %v", err)
	case survives:
		c.CheckDone(t)
		return "done"
	case err == nil:
		t.Fatal("the workflow succeeded in spite of the fault")
	}
	c.CheckUnwound(t, k.cancels())
	return "unwound: " + strings.Join(f.after, " ")
}

// stuck is how long nothing may happen in a run: a guard against one that hangs,
// far above what a busy machine takes.
const stuck = time.Minute

func (f *faults) run(c Case) error {
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: c.JobID, TaskQueue: "control"})
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{Backoff(), f}})
	f.cancel, f.deaf, f.forward = env.CancelWorkflow, c.Deaf, c.Forward
	c.Register(env)
	env.ExecuteWorkflow(c.Workflow, c.Input)
	return env.GetWorkflowError()
}

// quiet is a logger for runs that are full of errors on purpose.
type quiet struct{}

var _ log.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
