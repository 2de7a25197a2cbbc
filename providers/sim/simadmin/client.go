package simadmin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Admin is a client of the admin side, for tests and tools. Its errors are Refusals
// where the simulator refuses.
type Admin struct {
	// URL is where the hypervisor listens, without a path.
	URL string
	// Client is used for the calls; nil means http.DefaultClient.
	Client *http.Client
}

// VMs lists every VM, whoever's it is, in the order in which they were made.
func (a Admin) VMs(ctx context.Context) ([]VM, error) {
	var out vmList
	err := a.do(ctx, http.MethodGet, "vms", nil, &out)
	return out.VMs, err
}

// CreateVM makes a foreign VM.
func (a Admin) CreateVM(ctx context.Context, vm NewVM) (VM, error) {
	var out VM
	err := a.do(ctx, http.MethodPost, "vms", vm, &out)
	return out, err
}

// PatchVM changes a VM behind the control plane's back.
func (a Admin) PatchVM(ctx context.Context, nativeID string, set VMChange) (VM, error) {
	var out VM
	err := a.do(ctx, http.MethodPatch, "vms/"+url.PathEscape(nativeID), set, &out)
	return out, err
}

// DeleteVM loses a VM.
func (a Admin) DeleteVM(ctx context.Context, nativeID string) error {
	return a.do(ctx, http.MethodDelete, "vms/"+url.PathEscape(nativeID), nil, nil)
}

// Calls returns the calls of adapters after a number, oldest first.
func (a Admin) Calls(ctx context.Context, since uint64) ([]Call, error) {
	var out callList
	err := a.do(ctx, http.MethodGet, "calls?since="+strconv.FormatUint(since, 10), nil, &out)
	return out.Calls, err
}

// SetFaults replaces the faults and releases the calls that hang.
func (a Admin) SetFaults(ctx context.Context, faults ...Fault) error {
	return a.do(ctx, http.MethodPut, "faults", faultList[Fault]{append([]Fault{}, faults...)}, nil)
}

// Faults shows the faults and what has fired.
func (a Admin) Faults(ctx context.Context) ([]FaultReport, error) {
	var out faultList[FaultReport]
	err := a.do(ctx, http.MethodGet, "faults", nil, &out)
	return out.Faults, err
}

// ClearFaults removes the faults and releases the calls that hang.
func (a Admin) ClearFaults(ctx context.Context) error {
	return a.do(ctx, http.MethodDelete, "faults", nil, nil)
}

// SetLatency replaces the latencies.
func (a Admin) SetLatency(ctx context.Context, set Latency) error {
	return a.do(ctx, http.MethodPut, "latency", set, nil)
}

// SetCapabilities replaces what the hypervisor cannot do.
func (a Admin) SetCapabilities(ctx context.Context, set Capabilities) error {
	return a.do(ctx, http.MethodPut, "capabilities", set, nil)
}

// Screen shows what a running VM's screen shows.
func (a Admin) Screen(ctx context.Context, nativeID string) (Screen, error) {
	var out Screen
	err := a.do(ctx, http.MethodGet, "vms/"+url.PathEscape(nativeID)+"/screen", nil, &out)
	return out, err
}

// SetCredentials makes the hypervisor refuse every call, or ends that.
func (a Admin) SetCredentials(ctx context.Context, valid bool) error {
	return a.do(ctx, http.MethodPut, "credentials", credentialsBody{&valid}, nil)
}

// SetNode changes a node.
func (a Admin) SetNode(ctx context.Context, node string, set NodeChange) error {
	return a.do(ctx, http.MethodPut, "nodes/"+url.PathEscape(node), set, nil)
}

// Stats counts.
func (a Admin) Stats(ctx context.Context) (Stats, error) {
	var out Stats
	err := a.do(ctx, http.MethodGet, "stats", nil, &out)
	return out, err
}

func (a Admin) do(ctx context.Context, method, path string, in, out any) (err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.URL, "/")+Prefix+path, body)
	if err != nil {
		return err
	}
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		e := Refusal{Status: res.StatusCode}
		if json.Unmarshal(b, &e) != nil {
			e.Message = string(b)
		}
		return &e
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
