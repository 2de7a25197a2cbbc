package command_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// greeting is a serial line that says something, hears a line, and closes.
func greeting(status websocket.StatusCode) func(*websocket.Conn, *http.Request) {
	return func(conn *websocket.Conn, r *http.Request) {
		_ = conn.Write(r.Context(), websocket.MessageBinary, []byte("\x1b]0;owned\x07login: "))
		_, data, err := conn.Read(r.Context())
		if err == nil {
			_ = conn.Write(r.Context(), websocket.MessageBinary, append([]byte("hello "), data...))
		}
		_ = conn.Close(status, "<reason>")
	}
}

func TestConsoleAddress(t *testing.T) {
	r := newRig(t)
	r.server.Console("vnc", nil)
	got := r.run("vm", "console", "example")
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, r.server.URL+ctltest.ConsolePath+"\n", got.out, "nothing but the address is a script's")
	require.Contains(t, got.errOut, "It opens the console once, until")
	require.Contains(t, got.errOut, "(in 1m0s)")
	require.JSONEq(t, `{}`, string(r.server.Requests("openVMConsole")[0].Body))

	r.ok("vm", "console", "example", "--type", "web")
	require.JSONEq(t, `{"type":"web"}`, string(r.server.Requests("openVMConsole")[1].Body))
	require.JSONEq(t, `{"type":"vnc","url":"`+r.server.URL+ctltest.ConsolePath+`","expires_at":"2026-01-02T03:06:05Z"}`, r.ok("vm", "console", "example", "-o", "json"))
	require.NotContains(t, r.run("vm", "console", "example", "-v").errOut, "ticket", "the log does not have the address")
}

func TestConsoleThatIsReadyLater(t *testing.T) {
	r := newRig(t)
	r.server.Handle("openVMConsole", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Answer(w, http.StatusAccepted, map[string]any{"resource_id": ctltest.SampleID, "job_id": ctltest.SampleJob})
	})
	asked := 0
	r.server.Handle("getJob", func(w http.ResponseWriter, _ *http.Request) {
		job := ctltest.Job("RUNNING")
		if asked++; asked > 2 {
			job["result"] = map[string]any{"console": r.server.ConsoleAccess("vnc")}
		}
		ctltest.Answer(w, http.StatusOK, job)
	})
	require.Equal(t, r.server.URL+ctltest.ConsolePath+"\n", r.ok("vm", "console", "example"))
	require.Equal(t, 3, asked)

	r.server.Handle("getJob", answering(ctltest.Failed("PROVIDER_UNAVAILABLE", "the hypervisor does not answer", "COMPLETE")))
	got := r.run("vm", "console", "example")
	require.Equal(t, fail.JobFailed, got.code)
	require.Contains(t, got.errOut, "the hypervisor does not answer")
}

func TestConsoleInTheBrowser(t *testing.T) {
	r := newRig(t)
	r.server.Console("vnc", nil)
	open := func(err error) (opened []string, out string) {
		app := r.app([]string{"vm", "console", "example", "--open"})
		var stdout bytes.Buffer
		app.Stdout = &stdout
		app.Browse = func(_ context.Context, url string) error {
			opened = append(opened, url)
			return err
		}
		require.Zero(t, app.Run(t.Context()))
		return opened, stdout.String()
	}
	opened, out := open(nil)
	require.Equal(t, []string{r.server.URL + ctltest.ConsolePath}, opened)
	require.Empty(t, out)
	_, out = open(errors.New("no browser"))
	require.Equal(t, r.server.URL+ctltest.ConsolePath+"\n", out)

	for _, url := range []string{"file:///etc/passwd", "javascript:alert(1)", "--help", "https://user@host/x", "ftp://host/x", ""} {
		r.server.Handle("openVMConsole", answering(map[string]any{"type": "vnc", "url": url, "expires_at": ctltest.SampleTime}))
		app := r.app([]string{"vm", "console", "example", "--open"})
		app.Browse = func(_ context.Context, url string) error {
			t.Errorf("%q was handed to the browser", url)
			return nil
		}
		require.Equal(t, fail.Failed, app.Run(t.Context()), url)
	}
}

