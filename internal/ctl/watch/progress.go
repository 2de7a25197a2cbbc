package watch

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

// drawer shows the progress of one job.
type drawer interface {
	show(u Update, now time.Time) error // a state that was seen
	tick(now time.Time) error           // time has passed
	end() error                         // nothing more will come
}

// Progress shows a job's progress on a writer: drawn anew on a terminal, a
// line for each change elsewhere.
type Progress struct {
	mu    sync.Mutex
	draw  drawer
	every time.Duration
	now   func() time.Time
}

// Ticks of the two ways to draw.
const (
	frame     = 100 * time.Millisecond
	heartbeat = 30 * time.Second
)

// NewProgress chooses by the style. w is asked for its width as it changes.
func NewProgress(w io.Writer, style terminal.Style) *Progress {
	if style.Live {
		return &Progress{draw: &live{w: w, style: style, width: func() int { return terminal.Width(w) }}, every: frame, now: time.Now}
	}
	return &Progress{draw: newPlain(w), every: time.Second, now: time.Now}
}

// Follow follows a job with its progress shown.
func (p *Progress) Follow(ctx context.Context, f *Follower) (job client.Job, err error) {
	ticking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { p.ticks(ticking) })
	job, err = f.Follow(ctx, func(u Update) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.draw.show(u, p.now())
	})
	stop()
	wg.Wait()
	if endErr := p.draw.end(); err == nil {
		err = endErr
	}
	return job, err
}

func (p *Progress) ticks(ctx context.Context) {
	t := time.NewTicker(p.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p.mu.Lock()
		err := p.draw.tick(p.now())
		p.mu.Unlock()
		if err != nil {
			return // the next state that is shown meets the same error
		}
	}
}
