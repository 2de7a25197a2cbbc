package proxmox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// unreachable is the URL of a port at which nobody listens.
func unreachable(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}

func TestAnotherHostIsAskedWhereOneIsDown(t *testing.T) {
	var asked atomic.Int64
	up := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"data":{}}`))
	})
	p := openWith(t, testConfig(unreachable(t), map[string]string{optHosts: up}))
	if err := p.post(t.Context(), "Test", "/nodes/pve1/qemu/100/status/start", nil, nil); err != nil {
		t.Fatalf("a write that no host got was not sent to the other one: %v", err)
	}
	if err := version(p)(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	down := openWith(t, testConfig(unreachable(t), map[string]string{optHosts: unreachable(t)}))
	wantCode(t, "no host", version(down)(t.Context()), providers.Unavailable)
}

func TestAWriteWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	var first, second atomic.Int64
	breaks := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		first.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	works := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		second.Add(1)
		_, _ = w.Write([]byte(`{"data":{}}`))
	})
	p := openWith(t, testConfig(breaks, map[string]string{optHosts: works}))
	wantCode(t, "the write", p.post(t.Context(), "Test", "/nodes/pve1/qemu/100/status/start", nil, nil), providers.DeadlineExceeded)
	if second.Load() != 0 || first.Load() != 1 {
		t.Fatalf("the write arrived %d and %d times, want 1 and 0", first.Load(), second.Load())
	}
	if err := version(p)(t.Context()); err != nil || second.Load() != 1 {
		t.Errorf("a read was not repeated at the other host: %v", err)
	}
}

func TestAHostThatHangsIsNotAskedFirstAgain(t *testing.T) {
	release := make(chan struct{})
	hangs := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	t.Cleanup(func() { close(release) })
	works := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":{}}`)) })
	p := openWith(t, testConfig(hangs, map[string]string{optHosts: works, optCallTimeout: "200ms"}))
	wantCode(t, "the first call", version(p)(t.Context()), providers.DeadlineExceeded)
	if err := version(p)(t.Context()); err != nil {
		t.Errorf("the second call: %v", err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	hangs := answering(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := openWith(t, testConfig(hangs, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	wantCode(t, "the call", version(p)(ctx), providers.DeadlineExceeded)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestTheCertificateIsChecked(t *testing.T) {
	sim, err := proxmoxsim.New(proxmoxsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(sim)
	t.Cleanup(func() {
		srv.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	leaf := srv.Certificate()
	sum := sha256.Sum256(leaf.Raw)
	other := sha256.Sum256([]byte("other"))
	for name, c := range map[string]struct {
		fingerprint, ca string
		want            providers.Code
	}{
		"the pinned one":            {hex.EncodeToString(sum[:]), "", ""},
		"one of two pinned":         {hex.EncodeToString(other[:]) + "," + hex.EncodeToString(sum[:]), "", ""},
		"another than the pinned":   {hex.EncodeToString(other[:]), "", providers.Unauthenticated},
		"signed by our CA":          {"", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})), ""},
		"signed by nobody we trust": {"", "", providers.Unauthenticated},
	} {
		cfg := testConfig(srv.URL, map[string]string{optFingerprint: c.fingerprint})
		cfg.Credentials.CACert = c.ca
		var got error
		if err := version(openWith(t, cfg))(t.Context()); err != nil {
			got = err
		}
		wantCode(t, name, got, c.want)
	}
}

func TestAfterCloseNothingIsAsked(t *testing.T) {
	p, err := Open(t.Context(), testConfig(newPeer(t, proxmoxsim.Options{}).url, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "a call", version(p)(t.Context()), providers.Unavailable)
}
