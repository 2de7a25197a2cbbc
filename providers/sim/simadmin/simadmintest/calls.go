package simadmintest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func reported(t *testing.T, s Simulator) {
	ctx := t.Context()
	status, body := send(t, s, http.MethodPut, "faults", `{"faults":[
		{"op":"list_nodes","kind":"error_before","nth":2},
		{"op":"list_nodes","kind":"locked","match":{"node":"none"}},
		{"op":"*","kind":"slow_task","count":-1,"delay":"1500ms"}]}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, `{"faults":[`+
		`{"op":"list_nodes","kind":"error_before","nth":2,"count":1,"matched":0,"fired":0,"remaining":1},`+
		`{"op":"list_nodes","kind":"locked","nth":1,"count":1,"match":{"node":"none"},"matched":0,"fired":0,"remaining":1},`+
		`{"op":"*","kind":"slow_task","nth":1,"count":-1,"delay":"1.5s","matched":0,"fired":0,"remaining":-1}]}`, body)
	require.NoError(t, s.ListNodes(ctx))
	require.Error(t, s.ListNodes(ctx))
	require.NoError(t, s.ListNodes(ctx))
	faults, err := s.Admin.Faults(ctx)
	require.NoError(t, err)
	require.Len(t, faults, 3)
	require.GreaterOrEqual(t, faults[0].Matched, 3)
	require.Equal(t, []int{1, 0}, []int{faults[0].Fired, faults[0].Remaining})
	for _, f := range faults[1:] {
		require.Zero(t, f.Matched, "%s was about no call", f.Kind)
		require.Zero(t, f.Fired, f.Kind)
	}

	status, body = send(t, s, http.MethodDelete, "faults", "")
	require.Equal(t, http.StatusNoContent, status)
	require.Empty(t, body)
	_, body = send(t, s, http.MethodGet, "faults", "")
	require.Equal(t, `{"faults":[]}`, body)
}

func happen(t *testing.T, s Simulator) {
	ctx := t.Context()
	for _, f := range []simadmin.Fault{
		{Op: op, Kind: simadmin.FaultErrorBefore},
		{Op: op, Kind: simadmin.FaultErrorAfter},
		{Op: op, Kind: simadmin.FaultErrorAfter, Status: 503},
		{Op: op, Kind: simadmin.FaultDropConnection},
		{Op: op, Kind: simadmin.FaultThrottle},
		{Op: op, Kind: simadmin.FaultLocked},
		{Op: simadmin.AnyOp, Kind: simadmin.FaultErrorBefore},
	} {
		f.Nth, f.Count = 1, simadmin.Always // a client may ask again where a connection is dropped
		require.NoError(t, s.Admin.SetFaults(ctx, f))
		require.Error(t, s.ListNodes(ctx), "%+v", f)
		faults, err := s.Admin.Faults(ctx)
		require.NoError(t, err)
		require.Positive(t, faults[0].Fired, "%+v", f)
		require.Equal(t, simadmin.Always, faults[0].Remaining)
		require.NoError(t, s.Admin.ClearFaults(ctx))
		require.Eventually(t, func() bool { return s.ListNodes(ctx) == nil }, wait, every, "%+v", f)
	}
}

func hang(t *testing.T, s Simulator) {
	require.NoError(t, s.Admin.SetFaults(t.Context(), simadmin.Fault{Op: op, Kind: simadmin.FaultHang}))
	answered := make(chan error, 1)
	go func() { answered <- s.ListNodes(t.Context()) }()
	require.Eventually(t, func() bool {
		faults, err := s.Admin.Faults(t.Context())
		return err == nil && faults[0].Fired == 1
	}, wait, every)
	require.Empty(t, answered)
	require.NoError(t, s.Admin.ClearFaults(t.Context()))
	require.NoError(t, <-answered)
}

func latency(t *testing.T, s Simulator) {
	const delay = 30 * time.Millisecond
	status, body := send(t, s, http.MethodPut, "latency", `{"call":{"list_nodes":"30ms"},"task":{"create_vm":"1h0m0s"}}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, `{"call":{"list_nodes":"30ms"},"task":{"create_vm":"1h0m0s"}}`, body)
	began := time.Now()
	require.NoError(t, s.ListNodes(t.Context()))
	require.GreaterOrEqual(t, time.Since(began), delay)

	// One that no test lives through is gone once the latencies are replaced.
	require.NoError(t, s.Admin.SetLatency(t.Context(), simadmin.Latency{Call: map[string]simadmin.Duration{op: simadmin.Duration(time.Hour)}}))
	require.NoError(t, s.Admin.SetLatency(t.Context(), simadmin.Latency{}))
	require.NoError(t, s.ListNodes(t.Context()))
}

func calls(t *testing.T, s Simulator) {
	ctx := t.Context()
	require.NoError(t, s.ListNodes(ctx))
	before, err := s.Admin.Calls(ctx, 0)
	require.NoError(t, err)
	require.NotEmpty(t, before)
	last := before[len(before)-1].Seq
	require.EqualValues(t, len(before), last, "they are numbered from 1")
	require.NoError(t, s.ListNodes(ctx))
	after, err := s.Admin.Calls(ctx, last)
	require.NoError(t, err)
	listed := 0
	for i, c := range after {
		require.Equal(t, last+uint64(i)+1, c.Seq)
		require.WithinDuration(t, time.Now(), c.At, wait)
		require.NotEmpty(t, c.Op)
		if c.Op == op {
			listed++
		}
	}
	require.Positive(t, listed)
	stats, err := s.Admin.Stats(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, stats.Calls[op], uint64(2))
	_, body := send(t, s, http.MethodGet, "calls?since=1000000", "")
	require.Equal(t, `{"calls":[]}`, body)
}

func credentials(t *testing.T, s Simulator) {
	ctx := t.Context()
	require.NoError(t, s.ListNodes(ctx))
	status, body := send(t, s, http.MethodPut, "credentials", `{"valid":false}`)
	require.Equal(t, []any{http.StatusOK, `{"valid":false}`}, []any{status, body})
	require.Error(t, s.ListNodes(ctx))
	require.NoError(t, s.Admin.SetCredentials(ctx, true))
	require.Eventually(t, func() bool { return s.ListNodes(ctx) == nil }, wait, every)
}
