package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readyLimit bounds a start on a machine that does other things too; the test
// of the three seconds measures by itself.
const readyLimit = 60 * time.Second

// info is dev.json.
type info struct {
	APIURL           string `json:"api_url"`
	TemporalUIURL    string `json:"temporal_ui_url"`
	TemporalAddress  string `json:"temporal_address"`
	SimhvURL         string `json:"simhv_url"`
	ProjectID        string `json:"project_id"`
	TenantToken      string `json:"tenant_token"`
	OtherProjectID   string `json:"other_project_id"`
	OtherTenantToken string `json:"other_tenant_token"`
	OpsToken         string `json:"ops_token"`
}

// instance is a running development binary.
type instance struct {
	info
	dir    string
	addr   string
	cmd    *exec.Cmd
	exited chan struct{}
	output *output
	// began is when the process was started, ready how long /readyz took.
	began time.Time
	ready time.Duration
}

// start runs the binary on a data directory and waits until it is ready and
// has said so.
func start(tb testing.TB, dir string, args ...string) *instance {
	tb.Helper()
	p := launch(tb, dir, args...)
	p.awaitReady(tb)
	return p
}

// launch runs the binary, on a data directory where one is named. It is killed
// when the test ends.
func launch(tb testing.TB, dir string, args ...string) *instance {
	tb.Helper()
	p := &instance{dir: dir, exited: make(chan struct{}), output: &output{}}
	if dir == "" { // an ephemeral one
		p.addr = freeAddr(tb)
	} else {
		p.addr = address(tb, dir)
		args = append(args, "--data-dir", dir)
	}
	args = append(args, "--addr", p.addr)
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.began = time.Now()
	require.NoError(tb, p.cmd.Start())
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the state is in ProcessState
	}()
	tb.Cleanup(func() {
		p.kill(tb)
		if tb.Failed() {
			tb.Logf("output of the instance:\n%s", p.output)
			tb.Logf("end of its log:\n%s", tail(filepath.Join(dir, "hcp.log"), 40))
		}
	})
	return p
}

// address keeps the API's address over restarts on the same directory.
func address(tb testing.TB, dir string) string {
	tb.Helper()
	file := filepath.Join(dir, "e2e-addr")
	if raw, err := os.ReadFile(file); err == nil {
		return string(raw)
	}
	addr := freeAddr(tb)
	require.NoError(tb, os.MkdirAll(dir, 0o700))
	require.NoError(tb, os.WriteFile(file, []byte(addr), 0o600))
	return addr
}

func (p *instance) awaitReady(tb testing.TB) {
	tb.Helper()
	eventually(tb, readyLimit, func() error {
		select {
		case <-p.exited:
			tb.Fatalf("the instance ended: %v\n%s", p.cmd.ProcessState, p.output)
		default:
		}
		return ready(tb, "http://"+p.addr)
	})
	p.ready = time.Since(p.began)
	eventually(tb, readyLimit, func() error {
		if !strings.Contains(p.output.String(), "Ctrl-C stops it") {
			return fmt.Errorf("no banner yet: %s", p.output)
		}
		return nil
	})
	raw, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(raw, &p.info))
}

func ready(tb testing.TB, api string) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/readyz", nil)
	require.NoError(tb, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", resp.Status)
	}
	return nil
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *instance) kill(tb testing.TB) {
	tb.Helper()
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.exited
}

// interrupt ends the process as Ctrl-C does, and tells how long that took.
func (p *instance) interrupt(tb testing.TB) time.Duration {
	tb.Helper()
	began := time.Now()
	require.NoError(tb, p.cmd.Process.Signal(os.Interrupt))
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		require.NoError(tb, p.cmd.Process.Signal(syscall.SIGQUIT)) // shows where it hangs
		<-p.exited
		tb.Fatalf("did not stop:\n%s", p.output)
	}
	took := time.Since(began)
	require.Zero(tb, p.cmd.ProcessState.ExitCode(), "exit code; output:\n%s", p.output)
	return took
}

// startSim runs a simulated hypervisor as a process of its own, which outlives
// the control plane.
func startSim(tb testing.TB, args ...string) (url string) {
	tb.Helper()
	args = append([]string{"sim", "--listen", "127.0.0.1:0"}, args...)
	cmd := exec.Command(binary, args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(tb, err)
	cmd.Stderr = os.Stderr
	require.NoError(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(tb, err)
	_, url, ok := strings.Cut(strings.TrimSpace(line), "simulated hypervisor ")
	require.True(tb, ok, line)
	return url
}

// command runs the binary to its end.
func command(tb testing.TB, args ...string) (stdout, stderr string, code int) {
	tb.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(tb.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(tb, err, &exit)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// output is a buffer that a process writes while a test reads.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of a log, without the requests that went well.
func tail(file string, lines int) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	all = slices.DeleteFunc(all, func(line string) bool {
		return strings.Contains(line, `"msg":"request"`) && strings.Contains(line, `"status":2`)
	})
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
