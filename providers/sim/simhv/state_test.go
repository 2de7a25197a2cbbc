package simhv_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// envState makes the test binary a hypervisor of its own on this state file.
const envState = "SIMHV_TEST_STATE"

func TestMain(m *testing.M) {
	if file := os.Getenv(envState); file != "" {
		hv, err := simhv.New(simhv.Options{StateFile: file, TaskDelay: 400 * time.Millisecond})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(httptest.NewServer(hv).URL)
		select {}
	}
	os.Exit(m.Run())
}

// process starts a hypervisor in a process of its own.
func process(t *testing.T, file string) (*side, *exec.Cmd) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envState+"="+file)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(line, "http://"), line)
	s := &side{Admin: simadmin.Admin{URL: strings.TrimSpace(line), Client: &http.Client{}}, t: t}
	s.login()
	return s, cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, cmd.Process.Kill()) // SIGKILL
	require.Error(t, cmd.Wait())
}

// TestTheStateSurvivesAKill kills the process between an acknowledged change
// and the end of its task. Nothing acknowledged is lost, and the task ends.
func TestTheStateSurvivesAKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	s, cmd := process(t, file)
	ended, endedTask := s.create("id-1")
	s.until("the task is done", func() bool { return s.taskDone(endedTask) })
	_, err := s.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs"})
	require.NoError(t, err)
	vcpus := 7
	require.NoError(t, s.SetNode(t.Context(), "node-2", simadmin.NodeChange{VCPUs: &vcpus}))
	running, runningTask := s.create("id-2")
	kill(t, cmd)

	s, _ = process(t, file)
	require.True(t, s.taskDone(endedTask), "an ended task is remembered")
	s.until("the task goes on to its end", func() bool { return s.taskDone(runningTask) })
	vms, err := s.VMs(t.Context())
	require.NoError(t, err)
	require.Len(t, vms, 3)
	require.Equal(t, []string{ended, "theirs", running}, []string{vms[0].NativeID, vms[1].Name, vms[2].NativeID})
	require.Len(t, vms[2].Disks, 1)
	_, nodes := s.op("list_nodes", `{}`)
	require.Contains(t, nodes, `"name":"node-2","cluster":"default","state":"up","vcpus":7`)
	next, _ := s.create("id-3")
	require.NotContains(t, []string{ended, running, vms[1].NativeID}, next, "native IDs are not given out twice")
}

func (s *side) taskDone(task string) bool {
	s.t.Helper()
	status, body := s.op("poll_task", `{"task":"`+task+`"}`)
	require.Equal(s.t, 200, status, body)
	require.NotContains(s.t, body, "error")
	return strings.Contains(body, `"done":true`)
}

func TestATornLastLineIsCutOff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	reopen(t, file, func(s *side) { s.create("id-1") })
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"next":99,"vms":[{"seq":99,"nat`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	reopen(t, file, func(s *side) {
		require.Equal(t, 1, s.count())
		s.create("id-2")
	})
	reopen(t, file, func(s *side) { require.Equal(t, 2, s.count()) })
}

func TestADamagedOrForeignFileIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"another file":      "hello\n",
		"another version":   "{\"simhv_state\":2}\n",
		"a line in between": "{\"simhv_state\":1}\n{broken\n{}\n",
	} {
		file := filepath.Join(t.TempDir(), "state")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := simhv.New(simhv.Options{StateFile: file})
		require.Error(t, err, name)
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, content, string(kept), "a refused file is left as it is")
	}
}

func TestAStateFileHasOneUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	reopen(t, file, func(*side) {
		_, err := simhv.New(simhv.Options{StateFile: file})
		require.ErrorContains(t, err, "held by another process")
	})
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestTheStateFileIsCompacted makes many changes of few VMs.
func TestTheStateFileIsCompacted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	reopen(t, file, func(s *side) {
		native, _ := s.create("id-1")
		for i := range 10_100 {
			name := fmt.Sprintf("name-%d", i)
			_, err := s.PatchVM(t.Context(), native, simadmin.VMChange{Name: &name})
			require.NoError(t, err)
		}
	})
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Less(t, strings.Count(string(b), "\n"), 1000)
	reopen(t, file, func(s *side) {
		vms, err := s.VMs(t.Context())
		require.NoError(t, err)
		require.Len(t, vms, 1)
		require.Equal(t, "name-10099", vms[0].Name)
	})
	left, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{file, file + ".lock"}, left)
}

func (s *side) count() int {
	s.t.Helper()
	vms, err := s.VMs(s.t.Context())
	require.NoError(s.t, err)
	return len(vms)
}

// reopen opens a hypervisor on a state file for as long as use takes.
func reopen(t *testing.T, file string, use func(s *side)) {
	t.Helper()
	hv, err := simhv.New(simhv.Options{StateFile: file})
	require.NoError(t, err)
	srv := httptest.NewServer(hv)
	defer srv.Close()
	s := &side{Admin: simadmin.Admin{URL: srv.URL}, t: t}
	s.login()
	use(s)
	require.NoError(t, hv.Close())
}

// TestTheStateFileKeepsEverything compares all that the admin side shows, before
// and after a restart, with work in between.
func TestTheStateFileKeepsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	var before []simadmin.VM
	reopen(t, file, func(s *side) {
		s.t = t
		s.create("id-1")
		s.want(200, "", "attach_disk", "id-1", `"id":"d1","size_gib":2`)
		text := "here"
		_, err := s.PatchVM(t.Context(), s.native("id-1"), simadmin.VMChange{RootData: &text, DiskData: map[string]string{"d1": "there"}})
		require.NoError(t, err)
		s.power("id-1", "running")
		s.want(200, "", "snapshot_create", "id-1", `"id":"s1","name":"n","memory":true`)
		s.want(200, "", "suspend_vm", "id-1", "")
		s.create("id-2")
		s.want(200, "", "rebuild_vm", "id-2", rebuildBody("t1", "tiny", 3))
		require.NoError(t, s.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"migrate_vm": simadmin.Duration(200 * time.Millisecond)}}))
		s.create("id-3")
		s.want(200, "", "migrate_vm", "id-3", `"node":"node-2","live":false`)
		before, err = s.VMs(t.Context())
		require.NoError(t, err)
	})
	reopen(t, file, func(s *side) {
		after, err := s.VMs(t.Context())
		require.NoError(t, err)
		require.Equal(t, before[:2], after[:2])
		require.Equal(t, "suspended", after[0].Power)
		require.NotNil(t, after[0].UptimeSince)
		require.Equal(t, "t1", after[1].AsideToken)
		s.until("the migration goes on to its end", func() bool { return s.vm("id-3").Node == "node-2" })
		require.Empty(t, s.vm("id-3").MovingTo)
		s.want(200, "", "snapshot_revert", "id-1", `"id":"s1","token":"t"`)
		vm := s.vm("id-1")
		require.Equal(t, "running", vm.Power)
		require.Equal(t, before[0].Boot, vm.Boot)
		require.Equal(t, "there", vm.DataDisks[0].Data)
		s.want(200, "", "revert_rebuild", "id-2", `"token":"t1"`)
		require.Equal(t, 1, s.vm("id-2").DiskGiB)
	})
}
