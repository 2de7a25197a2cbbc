package proxmoxsim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testVM is a client of one simulated cluster with its own tasks awaited.
type testVM struct {
	t      *testing.T
	server *Server
	url    string
}

func cluster(t *testing.T, opts Options) *testVM {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testVM{t: t, server: s, url: web.URL}
}

// call makes a call: params are name, value, ... It returns the data, or the
// refusal's text.
func (v *testVM) call(method, path string, params ...string) (data any, refusal string) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	target, body := v.url+apiPrefix+path, io.Reader(nil)
	if method == http.MethodGet || method == http.MethodDelete {
		target += "?" + form.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, target, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+DefaultToken)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out struct {
		Data   any               `json:"data"`
		Errors map[string]string `json:"errors"`
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if res.StatusCode >= 400 {
		return nil, res.Status + " " + string(raw)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		v.t.Fatalf("%s %s: %v in %q", method, path, err, raw)
	}
	return out.Data, ""
}

// do is a call that must succeed, with its task, if it starts one.
func (v *testVM) do(method, path string, params ...string) any {
	v.t.Helper()
	data, refusal := v.call(method, path, params...)
	if refusal != "" {
		v.t.Fatalf("%s %s %v: %s", method, path, params, refusal)
	}
	if upid, ok := data.(string); ok && strings.HasPrefix(upid, "UPID:") {
		if exit := v.exit(upid); exit != "OK" {
			v.t.Fatalf("%s %s %v: the task ended with %q", method, path, params, exit)
		}
	}
	return data
}

// refused is a call that must fail, at once or in its task, with this text.
func (v *testVM) refused(want, method, path string, params ...string) {
	v.t.Helper()
	data, got := v.call(method, path, params...)
	if upid, ok := data.(string); got == "" && ok {
		got = v.exit(upid)
	}
	if !strings.Contains(got, want) {
		v.t.Errorf("%s %s %v: %q, not %q", method, path, params, got, want)
	}
}

// exit waits for a task's end.
func (v *testVM) exit(upid string) string {
	v.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		v.server.mu.Lock()
		task := v.server.state.tasks[upid]
		ended := task != nil && !task.Running
		v.server.mu.Unlock()
		if ended {
			return task.Exit
		}
		<-time.After(time.Millisecond)
	}
	v.t.Fatalf("the task %s goes on and on", upid)
	return ""
}

// until waits for a condition, which is looked at with Server.mu held.
func (v *testVM) until(holds func() bool) {
	v.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		v.server.mu.Lock()
		ok := holds()
		v.server.mu.Unlock()
		if ok {
			return
		}
		<-time.After(time.Millisecond)
	}
	v.t.Fatal("it never came to that")
}

// aborted is a migration that must fail, with this text in its log.
func (v *testVM) aborted(want, vm string, params ...string) {
	v.t.Helper()
	upid, refusal := v.call("POST", vm+"/migrate", params...)
	if refusal != "" {
		v.t.Fatal(refusal)
	}
	if exit := v.exit(upid.(string)); exit != migrationAborted && exit != migrationProblems {
		v.t.Errorf("it ended with %q", exit)
	}
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	if log := strings.Join(v.server.state.tasks[upid.(string)].Log, "\n"); !strings.Contains(log, want) {
		v.t.Errorf("its log is %q, without %q", log, want)
	}
}

func (v *testVM) config(vmid string) map[string]any {
	v.t.Helper()
	out, ok := v.do("GET", "/nodes/pve1/qemu/"+vmid+"/config").(map[string]any)
	if !ok {
		v.t.Fatal("the configuration is no object")
	}
	return out
}

// disk is what is on the volume of a guest's drive; set writes it.
func (v *testVM) disk(vmid int, key string, set ...string) string {
	v.t.Helper()
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	g := v.server.state.guests[vmid]
	vol := v.server.state.volume(g.Node, parseDrive(g.Config[key]).file)
	if vol == nil {
		v.t.Fatalf("%s of %d has no volume", key, vmid)
	}
	if len(set) > 0 {
		vol.Data = set[0]
	}
	return vol.Data
}
