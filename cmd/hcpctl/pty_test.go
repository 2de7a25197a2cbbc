package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// session is hcpctl in a terminal.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{}

	mu     sync.Mutex
	screen bytes.Buffer
}

// inTerminal starts hcpctl in a terminal of so many columns.
func inTerminal(t *testing.T, columns uint16, env []string, args ...string) *session {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = env
	return startSession(t, columns, cmd)
}

func startSession(t *testing.T, columns uint16, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, cmd: cmd, done: make(chan struct{})}
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 40, Cols: columns})
	require.NoError(t, err)
	s.tty = tty
	go func() {
		defer close(s.done)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf) // ends with an error when the process has
			s.mu.Lock()
			s.screen.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = tty.Close() })
	return s
}

func (s *session) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// sees waits until the terminal was sent a text.
func (s *session) sees(text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.text(), text) }, 20*time.Second, 10*time.Millisecond, "%q is not in %q", text, s.text())
}

func (s *session) types(keys string) {
	s.t.Helper()
	_, err := io.WriteString(s.tty, keys)
	require.NoError(s.t, err)
}

// ends waits for the end and returns the exit code.
func (s *session) ends() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.t.Fatalf("hcpctl does not end; it wrote %q", s.text())
	}
	_ = s.cmd.Wait() // the code says how
	return s.cmd.ProcessState.ExitCode()
}

// answerWhen answers nothing until the test lets it.
func answerWhen(release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	}
}

// staged is a job whose events come as the test says.
func staged(t *testing.T, s *ctltest.Server) chan<- ctltest.Event {
	t.Helper()
	events := make(chan ctltest.Event)
	s.Handle("getJob", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Answer(w, http.StatusOK, ctltest.Job("RUNNING"))
	})
	s.Handle("streamJobEvents", func(w http.ResponseWriter, req *http.Request) {
		ctltest.Events(w)
		for {
			select {
			case e := <-events:
				ctltest.Emit(w, e)
			case <-req.Context().Done():
				return
			}
		}
	})
	return events
}

var creating = []string{"vm", "create", "web-1", "--image", "tiny", "--flavor", "small"}

// waiting is a step that is tried again in a while.
func waiting() map[string]any {
	step := ctltest.Step("CloneDisk", "Clone the disk", "WAITING", 2)
	step["error"] = map[string]any{"code": "PROVIDER_CONFLICT", "message": "storage busy"}
	step["next_retry_at"] = time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	return step
}

func TestLiveLines(t *testing.T) {
	server := ctltest.New(t)
	events := staged(t, server)
	s := inTerminal(t, 100, environment(server, t.TempDir()), creating...)
	s.sees("vm.create running")
	events <- ctltest.Event{Name: "step", ID: "1.1", Data: ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1)}
	s.sees("\x1b[32m✓\x1b[0m Reserve capacity 0.1s")
	events <- ctltest.Event{Name: "step", ID: "1.2", Data: waiting()}
	s.sees("attempt 2: storage busy, retry in ")
	frames := regexp.MustCompile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
	require.Eventually(t, func() bool {
		seen := map[string]bool{}
		for _, f := range frames.FindAllString(s.text(), -1) {
			seen[f] = true
		}
		return len(seen) > 3
	}, 20*time.Second, 20*time.Millisecond, "the spinner turns")
	events <- ctltest.Event{Name: "step", ID: "1.3", Data: ctltest.Step("CloneDisk", "Clone the disk", "SUCCEEDED", 2)}
	events <- ctltest.Event{Name: "job", ID: "1.4", Data: ctltest.Job("SUCCEEDED", ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1), ctltest.Step("CloneDisk", "Clone the disk", "SUCCEEDED", 2))}
	require.Zero(t, s.ends(), s.text())
	require.Contains(t, s.text(), "vm web-1 ("+ctltest.SampleID+") created in 2.0s")
	require.Equal(t, 1, strings.Count(s.text(), "✓\x1b[0m Reserve capacity"), "what is done is said once")
	require.NotContains(t, s.text(), "secret-token")
}

