package workflows_test

import (
	"context"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// screens is an adapter whose VMs have the given consoles.
type screens struct {
	providers.Provider
	types []models.ConsoleType
	err   error
}

func (s screens) Consoles(context.Context, providers.Target) (providers.ConsoleInfo, error) {
	return providers.ConsoleInfo{Types: s.types}, s.err
}

func (screens) OpenConsole(context.Context, providers.Target, models.ConsoleType) (io.ReadWriteCloser, error) {
	return nil, &providers.Error{Code: providers.Unimplemented}
}

// offer makes the record say that the provider has consoles, and the adapter
// have those.
func (w *world) offer(t *testing.T, types ...models.ConsoleType) {
	t.Helper()
	w.grantConsoles(t)
	w.adapter = screens{Provider: w.adapter, types: types}
}

// grantConsoles makes the record say that the provider has consoles.
func (w *world) grantConsoles(t *testing.T) {
	t.Helper()
	var row models.Provider
	require.NoError(t, w.DB.Take(&row, "id = ?", provider).Error)
	row.Capabilities = append(row.Capabilities, models.CapConsoleVNC, models.CapConsoleSerial)
	require.NoError(t, w.DB.Select("capabilities").Updates(&row).Error)
}

// acceptConsole accepts a console session.
func (w *world) acceptConsole(t *testing.T, vmID string) (models.Operation, []byte) {
	t.Helper()
	id := models.NewID()
	hash := sha256.Sum256([]byte(id))
	accepted, err := w.AcceptOpenConsole(t.Context(), caller(), store.OpenConsole{
		SessionID: id, TicketHash: hash[:], ProjectID: project, VMID: vmID, Type: models.ConsoleVNC,
		Ticket: time.Minute, Limit: 8 * time.Hour,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation, hash[:]
}

func (w *world) session(t *testing.T, op models.Operation) models.ConsoleSession {
	t.Helper()
	c, err := w.Console(t.Context(), tenant, op.Params.SessionID)
	require.NoError(t, err)
	return c
}

// visit connects to a session and leaves it, as a gateway does.
func (w *world) visit(t *testing.T, op models.Operation, hash []byte) {
	t.Helper()
	_, err := w.ConnectConsole(t.Context(), hash, "g", "192.0.2.1")
	require.NoError(t, err)
	require.NoError(t, w.EndConsole(t.Context(), op.Params.SessionID, "g", models.ConsoleClosedByClient, 3, 4))
}

func TestOpenConsoleUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.offer(t, models.ConsoleWeb, models.ConsoleVNC)
		vmID := w.existing(t, true)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			op, hash := w.acceptConsole(t, vmID)
			c := w.caseOf(t, op)
			c.Register = func(env *testsuite.TestWorkflowEnvironment) {
				w.register(env)
				env.SetStartTime(w.Clock.Now())
				env.RegisterDelayedCallback(func() {
					if w.session(t, op).State == models.ConsoleReady {
						w.visit(t, op, hash)
					}
					env.SignalWorkflow(workflows.SignalConsole, nil)
				}, 30*time.Second)
			}
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.PowerRunning, vm.PowerState)
				require.Equal(t, models.ConsoleClosedByClient, w.session(t, op).CloseReason)
				w.truthful(t, vm)
			}
			c.CheckUnwound = func(t *testing.T, cancelled bool) {
				t.Helper()
				w.unlocked(t, op, outcomeOf(cancelled))
				session := w.session(t, op)
				require.Equal(t, models.ConsoleClosed, session.State, "no ticket is good any more")
				want := models.ConsoleFailed
				if session.ConnectedAt != nil {
					want = models.ConsoleClosedByClient
				} else if cancelled {
					want = models.ConsoleClosedByUser
				}
				require.Equal(t, want, session.CloseReason)
				_, err := w.ConnectConsole(t.Context(), hash, "g", "")
				require.ErrorIs(t, err, models.ErrNotFound)
			}
			return c
		})
	})
}

// open runs the job of a console with what goes on meanwhile.
func (w *world) open(t *testing.T, op models.Operation, meanwhile func(env *testsuite.TestWorkflowEnvironment)) (workflows.OpenConsoleResult, error) {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{workflowtest.Backoff()}})
	w.register(env)
	env.SetStartTime(w.Clock.Now())
	env.SetStartWorkflowOptions(startOptions(op.ID))
	meanwhile(env)
	wf, in, err := workflows.Start(op)
	require.NoError(t, err)
	env.ExecuteWorkflow(wf, in)
	var out workflows.OpenConsoleResult
	if err := env.GetWorkflowError(); err != nil {
		return out, err
	}
	require.NoError(t, env.GetWorkflowResult(&out))
	return out, nil
}

