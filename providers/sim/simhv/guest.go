package simhv

import (
	"fmt"
	"strings"
	"sync"

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
)

// machine is a VM of this hypervisor as its consoles reach it.
type machine struct {
	s   *Server
	seq uint64
}

func (m machine) See() (GuestView, bool) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	v := m.s.state.vms[m.seq]
	if v == nil || v.Power != wire.PowerRunning {
		return GuestView{}, false
	}
	view := GuestView{Name: v.Name, Hostname: v.Name, Data: v.RootData, Boot: v.Boot, Since: v.UptimeSince}
	if v.CloudInit != nil && v.CloudInit.Hostname != "" {
		view.Hostname = v.CloudInit.Hostname
	}
	return view, true
}

func (m machine) Restart() { m.s.inGuest(m.seq, func(v *vmRecord) { v.boot() }) }

func (m machine) Write(text string) { m.s.inGuest(m.seq, func(v *vmRecord) { v.RootData = text }) }

// display is what a VM's consoles show.
func (s *Server) display(seq uint64) *Display {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.displays[seq]
	if d == nil {
		d = NewDisplay(machine{s, seq})
		if s.state.vms[seq] != nil {
			s.displays[seq] = d
		}
	}
	return d
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
func (d *Display) typed(r rune) {
	g, view, ok := d.see()
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
	for out := range strings.SplitSeq(d.command(view, line), "\n") {
		if out != "" {
			g.print(plain(out))
		}
	}
}

// screen is the text on a VM's screen, from its top.
func (g *guest) screen(view GuestView) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	head := []string{"simhv virtual machine", "name:  " + view.Name, fmt.Sprintf("boot:  %d   power: running   %s", view.Boot, view.uptime()), ""}
	tail := append(append([]string{}, g.lines...), prompt+g.input+"_")
	if room := screenRows - len(head); len(tail) > room {
		tail = tail[len(tail)-room:]
	}
	return append(head, tail...)
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
