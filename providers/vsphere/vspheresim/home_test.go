package vspheresim_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/filelock"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// envServe makes the test binary a server of its own, until nobody writes to it any more.
const envServe = "VSPHERESIM_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(envServe) == "" {
		os.Exit(m.Run())
	}
	s, err := vspheresim.Start(vspheresim.Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
}

// process is a server in a process of its own.
type process struct {
	*exec.Cmd
	in io.Closer
}

// start starts a server whose files are below dir, and returns what is new there.
func start(t *testing.T, dir string) (process, []string) {
	t.Helper()
	before := homes(t, dir)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envServe+"=1", "TMPDIR="+dir)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "https://")
	return process{cmd, in}, slices.DeleteFunc(homes(t, dir), func(home string) bool { return slices.Contains(before, home) })
}

func homes(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	return found
}

// TestWhatADeadServerLeftIsRemoved, and nothing else: neither what a live one has nor
// what is not ours.
func TestWhatADeadServerLeftIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := filepath.Join(dir, "govcsim-foreign")
	require.NoError(t, os.Mkdir(foreign, 0o700))
	live, mine := start(t, dir)
	require.Len(t, mine, 1)
	dead, left := start(t, dir)
	require.Len(t, left, 1)
	require.NoError(t, dead.Process.Kill()) // SIGKILL
	require.Error(t, dead.Wait())
	require.ElementsMatch(t, []string{foreign, mine[0], left[0]}, homes(t, dir))

	next, its := start(t, dir)
	require.Len(t, its, 1)
	want := []string{foreign, mine[0], its[0]}
	if !filelock.Works {
		want = append(want, left[0])
	}
	require.ElementsMatch(t, want, homes(t, dir))
	for _, p := range []process{next, live} {
		require.NoError(t, p.in.Close())
		require.NoError(t, p.Wait(), "it comes to its end")
	}
	require.NotContains(t, homes(t, dir), mine[0])
	require.NotContains(t, homes(t, dir), its[0])
}
