package watch

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

// live draws finished steps once, and below them a line for each step at work
// that is drawn anew with each frame.
type live struct {
	w     io.Writer
	style terminal.Style
	width func() int

	job   client.Job
	note  string
	drawn int             // lines at work that are on the screen
	said  map[string]bool // steps, and the undoing of steps, that are above them
	run   int
	frame int
	ready bool
}

func (l *live) show(u Update, now time.Time) error {
	l.job, l.note, l.ready = u.Job, u.Note, true
	if l.said == nil || l.run != u.Job.Run {
		l.said, l.run = map[string]bool{}, u.Job.Run
	}
	return l.paint(now)
}

func (l *live) tick(now time.Time) error {
	if !l.ready || Over(l.job) {
		return nil
	}
	l.frame++
	return l.paint(now)
}

// end leaves the last lines at work where they are: what comes next begins on
// a line of its own.
func (*live) end() error { return nil }

// paint replaces the lines at work; it is one write, so that nothing flickers.
func (l *live) paint(now time.Time) error {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", l.drawn)
	}
	for _, line := range l.finished(now) {
		b.WriteString(line + "\n")
	}
	working := l.working(now)
	for _, line := range working {
		b.WriteString(line + "\n")
	}
	l.drawn = len(working)
	_, err := io.WriteString(l.w, b.String())
	return err
}

// finished returns the lines that are said for good with this frame.
func (l *live) finished(now time.Time) []string {
	var out []string
	for _, s := range l.job.Steps {
		switch s.State {
		case client.StepStateSUCCEEDED, client.StepStateFAILED, client.StepStateCANCELLED, client.StepStateSKIPPED:
			if !l.said[s.Name] {
				l.said[s.Name] = true
				out = append(out, l.line(l.mark(s.State), title(s), elapsed(s, now)+trouble(s, now)))
			}
		case client.StepStatePENDING, client.StepStateRUNNING, client.StepStateWAITING:
		}
	}
	for _, s := range l.job.Steps {
		c := s.Compensation
		if c == nil || l.said["undo "+s.Name] {
			continue
		}
		switch c.State {
		case client.CompensationStateCOMPLETE:
			l.said["undo "+s.Name] = true
			out = append(out, l.line(l.style.Paint(terminal.Yellow, l.pick("↶", "<")), "undid "+title(s), ""))
		case client.CompensationStateINCOMPLETE:
			l.said["undo "+s.Name] = true
			out = append(out, l.line(l.mark(client.StepStateFAILED), "could not undo "+title(s), ""))
		case client.CompensationStateNONE, client.CompensationStateRUNNING:
		}
	}
	return out
}

// working returns the lines of what is at work.
func (l *live) working(now time.Time) []string {
	var out []string
	if Over(l.job) {
		return nil
	}
	spin := l.style.Paint(terminal.Yellow, l.spinner())
	for _, s := range l.job.Steps {
		if s.State == client.StepStateRUNNING || s.State == client.StepStateWAITING {
			detail := elapsed(s, now) + trouble(s, now)
			if s.Name == l.job.Progress.CurrentStep && l.job.Progress.Percent > 0 {
				detail = fmt.Sprintf("%d %% %s", l.job.Progress.Percent, detail)
			}
			out = append(out, l.line(spin, title(s), detail))
		}
		if c := s.Compensation; c != nil && c.State == client.CompensationStateRUNNING {
			out = append(out, l.line(spin, "undoing "+title(s), ""))
		}
	}
	if len(out) == 0 {
		detail := strings.ToLower(string(l.job.State))
		if l.job.Waiting != nil {
			detail += ": " + l.job.Waiting.Message
		}
		out = append(out, l.line(spin, l.job.Type, detail))
	}
	if l.note != "" {
		out = append(out, l.line(" ", l.note, ""))
	}
	return out
}

// line composes mark, text and detail within the width, which escapes do not
// count against: a line that wrapped could not be drawn anew.
func (l *live) line(mark, text, detail string) string {
	text = strings.TrimSpace(fail.Clean(text + " " + detail))
	return mark + " " + l.style.Cut(text, max(1, l.width()-3))
}

func (l *live) mark(s client.StepState) string {
	switch s {
	case client.StepStateSUCCEEDED:
		return l.style.Paint(terminal.Green, l.pick("✓", "+"))
	case client.StepStateSKIPPED:
		return l.style.Paint(terminal.Dim, l.pick("·", "."))
	case client.StepStateFAILED, client.StepStateCANCELLED:
		return l.style.Paint(terminal.Red, l.pick("✗", "x"))
	case client.StepStatePENDING, client.StepStateRUNNING, client.StepStateWAITING:
		return l.spinner()
	}
	return "?"
}

func (l *live) spinner() string {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	if l.style.ASCII {
		frames = []rune(`|/-\`)
	}
	return string(frames[l.frame%len(frames)])
}

func (l *live) pick(symbol, ascii string) string {
	if l.style.ASCII {
		return ascii
	}
	return symbol
}
