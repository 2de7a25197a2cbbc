package simhv

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func FuzzPageToken(f *testing.F) {
	f.Add("installation", pageToken("installation", 42))
	f.Add("installation", "")
	f.Add("another", pageToken("installation", 42))
	f.Fuzz(func(t *testing.T, installation, token string) {
		after, ok := parsePageToken(installation, token)
		if ok && token != "" {
			require.Equal(t, token, pageToken(installation, after), "a token that is accepted is one that was issued")
		}
	})
}

func TestPageTokensAreBoundToTheirList(t *testing.T) {
	after, ok := parsePageToken("a", pageToken("a", 7))
	require.True(t, ok)
	require.Equal(t, uint64(7), after)
	_, ok = parsePageToken("b", pageToken("a", 7))
	require.False(t, ok)
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(journalHeader + "\n" + `{"next":2,"vms":[{"seq":1,"native_id":"vm-1","uuid":"u","node":"node-1","power":"stopped"}]}` + "\n"))
	f.Add([]byte(journalHeader + "\n" + `{"gone":[1],"tasks":[{"id":"task-1","done":true}],"nodes":[{"name":"n"}]}` + "\n{"))
	f.Add([]byte(journalHeader + "\n" + `{"next":9,"vms":[{"seq":1,"native_id":"vm-1","uuid":"u","node":"node-1","moving_to":"node-2","power":"running","boot":1,` +
		`"aside":{"token":"t","disks":["d"]},"data_disks":[{"id":"d"}],"snapshots":[{"id":"s","root":{"disk_gib":1}}],"task":"task-2"}],` +
		`"tasks":[{"id":"task-2","op":"clone_vm","vm":1,"source":1,"shape":{"vcpus":1},"snapshot":{},"disk":{},"nic":{}}]}` + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "state")
		require.NoError(t, os.WriteFile(file, content, 0o600))
		st, err := openState(Options{StateFile: file}.withDefaults())
		if err != nil {
			return
		}
		require.Len(t, st.order, len(st.vms))
		require.NoError(t, st.close())
	})
}

// TestAChangeThatCannotBeWrittenDidNotHappen lets the state file fail.
func TestAChangeThatCannotBeWrittenDidNotHappen(t *testing.T) {
	s, err := New(Options{StateFile: filepath.Join(t.TempDir(), "state")})
	require.NoError(t, err)
	require.NoError(t, s.state.journal.file.Close())
	s.mu.Lock()
	err = s.commit(change{Next: 5, VMs: []*vmRecord{{Seq: 5, NativeID: "vm-5"}}})
	s.mu.Unlock()
	var refused *apiError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "storage", refused.Code)
	require.Empty(t, s.state.vms)
	require.ErrorIs(t, s.Close(), os.ErrClosed)
	s.mu.Lock()
	err = s.commit(change{})
	s.mu.Unlock()
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 503, refused.status, "after Close nothing changes")
}

func TestACompactionThatFailsIsShownAndTriedAgain(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(filepath.Join(dir, "state"), func(change) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.close()) })
	j.lines = compactAbove + 1
	require.True(t, j.wantsCompaction(0))
	j.tryCompact(func(func(change) error) error { return errors.New("no room") })
	require.ErrorContains(t, j.compactErr, "no room")
	require.False(t, j.wantsCompaction(0), "not at once")
	j.lines += compactAbove + 1
	require.True(t, j.wantsCompaction(0))
	require.NoError(t, j.append(change{Next: 1}), "the old file goes on")
	j.tryCompact(func(write func(change) error) error { return write(change{Next: 1}) })
	require.NoError(t, j.compactErr)
	require.Equal(t, 2, j.lines)
}

func TestEndedTasksAreForgottenAtLast(t *testing.T) {
	st, err := openState(Options{}.withDefaults())
	require.NoError(t, err)
	for i := range keepTasks + 10 {
		st.apply(change{Tasks: []*taskRecord{{ID: string(rune('a'+i%26)) + time.Duration(i).String(), Done: true}}})
	}
	require.Len(t, st.tasks, keepTasks)
	require.Len(t, st.ended, keepTasks)
}

// TestTheIndexesFollowTheRecords compares the indexes with the records after
// changes of each field.
func TestTheIndexesFollowTheRecords(t *testing.T) {
	st, err := openState(Options{}.withDefaults())
	require.NoError(t, err)
	v := &vmRecord{Seq: 1, NativeID: "a", UUID: "u", Node: "node-1", VCPUs: 2, MemoryMiB: 3}
	st.apply(change{VMs: []*vmRecord{v}})
	moved := v.clone()
	moved.NativeID, moved.UUID, moved.Node, moved.VCPUs = "b", "w", "node-2", 5
	st.apply(change{VMs: []*vmRecord{moved}})
	require.Nil(t, st.byNative["a"])
	require.Nil(t, st.byUUID["u"])
	require.Same(t, moved, st.byNative["b"])
	require.Same(t, moved, st.byUUID["w"])
	require.Equal(t, []*vmRecord{moved}, st.order)
	require.Equal(t, load{}, st.loads["node-1"])
	require.Equal(t, load{5, 3}, st.loads["node-2"])
	st.apply(change{Gone: []uint64{1, 1, 2}})
	require.Empty(t, st.order)
	require.Empty(t, st.byNative)
	require.Empty(t, st.byMark)
	require.Equal(t, load{}, st.loads["node-2"])
}

// running is a hypervisor in memory with one VM that runs, number 1.
func running(tb testing.TB) *Server {
	tb.Helper()
	s, err := New(Options{})
	require.NoError(tb, err)
	v := &vmRecord{Seq: 1, NativeID: "vm-1", UUID: "u", Name: "n", Node: "node-1", VCPUs: 1, MemoryMiB: 1, Power: "stopped"}
	v.setPower("running")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(tb, s.commit(change{Next: 1, VMs: []*vmRecord{v}}))
	return s
}

// FuzzConsoles lets anything be said to a screen and a serial line: they come to
// an end, and the hypervisor goes on.
func FuzzConsoles(f *testing.F) {
	hello := rfbVersion + "\x01\x00"
	for _, said := range []string{
		"", "GET / HTTP/1.1", hello, hello + "\x03\x00\x00\x00\x00\x00\x02\x80\x01\x90\x03\x01\xff\xff\xff\xff\xff\xff\xff\xff",
		hello + "\x00\x00\x00\x00\x08\x08\x00\x01\x00\x07\x00\x07\x00\x03\x00\x03\x06\x00\x00\x00\x03\x00\x00\x00\x00\x00\x02\x80\x01\x90",
		hello + "\x04\x01\x00\x00\x00\x00\x00a\x06\x00\x00\x00\x00\x00\x00\x01x\x05\x00\x00\x00\x00\x00\x02\x00\x00\x01\x00\x00\x00\x00",
		"echo x\rwrite y\rread\nescape\rreboot\rflood 1\r\x03\b\x7f",
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		s := running(t)
		for _, typ := range []string{"vnc", "serial"} {
			c := &console{vm: 1, typ: typ, done: make(chan struct{})}
			if typ == "vnc" {
				s.display(1).ServeRFB(io.Discard, bufio.NewReader(bytes.NewReader(said)), "", c.done, c.end)
			} else {
				s.display(1).ServeSerial(io.Discard, bufio.NewReader(bytes.NewReader(said)))
			}
			c.end()
		}
		_, view, ok := s.display(1).see()
		require.True(t, ok, "the VM runs")
		require.LessOrEqual(t, len(view.Data), simadmin.MaxData)
		require.NoError(t, s.Close())
	})
}
