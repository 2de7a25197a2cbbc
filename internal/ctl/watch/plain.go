package watch

import (
	"fmt"
	"io"
	"time"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// plain writes one line for each transition and, where nothing happens, one
// each heartbeat. It writes no escapes.
type plain struct {
	w       io.Writer
	state   client.JobState
	run     int
	steps   map[string]string // what was last said of each
	undone  map[string]string
	note    string
	last    time.Time // of the last line
	current client.Job
}

func newPlain(w io.Writer) *plain {
	return &plain{w: w, steps: map[string]string{}, undone: map[string]string{}}
}

func (p *plain) show(u Update, now time.Time) error {
	if p.last.IsZero() {
		p.last = now
	}
	if u.Note != "" {
		if p.note == u.Note {
			return nil
		}
		p.note = u.Note
		return p.line(now, "%s", u.Note)
	}
	p.note = ""
	p.current = u.Job
	if u.Job.Run != p.run {
		p.run = u.Job.Run
		clear(p.steps)
		clear(p.undone)
	}
	// A job ends after its steps have, whatever order they are told in.
	if !Over(u.Job) {
		if err := p.job(u.Job, now); err != nil {
			return err
		}
	}
	for _, s := range u.Job.Steps {
		if err := p.step(s, now); err != nil {
			return err
		}
	}
	return p.job(u.Job, now)
}

func (p *plain) job(j client.Job, now time.Time) error {
	if p.state == j.State {
		return nil
	}
	p.state = j.State
	suffix := ""
	if j.Waiting != nil && j.State == client.JobStateWAITING {
		suffix = ": " + j.Waiting.Message
	}
	return p.line(now, "job %s %s: %s%s", j.ID, j.Type, j.State, suffix)
}

func (p *plain) step(s client.JobStep, now time.Time) error {
	if what := describe(s); s.State != client.StepStatePENDING && p.steps[s.Name] != what {
		p.steps[s.Name] = what
		detail := trouble(s, now)
		if took := elapsed(s, now); took != "" && ended(s) {
			detail += " (" + took + ")"
		}
		if err := p.line(now, "%s: %s%s", title(s), s.State, detail); err != nil {
			return err
		}
	}
	c := s.Compensation
	if c == nil || c.State == client.CompensationStateNONE {
		return nil
	}
	what := fmt.Sprint(c.State, c.Attempt)
	if p.undone[s.Name] == what {
		return nil
	}
	p.undone[s.Name] = what
	return p.line(now, "undo %s: %s", title(s), c.State)
}

func (p *plain) tick(now time.Time) error {
	if p.last.IsZero() || now.Sub(p.last) < heartbeat || Over(p.current) {
		return nil
	}
	return p.line(now, "job %s: still %s, %d %%", p.current.ID, p.current.State, p.current.Progress.Percent)
}

func (*plain) end() error { return nil }

func (p *plain) line(now time.Time, format string, args ...any) error {
	p.last = now
	_, err := io.WriteString(p.w, fail.Clean(fmt.Sprintf(format, args...))+"\n")
	return err
}

// describe is what makes two states of a step different lines.
func describe(s client.JobStep) string {
	code := ""
	if s.Error != nil {
		code = s.Error.Code
	}
	return fmt.Sprint(s.State, " ", s.Attempt, " ", code)
}

func title(s client.JobStep) string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// trouble says which attempt it is, what went wrong and when the next comes.
func trouble(s client.JobStep, now time.Time) string {
	out := ""
	if s.Attempt > 1 {
		out = fmt.Sprintf(" attempt %d", s.Attempt)
	}
	if s.Error != nil && s.State != client.StepStateSUCCEEDED {
		out += ": " + s.Error.Message
	}
	if s.NextRetryAt != nil && s.NextRetryAt.After(now) {
		out += fmt.Sprintf(", retry in %ds", int(s.NextRetryAt.Sub(now).Round(time.Second)/time.Second))
	}
	return out
}

func ended(s client.JobStep) bool { return s.FinishedAt != nil }

// elapsed is how long a step took or takes, "" before it began.
func elapsed(s client.JobStep, now time.Time) string {
	if s.StartedAt == nil {
		return ""
	}
	until := now
	if s.FinishedAt != nil {
		until = *s.FinishedAt
	}
	return Took(until.Sub(*s.StartedAt))
}

// Took writes a duration as people read it: 0.1s, 12s, 3m20s.
func Took(d time.Duration) string {
	d = max(0, d)
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