func TestConsoleAttached(t *testing.T) {
	r := newRig(t)
	r.stdin = "root\n"
	r.server.Console("web", greeting(websocket.StatusNormalClosure))
	got := r.run("vm", "console", "example", "--attach")
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, "login: hello root\n", got.out)
	require.Equal(t, "Bearer secret-token", r.server.ConsoleHeader().Get("Authorization"))
	require.Empty(t, r.server.ConsoleHeader().Get("Origin"))
	require.Contains(t, got.errOut, "Connected to the serial line of example.")
	require.NotContains(t, got.errOut, "~.", "there is no terminal to leave")
	require.JSONEq(t, `{"type":"web"}`, string(r.server.Requests("openVMConsole")[0].Body))
}

// A token is for the context's server alone.
func TestConsoleOfAnotherHost(t *testing.T) {
	r := newRig(t)
	other := ctltest.New(t)
	other.Console("web", greeting(websocket.StatusNormalClosure))
	r.stdin = "root\n"
	r.server.Handle("openVMConsole", answering(other.ConsoleAccess("web")))
	require.Equal(t, "login: hello root\n", r.ok("vm", "console", "example", "--attach"))
	require.Empty(t, other.ConsoleHeader().Get("Authorization"))
	require.Equal(t, other.URL, other.ConsoleHeader().Get("Origin"))
}

func TestConsoleClosedByTheServer(t *testing.T) {
	r := newRig(t)
	r.stdin = "x"
	for status, words := range map[websocket.StatusCode]string{
		4000: "time limit", 4001: "stopped", 4002: "deleted", 4003: "moved", 4004: "withdrawn", 4005: "closed by a member",
		4006: "hypervisor", 4007: "too slow", 4008: "too much", 1001: "shutting down", 4777: "code 4777",
	} {
		r.server.Console("web", greeting(status))
		got := r.run("vm", "console", "example", "--attach")
		require.Equal(t, fail.Failed, got.code)
		require.Contains(t, got.errOut, words)
		require.NotContains(t, got.errOut, "<reason>")
	}
	r.server.Console("web", func(*websocket.Conn, *http.Request) {})
	got := r.run("vm", "console", "example", "--attach")
	require.Equal(t, fail.Failed, got.code)
	require.Contains(t, got.errOut, "the connection was lost")
	require.Contains(t, got.errOut, "hcpctl vm console example --attach")
}

func TestConsoleThatCannotBeAttached(t *testing.T) {
	r := newRig(t)
	r.server.Console("web", nil)
	for status, words := range map[int]string{http.StatusGone: "used up", http.StatusNotFound: "used up", http.StatusServiceUnavailable: "Service Unavailable"} {
		r.server.RefuseConsole(status)
		got := r.run("vm", "console", "example", "--attach")
		require.Equal(t, fail.Failed, got.code)
		require.Contains(t, got.errOut, words)
	}
	require.Equal(t, fail.Usage, r.run("vm", "console", "example", "--attach", "--type", "vnc").code)
	require.Equal(t, fail.Usage, r.run("vm", "console", "example", "--attach", "--open").code)
	r.server.Console("vnc", nil)
	require.Contains(t, r.run("vm", "console", "example", "--attach").errOut, "no serial line")
	r.server.Handle("openVMConsole", func(w http.ResponseWriter, _ *http.Request) {
		ctltest.Problem(w, http.StatusConflict, "INVALID_STATE", "the VM is not running")
	})
	require.Contains(t, r.run("vm", "console", "example", "--attach").errOut, "INVALID_STATE")
}

// An address without TLS is not gone to for a server with it.
func TestConsoleWithoutTLS(t *testing.T) {
	r := newRig(t)
	r.env["HCP_SERVER"] = "https://hcp.example.org"
	app := r.app([]string{"vm", "console", ctltest.SampleID, "--attach"})
	var errOut bytes.Buffer
	app.Stderr = &errOut
	app.Net = canned(`{"type":"web","url":"http://hcp.example.org/console/x","expires_at":"2026-01-02T03:06:05Z"}`)
	require.Equal(t, fail.Failed, app.Run(t.Context()))
	require.Contains(t, errOut.String(), "without TLS")
}

// canned answers a console to everything.
type canned string

func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	body := string(c)
	if req.Method == http.MethodGet {
		body = `{"id":"` + ctltest.SampleID + `","items":[],"next_page_token":""}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: readCloser{strings.NewReader(body)},
	}, nil
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
