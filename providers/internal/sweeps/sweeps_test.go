package sweeps_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
)

// enter lets requests by, and returns what happens to each.
func enter(g *sweeps.Gate, requests ...string) []sweeps.Ending {
	var out []sweeps.Ending
	for _, r := range requests {
		how, dead := g.Enter(r, r != "read")
		if how != sweeps.DiesBefore && !dead {
			g.Left(how)
		}
		out = append(out, how)
	}
	return out
}

// TestGate ends a process at its second write, and counts what it asked for until then.
func TestGate(t *testing.T) {
	t.Parallel()
	const none = sweeps.Unharmed
	for how, dead := range map[sweeps.Ending]bool{sweeps.Unharmed: false, sweeps.AnswerLost: false, sweeps.DiesBefore: true, sweeps.DiesAfter: true} {
		t.Run(how.String(), func(t *testing.T) {
			t.Parallel()
			var g sweeps.Gate
			enter(&g, "login", "read")
			g.Forget()
			g.End(2, how)
			require.Equal(t, []sweeps.Ending{none, none, none, how, none}, enter(&g, "read", "first", "read", "second", "third"))
			require.Equal(t, dead, g.IsDead())
			require.Equal(t, 5, g.Requests())
			_, refused := g.Enter("read", false)
			require.Equal(t, dead, refused)
			written := []string{"first", "second"}
			if !dead {
				written = append(written, "third")
			}
			require.Equal(t, written, g.Written())
		})
	}
}

func TestMeetIsCalledBeforeEachRequest(t *testing.T) {
	t.Parallel()
	var g sweeps.Gate
	var met []string
	g.Meet(func(at int, request string) {
		require.Equal(t, len(met)+1, at)
		require.Len(t, g.Written(), len(met), "it is not counted yet")
		met = append(met, request)
	})
	enter(&g, "first", "second")
	require.Equal(t, []string{"first", "second"}, met)
}

// scripted is a process that answers by a script.
type scripted struct {
	sweeps.Adapter
	sweeps.Gate
	asked int
	polls []func() (providers.TaskStatus, error)
}

func (p *scripted) StartVM(context.Context, providers.Target) (providers.TaskRef, error) {
	p.asked++
	return "task", nil
}

func (p *scripted) PollTask(_ context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	if task != "task" {
		return providers.TaskStatus{}, &providers.Error{Code: providers.Internal, Message: "another task"}
	}
	next := p.polls[0]
	p.polls = p.polls[1:]
	return next()
}

func says(st providers.TaskStatus, err error) func() (providers.TaskStatus, error) {
	return func() (providers.TaskStatus, error) { return st, err }
}

func code(c providers.Code) error { return &providers.Error{Code: c, Message: string(c)} }

// TestDrive asks again where the task is unknown or what failed may be repeated, and for
// nothing else.
func TestDrive(t *testing.T) {
	t.Parallel()
	done, goesOn := providers.TaskStatus{Done: true}, providers.TaskStatus{}
	for name, c := range map[string]struct {
		polls []func() (providers.TaskStatus, error)
		task  providers.TaskRef
		asked int
		code  providers.Code
	}{
		"done":              {[]func() (providers.TaskStatus, error){says(goesOn, nil), says(done, nil)}, "", 1, ""},
		"a known task":      {[]func() (providers.TaskStatus, error){says(done, nil)}, "task", 0, ""},
		"unknown":           {[]func() (providers.TaskStatus, error){says(goesOn, code(providers.NotFound)), says(done, nil)}, "", 2, ""},
		"to be tried again": {[]func() (providers.TaskStatus, error){says(goesOn, code(providers.Unavailable)), says(done, nil)}, "", 2, ""},
		"a task that failed": {
			[]func() (providers.TaskStatus, error){says(providers.TaskStatus{Done: true, Err: code(providers.Aborted)}, nil), says(done, nil)}, "", 2, "",
		},
		"final": {[]func() (providers.TaskStatus, error){says(goesOn, code(providers.InvalidArgument))}, "", 1, providers.InvalidArgument},
	} {
		p := &scripted{polls: c.polls}
		task, err := sweeps.Drive(t, p, sweeps.Start(&sweeps.Subject{}), c.task)
		require.Equal(t, c.code, providers.CodeOf(err), name)
		require.Equal(t, providers.TaskRef("task"), task, name)
		require.Equal(t, c.asked, p.asked, name)
		require.Empty(t, p.polls, name)
	}
}

// TestDriveEndsWithItsProcess has the process die while its work goes on.
func TestDriveEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	p := &scripted{}
	p.End(1, sweeps.DiesBefore)
	p.polls = []func() (providers.TaskStatus, error){func() (providers.TaskStatus, error) {
		p.Enter("write", true)
		return providers.TaskStatus{}, nil
	}}
	task, err := sweeps.Drive(t, p, sweeps.Start(&sweeps.Subject{}), "")
	require.NoError(t, err)
	require.Equal(t, providers.TaskRef("task"), task)
	require.True(t, p.IsDead())
}