func TestOpenConsoleRecordsTheSession(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.offer(t, models.ConsoleVNC)
		op, hash := w.acceptConsole(t, w.existing(t, true))
		out, err := w.open(t, op, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { w.visit(t, op, hash); env.SignalWorkflow(workflows.SignalConsole, nil) }, 10*time.Second)
		})
		require.NoError(t, err)
		session := w.session(t, op)
		require.Equal(t, workflows.OpenConsoleResult{
			Type: models.ConsoleVNC, ConnectedAt: session.ConnectedAt, ClosedAt: session.ClosedAt, Reason: models.ConsoleClosedByClient,
			ClientAddress: "192.0.2.1", BytesIn: 3, BytesOut: 4,
		}, out)
	})
}

func TestOpenConsoleEndsWithoutSignals(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.offer(t, models.ConsoleVNC)
		vmID := w.existing(t, true)
		op, _ := w.acceptConsole(t, vmID)
		out, err := w.open(t, op, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() { w.Clock.Advance(61 * time.Second) }, 61*time.Second)
		})
		require.NoError(t, err)
		require.Equal(t, models.ConsoleNotUsed, out.Reason)

		op, hash := w.acceptConsole(t, vmID)
		out, err = w.open(t, op, func(env *testsuite.TestWorkflowEnvironment) {
			env.RegisterDelayedCallback(func() {
				_, err := w.ConnectConsole(t.Context(), hash, "g", "")
				require.NoError(t, err)
				w.Clock.Advance(time.Minute) // and the gateway is gone
			}, 10*time.Second)
		})
		require.NoError(t, err)
		require.Equal(t, models.ConsoleGatewayLost, out.Reason)
	})
}

func TestOpenConsoleRefusals(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		plain := w.adapter
		w.offer(t, models.ConsoleWeb)
		vmID := w.existing(t, true)
		nothing := func(*testsuite.TestWorkflowEnvironment) {}
		refused := func(code models.JobErrorCode) {
			t.Helper()
			op, _ := w.acceptConsole(t, vmID)
			_, err := w.open(t, op, nothing)
			require.Error(t, err)
			require.Equal(t, code, w.Job(t, op.ID).ErrorCode)
			require.Equal(t, models.ConsoleFailed, w.session(t, op).CloseReason)
			w.unlocked(t, op, models.OutcomeFailed)

			_, err = w.open(t, op, nothing) // an operator resets the workflow
			require.Error(t, err, "a session that has ended does not come back")
			require.Equal(t, models.ConsoleFailed, w.session(t, op).CloseReason)
		}
		refused(models.JobFeatureNotSupported) // no screen
		w.adapter = struct{ providers.Provider }{plain}
		refused(models.JobFeatureNotSupported) // no consoles at all
		w.adapter = screens{Provider: plain, err: &providers.Error{Code: providers.FailedPrecondition, Message: "it does not run"}}
		refused(models.JobProviderConflict)

		w.adapter = screens{Provider: plain, types: []models.ConsoleType{models.ConsoleVNC}}
		_, err := plain.StopVM(t.Context(), providers.Target{VMID: vmID}, models.ModeForce) // behind our back
		require.NoError(t, err)
		require.Eventually(t, func() bool { return w.onHypervisor(t, vmID).Power == "stopped" }, 30*time.Second, time.Millisecond)
		refused(models.JobProviderConflict)
	})
}

// TestALongConsoleStaysSmall counts what eight hours add to a history: a look
// each two minutes, of six events (timer started and fired, workflow task
// scheduled, started and completed, marker), beside some thirty of the steps.
func TestALongConsoleStaysSmall(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.offer(t, models.ConsoleVNC)
		op, hash := w.acceptConsole(t, w.existing(t, true))
		reviews := 0
		out, err := w.open(t, op, func(env *testsuite.TestWorkflowEnvironment) {
			env.SetOnLocalActivityCompletedListener(func(_ *activity.Info, _ converter.EncodedValue, _ error) {
				if w.session(t, op).State != models.ConsoleOpen {
					return
				}
				reviews++
				w.Clock.Advance(2 * time.Minute) // as the workflow's clock goes on by then
				if err := w.RenewConsoles(t.Context(), "g", []string{op.Params.SessionID}); err != nil {
					t.Error(err)
				}
			})
			env.RegisterDelayedCallback(func() {
				_, err := w.ConnectConsole(t.Context(), hash, "g", "")
				require.NoError(t, err)
				env.SignalWorkflow(workflows.SignalConsole, nil)
			}, time.Second)
		})
		require.NoError(t, err)
		require.Equal(t, models.ConsoleExpired, out.Reason)
		require.Greater(t, reviews, 230)
		require.Less(t, 30+6*reviews, 2000)
	})
}

// What goes into a history has nothing that the ticket could be found by.
func TestRecordsHoldNoTicket(t *testing.T) {
	payload, err := converter.GetDefaultDataConverter().ToPayload(models.ConsoleSession{TicketHash: []byte("hash")}.Record())
	require.NoError(t, err)
	require.NotContains(t, string(payload.GetData()), "aGFzaA", "the hash in base64")
	require.Contains(t, string(payload.GetData()), "ExpiresAt")
}
