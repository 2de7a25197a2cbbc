package libvirttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// holderScript is the first process of the namespaces. It puts the server's own
// directories over libvirt's, says so, and then buries the dead: QEMU makes
// itself a daemon, and libvirtd takes a zombie for a running process.
const holderScript = `set -e
hostname "$1"
shift
for pair in "$@"; do
	mkdir -p "${pair#*:}"
	mount --bind "${pair%%:*}" "${pair#*:}"
done
echo ready
while :; do sleep 3600 & wait $!; done`

// enterNamespaces makes a mount, a process and a host name namespace. The second
// makes sure that no QEMU survives: when its first process ends, the kernel ends
// all others.
func (s *Server) enterNamespaces(ctx context.Context) error {
	unshare, err := findTool("unshare")
	if err != nil {
		return err
	}
	args := []string{"--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private", "sh", "-c", holderScript, "holder", s.Host}
	for own, libvirts := range s.binds() {
		args = append(args, own+":"+libvirts)
	}
	// Not bound to ctx: the holder lives until Close.
	s.holder = exec.Command(unshare, args...) //nolint:gosec,noctx // the arguments are ours, and Close ends it
	s.holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	s.holder.Stderr = &stderr
	out, err := s.holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.holder.Start(); err != nil {
		s.holder = nil
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.holder.Process.Kill() })
	defer stop()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("making namespaces: %w: %s%s", errors.Join(err, ctx.Err()), line, stderr.String())
	}
	s.pid1, err = childOf(s.holder.Process.Pid)
	return err
}

func (s *Server) leaveNamespaces() error {
	if s.holder == nil {
		return nil
	}
	if err := s.holder.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = s.holder.Wait() // it was killed, so this is always an error
	s.holder = nil
	return waitFor(10*time.Second, "the namespaces are empty", func() bool {
		return s.pid1 == 0 || errors.Is(syscall.Kill(s.pid1, 0), syscall.ESRCH)
	})
}

// childOf returns the one child of a process.
func childOf(pid int) (int, error) {
	var child int
	err := waitFor(5*time.Second, "a process has its child", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return false
		}
		child, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return child, err
}

// daemon is one run of libvirtd.
type daemon struct {
	enter *exec.Cmd // nsenter, the daemon's parent
	pid   int       // of libvirtd, as seen from outside
	done  chan struct{}
}

// Restart starts the daemon, after Kill or for the first time, and waits until
// it serves. Guests survive a restart.
func (s *Server) Restart(ctx context.Context) error {
	if s.daemon != nil {
		if err := s.Kill(); err != nil {
			return err
		}
	}
	enter, err := findTool("nsenter")
	if err != nil {
		return err
	}
	libvirtd, err := findTool("libvirtd")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	//nolint:gosec,noctx // the arguments are ours, and Kill or Close ends it
	cmd := exec.Command(enter, "--target", strconv.Itoa(s.pid1), "--mount", "--uts", "--pid", "--", libvirtd,
		"--listen", "--config", filepath.Join(s.dir, "libvirtd.conf"), "--pid-file", filepath.Join(s.dir, "libvirtd.pid"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	d := &daemon{enter: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it is always killed, so this is always an error
		close(d.done)
	}()
	s.daemon = d
	if d.pid, err = childOf(cmd.Process.Pid); err != nil {
		return err
	}
	return s.waitServing(ctx)
}

// Kill ends the daemon as a crash would: at once, guests go on.
func (s *Server) Kill() error {
	d := s.daemon
	if d == nil {
		return nil
	}
	s.daemon = nil
	if d.pid == 0 {
		return d.enter.Process.Kill()
	}
	if err := d.enter.Process.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := syscall.Kill(d.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("libvirtd does not die")
	}
}

// Freeze stops the daemon as a host that hangs would; Thaw lets it go on.
func (s *Server) Freeze() error { return syscall.Kill(s.daemon.pid, syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() error {
	// nsenter stops itself when its child is stopped.
	return errors.Join(syscall.Kill(s.daemon.pid, syscall.SIGCONT), s.daemon.enter.Process.Signal(syscall.SIGCONT))
}

// waitFor waits for a condition.
func waitFor(limit time.Duration, what string, holds func() bool) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain until %s", what)
		}
		<-tick.C
	}
	return nil
}

func (s *Server) log() string { return filepath.Join(s.dir, "libvirtd.log") }

// logTail is the end of the daemon's log, for errors.
func (s *Server) logTail() string {
	f, err := os.Open(s.log())
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	const tail = 4 << 10
	if st, err := f.Stat(); err == nil && st.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	return string(b)
}
