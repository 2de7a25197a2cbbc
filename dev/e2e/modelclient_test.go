package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// modelVM is what a client knows of a VM of its own. Only its client changes
// it, so that it is known but for the job that is at work on it.
type modelVM struct {
	id, name   string
	tags       map[string]string
	protected  bool
	deleting   bool // a delete was accepted
	generation int
	jobs       []string // accepted, oldest first
	hold       *hold
	// As last read, when no job was open.
	status, power string
}

func (v *modelVM) held() bool {
	return v.status == "ACTIVE" || v.status == "PENDING" || v.status == "DELETING"
}

// asked is a request with its answer, to be repeated.
type asked struct {
	method, path, key string
	body              map[string]any
	answer            []byte
}

// modelClient makes random calls and judges the answers. It stops at the first
// that is wrong.
type modelClient struct {
	client
	stranger client
	name     string
	rng      *rand.Rand
	ledger   *quotaLedger

	vms   map[string]*modelVM // by ID
	past  []asked
	made  int
	calls int
	seen  map[string]int
	last  string
	err   error
}

func (c *modelClient) run(ctx context.Context, calls int) {
	c.seen = map[string]int{}
	actions := []struct {
		weight int
		do     func(context.Context) error
	}{
		{20, c.doCreate},
		{8, c.doReplay},
		{5, c.doReuse},
		{30, c.doPower},
		{14, c.doDelete},
		{10, c.doUpdate},
		{6, c.doGet},
		{3, c.doList},
		{4, c.doStranger},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for c.calls < calls && c.err == nil {
		n := c.rng.IntN(total)
		for _, a := range actions {
			if n -= a.weight; n < 0 {
				c.err = a.do(ctx)
				break
			}
		}
	}
}

// send makes one call of the thousand.
func (c *modelClient) send(ctx context.Context, what, method, path string, body any, header map[string]string) (reply, problem, error) {
	r, err := c.try(ctx, method, path, body, header)
	if err != nil {
		return r, problem{}, err
	}
	c.calls++
	var p problem
	label := fmt.Sprintf("%s %d", what, r.Status)
	if r.Status >= http.StatusBadRequest {
		if err := json.Unmarshal(r.Body, &p); err != nil {
			return r, p, err
		}
		label += " " + p.Code
	}
	c.seen[label]++
	c.last = fmt.Sprintf("%s %s %v: %d %s", method, path, body, r.Status, r.Body)
	return r, p, nil
}

func wrong(r reply, why string) error {
	return fmt.Errorf("wrong answer, %s: %d %s", why, r.Status, r.Body)
}

// pick returns one of the client's VMs that are not known to be gone, or nil.
func (c *modelClient) pick() *modelVM {
	ids := slices.Sorted(maps.Keys(c.vms))
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.vms[id].status == "DELETED" && c.rng.IntN(10) > 0 })
	if len(ids) == 0 {
		return nil
	}
	return c.vms[ids[c.rng.IntN(len(ids))]]
}

// quiet waits until no job is open and reads the VM.
func (c *modelClient) quiet(ctx context.Context, v *modelVM) error {
	for _, job := range v.jobs {
		if _, err := c.tryWait(ctx, job, time.Minute); err != nil {
			return err
		}
	}
	return c.refresh(ctx, v)
}

// refresh reads a VM without an open job and compares what is known.
func (c *modelClient) refresh(ctx context.Context, v *modelVM) error {
	var got struct {
		Name, Status     string
		PowerState       string `json:"power_state"`
		CurrentJobID     string `json:"current_job_id"`
		Tags             map[string]string
		DeleteProtection bool `json:"delete_protection"`
		Generation       int
	}
	if err := c.tryGet(ctx, c.client.vms()+"/"+v.id, &got); err != nil {
		return err
	}
	switch {
	case got.Name != v.name, !maps.Equal(got.Tags, v.tags), got.DeleteProtection != v.protected, got.Generation != v.generation:
		return fmt.Errorf("VM %+v was read as %+v", *v, got)
	case got.CurrentJobID != "":
		return fmt.Errorf("VM %+v is locked by %s, and no job is open", *v, got.CurrentJobID)
	case v.deleting != (got.Status == "DELETED"):
		return fmt.Errorf("VM %+v has status %s", *v, got.Status)
	}
	v.status, v.power = got.Status, got.PowerState
	if v.status == "DELETED" {
		c.ledger.set(&v.hold.ended, time.Now())
	}
	return nil
}

func (c *modelClient) key() string { return fmt.Sprintf("%s-%d-%d", c.name, c.calls, c.rng.Uint64()) }

