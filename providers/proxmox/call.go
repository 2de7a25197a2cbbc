package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// params are the parameters of one call: strings, integers, and booleans, which
// the API wants as 1 and 0.
type params map[string]any

// get reads. What the answer has under "data" is decoded into out, unless that
// is nil.
func (p *Provider) get(ctx context.Context, op, path string, query params, out any) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context) error { return p.api.Get(ctx, path+query.query(), out) })
}

// post starts something. An answer that is a UPID says that it goes on.
func (p *Provider) post(ctx context.Context, op, path string, in params, out any) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context) error { return p.api.Post(ctx, path, in.body(), out) })
}

// put changes something.
func (p *Provider) put(ctx context.Context, op, path string, in params, out any) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context) error { return p.api.Put(ctx, path, in.body(), out) })
}

// del removes something. The API takes no body there, so the parameters go into
// the query.
func (p *Provider) del(ctx context.Context, op, path string, query params, out any) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context) error { return p.api.Delete(ctx, path+query.query(), out) })
}

func (p *Provider) call(ctx context.Context, op string, do func(context.Context) error) *providers.Error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.callTimeout)
		defer cancel()
	}
	if err := do(ctx); err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the URL, whose query may hold a ticket
		}
		code, message := classify(err)
		return fail(op, code, err, message)
	}
	return nil
}

// ready is an error where no call could be made: ctx has ended, or the provider is
// closed.
func (p *Provider) ready(ctx context.Context, op string) *providers.Error {
	return p.call(ctx, op, func(ctx context.Context) error {
		if p.transport.closed.Load() {
			return errClosed
		}
		return ctx.Err()
	})
}

// query renders the parameters as the API wants them in a URL, with the question
// mark; empty without any.
func (p params) query() string {
	if len(p) == 0 {
		return ""
	}
	values := url.Values{}
	for name, value := range p {
		values.Set(name, plain(value))
	}
	return "?" + values.Encode()
}

// body renders the parameters for a JSON body. All of them are strings there: the
// API reads them alike, and a boolean of JSON would be none of its own.
func (p params) body() map[string]string {
	out := make(map[string]string, len(p))
	for name, value := range p {
		out[name] = plain(value)
	}
	return out
}

func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int:
		return strconv.Itoa(v)
	}
	return fmt.Sprint(value)
}

// apiPath joins segments to a path of the API. A segment is escaped: a storage's
// or a snapshot's name never becomes another path.
func apiPath(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
