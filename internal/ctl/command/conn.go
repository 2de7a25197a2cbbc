package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/journal"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// conn is the way to the API of one target.
type conn struct {
	app      *App
	target   target
	server   string            // base URL of the API, as the generated client wants it
	resolved map[string]string // IDs of what the arguments name
	http     *http.Client
	silent   *http.Client // tells of no repeats: something else draws on the terminal
}

// answer is an answer whose status is a success.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// Limits of one request with its repeats.
const (
	requestLimit = 5 * time.Minute
	answerLimit  = 64 << 20 // bytes
)

// connect makes the connection that flags, environment and context ask for.
func (a *App) connect() (*conn, error) {
	t, err := a.target()
	if err != nil {
		return nil, err
	}
	base, err := a.network(t.context)
	if err != nil {
		return nil, err
	}
	// A login that failed is no reason to send anything again, so it is outermost.
	chain := func(notify func(transport.Again)) *http.Client {
		retry := &transport.Retry{
			Next:   &transport.Log{Next: base, Logger: a.logger()},
			Policy: a.Policy, Sleep: a.Sleep, Now: a.Now, Notify: notify,
		}
		return &http.Client{Transport: &transport.Authorize{Next: retry, Source: t.source}, CheckRedirect: noRedirect}
	}
	return &conn{
		app: a, resolved: map[string]string{}, target: t, server: t.context.API(),
		silent: chain(nil), http: chain(func(n transport.Again) {
			// Progress only: a failure to write it changes nothing.
			_, _ = fmt.Fprintf(a.Stderr, "%s, retry in %s (attempt %d of %d failed)\n", n.Reason, n.Pause.Round(100*time.Millisecond), n.Attempt, n.Of)
		}),
	}, nil
}

// open sends a request and returns the answer unread, whatever its status.
func (c *conn) open(ctx context.Context, req *http.Request) (*http.Response, error) {
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", "hcpctl/"+c.app.Version)
	if c.app.flags.showCurl {
		line, err := transport.Curl(req)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintln(c.app.Stdout, line); err != nil {
			return nil, err
		}
		return nil, errShown
	}
	return c.http.Do(req) //nolint:gosec // the server is the one that the caller chose
}

// send sends a request that changes nothing.
func (c *conn) send(ctx context.Context, req *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	req.Header.Set("Accept", "application/json")
	resp, err := c.open(ctx, req)
	if err != nil {
		return answer{}, c.unreachable(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return answer{}, c.unreachable(err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return answer{}, fail.FromAnswer(resp.StatusCode, resp.Header, raw, c.watchCommand())
	}
	return answer{resp.StatusCode, resp.Header, raw}, nil
}

// change sends a request that changes something, with an Idempotency-Key that
// is written down before. Where the outcome is not known, the error says how
// the request is repeated.
func (c *conn) change(ctx context.Context, req *http.Request, key string) (answer, error) {
	if key = keyOr(key); journal.CheckKey(key) != nil {
		return answer{}, fail.Usagef("%v", journal.ErrKey)
	}
	repeat := c.repeatCommand(key)
	dirs, err := c.app.dirs()
	if err != nil {
		return answer{}, err
	}
	kept := journal.At(dirs.Requests())
	if req.Method != http.MethodPut {
		req.Header.Set(transport.HeaderIdempotencyKey, key)
		if !c.app.flags.showCurl {
			err := kept.Keep(journal.Request{Key: key, Method: req.Method, URL: req.URL.String(), Command: repeat, CreatedAt: c.app.Now().UTC()})
			if err != nil {
				return answer{}, fmt.Errorf("the request is not sent, its key could not be kept: %w", err)
			}
		}
	}
	ctx, fate := transport.Follow(ctx)
	got, err := c.send(ctx, req)
	switch {
	case errors.Is(err, errShown):
		return got, err
	case err == nil || !fate.Ambiguous():
		return got, errors.Join(err, kept.Forget(key))
	}
	e := &fail.Error{
		Message: "it is not known whether the request was carried out: " + err.Error(),
		Exit:    fail.Unknown, Err: err,
	}
	if errors.Is(err, context.Canceled) {
		e.Exit = fail.Detached
	}
	if req.Method == http.MethodPut {
		return got, e.Then("Read it again before repeating.")
	}
	return got, e.Then("This repeats the same request, and does nothing twice:", "  "+repeat)
}

// repeatCommand is this command line with the key.
func (c *conn) repeatCommand(key string) string {
	words := make([]string, 0, len(c.app.Args)+2)
	ids := maps.Clone(c.resolved)
	for i := 0; i < len(c.app.Args); i++ {
		if c.app.Args[i] == "--idempotency-key" {
			i++ // its value
			continue
		}
		if strings.HasPrefix(c.app.Args[i], "--idempotency-key=") {
			continue
		}
		word := c.app.Args[i]
		// Names may be gone, or name something else, when it is repeated.
		if id, ok := ids[word]; ok {
			word = id
			delete(ids, c.app.Args[i])
		}
		words = append(words, word)
	}
	line := "hcpctl"
	for _, w := range append(words, "--idempotency-key", key) {
		line += " " + transport.ShellQuote(w)
	}
	return line
}

// refused reports whether the credentials are what is wrong.
func refused(err error) bool {
	if _, ok := errors.AsType[*credential.OAuthError](err); ok {
		return true
	}
	return errors.Is(err, credential.ErrNoLogin)
}

// notLoggedIn says how to log in.
func notLoggedIn(err error) error {
	return (&fail.Error{Message: oneLine(err), Exit: fail.Auth, Err: err}).
		Then("Log in: hcpctl login; or give a token: hcpctl context set NAME --token-file FILE, or HCP_TOKEN.")
}

// unreachable says which server could not be reached; an error that says more
// stays what it is.
func (c *conn) unreachable(err error) error {
	if errors.Is(err, errShown) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return &fail.Error{Message: "interrupted", Exit: fail.Detached, Err: err}
	}
	if refused(err) {
		return notLoggedIn(err)
	}
	return (&fail.Error{Message: fmt.Sprintf("%s cannot be reached: %v", c.target.context.Server, oneLine(err)), Exit: fail.Failed, Err: err}).
		Then("Check the address: hcpctl context show")
}

// watchCommand is the command that follows a job, without its ID.
func (c *conn) watchCommand() string {
	if c.target.context.Plane == "ops" {
		return c.app.again("ops", "job", "watch")
	}
	return c.app.again("job", "watch")
}