func (c *modelClient) doCreate(ctx context.Context) error {
	name := fmt.Sprintf("%s-%d", c.name, c.made)
	if v := c.pick(); v != nil && c.rng.IntN(8) == 0 {
		name = v.name
	}
	taken := false
	for _, v := range c.vms {
		if v.name == name && v.deleting && v.status != "DELETED" {
			return nil // whether the name is free is a matter of time
		}
		taken = taken || v.name == name && !v.deleting
	}
	body, key := createBody(name), c.key()
	body["tags"] = map[string]string{"client": c.name}
	sent := time.Now()
	r, p, err := c.send(ctx, "create", http.MethodPost, c.client.vms(), body, map[string]string{"Idempotency-Key": key})
	if err != nil {
		return err
	}
	received := time.Now()
	switch {
	case r.Status == http.StatusAccepted && !taken:
		h := c.ledger.begin(sent)
		c.ledger.set(&h.sure, received)
		c.ledger.answered(quotaAnswer{sent: sent, received: received, accepted: true})
		var a accepted
		if err := json.Unmarshal(r.Body, &a); err != nil {
			return err
		}
		c.made++
		c.vms[a.VMID] = &modelVM{id: a.VMID, name: name, tags: map[string]string{"client": c.name}, generation: 1, jobs: []string{a.JobID}, hold: h, status: "PENDING"}
		c.past = append(c.past, asked{http.MethodPost, c.client.vms(), key, body, r.Body})
		return nil
	case r.Status == http.StatusForbidden && p.Code == "QUOTA_EXCEEDED":
		c.ledger.answered(quotaAnswer{sent: sent, received: received})
		return requireQuotaFacts(r)
	case r.Status == http.StatusConflict && p.Code == "NAME_CONFLICT" && taken:
		return nil
	}
	return wrong(r, fmt.Sprintf("the name is taken: %v", taken))
}

// requireQuotaFacts looks at the figures of a refusal.
func requireQuotaFacts(r reply) error {
	var f struct {
		Dimension              string
		Limit, Used, Requested int
	}
	if err := json.Unmarshal(r.Body, &f); err != nil {
		return err
	}
	if f.Dimension != "vms" || f.Limit != modelQuota || f.Requested != 1 || f.Used != modelQuota {
		return wrong(r, "its figures")
	}
	return nil
}

// doReplay repeats a request: it gets the first answer, whatever came after.
func (c *modelClient) doReplay(ctx context.Context) error {
	if len(c.past) == 0 {
		return nil
	}
	a := c.past[c.rng.IntN(len(c.past))]
	r, _, err := c.send(ctx, "replay", a.method, a.path, a.body, map[string]string{"Idempotency-Key": a.key})
	if err != nil {
		return err
	}
	if r.Status != http.StatusAccepted || !bytes.Equal(r.Body, a.answer) || r.Header.Get("Idempotency-Replayed") != "true" {
		return wrong(r, "the first was "+string(a.answer))
	}
	return nil
}

// doReuse repeats a key with another body.
func (c *modelClient) doReuse(ctx context.Context) error {
	i := slices.IndexFunc(c.past, func(a asked) bool { return a.body["name"] != nil })
	if i < 0 {
		return nil
	}
	a := c.past[i]
	other := maps.Clone(a.body)
	other["description"] = c.key()
	r, p, err := c.send(ctx, "reuse", a.method, a.path, other, map[string]string{"Idempotency-Key": a.key})
	if err == nil && p.Code != "IDEMPOTENCY_KEY_REUSED" {
		return wrong(r, "the key was used with another body")
	}
	return err
}

func (c *modelClient) doPower(ctx context.Context) error {
	v := c.pick()
	if v == nil {
		return nil
	}
	kind := []models.OperationKind{models.OpVMStart, models.OpVMStop, models.OpVMReboot}[c.rng.IntN(3)]
	verb := strings.TrimPrefix(string(kind), "vm.")
	known := c.rng.IntN(2) == 0 || v.deleting
	if known {
		if err := c.quiet(ctx, v); err != nil {
			return err
		}
	}
	key, path := c.key(), c.client.vms()+"/"+v.id+":"+verb
	body := map[string]any{}
	r, p, err := c.send(ctx, verb, http.MethodPost, path, body, map[string]string{"Idempotency-Key": key})
	if err != nil {
		return err
	}
	spec, _ := models.OperationOf(kind)
	allowed := spec.Allowed.Allow(models.VMStatus(v.status), models.PowerState(v.power))
	switch {
	case r.Status == http.StatusAccepted && (!known || allowed):
		c.past = append(c.past, asked{http.MethodPost, path, key, body, r.Body})
		return c.took(v, r)
	case p.Code == "INVALID_STATE" && (!known || !allowed):
		return nil
	case p.Code == "OPERATION_IN_PROGRESS" && !known && slices.Contains(v.jobs, p.CurrentJobID):
		return nil
	}
	return wrong(r, fmt.Sprintf("known=%v allowed=%v of %+v", known, allowed, *v))
}

// took notes an accepted job.
func (c *modelClient) took(v *modelVM, r reply) error {
	var a accepted
	if err := json.Unmarshal(r.Body, &a); err != nil {
		return err
	}
	if a.ResourceID != v.id || a.JobID == "" {
		return wrong(r, "its IDs")
	}
	v.jobs = append(v.jobs, a.JobID)
	v.generation++
	return nil
}

