package watch

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

func TestDecoder(t *testing.T) {
	const stream = ": hello\n\n" +
		"retry: 2000\n\n" +
		"event: step\r\nid: 1.2\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n" +
		"data:no space\rid\r\r" +
		"event: lost\ndata: cut off"
	alive := 0
	d := newDecoder(strings.NewReader(stream), func() { alive++ })
	var got []event
	for {
		e, err := d.next()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		got = append(got, e)
	}
	require.Equal(t, []event{
		{kind: "message", retry: 2 * time.Second},
		{kind: "step", id: "1.2", data: []byte("{\"a\":\n1}")},
		{kind: "message", data: []byte("no space")},
	}, noNil(got))
	require.Greater(t, alive, 8, "comments show that the connection lives")
}

// noNil makes absent data nil: joined lines of none are empty.
func noNil(events []event) []event {
	for i := range events {
		if len(events[i].data) == 0 {
			events[i].data = nil
		}
	}
	return events
}

// Whatever a server sends, the decoder ends and does not panic.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{"", "data: x\n\n", "\r\r\n", "id: \x00\n\n", "retry: 99999999999999999999\n\n", ":\n:\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder(bytes.NewReader(raw), func() {})
		for n := 0; ; n++ {
			e, err := d.next()
			if err != nil {
				return
			}
			require.NotContains(t, e.id, "\x00")
			require.Less(t, n, len(raw)+1)
		}
	})
}

func running(steps ...client.JobStep) client.Job {
	return client.Job{ID: "j", Type: "vm.create", State: client.JobStateRUNNING, Run: 1, Steps: steps}
}

// Where nothing happens a pipe is told so each 30 seconds.
func TestHeartbeat(t *testing.T) {
	var b bytes.Buffer
	p := newPlain(&b)
	at := time.Unix(1e9, 0)
	require.NoError(t, p.show(Update{Job: running()}, at))
	for range 95 {
		at = at.Add(time.Second)
		require.NoError(t, p.tick(at))
	}
	require.Equal(t, "job j vm.create: RUNNING\n"+strings.Repeat("job j: still RUNNING, 0 %\n", 3), b.String())
}

// A compensation is told step by step.
func TestCompensationInAPipe(t *testing.T) {
	var b bytes.Buffer
	p := newPlain(&b)
	step := client.JobStep{Name: "Create", Title: "Create the VM", State: client.StepStateSUCCEEDED, Attempt: 1}
	job := running(step)
	require.NoError(t, p.show(Update{Job: job}, time.Time{}))
	job.State = client.JobStateCOMPENSATING
	for _, state := range []client.CompensationState{client.CompensationStateRUNNING, client.CompensationStateRUNNING, client.CompensationStateCOMPLETE} {
		step.Compensation = &client.StepCompensation{State: state, Attempt: 1}
		job.Steps = []client.JobStep{step}
		require.NoError(t, p.show(Update{Job: job}, time.Time{}))
	}
	require.Equal(t, "job j vm.create: RUNNING\nCreate the VM: SUCCEEDED\njob j vm.create: COMPENSATING\nundo Create the VM: RUNNING\nundo Create the VM: COMPLETE\n", b.String())
}

// Each frame takes back exactly the lines that the one before has drawn.
func TestFrames(t *testing.T) {
	var b bytes.Buffer
	l := &live{w: &b, style: terminal.Style{ASCII: true, Live: true}, width: func() int { return 60 }}
	began := time.Unix(1e9, 0)
	at := began.Add(3 * time.Second)
	clone := client.JobStep{Name: "Clone", Title: "Clone the disk", State: client.StepStateRUNNING, Attempt: 1, StartedAt: &began}
	reserve := client.JobStep{Name: "Reserve", Title: "Reserve capacity", State: client.StepStateSUCCEEDED, Attempt: 1, StartedAt: &began, FinishedAt: &began}
	job := running(reserve, clone)
	job.Progress.CurrentStep, job.Progress.Percent = "Clone", 62
	require.NoError(t, l.show(Update{Job: job}, at))
	require.Equal(t, "+ Reserve capacity 0.0s\n| Clone the disk 62 % 3.0s\n", b.String())

	b.Reset()
	require.NoError(t, l.tick(at))
	require.Equal(t, "\x1b[1A\r\x1b[J/ Clone the disk 62 % 3.0s\n", b.String())

	b.Reset()
	require.NoError(t, l.show(Update{Job: job, Note: "the server is away"}, at))
	require.Equal(t, "\x1b[1A\r\x1b[J/ Clone the disk 62 % 3.0s\n  the server is away\n", b.String())

	b.Reset()
	clone.State, clone.Error = client.StepStateFAILED, &client.JobError{Message: "no\x1b[2J room"}
	done := client.StepCompensation{State: client.CompensationStateCOMPLETE}
	reserve.Compensation = &done
	job.Steps, job.State = []client.JobStep{reserve, clone}, client.JobStateFAILED
	require.NoError(t, l.show(Update{Job: job}, at))
	require.Equal(t, "\x1b[2A\r\x1b[Jx Clone the disk 3.0s: no\uFFFD[2J room\n< undid Reserve capacity\n", b.String())

	b.Reset()
	require.NoError(t, l.tick(at))
	require.Empty(t, b.String(), "what has ended is not drawn again")
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 120 * time.Millisecond: "0.1s", 9900 * time.Millisecond: "9.9s", 12400 * time.Millisecond: "12s", 200 * time.Second: "3m20s",
	} {
		require.Equal(t, want, Took(d))
	}
}
