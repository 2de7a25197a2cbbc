package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// jobLimit bounds the wait for a job; steps wait a second or two where the
// hypervisor asks for it.
const jobLimit = 60 * time.Second

// client is one caller of the API.
type client struct {
	url, token, project string
}

func (p *instance) tenant() client { return client{p.APIURL, p.TenantToken, p.ProjectID} }
func (p *instance) other() client  { return client{p.APIURL, p.OtherTenantToken, p.OtherProjectID} }
func (p *instance) ops() client    { return client{p.APIURL, p.OpsToken, ""} }

// vm is as much of a VM as the tests look at.
type vm struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Status       string       `json:"status"`
	StatusReason string       `json:"status_reason"`
	PowerState   string       `json:"power_state"`
	CurrentJobID string       `json:"current_job_id"`
	Addresses    []nicAddress `json:"addresses"`
}

type nicAddress struct {
	IP  string `json:"ip"`
	MAC string `json:"mac"`
}

// job is as much of a job as the tests look at.
type job struct {
	ID           string     `json:"id"`
	Type         string     `json:"type"`
	State        string     `json:"state"`
	Waiting      *jobWait   `json:"waiting"`
	Compensation string     `json:"compensation"`
	Run          int        `json:"run"`
	Steps        []step     `json:"steps"`
	Error        *jobError  `json:"error"`
	Result       *jobResult `json:"result"`
	Progress     struct {
		Percent    int `json:"percent"`
		StepsDone  int `json:"steps_done"`
		StepsTotal int `json:"steps_total"`
	} `json:"progress"`
}

type jobWait struct {
	Reason string `json:"reason"`
}

type jobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type jobResult struct {
	NoOp bool `json:"no_op"`
}

type step struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Attempt int       `json:"attempt"`
	Error   *jobError `json:"error"`
}

func (j job) over() bool {
	return slices.Contains([]string{"SUCCEEDED", "FAILED", "CANCELLED"}, j.State)
}

func (j job) String() string {
	raw, err := json.Marshal(j)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// accepted is the body of a 202.
type accepted struct {
	VMID       string `json:"vm_id"`
	ResourceID string `json:"resource_id"`
	JobID      string `json:"job_id"`
}

// problem is the body of an error.
type problem struct {
	Status       int    `json:"status"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
	CurrentJobID string `json:"current_job_id"`
}

// reply is an answer of the API.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// try makes a request. Only trouble with the connection is an error.
func (c client) try(ctx context.Context, method, path string, body any, header map[string]string) (reply, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/api/hcp"+path, in)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	out := reply{Status: resp.StatusCode, Header: resp.Header}
	out.Body, err = io.ReadAll(resp.Body)
	return out, err
}

// call makes a request that must be answered with a status.
func (c client) call(tb testing.TB, method, path string, body any, status int, out any) reply {
	tb.Helper()
	r, err := c.try(tb.Context(), method, path, body, nil)
	require.NoError(tb, err)
	require.Equal(tb, status, r.Status, "%s %s: %s", method, path, r.Body)
	if out != nil {
		require.NoError(tb, json.Unmarshal(r.Body, out), "%s", r.Body)
	}
	return r
}

func (c client) vms() string { return "/tenant/v1/projects/" + c.project + "/vms" }

// createBody is a VM on the simulated hypervisor.
func createBody(name string) map[string]any {
	return map[string]any{
		"name": name, "image_id": "tiny", "flavor_id": "small",
		"networks":  []map[string]any{{"network_id": "net0"}},
		"placement": map[string]any{"zone": "zone-1"},
	}
}

func (c client) create(tb testing.TB, name string) accepted {
	tb.Helper()
	var a accepted
	c.call(tb, http.MethodPost, c.vms(), createBody(name), http.StatusAccepted, &a)
	require.NotEmpty(tb, a.JobID)
	require.Equal(tb, a.VMID, a.ResourceID)
	return a
}

func (c client) verb(tb testing.TB, vmID, verb string, body any) accepted {
	tb.Helper()
	var a accepted
	c.call(tb, http.MethodPost, c.vms()+"/"+vmID+":"+verb, body, http.StatusAccepted, &a)
	return a
}

func (c client) delete(tb testing.TB, vmID string) accepted {
	tb.Helper()
	var a accepted
	c.call(tb, http.MethodDelete, c.vms()+"/"+vmID, nil, http.StatusAccepted, &a)
	return a
}

func (c client) vm(tb testing.TB, vmID string) vm {
	tb.Helper()
	var v vm
	c.call(tb, http.MethodGet, c.vms()+"/"+vmID, nil, http.StatusOK, &v)
	return v
}

func (c client) job(tb testing.TB, jobID string) job {
	tb.Helper()
	var j job
	plane := "/tenant/v1"
	if c.project == "" {
		plane = "/ops/v1"
	}
	c.call(tb, http.MethodGet, plane+"/jobs/"+jobID, nil, http.StatusOK, &j)
	return j
}

// wait waits until a job has ended.
func (c client) wait(tb testing.TB, jobID string) job {
	tb.Helper()
	var j job
	eventually(tb, jobLimit, func() error {
		if j = c.job(tb, jobID); !j.over() {
			return fmt.Errorf("job is not over: %s", j)
		}
		return nil
	})
	return j
}

// done waits until a job has succeeded.
func (c client) done(tb testing.TB, jobID string) job {
	tb.Helper()
	j := c.wait(tb, jobID)
	require.Equal(tb, "SUCCEEDED", j.State, "%s", j)
	return j
}
