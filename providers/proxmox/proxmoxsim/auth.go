package proxmoxsim

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// identity is who calls.
type identity struct {
	user  string // "root@pam"
	token string // an API token's name, empty for a ticket
}

// name is how logs and UPIDs name the caller.
func (i identity) name() string {
	if i.token == "" {
		return i.user
	}
	return i.user + "!" + i.token
}

// may returns a check for endpoint.allow: the caller has one of the privileges
// at the path, which may name variables of the endpoint's path:
// may("/vms/{vmid}", "VM.PowerMgmt").
func may(path string, privileges ...string) func(c *call) error {
	return func(c *call) error { return c.need(expand(path, c.vars), privileges...) }
}

// need refuses a caller who has none of the privileges at a path. The caller
// does not hold Server.mu.
func (c *call) need(path string, privileges ...string) error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.needLocked(path, privileges...)
}

// needLocked is need for a caller that holds Server.mu.
func (c *call) needLocked(path string, privileges ...string) error {
	for _, p := range privileges {
		if c.server.state.permits(c.who, path, p) {
			return nil
		}
	}
	return forbidden(path, privileges...)
}

func unauthenticated(text string) *apiFailure {
	return &apiFailure{status: http.StatusUnauthorized, text: text}
}

// authenticate finds out who calls: by an API token, or by a ticket and, for a
// write, the token against forged requests.
func (s *Server) authenticate(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.accepting {
		return unauthenticated("authentication failure")
	}
	header := c.r.Header.Get("Authorization")
	if token, ok := strings.CutPrefix(header, "PVEAPIToken="); ok {
		who, err := s.state.byToken(token)
		c.who = who
		return err
	}
	ticket, ok := strings.CutPrefix(header, "PVEAuthCookie=")
	if cookie, err := c.r.Cookie("PVEAuthCookie"); err == nil && !ok {
		ticket = cookie.Value
	}
	if ticket == "" {
		return unauthenticated("No ticket")
	}
	if decoded, err := url.QueryUnescape(ticket); err == nil && strings.Contains(ticket, "%") {
		ticket = decoded
	}
	user, ok := s.verifyTicket(ticket)
	if !ok {
		return unauthenticated("permission denied - invalid PVE ticket")
	}
	c.who = identity{user: user}
	if c.method != http.MethodGet && !s.verifyCSRF(user, c.r.Header.Get("CSRFPreventionToken")) {
		return unauthenticated("Permission denied - invalid csrf token")
	}
	return nil
}

// byToken finds a token's owner. The caller holds Server.mu.
func (st *state) byToken(token string) (identity, error) {
	full, secret, _ := strings.Cut(token, "=")
	id, name, ok := strings.Cut(full, "!")
	if !ok {
		return identity{}, unauthenticated("no tokenid specified")
	}
	account := st.users[id]
	if account == nil || !account.Enabled {
		return identity{}, unauthenticated("no such user ('" + id + "')")
	}
	known := account.Tokens[name]
	if known == nil {
		return identity{}, unauthenticated("no such token '" + name + "' for user '" + id + "'")
	}
	if subtle.ConstantTimeCompare([]byte(known.Secret), []byte(secret)) != 1 {
		return identity{}, unauthenticated("invalid token value!")
	}
	return identity{user: id, token: name}, nil
}

// A ticket is PVE:<user>:<time, hex>::<signature>.

func (s *Server) ticket(user string, at time.Time) string {
	plain := fmt.Sprintf("PVE:%s:%08X", user, at.Unix())
	return plain + "::" + s.sign(plain)
}

func (s *Server) csrf(user string, at time.Time) string {
	stamp := fmt.Sprintf("%08X", at.Unix())
	return stamp + ":" + s.sign(stamp+":"+user)
}

func (s *Server) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text)) // a hash takes everything
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// verifyTicket returns whose ticket it is. The caller holds Server.mu.
func (s *Server) verifyTicket(ticket string) (user string, ok bool) {
	plain, signature, ok := strings.Cut(ticket, "::")
	if !ok || !hmac.Equal([]byte(signature), []byte(s.sign(plain))) {
		return "", false
	}
	parts := strings.Split(plain, ":")
	if len(parts) != 3 || !s.fresh(parts[2]) {
		return "", false
	}
	account := s.state.users[parts[1]]
	return parts[1], account != nil && account.Enabled
}

func (s *Server) verifyCSRF(user, token string) bool {
	stamp, signature, ok := strings.Cut(token, ":")
	return ok && s.fresh(stamp) && hmac.Equal([]byte(signature), []byte(s.sign(stamp+":"+user)))
}

func (s *Server) fresh(stamp string) bool {
	at, err := strconv.ParseInt(stamp, 16, 64)
	return err == nil && time.Since(time.Unix(at, 0)) < s.opts.TicketTTL
}

// delayRefusal makes a refused caller wait.
func (s *Server) delayRefusal(ctx context.Context) { s.side.Pause(ctx, s.opts.RefusalDelay) }

func (s *Server) accessRoutes() []endpoint {
	return []endpoint{
		{method: http.MethodPost, path: "/access/ticket", public: true, handle: s.login},
		{method: http.MethodGet, path: "/access/ticket", public: true, handle: func(*call) (any, error) { return nil, nil }},
		{method: http.MethodGet, path: "/access/permissions", handle: s.permissions},
	}
}

// login gives a ticket for a password, or for a ticket that still holds.
func (s *Server) login(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := c.text("username")
	if !strings.Contains(id, "@") {
		id += "@" + cmp.Or(c.text("realm"), "pam")
	}
	account := s.state.users[id]
	if account == nil || !account.Enabled || !s.accepting || !s.knows(account, c.text("password")) {
		return nil, unauthenticated("authentication failure")
	}
	at := time.Now()
	return map[string]any{
		"username": id, "ticket": s.ticket(id, at), "CSRFPreventionToken": s.csrf(id, at), "clustername": clusterName,
		"cap": map[string]any{},
	}, nil
}

func (s *Server) knows(account *user, password string) bool {
	if owner, ok := s.verifyTicket(password); ok {
		return owner == account.ID
	}
	return account.Password != "" && subtle.ConstantTimeCompare([]byte(account.Password), []byte(password)) == 1
}

// permissions are the caller's privileges by path.
func (s *Server) permissions(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := c.who
	if other := c.text("userid"); other != "" && other != who.name() {
		if err := c.needLocked("/access", "Sys.Audit"); err != nil {
			return nil, err
		}
		user, token, _ := strings.Cut(other, "!")
		who = identity{user: user, token: token}
	}
	paths := []string{c.text("path")}
	if paths[0] == "" {
		paths = []string{"/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
		for _, g := range s.state.acl {
			paths = append(paths, g.Path)
		}
	}
	out := map[string]map[string]int{}
	for _, path := range paths {
		held := map[string]int{}
		for _, p := range s.state.privilegesAt(who, path) {
			held[p] = 1
		}
		if len(held) > 0 || c.has("path") {
			out[path] = held
		}
	}
	return out, nil
}
