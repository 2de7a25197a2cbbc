package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/dev/stacktest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

const (
	modelClients = 8
	modelCalls   = 1000 // of all clients together
	// modelQuota is few enough VMs that the clients are in each other's way.
	modelQuota = 12
)

// Eight clients make random calls, and know for each what the API may answer:
// the state of a VM decides, the job that is at work on it, the quota that the
// clients share, and what they asked before under the same key. At the end
// usage is recounted, and API and hypervisor agree.
func TestModel(t *testing.T) {
	for _, variant := range stacktest.Variants() {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			seed := chaosSeed(t)
			s := stacktest.Start(t, variant, simhv.Options{Nodes: 4, NodeVCPUs: 1000, NodeMemoryMiB: 1 << 20})
			p := &instance{info: info(s.Info())}
			p.ops().setQuota(t, stack.DemoProject, map[string]any{"vms": modelQuota, "vcpus": 2 * modelQuota})

			ledger := &quotaLedger{limit: modelQuota}
			clients := make([]*modelClient, modelClients)
			var wg sync.WaitGroup
			for i := range clients {
				clients[i] = &modelClient{
					client: p.tenant(), stranger: p.other(), name: fmt.Sprintf("c%d", i), ledger: ledger,
					rng: rand.New(rand.NewPCG(seed, uint64(i))), vms: map[string]*modelVM{},
				}
				wg.Go(func() { clients[i].run(t.Context(), modelCalls/modelClients) })
			}
			wg.Wait()
			calls := map[string]int{}
			for _, c := range clients {
				require.NoError(t, c.err, "%s after %d calls: %v", c.name, c.calls, c.last)
				for what, n := range c.seen {
					calls[what] += n
				}
			}
			t.Logf("answers: %v", calls)
			requireVariety(t, calls)
			ledger.check(t)
			live := requireSettled(t, p, clients)
			installation, err := s.Store().InstallationID(t.Context())
			require.NoError(t, err)
			require.Equal(t, live, requireSameVMs(t, p, installation))
		})
	}
}

// requireVariety demands that the dice led everywhere.
func requireVariety(t *testing.T, calls map[string]int) {
	t.Helper()
	for _, what := range []string{
		"create 202", "create 403 QUOTA_EXCEEDED", "create 409 NAME_CONFLICT", "replay 202", "reuse 422 IDEMPOTENCY_KEY_REUSED",
		"start 202", "stop 202", "reboot 202", "delete 202", "update 202", "update 412 PRECONDITION_FAILED", "delete 409 DELETE_PROTECTED",
		"start 409 INVALID_STATE", "get 200", "list 200", "stranger 404 NOT_FOUND",
	} {
		require.NotZero(t, calls[what], what)
	}
}

// requireSettled waits for every job, and compares the VMs, and the usage of
// the quota with a recount of them, which it returns.
func requireSettled(t *testing.T, p *instance, clients []*modelClient) (live int) {
	t.Helper()
	for _, c := range clients {
		for _, v := range c.vms {
			for _, job := range v.jobs {
				c.wait(t, job)
			}
			require.NoError(t, c.refresh(t.Context(), v), v.name)
			if v.held() {
				live++
			}
		}
	}
	var report struct {
		Used map[string]int `json:"used"`
	}
	p.tenant().call(t, http.MethodGet, "/tenant/v1/projects/"+p.ProjectID+"/quota", nil, http.StatusOK, &report)
	require.Equal(t, live, report.Used["vms"])
	require.Equal(t, live, report.Used["vcpus"], "each VM has one vCPU")
	require.LessOrEqual(t, live, modelQuota)
	return live
}

// setQuota sets the limits of a tenant or a project.
func (c client) setQuota(tb testing.TB, scope string, limits map[string]any) {
	tb.Helper()
	path := "/ops/v1/quotas/" + scope
	now := c.call(tb, http.MethodGet, path, nil, http.StatusOK, nil)
	r, err := c.try(tb.Context(), http.MethodPut, path, limits, map[string]string{"If-Match": now.Header.Get("ETag")})
	require.NoError(tb, err)
	require.Equal(tb, http.StatusOK, r.Status, "%s", r.Body)
}

// quotaLedger remembers when VMs took of the quota, to judge afterwards
// whether each answer to a create could be right.
type quotaLedger struct {
	limit int

	mu      sync.Mutex
	holds   []*hold
	answers []quotaAnswer
}

// hold is one VM's share: it may be held from began to ended, and surely is
// from sure to unsure. Zero times at the end are open.
type hold struct{ began, sure, unsure, ended time.Time }

type quotaAnswer struct {
	sent, received time.Time
	accepted       bool
}

func (l *quotaLedger) begin(sent time.Time) *hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &hold{began: sent}
	l.holds = append(l.holds, h)
	return h
}

func (l *quotaLedger) set(at *time.Time, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.IsZero() {
		*at = now
	}
}

func (l *quotaLedger) answered(a quotaAnswer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

// check demands that nothing was accepted beyond the limit, and nothing was
// refused that fitted.
func (l *quotaLedger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted, refused := 0, 0
	for _, a := range l.answers {
		sure, may := 0, 0
		for _, h := range l.holds {
			if !h.sure.IsZero() && h.sure.Before(a.sent) && (h.unsure.IsZero() || h.unsure.After(a.received)) {
				sure++
			}
			if h.began.Before(a.received) && (h.ended.IsZero() || h.ended.After(a.sent)) {
				may++
			}
		}
		if a.accepted {
			accepted++
			require.Less(t, sure, l.limit, "a create was accepted beyond the quota")
			continue
		}
		refused++
		require.GreaterOrEqual(t, may, l.limit, "a create was refused that fitted into the quota")
	}
	t.Logf("quota of %d VMs: %d creates accepted, %d refused", l.limit, accepted, refused)
}
