package proxmox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

const testUPID = "UPID:pve2:0000ABCD:00112233:66F0A1B2:qmclone:9000:root@pam!hcp:"

func TestUPIDIsParsed(t *testing.T) {
	got, ok := parseUPID(testUPID)
	want := upid{Node: "pve2", Started: time.Unix(0x66F0A1B2, 0), Type: "qmclone", ID: "9000", User: "root@pam!hcp", raw: testUPID}
	if !ok || got != want {
		t.Errorf("%+v (%t), want %+v", got, ok, want)
	}
	for _, bad := range []string{
		"", "UPID", "UPID:pve2:0000ABCD:00112233:66F0A1B2:qmclone:9000:root@pam!hcp",
		strings.Replace(testUPID, "pve2", "../x", 1), strings.Replace(testUPID, "pve2", "", 1),
		strings.Replace(testUPID, "66F0A1B2", "xyz", 1), strings.Replace(testUPID, "qmclone", "qm/clone", 1), testUPID + "x", " " + testUPID,
	} {
		if _, ok := parseUPID(bad); ok {
			t.Errorf("%q is taken for a UPID", bad)
		}
	}
}

func FuzzParseUPID(f *testing.F) {
	f.Add(testUPID)
	f.Add("UPID:a:0:0:0:t:::")
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := parseUPID(s)
		if ok && (u.Node == "" || strings.ContainsAny(u.Node+u.raw, "/? #") || u.raw != s) {
			t.Errorf("%q is parsed as %+v", s, u)
		}
	})
}

func TestWorkIsParsedAsItWasNamed(t *testing.T) {
	w, ok := parseWork(string(workTask(testVM, "create", "a:b")))
	if want := (workRef{VMID: testVM, Kind: "create", Argument: "a:b"}); !ok || w != want {
		t.Errorf("%+v (%t), want %+v", w, ok, want)
	}
	if _, ok := parseWork("work:nobody:create:"); ok {
		t.Error("work on no VM is taken")
	}
}

func TestPollTaskOfWhatIsNoTask(t *testing.T) {
	p := openWith(t, testConfig(newPeer(t, proxmoxsim.Options{}).url, nil))
	for _, task := range []providers.TaskRef{"nonsense", "0", "stop:", "a/b:c d\n", "work:x:y:z", testUPID} {
		_, err := p.PollTask(t.Context(), task)
		wantCode(t, string(task), err, providers.NotFound)
	}
	if st, err := p.PollTask(t.Context(), ""); err != nil || !st.Done {
		t.Errorf("no task: %+v, %v, want done", st, err)
	}
}

// A task's status is on its node: while that is down, nothing is known of it; when
// the cluster has it no more, the task is gone.
func TestPollTaskOfANodeThatIsAway(t *testing.T) {
	for nodes, want := range map[string]providers.Code{
		`[{"node":"pve1","status":"online"},{"node":"pve2","status":"offline"}]`: providers.Unavailable,
		`[{"node":"pve1","status":"online"}]`:                                    providers.NotFound,
	} {
		url := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/cluster/resources") {
				_, _ = fmt.Fprintf(w, `{"data":%s}`, nodes)
				return
			}
			refuse(t, w, "595 No route to host")
		})
		_, err := openWith(t, testConfig(url, nil)).PollTask(t.Context(), testUPID)
		wantCode(t, nodes, err, want)
	}
}

func TestPollTaskTellsHowItEnded(t *testing.T) {
	for answer, want := range map[string]struct {
		done bool
		code providers.Code
	}{
		`{"status":"running"}`:                                                             {},
		`{"status":"stopped","exitstatus":"OK"}`:                                           {done: true},
		`{"status":"stopped","exitstatus":"WARNINGS: 3"}`:                                  {done: true},
		`{"status":"stopped","exitstatus":"VM 101 is running - destroy failed"}`:           {true, providers.Aborted},
		`{"status":"stopped","exitstatus":"clone failed: x: No space left on device"}`:     {true, providers.ResourceExhausted},
		`{"status":"stopped","exitstatus":"command 'x' failed: got signal 9 and no more"}`: {true, providers.Unknown},
	} {
		url := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"data":%s}`, answer) })
		st, err := openWith(t, testConfig(url, nil)).PollTask(t.Context(), testUPID)
		if err != nil || st.Done != want.done {
			t.Errorf("%s: %+v, %v", answer, st, err)
		}
		wantCode(t, answer, st.Err, want.code)
	}
}
