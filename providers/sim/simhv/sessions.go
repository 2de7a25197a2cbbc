package simhv

import (
	"crypto/rand"
	"sync"
	"time"
)

// maxSessions bounds the sessions; the oldest are dropped.
const maxSessions = 10_000

// sessions are the logins that hold.
type sessions struct {
	ttl time.Duration

	mu      sync.RWMutex
	valid   bool // PUT /_admin/credentials
	expires map[string]time.Time
	order   []string // by age
}

// setValid refuses every call from now on, or ends that. Sessions do not
// survive it.
func (s *sessions) setValid(valid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid, s.expires, s.order = valid, map[string]time.Time{}, nil
}

func (s *sessions) mayLogin() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.valid
}

func (s *sessions) open(now time.Time) (token string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires[token] = now.Add(s.ttl)
	s.order = append(s.order, token)
	for len(s.order) > maxSessions || now.After(s.expires[s.order[0]]) {
		delete(s.expires, s.order[0])
		s.order = s.order[1:]
	}
	return token
}

func (s *sessions) holds(token string, now time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	until, ok := s.expires[token]
	return s.valid && ok && now.Before(until)
}