// No line is wider than the terminal: it could not be drawn anew.
func TestNarrowTerminal(t *testing.T) {
	server := ctltest.New(t)
	events := staged(t, server)
	s := inTerminal(t, 30, environment(server, t.TempDir(), "NO_COLOR=1"), creating...)
	s.sees("vm.create running")
	events <- ctltest.Event{Name: "step", ID: "1.2", Data: waiting()}
	s.sees("…")
	require.NotRegexp(t, "\x1b\\[[0-9;]*m", s.text(), "NO_COLOR")
	for _, line := range regexp.MustCompile("\r?\n|\x1b\\[[0-9]*[AJ]|\r").Split(s.text(), -1) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 30, "%q", line)
	}
	s.types("\x03")
	require.Equal(t, 130, s.ends())
}

func TestDumbTerminalAndASCII(t *testing.T) {
	server := ctltest.New(t)
	s := inTerminal(t, 100, environment(server, t.TempDir(), "TERM=dumb"), creating...)
	require.Zero(t, s.ends())
	require.NotContains(t, s.text(), "\x1b")

	events := staged(t, server)
	s = inTerminal(t, 100, environment(server, t.TempDir()), append([]string{"--ascii"}, creating...)...)
	s.sees("vm.create running")
	events <- ctltest.Event{Name: "job", ID: "1.4", Data: ctltest.Job("SUCCEEDED", ctltest.Step("Reserve", "Reserve capacity", "SUCCEEDED", 1))}
	require.Zero(t, s.ends())
	require.Contains(t, s.text(), "+\x1b[0m Reserve capacity")
	for _, r := range s.text() {
		require.Less(t, r, rune(0x80), "%q", r)
	}
}

// Ctrl-C leaves the job alone and says how to come back.
func TestInterruptDetaches(t *testing.T) {
	server := ctltest.New(t)
	staged(t, server)
	s := inTerminal(t, 100, environment(server, t.TempDir()), creating...)
	s.sees("vm.create running")
	s.types("\x03")
	require.Equal(t, 130, s.ends(), s.text())
	require.Contains(t, s.text(), "no longer waiting; the job goes on")
	require.Contains(t, s.text(), "hcpctl job watch "+ctltest.SampleJob)
	require.Contains(t, s.text(), "hcpctl job cancel "+ctltest.SampleJob)
	require.Zero(t, server.Seen()["cancelJob"])
}

func TestConfirmation(t *testing.T) {
	for _, c := range []struct {
		keys    string
		code    int
		deletes int
	}{{"n\r", 1, 0}, {"\r", 1, 0}, {"\x03", 130, 0}, {"y\r", 0, 1}} {
		t.Run(fmt.Sprintf("%q", c.keys), func(t *testing.T) {
			server := ctltest.New(t)
			s := inTerminal(t, 200, environment(server, t.TempDir()), "vm", "delete", "example")
			s.sees("Delete VM example (" + ctltest.SampleID + ")? Its disks are deleted with it; this cannot be undone.")
			s.sees("[y/N]")
			s.types(c.keys)
			require.Equal(t, c.code, s.ends(), s.text())
			require.Equal(t, c.deletes, server.Seen()["deleteVM"])
		})
	}
}

// A tab in a real bash completes with the server's names.
func TestTabInBash(t *testing.T) {
	server := ctltest.New(t)
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-i")
	cmd.Env = environment(server, t.TempDir(), "PS1=ready> ", "INPUTRC=/dev/null", "TERM=dumb")
	s := startSession(t, 200, cmd)
	s.sees("ready> ")
	s.types("[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion || " + stubCompletion + "; . <(hcpctl completion bash); echo loa''ded\r")
	s.sees("loaded")
	s.types("hcpctl vm sta\t")
	s.sees("hcpctl vm start ")
	s.types("exa\t")
	s.sees("hcpctl vm start example ")
	s.types("\x15exit\r")
	require.Zero(t, s.ends())
	require.Zero(t, server.Seen()["startVM"])
}
