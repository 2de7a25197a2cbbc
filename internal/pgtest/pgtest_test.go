package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
)

// envHolder makes the test binary start a cluster and hold it until it is killed.
const envHolder = "HCP_PGTEST_HOLDER"

func TestMain(m *testing.M) {
	if os.Getenv(envHolder) != "" {
		hold()
		return
	}
	pgtest.Main(m)
}

func hold() {
	c, err := pgtest.Start(context.Background(), pgtest.Options{})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	fmt.Println(c.DSN("postgres"))
	select {}
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	ctx := t.Context()
	for range 2 {
		conn, err := pgx.Connect(ctx, pgtest.DSN(t))
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "CREATE TABLE t (id int)")
		require.NoError(t, err, "the table of the other database must not be here")
		require.NoError(t, conn.Close(ctx))
	}
}

func TestClusterOnTCP(t *testing.T) {
	ctx := t.Context()
	c := start(t, pgtest.Options{TCP: true, Durable: true})
	_, err := c.CreateDatabase(ctx, "bench")
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, "postgres://postgres@"+c.Address()+"/bench")
	require.NoError(t, err)
	var fsync string
	require.NoError(t, conn.QueryRow(ctx, "SHOW fsync").Scan(&fsync))
	require.Equal(t, "on", fsync)
	require.NoError(t, conn.Close(ctx))

	require.NoError(t, c.Stop())
	require.NoError(t, c.Stop(), "a second stop is nothing")
	_, err = pgx.Connect(ctx, c.DSN("bench"))
	require.Error(t, err)
	require.NoDirExists(t, dirOf(c.DSN("bench")))
}

// A test that is killed leaves no server and no files.
func TestKilledProcessLeavesNothing(t *testing.T) {
	require.NoError(t, start(t, pgtest.Options{}).Stop()) // skips where it cannot run
	holder := exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), envHolder+"=1")
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	dir := dirOf(strings.TrimSpace(line))
	require.DirExists(t, dir)

	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait() // reports the kill
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}, 30*time.Second, 20*time.Millisecond, "the watchdog must stop the server and remove its files")
}

// start starts a cluster. Where Postgres is missing the test is skipped with
// the command that installs it; in CI it fails.
func start(t *testing.T, o pgtest.Options) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.Start(t.Context(), o)
	if errors.Is(err, pgtest.ErrNoBinaries) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	return c
}

func dirOf(dsn string) string {
	_, rest, _ := strings.Cut(dsn, "host=")
	dir, _, _ := strings.Cut(rest, " ")
	return dir
}