// doDelete deletes at any moment: a job at work is cancelled.
func (c *modelClient) doDelete(ctx context.Context) error {
	v := c.pick()
	if v == nil || v.deleting && v.status != "DELETED" {
		return nil
	}
	c.ledger.set(&v.hold.unsure, time.Now())
	r, p, err := c.send(ctx, "delete", http.MethodDelete, c.client.vms()+"/"+v.id, nil, nil)
	switch {
	case err != nil:
		return err
	case v.deleting && p.Code == "INVALID_STATE", !v.deleting && v.protected && p.Code == "DELETE_PROTECTED":
		return nil
	case r.Status == http.StatusAccepted && !v.deleting && !v.protected:
		v.deleting, v.status = true, "DELETING"
		return c.took(v, r)
	}
	return wrong(r, fmt.Sprintf("of %+v", *v))
}

// doUpdate changes tags or the protection, also while a job is at work.
func (c *modelClient) doUpdate(ctx context.Context) error {
	v := c.pick()
	if v == nil || v.deleting && v.status != "DELETED" {
		return nil
	}
	tags, protected := maps.Clone(v.tags), v.protected
	body := map[string]any{}
	switch c.rng.IntN(3) {
	case 0:
		protected = !protected
		body["delete_protection"] = protected
	case 1:
		tags["round"] = fmt.Sprint(c.calls)
		body["tags"] = map[string]any{"round": tags["round"]}
	default:
		delete(tags, "round")
		body["tags"] = map[string]any{"round": nil}
	}
	stale := c.rng.IntN(3) == 0
	match := fmt.Sprintf(`"%d"`, v.generation)
	if stale {
		match = `"4711"`
	}
	r, p, err := c.send(ctx, "update", http.MethodPatch, c.client.vms()+"/"+v.id, body, map[string]string{"If-Match": match})
	switch {
	case err != nil:
		return err
	case v.deleting && p.Code == "INVALID_STATE", stale && !v.deleting && p.Code == "PRECONDITION_FAILED":
		return nil
	case r.Status == http.StatusAccepted && !stale && !v.deleting:
		changed := protected != v.protected || !maps.Equal(tags, v.tags)
		v.tags, v.protected = tags, protected
		if err := c.took(v, r); err != nil {
			return err
		}
		if !changed {
			v.generation-- // what holds already is no change
		}
		return nil
	}
	return wrong(r, fmt.Sprintf("stale=%v of %+v", stale, *v))
}

func (c *modelClient) doGet(ctx context.Context) error {
	v := c.pick()
	if v == nil {
		return nil
	}
	if err := c.quiet(ctx, v); err != nil {
		return err
	}
	first, _, err := c.send(ctx, "get", http.MethodGet, c.client.vms()+"/"+v.id, nil, nil)
	if err != nil {
		return err
	}
	again, _, err := c.send(ctx, "get", http.MethodGet, c.client.vms()+"/"+v.id, nil, map[string]string{"If-None-Match": first.Header.Get("ETag")})
	if err == nil && again.Status != http.StatusNotModified && bytes.Equal(again.Body, first.Body) {
		return wrong(again, "the client has this already")
	}
	return err
}

// doList reads the client's VMs in small pages, while others write.
func (c *modelClient) doList(ctx context.Context) error {
	want := map[string]bool{}
	for _, v := range c.vms {
		if err := c.quiet(ctx, v); err != nil {
			return err
		}
		if v.status != "DELETED" {
			want[v.name] = true
		}
	}
	token, got := "", map[string]bool{}
	for {
		path := c.client.vms() + "?limit=2&sort=name&tag=client:" + c.name
		if token != "" {
			path += "&page_token=" + token
		}
		r, _, err := c.send(ctx, "list", http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		var page struct {
			Items []vm   `json:"items"`
			Next  string `json:"next_page_token"`
		}
		if err := json.Unmarshal(r.Body, &page); err != nil {
			return err
		}
		for _, v := range page.Items {
			if got[v.Name] {
				return wrong(r, "a VM is there twice")
			}
			got[v.Name] = true
		}
		if token = page.Next; token == "" {
			break
		}
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("listed %v, not %v", got, want)
	}
	return nil
}

// doStranger reads and changes as another tenant: nothing is there.
func (c *modelClient) doStranger(ctx context.Context) error {
	v := c.pick()
	if v == nil {
		return nil
	}
	method := []string{http.MethodGet, http.MethodDelete}[c.rng.IntN(2)]
	mine := c.client
	c.client = client{url: mine.url, token: c.stranger.token, project: mine.project}
	r, p, err := c.send(ctx, "stranger", method, mine.vms()+"/"+v.id, nil, nil)
	c.client = mine
	if err == nil && p.Code != "NOT_FOUND" {
		return wrong(r, "it is another tenant's")
	}
	return err
}
