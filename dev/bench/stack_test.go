package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/dev/stacktest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// startStack starts a whole control plane with a simulated hypervisor that is
// large and has no delays.
func startStack(b *testing.B, variant string) *stack.Stack {
	b.Helper()
	return stacktest.Start(b, variant, simhv.Options{Nodes: 64, NodeVCPUs: 100_000, NodeMemoryMiB: 1 << 30})
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// tenant is a client of the API that keeps its connections.
type tenant struct {
	http *http.Client
	info stack.Info
}

func newTenant(s *stack.Stack) tenant {
	return tenant{
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute},
		info: s.Info(),
	}
}

func (c tenant) vms() string {
	return c.info.APIURL + "/api/hcp/tenant/v1/projects/" + c.info.ProjectID + "/vms"
}

// create asks for a running VM and returns the job's ID.
func (c tenant) create(ctx context.Context, name string) (string, error) {
	body, err := json.Marshal(map[string]any{
		"name": name, "image_id": stack.TinyImage, "flavor_id": stack.SmallFlavor,
		"networks":  []map[string]string{{"network_id": stack.SimNetwork}},
		"placement": map[string]string{"zone": stack.SimZone},
	})
	if err != nil {
		return "", err
	}
	var accepted struct {
		JobID string `json:"job_id"`
	}
	raw, err := c.do(ctx, http.MethodPost, c.vms(), body, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	err = json.Unmarshal(raw, &accepted)
	return accepted.JobID, err
}

func (c tenant) do(ctx context.Context, method, url string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.info.TenantToken)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, raw)
	}
	return raw, nil
}
