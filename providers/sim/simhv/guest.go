package simhv

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// guest is what is on the screen of one boot of a VM. It is not kept in the
// state file: a hypervisor that starts anew shows fresh screens.
type guest struct {
	boot int

	mu        sync.Mutex
	lines     []string
	input     string
	clipboard string
	changed   chan struct{} // closed at the next change
}

const (
	// maxLine bounds what is typed on a line, and maxLines what is remembered of
	// the screen.
	maxLine  = 1024
	maxLines = 200
	// maxClipboard bounds what is remembered of a client's clipboard, in bytes.
	maxClipboard = 4096
	// maxData bounds what a guest writes on a disk, in bytes.
	maxData = 64
)

// guestView is what a guest knows of itself. It does not know where it runs.
type guestView struct {
	name, hostname, data string
	boot                 int
	since                time.Time
}

func (v guestView) uptime() string {
	return fmt.Sprintf("up %d s", int(time.Since(v.since)/time.Second))
}

// see returns a VM's guest, if it runs.
func (s *Server) see(seq uint64) (*guest, guestView, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.state.vms[seq]
	if v == nil || v.Power != wire.PowerRunning {
		return nil, guestView{}, false
	}
	g := s.guests[seq]
	if g == nil || g.boot != v.Boot {
		if g != nil {
			g.change(func() {}) // whoever watches the old one looks again
		}
		g = &guest{boot: v.Boot, changed: make(chan struct{})}
		s.guests[seq] = g
	}
	view := guestView{name: plain(v.Name), data: v.RootData, boot: v.Boot, since: v.UptimeSince}
	view.hostname = view.name
	if v.CloudInit != nil && v.CloudInit.Hostname != "" {
		view.hostname = plain(v.CloudInit.Hostname)
	}
	return g, view, true
}

// plain makes text that can stand on a screen or in a title: printable ASCII,
// at most 64 characters.
func plain(s string) string {
	const most = 64
	var b strings.Builder
	for _, r := range s {
		if b.Len() == most {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (g *guest) change(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
	close(g.changed)
	g.changed = make(chan struct{})
}

// watch is closed at the next change.
func (g *guest) watch() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// print adds a line to the screen.
func (g *guest) print(line string) {
	g.change(func() {
		g.lines = append(g.lines, line)
		if len(g.lines) > maxLines {
			g.lines = append([]string{}, g.lines[len(g.lines)-maxLines:]...)
		}
	})
}

// typed takes one character: it is shown, and Enter carries the line out.
func (s *Server) typed(seq uint64, r rune) {
	g, view, ok := s.see(seq)
	if !ok {
		return
	}
	var line string
	g.change(func() {
		switch {
		case r == '\b':
			if n := len(g.input); n > 0 {
				g.input = g.input[:n-1]
			}
		case r == '\n':
			line, g.input = g.input, ""
		case r >= ' ' && r <= '~' && len(g.input) < maxLine:
			g.input += string(r)
		}
	})
	if r != '\n' {
		return
	}
	g.print(prompt + line)
	for out := range strings.SplitSeq(s.command(seq, view, line), "\n") {
		if out != "" {
			g.print(plain(out))
		}
	}
}

// screen is the text on a VM's screen, from its top.
func (g *guest) screen(view guestView) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	head := []string{"simhv virtual machine", "name:  " + view.name, fmt.Sprintf("boot:  %d   power: running   %s", view.boot, view.uptime()), ""}
	tail := append(append([]string{}, g.lines...), prompt+g.input+"_")
	if room := screenRows - len(head); len(tail) > room {
		tail = tail[len(tail)-room:]
	}
	return append(head, tail...)
}

// restart is what Ctrl-Alt-Del does: the guest boots anew, in the same process.
func (s *Server) restart(seq uint64) {
	s.inGuest(seq, func(v *vmRecord) { v.boot() })
}

// inGuest changes a running VM as its guest can.
func (s *Server) inGuest(seq uint64, do func(v *vmRecord)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.state.vms[seq]
	if v == nil || v.Power != wire.PowerRunning {
		return
	}
	v = v.clone()
	do(v)
	// Where the state file cannot be written the guest's change is lost, as on a
	// disk that fails; the next call of an adapter says why.
	_ = s.commit(change{VMs: []*vmRecord{v}})
}
