package command_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// vms is a server that creates VMs as the real one does: once for each key.
type vms struct {
	mu    sync.Mutex
	byKey map[string]string
	lost  int // answers that are not given although the VM was created
}

func (v *vms) create(w http.ResponseWriter, req *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := req.Header.Get("Idempotency-Key")
	if _, ok := v.byKey[key]; ok {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	v.byKey[key] = ctltest.SampleID
	if v.lost > 0 {
		v.lost--
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return
	}
	ctltest.Answer(w, http.StatusAccepted, map[string]string{"vm_id": ctltest.SampleID, "resource_id": ctltest.SampleID, "job_id": ctltest.SampleJob})
}

func (v *vms) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.byKey)
}

var createVM = []string{"vm", "create", "web-1", "--image", ctltest.SampleID, "--flavor", ctltest.SampleID}

// The server takes the request and the connection is cut: the repeat bears the
// same key, and there is one VM.
func TestLostAnswerIsRepeatedWithTheSameKey(t *testing.T) {
	r := newRig(t)
	v := &vms{byKey: map[string]string{}, lost: 2}
	r.server.Handle("createVM", v.create)
	r.ok(createVM...)
	require.Equal(t, 1, v.count())
	require.Len(t, r.server.Requests("createVM"), 3)
	require.Len(t, r.slept, 2)
	require.Empty(t, pending(t, r), "an answered request is forgotten")
}

// The answer never comes: the key is printed and kept, and repeating the
// printed command creates nothing more.
func TestAmbiguousOutcome(t *testing.T) {
	r := newRig(t)
	v := &vms{byKey: map[string]string{}, lost: 4}
	r.server.Handle("createVM", v.create)
	got := r.run(createVM...)
	require.Equal(t, 5, got.code, got.errOut)
	require.Contains(t, got.errOut, "it is not known whether the request was carried out")
	require.Len(t, pending(t, r), 1)

	_, line, ok := strings.Cut(got.errOut, "does nothing twice:\n")
	require.True(t, ok, got.errOut)
	args := words(t, strings.TrimSpace(line))
	require.Equal(t, "hcpctl", args[0])
	listed := r.ok("request", "list", "--columns", "repeat", "--no-headers")
	require.Equal(t, strings.TrimSpace(line), strings.TrimSpace(listed))

	r.ok(args[1:]...)
	require.Equal(t, 1, v.count())
	require.Empty(t, pending(t, r))
}

func pending(t *testing.T, r *rig) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.home, ".local/state/hcpctl/requests/*.json"))
	require.NoError(t, err)
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	return files
}

// The key is on the disk before the request is on the wire.
func TestKeyIsKeptBeforeSending(t *testing.T) {
	r := newRig(t)
	r.server.Handle("createVM", func(w http.ResponseWriter, req *http.Request) {
		files, err := filepath.Glob(filepath.Join(r.home, ".local/state/hcpctl/requests/*.json"))
		if err != nil || len(files) != 1 {
			t.Errorf("kept requests: %v %v", files, err)
			return
		}
		raw, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(raw), req.Header.Get("Idempotency-Key")) {
			t.Errorf("the key is not kept: %v", err)
		}
		ctltest.Problem(w, http.StatusForbidden, "QUOTA_EXCEEDED", "no more VMs")
	})
	got := r.run(createVM...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "error[QUOTA_EXCEEDED]: no more VMs")
	require.Empty(t, pending(t, r), "a refusal is an answer")
}

// A request that could not have arrived is no riddle.
func TestUnreachableServerIsNotAmbiguous(t *testing.T) {
	r := newRig(t)
	r.env["HCP_SERVER"] = "http://127.0.0.1:1"
	got := r.run(createVM...)
	require.Equal(t, 1, got.code, got.errOut)
	require.Contains(t, got.errOut, "http://127.0.0.1:1 cannot be reached")
	require.Empty(t, pending(t, r))
}

func TestGivenKeyIsUsed(t *testing.T) {
	r := newRig(t)
	r.ok(append(createVM, "--idempotency-key", "my-key")...)
	require.Equal(t, "my-key", r.server.Requests("createVM")[0].Header.Get("Idempotency-Key"))
	require.Equal(t, 2, r.run(append(createVM, "--idempotency-key", "my key")...).code)
}

func TestEveryChangeBearsAKey(t *testing.T) {
	r := newRig(t)
	for op, args := range map[string][]string{
		"updateVM":     {"vm", "update", ctltest.SampleID, "--name", "x"},
		"deleteSSHKey": {"ssh-key", "delete", ctltest.SampleID, "-y"},
		"createRole":   {"role", "create", "x", "--permission", "vm.read"},
	} {
		r.ok(args...)
		require.NotEmpty(t, r.server.Requests(op)[0].Header.Get("Idempotency-Key"), op)
	}
}

