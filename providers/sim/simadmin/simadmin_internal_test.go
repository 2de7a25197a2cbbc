package simadmin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// side is an admin side of nothing.
func side(t *testing.T, opts Options) *Side {
	t.Helper()
	s := New(nil, opts)
	t.Cleanup(s.Close)
	return s
}

func (s *Side) put(t *testing.T, faults string) {
	t.Helper()
	list, err := s.parseFaults([]byte(`{"faults":[` + faults + `]}`))
	require.NoError(t, err)
	s.book.replace(list)
}

func FuzzParseFaults(f *testing.F) {
	f.Add([]byte(`{"faults":[{"op":"create_vm","kind":"error_before","nth":1,"count":1,"delay":"2s","status":503,"code":"busy","match":{"vm_id":"a","name":"b","node":"c"}}]}`))
	f.Add([]byte(`{"faults":[{"op":"*","kind":"hang","count":-1}]}`))
	f.Add([]byte(`{"faults":[null,{}]}`))
	f.Add([]byte(`{"faults":[{"op":"create_vm","kind":"partial","part":"mark"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := New(nil, Options{})
		list, err := s.parseFaults(body)
		if err != nil {
			var refused *Refusal
			require.ErrorAs(t, err, &refused)
			require.Equal(t, 400, refused.Status)
			return
		}
		for _, fault := range list {
			require.NoError(t, fault.Validate())
			b, err := json.Marshal(fault)
			require.NoError(t, err)
			again, err := s.parseFault(b)
			require.NoError(t, err, "%s", b)
			require.Equal(t, fault, again)
			require.GreaterOrEqual(t, fault.RetryAfter(), time.Second)
			require.NotPanics(t, func() { fault.Plan("failed") })
		}
	})
}

func TestFaultsThatCannotHappenAreRefused(t *testing.T) {
	s := side(t, Options{
		HasCall: func(name string) bool { return name == "Do_Task" },
		Refuses: func(f *Fault) error {
			if f.Code == "melted" {
				return errors.New("nothing melts")
			}
			return nil
		},
	})
	for _, tc := range []struct{ fault, why string }{
		{`{"kind":"hang"}`, `unknown op ""`},
		{`{"op":"Other_Task","kind":"hang"}`, `unknown op "Other_Task"`},
		{`{"op":"info","kind":"melt"}`, `unknown kind "melt"`},
		{`{"op":"Do_Task","kind":"melt"}`, `unknown kind "melt"`},
		{`{"op":"info","kind":"hang","nth":0}`, "nth must be at least 1"},
		{`{"op":"info","kind":"hang","count":0}`, "count must be at least 1"},
		{`{"op":"Do_Task","kind":"hang","count":-2}`, "count must be at least 1"},
		{`{"op":"info","kind":"hang","delay":"-1s"}`, "a duration must be 0 to 24h"},
		{`{"op":"info","kind":"hang","delay":2}`, "cannot unmarshal number"},
		{`{"op":"info","kind":"error_before","status":200}`, "status must be 400 to 599"},
		{`{"op":"info","kind":"hang","match":{"host":"x"}}`, `unknown field "host"`},
		{`{"op":"info","kind":"hang","when":"now"}`, `unknown field "when"`},
		{`{"op":"info","kind":"partial"}`, "partial cannot happen to info"},
		{`{"op":"info","kind":"task_fails"}`, "task_fails cannot happen to info"},
		{`{"op":"list_vms","kind":"forget_task"}`, "forget_task cannot happen to list_vms"},
		{`{"op":"create_vm","kind":"partial","part":"soul"}`, "part is"},
		{`{"op":"rebuild_vm","kind":"partial","part":"mark"}`, "part is"},
		{`{"op":"info","kind":"hang","code":"melted"}`, "nothing melts"},
	} {
		_, err := s.parseFaults([]byte(`{"faults":[` + tc.fault + `]}`))
		require.ErrorContains(t, err, "fault 0: ", tc.fault)
		require.ErrorContains(t, err, tc.why, tc.fault)
	}
	s.put(t, `{"op":"Do_Task","kind":"task_fails"},{"op":"Do_Task","kind":"partial","part":"disk"},{"op":"poll_task","kind":"forget_task"}`)
	require.Len(t, s.book.report(), 3)
}

// TestWhichCallsAFaultIsAbout: one about a task waits for a call that begins one.
func TestWhichCallsAFaultIsAbout(t *testing.T) {
	create, find, poll := Target{Op: "create_vm", Call: "Clone_Task"}, Target{Op: "find_vm"}, Target{Op: "poll_task"}
	part, own := Target{Op: "create_vm", Call: "Describe"}, Target{Call: "Do_Task"}
	hasCall := func(name string) bool { return name == "Do_Task" || name == "Describe" }
	byName := func(t Target) bool { return t.Call == "Clone_Task" || t.Call == "Do_Task" }
	for _, tc := range []struct {
		fault      string
		begins     func(Target) bool
		about, not []Target
	}{
		{`{"op":"*","kind":"hang"}`, nil, []Target{create, find, poll, part, own}, nil},
		{`{"op":"*","kind":"hang"}`, byName, []Target{create, find, poll, part, own}, nil},
		{`{"op":"create_vm","kind":"hang"}`, byName, []Target{create, part}, []Target{find, own}},
		{`{"op":"Do_Task","kind":"hang"}`, nil, []Target{own}, []Target{create, find, part}},
		{`{"op":"*","kind":"task_fails"}`, nil, []Target{create, part}, []Target{find, poll, own}},
		{`{"op":"Do_Task","kind":"task_fails"}`, nil, []Target{own}, []Target{create}},
		{`{"op":"*","kind":"forget_task"}`, nil, []Target{create, poll}, []Target{find, own}},
		{`{"op":"*","kind":"slow_task"}`, byName, []Target{create, own}, []Target{find, poll, part}},
		{`{"op":"create_vm","kind":"slow_task"}`, byName, []Target{create}, []Target{part, own}},
		{`{"op":"Describe","kind":"slow_task"}`, byName, nil, []Target{create, part, own}},
		{`{"op":"*","kind":"forget_task"}`, byName, []Target{create, own}, []Target{find, poll, part}},
	} {
		s := side(t, Options{HasCall: hasCall, BeginsTask: tc.begins})
		for _, target := range tc.about {
			s.put(t, tc.fault)
			f, _ := s.take(target)
			require.NotNil(t, f, "%s, %+v", tc.fault, target)
		}
		for _, target := range tc.not {
			s.put(t, tc.fault)
			f, _ := s.take(target)
			require.Nil(t, f, "%s, %+v", tc.fault, target)
		}
	}
}

// TestOneFaultFiresAtACall: the first that is due; the others stay due.
func TestOneFaultFiresAtACall(t *testing.T) {
	s := side(t, Options{})
	s.put(t, `{"op":"info","kind":"locked","nth":2,"count":2},{"op":"info","kind":"throttle","count":-1,"match":{"name":"n"}},{"op":"*","kind":"error_before","count":2}`)
	var fired []FaultKind
	for range 6 {
		f, _ := s.take(Target{Op: "info"})
		if f == nil {
			fired = append(fired, "")
			continue
		}
		fired = append(fired, f.Kind)
	}
	require.Equal(t, []FaultKind{FaultErrorBefore, FaultLocked, FaultLocked, FaultErrorBefore, "", ""}, fired)
	type counts struct{ matched, fired, remaining int }
	var got []counts
	for _, r := range s.book.report() {
		got = append(got, counts{r.Matched, r.Fired, r.Remaining})
	}
	require.Equal(t, []counts{{6, 2, 0}, {0, 0, Always}, {6, 2, 0}}, got)
}

func TestVerdicts(t *testing.T) {
	s := side(t, Options{})
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, tc := range []struct {
		fault string
		ctx   context.Context
		want  Verdict
	}{
		{`{"op":"info","kind":"error_before"}`, t.Context(), Refused},
		{`{"op":"info","kind":"error_before","delay":"1ms"}`, t.Context(), Refused},
		{`{"op":"info","kind":"error_before","delay":"24h"}`, gone, Abandoned},
		{`{"op":"info","kind":"error_after"}`, t.Context(), Served},
		{`{"op":"info","kind":"drop_connection"}`, t.Context(), Dropped},
		{`{"op":"info","kind":"throttle","delay":"24h"}`, t.Context(), Refused},
		{`{"op":"info","kind":"locked"}`, t.Context(), Refused},
		{`{"op":"info","kind":"locked","delay":"24h"}`, gone, Abandoned},
		{`{"op":"info","kind":"hang"}`, gone, Abandoned},
		{`{"op":"info","kind":"hang","delay":"1ms"}`, t.Context(), Served},
		{`{"op":"create_vm","kind":"slow_task","delay":"24h"}`, t.Context(), Served},
		{`{"op":"create_vm","kind":"task_fails"}`, t.Context(), Served},
		{`{"op":"create_vm","kind":"partial"}`, t.Context(), Served},
	} {
		s.put(t, tc.fault)
		f, _ := s.take(Target{Op: s.book.report()[0].Op})
		require.NotNil(t, f)
		s.put(t, tc.fault)
		_, got := s.Meet(tc.ctx, Target{Op: f.Op})
		require.Equal(t, tc.want, got, tc.fault)
	}
	f, got := s.Meet(t.Context(), Target{Op: "find_vm"})
	require.Nil(t, f)
	require.Equal(t, Served, got)
}

// TestCloseReleasesWhoWaits, for a latency and for a fault.
func TestCloseReleasesWhoWaits(t *testing.T) {
	for _, prepare := range []func(*Side){
		func(s *Side) { s.latency.replace(Latency{Call: map[string]Duration{"info": Duration(24 * time.Hour)}}) },
		func(s *Side) { s.put(t, `{"op":"info","kind":"hang"}`) },
	} {
		s := side(t, Options{})
		prepare(s)
		verdict := make(chan Verdict)
		go func() { _, v := s.Meet(context.WithoutCancel(t.Context()), Target{Op: "info"}); verdict <- v }()
		s.Close()
		s.Close()
		require.Equal(t, Abandoned, <-verdict)
	}
}

func TestTheListOfCallsIsBounded(t *testing.T) {
	s := side(t, Options{CallLog: 4})
	for i := range 11 {
		seq := s.Begin(Target{Op: "info", Call: "Describe", VMID: "v"}, "test")
		require.EqualValues(t, i+1, seq)
		if i%2 == 0 {
			s.End(seq, Outcome{Status: 200, NativeID: "n"})
		}
	}
	s.End(1, Outcome{Status: 500}) // was forgotten
	s.End(s.Begin(Target{Call: "Login", NativeID: "m"}, "test"), Outcome{Status: 401, RefusedLogin: true})
	got := s.calls.since(2)
	require.Len(t, got, 4)
	for i, want := range []Call{
		{Seq: 9, Op: "info", VMID: "v", NativeID: "n", Status: 200},
		{Seq: 10, Op: "info", VMID: "v"},
		{Seq: 11, Op: "info", VMID: "v", NativeID: "n", Status: 200},
		{Seq: 12, Op: "Login", NativeID: "m", Status: 401},
	} {
		want.Client, want.At = "test", got[i].At
		require.Equal(t, want, got[i])
	}
	require.Empty(t, s.calls.since(12))
	byOp, refused := s.calls.counts()
	require.Equal(t, map[string]uint64{"info": 11, "Login": 1}, byOp, "the counts go on")
	require.EqualValues(t, 1, refused)
}

func TestTaskDelays(t *testing.T) {
	s := side(t, Options{})
	require.Equal(t, time.Hour, s.TaskDelay("create_vm", time.Hour))
	s.latency.replace(Latency{Task: map[string]Duration{"create_vm": 0, "reboot": Duration(time.Minute)}})
	require.Zero(t, s.TaskDelay("create_vm", time.Hour))
	require.Equal(t, time.Minute, s.TaskDelay("reboot", time.Hour))
	require.Equal(t, time.Hour, s.TaskDelay("delete_vm", time.Hour))
}

func TestPlansOfTasks(t *testing.T) {
	var none *Fault
	require.Equal(t, Plan{}, none.Plan("failed"))
	require.False(t, none.LosesAnswer())
	for _, tc := range []struct {
		fault Fault
		want  Plan
	}{
		{Fault{Kind: FaultSlowTask}, Plan{Delay: 2 * time.Second}},
		{Fault{Kind: FaultSlowTask, Delay: Duration(time.Hour)}, Plan{Delay: time.Hour}},
		{Fault{Kind: FaultTaskFails}, Plan{Fail: "failed"}},
		{Fault{Kind: FaultTaskFails, Code: "busy"}, Plan{Fail: "busy"}},
		{Fault{Kind: FaultForgetTask}, Plan{Forget: true}},
		{Fault{Kind: FaultPartial}, Plan{Part: PartDisk}},
		{Fault{Kind: FaultPartial, Part: PartMark}, Plan{Part: PartMark}},
		{Fault{Kind: FaultHang, Delay: Duration(time.Hour), Code: "busy"}, Plan{}},
	} {
		require.Equal(t, tc.want, tc.fault.Plan("failed"), "%+v", tc.fault)
	}
}
