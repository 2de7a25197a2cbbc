package sim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// TestResizeOfADiskThatGrowsMeanwhile: a disk that grows between the look and the
// request (an earlier resize that was still at work) is asked for as it is then.
func TestResizeOfADiskThatGrowsMeanwhile(t *testing.T) {
	hv, err := simhv.New(simhv.Options{})
	require.NoError(t, err)
	var once sync.Once
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/resize_vm") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			once.Do(func() { grow(t, hv, r, body) })
		}
		hv.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { require.NoError(t, hv.Close()); srv.Close() })
	p := &peer{Admin: simadmin.Admin{URL: srv.URL, Client: srv.Client()}, options: map[string]string{}, creds: models.Credentials{Username: "hcp", Password: "secret"}}
	a := p.openAll(t)
	vm := create(t, a, request())

	task, err := a.ResizeVM(t.Context(), target(vm), providers.Shape{VCPUs: 2, MemoryMiB: 256, DiskGiB: 2})
	require.NoError(t, err)
	settle(t, a, task)
	there := p.one(t, vm.VMID)
	require.Equal(t, []int{2, 256, 8}, []int{there.VCPUs, there.MemoryMiB, there.DiskGiB})
}

// grow lets the hypervisor carry a resize out with a larger disk.
func grow(t *testing.T, hv http.Handler, r *http.Request, body []byte) {
	t.Helper()
	var in map[string]any
	if !assertNoError(t, json.Unmarshal(body, &in)) {
		return
	}
	in["disk_gib"] = 8
	larger, err := json.Marshal(in)
	if !assertNoError(t, err) {
		return
	}
	before := r.Clone(r.Context())
	before.Body, before.ContentLength = io.NopCloser(bytes.NewReader(larger)), int64(len(larger))
	rec := httptest.NewRecorder()
	hv.ServeHTTP(rec, before)
	if rec.Code != http.StatusOK {
		t.Errorf("growing the disk: %d %s", rec.Code, rec.Body)
	}
}

func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