// What is shown as a curl command is not sent, and the token is not in it.
func TestShowCurlSendsNothing(t *testing.T) {
	r := newRig(t)
	secret := r.file("secret", "hunter2")
	out := r.ok("ops", "provider", "create", "KVM", "--kind", "libvirt", "--url", "qemu:///system", "--zone-id", "zone-1", "--password-file", secret, "--show-curl")
	require.Contains(t, out, "curl -sS -X POST "+r.server.URL+"/api/hcp/ops/v1/providers")
	require.Contains(t, out, `-H "Authorization: Bearer $HCP_TOKEN"`)
	require.Contains(t, out, `"password":"[redacted]"`)
	require.NotContains(t, out, "hunter2")
	require.Contains(t, r.ok("vm", "start", "web-1", "--show-curl"), "/vms/web-1:start")
	require.Empty(t, r.server.Seen())
	require.Empty(t, pending(t, r))
}

func TestVerboseShowsNoToken(t *testing.T) {
	r := newRig(t)
	got := r.run("vm", "list", "-v") // the rig looks for the token in all output
	require.Zero(t, got.code)
	require.Contains(t, got.errOut, "authorized=true")
	require.Contains(t, got.errOut, "status=200")
}

func TestErrorsForPeople(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   map[string]any
		code   int
		says   []string
	}{
		"busy": {
			409,
			map[string]any{"code": "OPERATION_IN_PROGRESS", "detail": "the VM is busy", "current_job_id": "job-7", "request_id": "req-9"},
			1,
			[]string{"error[OPERATION_IN_PROGRESS]: the VM is busy\n", "hcpctl job watch job-7", "request ID: req-9"},
		},
		"fields": {
			400,
			map[string]any{"code": "INVALID_ARGUMENT", "detail": "not valid", "errors": []any{map[string]string{"pointer": "/name", "detail": "too long"}}},
			1,
			[]string{"  - /name: too long\n"},
		},
		"quota": {
			403,
			map[string]any{"code": "QUOTA_EXCEEDED", "detail": "too many", "dimension": "vms", "limit": 10, "used": 10, "requested": 1, "scope": "project"},
			1,
			[]string{"The project may use 10 vms, uses 10, and this needs 1 more."},
		},
		"denied":   {403, map[string]any{"code": "PERMISSION_DENIED", "detail": "no"}, 4, []string{"hcpctl whoami"}},
		"unknown":  {401, map[string]any{"code": "UNAUTHENTICATED", "detail": "no"}, 4, []string{"hcpctl login"}},
		"expired":  {401, map[string]any{"code": "TOKEN_EXPIRED", "detail": "old"}, 4, []string{"HCP_TOKEN"}},
		"terminal": {404, map[string]any{"code": "NOT_FOUND", "detail": "\x1b[31mred"}, 1, []string{"\uFFFD[31mred"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.server.Handle("startVM", func(w http.ResponseWriter, _ *http.Request) {
				ctltest.JSON(w, "application/problem+json", c.status, c.body)
			})
			got := r.run("vm", "start", ctltest.SampleID)
			require.Equal(t, c.code, got.code, got.errOut)
			for _, s := range c.says {
				require.Contains(t, got.errOut, s)
			}
		})
	}
}

// 429 is waited out as the server asks.
func TestRetryAfterIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   time.Duration
	}{"seconds": {"7", 7 * time.Second}, "date": {"Fri, 02 Jan 2026 03:05:16 GMT", 11 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			calls := 0
			r.server.Handle("startVM", func(w http.ResponseWriter, _ *http.Request) {
				if calls++; calls == 1 {
					w.Header().Set("Retry-After", c.header)
					ctltest.Problem(w, http.StatusTooManyRequests, "RATE_LIMITED", "slowly")
					return
				}
				ctltest.Answer(w, http.StatusAccepted, map[string]string{"resource_id": ctltest.SampleID, "job_id": ctltest.SampleJob})
			})
			r.ok("vm", "start", ctltest.SampleID)
			require.Equal(t, []time.Duration{c.want}, r.slept)
			requests := r.server.Requests("startVM")
			require.Len(t, requests, 2)
			require.Equal(t, requests[0].Header.Get("Idempotency-Key"), requests[1].Header.Get("Idempotency-Key"))
		})
	}
}

// PUT bears no key: after it may have arrived it is not repeated.
func TestPutIsNotRepeatedBlindly(t *testing.T) {
	r := newRig(t)
	r.server.Handle("opsPutQuota", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	got := r.run("ops", "quota", "set", ctltest.SampleID, "--vms", "5")
	require.Equal(t, 5, got.code, got.errOut)
	require.Len(t, r.server.Requests("opsPutQuota"), 1)
	require.Equal(t, `"1"`, r.server.Requests("opsPutQuota")[0].Header.Get("If-Match"))
}

// A quota is set over what holds: the limits that are not named stay.
func TestQuotaSetKeepsTheRest(t *testing.T) {
	r := newRig(t)
	r.ok("ops", "quota", "set", ctltest.SampleID, "--vms", "5", "--unlimited", "snapshots")
	var sent map[string]int
	require.NoError(t, json.Unmarshal(r.server.Requests("opsPutQuota")[0].Body, &sent))
	require.Equal(t, map[string]int{"vms": 5, "vcpus": 1, "memory_mib": 1, "disk_gib": 1, "addresses": 1}, sent)
}
