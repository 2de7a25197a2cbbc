// Package pgtest gives tests and benchmarks a real Postgres: a throw-away
// cluster made from the installed binaries, one for each process that asks, or
// the server that HCP_TEST_DATABASE_URL names.
//
// It is for tests and benchmarks only and imports nothing of ours.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoBinaries says that Postgres is not installed on this machine.
var ErrNoBinaries = errors.New("pgtest: no Postgres binaries found: apt-get install -y postgresql, or set " + EnvURL)

// EnvURL names a running server to use instead of a throw-away cluster. The
// role needs CREATEDB.
const EnvURL = "HCP_TEST_DATABASE_URL"

// startTimeout bounds initdb and the start together.
const startTimeout = 60 * time.Second

// Options are how a cluster is made.
type Options struct {
	// Durable keeps fsync and synchronous commits on, as production has them.
	Durable bool
	// TCP makes it listen on a port of 127.0.0.1 beside its unix socket.
	TCP bool
}

// Cluster is a running throw-away cluster. It is gone when the process that
// started it is, however that ends.
type Cluster struct {
	dir  string
	port int
	tcp  bool
	// lifeline is held open by us and read by the watchdog: it learns from its
	// end that we are gone.
	lifeline *os.File
	watchdog *exec.Cmd
}

// watchdogScript runs the server beside a reader of its standard input. When
// that ends, because of Stop or because its writer died, it shuts the server
// down and removes the cluster. $1: directory of the cluster, $2: postgres,
// the rest: its arguments.
const watchdogScript = `
dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
pid=$!
while read -r _; do :; done
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
cd /
rm -rf "$dir"
`

// Start makes and starts a cluster. Its superuser is "postgres", without a
// password: it can be reached from this machine only. ErrNoBinaries if
// Postgres is not installed.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	// A unix socket's path is limited to 107 bytes, so a long TMPDIR is no place for it.
	dir, err := os.MkdirTemp("/tmp", "hcp-pg-")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	c := &Cluster{dir: dir, port: 5432, tcp: o.TCP}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.start(ctx, bin, o); err != nil {
		return nil, errors.Join(err, c.Stop(), os.RemoveAll(dir))
	}
	return c, nil
}

// DSN is the connection string of a database of the cluster.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", c.dir, c.port, database)
}

// Address is where it listens on TCP; empty without Options.TCP.
func (c *Cluster) Address() string {
	if !c.tcp {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port))
}

// CreateDatabase makes an empty database and returns its connection string.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) (string, error) {
	if err := execute(ctx, c.DSN("postgres"), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	return c.DSN(name), nil
}

// Stop ends the cluster and removes it, and waits until that is done. It may
// be called more than once.
func (c *Cluster) Stop() error {
	if c.lifeline == nil {
		return nil
	}
	err := c.lifeline.Close()
	c.lifeline = nil
	if c.watchdog == nil {
		return err
	}
	return errors.Join(err, c.watchdog.Wait())
}

func (c *Cluster) start(ctx context.Context, bin string, o Options) error {
	attr, err := unprivileged(c.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), //nolint:gosec // the path is a glob of fixed directories
		"--pgdata="+data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = c.dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w: %s", err, out)
	}
	args := []string{filepath.Join(bin, "postgres"), "-D", data, "-k", c.dir}
	settings := []string{"max_connections=200", "shared_buffers=128MB", "listen_addresses="}
	if o.TCP {
		if c.port, err = freePort(ctx); err != nil {
			return err
		}
		settings[2] = "listen_addresses=127.0.0.1"
	}
	settings = append(settings, "port="+strconv.Itoa(c.port))
	if !o.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	if err := c.launch(attr, args); err != nil {
		return err
	}
	return c.await(ctx)
}

// launch starts the watchdog with the server below it.
func (c *Cluster) launch(attr *syscall.SysProcAttr, args []string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer func() { _ = reader.Close() }() // ours; the watchdog has its own
	c.lifeline = writer
	// Not bound to a context: it must outlive us to clean up.
	watchdog := exec.Command("/bin/sh", append([]string{"-c", watchdogScript, "hcp-pgtest", c.dir}, args...)...) //nolint:gosec,noctx // fixed script; its life is the pipe's
	watchdog.Dir, watchdog.Stdin, watchdog.SysProcAttr = c.dir, reader, attr
	if err := watchdog.Start(); err != nil {
		return fmt.Errorf("pgtest: start: %w", err)
	}
	c.watchdog = watchdog
	return nil
}

// await returns once the server answers.
func (c *Cluster) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := execute(ctx, c.DSN("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("pgtest: the server does not answer: %w: %s", err, log)
		case <-tick.C:
		}
	}
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, dsn, statement string) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("pgtest: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// binaries finds the directory of the newest installed version.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path), nil
		}
		return "", ErrNoBinaries
	}
	version := func(path string) int {
		major, _, _ := strings.Cut(strings.TrimPrefix(path, "/usr/lib/postgresql/"), "/")
		n, _ := strconv.Atoi(major)
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// unprivileged makes children leave our session, so that a signal to our group
// is not theirs, and lets them run as user postgres where we are root, which
// Postgres refuses to be.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: as root, a user postgres is needed: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: user postgres: %w", err)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgtest: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
