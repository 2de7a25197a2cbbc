package vsphere

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

var errDead = errors.New("the process is dead")

// process is a provider in a process of its own, whose requests go by a gate that can
// end it.
type process struct {
	*Provider
	sweeps.Gate
	inner connections
}

// silent is how long the processes of a sweep take work for going on that they see
// nothing of.
const silent = 50 * time.Millisecond

func newProcess(t *testing.T, s *vspheresim.Server) *process {
	t.Helper()
	x := &process{Provider: openWith(t, testConfig(s, nil))}
	x.silence = silent
	x.inner = x.session.transport.http
	x.session.transport.http = x
	// The login is none of the operation's requests. A session that no call was
	// answered with is not known to be good.
	require.Nil(t, x.sees(t.Context(), "Test"))
	x.Forget()
	return x
}

func (x *process) CloseIdleConnections() { x.inner.CloseIdleConnections() }

// methodOf reads the method of a call from its envelope.
func methodOf(envelope []byte) string {
	found := regexp.MustCompile(`Body>\s*<(\w+)`).FindSubmatch(envelope)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// changes reports whether a call changes something.
func changes(method string) bool {
	return strings.HasSuffix(method, "_Task") && method != "SearchDatastore_Task" ||
		slices.Contains([]string{"MakeDirectory", "ShutdownGuest", "RebootGuest", "CancelTask"}, method)
}

// RoundTrip is the gate.
func (x *process) RoundTrip(req *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	method := methodOf(raw)
	req.Body = io.NopCloser(bytes.NewReader(raw))
	if method == "Logout" {
		return x.inner.RoundTrip(req)
	}
	how, dead := x.Enter(method, changes(method))
	if dead {
		return nil, errDead
	}
	res, err := x.inner.RoundTrip(req)
	if err != nil || how == sweeps.Unharmed {
		return res, err
	}
	_ = res.Body.Close()
	x.Left(how)
	return nil, errDead
}

// drive follows a task, or asks, until the work is done or the process has ended, and
// returns the task that it knows in the end.
func (x *process) drive(t *testing.T, ask sweeps.Call, task providers.TaskRef) (providers.TaskRef, error) {
	t.Helper()
	return sweeps.Drive(t, x, ask, task)
}
