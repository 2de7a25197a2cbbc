// Package sweeps is for tests that sweep the requests of an adapter's operations: a
// process is ended, or loses an answer, at each of them, and another one goes on.
package sweeps

import (
	"slices"
	"sync"
)

// Ending is what happens at one request of an operation that changes something.
type Ending int

// The endings.
const (
	Unharmed   Ending = iota
	AnswerLost        // it took effect, and the connection broke
	DiesBefore        // the process ended before it was sent
	DiesAfter         // the process ended before the answer came
)

func (e Ending) String() string {
	return [...]string{"unharmed", "answer lost", "process dies before", "process dies after"}[e]
}

// Gate is what the requests of a process go by. Whoever carries them asks it what
// happens to each.
type Gate struct {
	mu     sync.Mutex
	writes []string // the requests that change something, in their order
	at     int      // which of them has the ending; 0: none
	how    Ending
	dead   bool
	asked  int // how many requests there were, reads too
	meet   func(at int, request string)
}

// Enter lets a request by, or tells its ending. A dead process sends nothing. For a
// request with AnswerLost or DiesAfter, Left must be called once it took effect.
func (g *Gate) Enter(request string, changes bool) (how Ending, dead bool) {
	if at, meet := g.count(); meet != nil {
		meet(at, request)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if changes && !g.dead {
		g.writes = append(g.writes, request)
		if len(g.writes) == g.at {
			how = g.how
		}
	}
	g.dead = g.dead || how == DiesBefore
	return how, g.dead
}

func (g *Gate) count() (at int, meet func(int, string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	return g.asked, g.meet
}

// Left ends a process whose request has taken effect, where that is its ending.
func (g *Gate) Left(how Ending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = g.dead || how == DiesAfter
}

// Meet has f called before each request, with its number. It is for a process that is
// not yet asked.
func (g *Gate) Meet(f func(at int, request string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meet = f
}

// End sets the ending of the at-th request that changes something.
func (g *Gate) End(at int, how Ending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.how = at, how
}

// Forget begins to count anew.
func (g *Gate) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes, g.asked = nil, 0
}

// IsDead reports whether the process has ended.
func (g *Gate) IsDead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

// Requests is how many requests there were, reads too.
func (g *Gate) Requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// Written are the requests that change something, in their order.
func (g *Gate) Written() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.writes)
}
