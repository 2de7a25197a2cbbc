package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The calls below return errors, for use off the test's goroutine and while
// the API comes and goes. A key makes a call safe to repeat.

func (c client) tryAccept(ctx context.Context, method, path string, body any, key string) (accepted, error) {
	header := map[string]string{}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	r, err := c.try(ctx, method, path, body, header)
	if err != nil {
		return accepted{}, err
	}
	if r.Status != http.StatusAccepted {
		return accepted{}, fmt.Errorf("%s %s: %d %s", method, path, r.Status, r.Body)
	}
	var a accepted
	return a, json.Unmarshal(r.Body, &a)
}

func (c client) tryCreate(ctx context.Context, body map[string]any, key string) (accepted, error) {
	return c.tryAccept(ctx, http.MethodPost, c.vms(), body, key)
}

func (c client) tryDelete(ctx context.Context, vmID, key string) (accepted, error) {
	return c.tryAccept(ctx, http.MethodDelete, c.vms()+"/"+vmID, nil, key)
}

func (c client) tryVerb(ctx context.Context, vmID, verb string, body map[string]any) (accepted, error) {
	if verb == "start" {
		body = map[string]any{}
	}
	return c.tryAccept(ctx, http.MethodPost, c.vms()+"/"+vmID+":"+verb, body, "")
}

func (c client) tryGet(ctx context.Context, path string, out any) error {
	r, err := c.try(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, r.Status, r.Body)
	}
	return json.Unmarshal(r.Body, out)
}

// tryWait waits until a job has ended, through failures of the API.
func (c client) tryWait(ctx context.Context, jobID string, limit time.Duration) (j job, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = c.tryGet(ctx, "/tenant/v1/jobs/"+jobID, &j); err == nil && j.over() {
			return j, nil
		}
		select {
		case <-ctx.Done():
			return j, fmt.Errorf("job %s is not over: %s: %w", jobID, j, ctx.Err())
		case <-tick.C:
		}
	}
}

// allVMs reads every page of the project's VMs.
func (c client) allVMs(tb testing.TB) []vm {
	tb.Helper()
	var out []vm
	for token := ""; ; {
		var page struct {
			Items         []vm   `json:"items"`
			NextPageToken string `json:"next_page_token"`
		}
		q := url.Values{"limit": {"200"}}
		if token != "" {
			q.Set("page_token", token)
		}
		c.call(tb, http.MethodGet, c.vms()+"?"+q.Encode(), nil, http.StatusOK, &page)
		out = append(out, page.Items...)
		if token = page.NextPageToken; token == "" {
			return out
		}
	}
}

// requireAgreement demands that the API and the hypervisor know the same VMs,
// in the same power states, and that exactly these hold reservations.
func requireAgreement(tb testing.TB, p *instance) {
	tb.Helper()
	require.Equal(tb, requireSameVMs(tb, p, installation(tb, p)), reservations(tb, p, ""), "reservations")
}

// requireSameVMs demands that the API and the hypervisor know the same VMs of
// an installation, in the same power states. It returns how many these are.
func requireSameVMs(tb testing.TB, p *instance, installation string) int {
	tb.Helper()
	var record, truth []string
	for _, v := range p.tenant().allVMs(tb) {
		require.Empty(tb, v.CurrentJobID, "%+v", v)
		if v.Status != "ERROR" {
			require.Equal(tb, "ACTIVE", v.Status, "%+v", v)
			record = append(record, v.ID+" "+v.PowerState)
		}
	}
	all, err := p.hypervisor().VMs(tb.Context())
	require.NoError(tb, err)
	for _, v := range all {
		if v.Mark != nil && v.Mark.InstallationID == installation {
			truth = append(truth, v.Mark.VMID+" "+strings.ToUpper(v.Power))
		}
	}
	slices.Sort(record)
	slices.Sort(truth)
	require.Equal(tb, truth, record, "hypervisor and API")
	return len(record)
}
