package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// maxPage is the largest page of the API; unpaged asks for no page at all.
const (
	maxPage = 200
	unpaged = -1
)

// filters are the flags of query parameters.
type filters struct {
	flags *pflag.FlagSet
	all   []filter
}

type filter struct {
	flag, param string
	values      func() []string
	choices     []string
}

// one takes one value.
func (f *filters) one(flag, param, help string, choices ...string) {
	v := f.flags.String(flag, "", help)
	f.all = append(f.all, filter{flag, param, func() []string {
		if *v == "" {
			return nil
		}
		return []string{*v}
	}, choices})
}

// many takes values separated by commas, or repeated.
func (f *filters) many(flag, param, help string, choices ...string) {
	v := f.flags.StringSlice(flag, nil, help+"; may be repeated")
	f.all = append(f.all, filter{flag, param, func() []string { return *v }, choices})
}

// sort takes one of the orders of the list.
func (f *filters) sort(orders ...string) {
	f.one("sort", "sort", "order: "+strings.Join(orders, ", "), orders...)
}

// apply puts the filters into the query of a request.
func (f *filters) apply(req *http.Request) error {
	q := req.URL.Query()
	for _, x := range f.all {
		for _, v := range x.values() {
			if len(x.choices) > 0 && !contains(x.choices, v) {
				return fail.Usagef("--%s %s is none of %s", x.flag, v, strings.Join(x.choices, ", "))
			}
			q.Add(x.param, upperChoice(x.choices, v))
		}
	}
	req.URL.RawQuery = q.Encode()
	return nil
}

// contains takes choices in any case.
func contains(choices []string, v string) bool {
	for _, c := range choices {
		if strings.EqualFold(c, v) {
			return true
		}
	}
	return false
}

func upperChoice(choices []string, v string) string {
	for _, c := range choices {
		if strings.EqualFold(c, v) {
			return c
		}
	}
	return v
}

// listing makes a command that lists everything, page by page.
func (a *App) listing(s spec) *cobra.Command {
	var limit, pageSize int
	var f *filters
	cmd := a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		if limit < 0 || pageSize < 0 || pageSize > maxPage {
			return fail.Usagef("--limit is at least 0, --page-size 1 to %d", maxPage)
		}
		req, err := s.request(c)
		if err != nil {
			return err
		}
		if err := f.apply(req); err != nil {
			return err
		}
		if s.unpaged {
			pageSize = unpaged
		}
		items, err := c.pages(c.cmd.Context(), req, limit, pageSize)
		if err != nil {
			return err
		}
		return p.List(s.resource, items)
	})
	f = &filters{flags: cmd.Flags()}
	if s.filters != nil {
		s.filters(f)
	}
	for _, x := range f.all {
		if len(x.choices) > 0 {
			completeChoices(cmd, x.flag, x.choices)
		}
	}
	if !s.unpaged {
		cmd.Flags().IntVar(&limit, "limit", 0, "most items to list; 0 is all")
		cmd.Flags().IntVar(&pageSize, "page-size", 0, fmt.Sprintf("items a request, at most %d; 0 leaves it to hcpctl", maxPage))
	}
	return cmd
}

// page is one answer of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next_page_token"`
}

// pages reads a list to its end, or to limit where that is not 0.
func (c *conn) pages(ctx context.Context, req *http.Request, limit, size int) ([]json.RawMessage, error) {
	var out []json.RawMessage
	seen := map[string]bool{}
	for token := ""; ; {
		next := req.Clone(ctx)
		q := next.URL.Query()
		if n := pageSize(limit-len(out), limit, size); n > 0 {
			q.Set("limit", strconv.Itoa(n))
		}
		if token != "" {
			q.Set("page_token", token)
		}
		next.URL.RawQuery = q.Encode()
		got, err := c.send(ctx, next)
		if err != nil {
			return nil, err
		}
		var p page
		if err := json.Unmarshal(got.body, &p); err != nil {
			return nil, fmt.Errorf("the server's list is not understood: %w", err)
		}
		out = append(out, p.Items...)
		if limit > 0 && len(out) >= limit {
			return out[:limit], nil
		}
		if p.Next == "" {
			return out, nil
		}
		if seen[p.Next] {
			return nil, fmt.Errorf("the server's list goes in circles after %d items", len(out))
		}
		seen[p.Next] = true
		token = p.Next
	}
}

// pageSize asks for no more than is wanted, and for large pages where
// everything is.
func pageSize(left, limit, size int) int {
	if size == 0 {
		size = maxPage
	}
	if limit > 0 {
		size = min(size, left)
	}
	return size
}
