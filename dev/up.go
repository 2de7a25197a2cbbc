package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
)

// startTimeout bounds the start; providerTimeout how long the simulated
// hypervisor may take to be read before the banner is printed without it.
const (
	startTimeout    = time.Minute
	providerTimeout = 30 * time.Second
)

type upOptions struct {
	addr             string
	dataDir          string
	ephemeral        bool
	simURL           string
	logLevel         string
	allowNonLoopback bool
}

func newUpCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "host:port of the API")
	f.StringVar(&o.dataDir, "data-dir", "", "directory of all state (default: hcp-dev below $XDG_STATE_HOME or ~/.local/state)")
	f.BoolVar(&o.ephemeral, "ephemeral", false, "keep all state in a temporary directory that is removed at the end")
	f.StringVar(&o.simURL, "sim-url", "", "URL of a simulated hypervisor in another process, instead of one of our own")
	f.StringVar(&o.logLevel, "log-level", "warn", "what is logged to the terminal: debug, info, warn or error; the file hcp.log in the data directory has everything from info on")
	f.BoolVar(&o.allowNonLoopback, "allow-non-loopback", false, "let --addr be an address that other machines reach")
	cmd.MarkFlagsMutuallyExclusive("data-dir", "ephemeral")
	return cmd
}

// up runs until ctx is over or a part fails.
func up(ctx context.Context, o upOptions, stdout, stderr io.Writer) (err error) {
	if err := checkLoopback("--addr", o.addr, o.allowNonLoopback); err != nil {
		return err
	}
	dir, cleanup, err := openDir(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanup()) }()
	logs, err := openLogs(dir, o.logLevel, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.close()) }()

	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("cannot serve the API on %s (name another address with --addr): %w", o.addr, err)
	}
	background, cancel := context.WithCancel(ctx)
	files, wait, err := openPages(background, logs.own)
	defer wait()
	defer cancel()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s, err := start(ctx, stack.Options{
		Dir: dir, Listener: listener, SimURL: o.simURL, Docs: files.docs, ConsolePages: files.console,
		Logger: logs.own, TemporalLogger: logs.temporal,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // interrupted while starting: that is a clean end
		}
		return err
	}
	serving := serve(ctx, s, dir, stdout, logs.own)
	return errors.Join(serving, s.Stop()) //nolint:contextcheck // ctx is over by now; a stop takes its own time
}

func start(ctx context.Context, o stack.Options) (*stack.Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return stack.Start(ctx, o)
}

// serve prints the banner once there is something to type, and waits.
func serve(ctx context.Context, s *stack.Stack, dir *stack.Dir, stdout io.Writer, log *slog.Logger) error {
	ready, cancel := context.WithTimeout(ctx, providerTimeout)
	err := s.AwaitProvider(ready)
	cancel()
	if err != nil && ctx.Err() == nil {
		log.Warn("the simulated hypervisor could not be read yet; VMs wait for it", "error", err)
	}
	if ctx.Err() == nil {
		if err := printBanner(stdout, s, dir); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

// openDir opens the data directory; cleanup gives it back, and removes it
// where it is a temporary one.
func openDir(o upOptions) (dir *stack.Dir, cleanup func() error, err error) {
	path := o.dataDir
	switch {
	case o.ephemeral:
		if path, err = os.MkdirTemp("", "hcp-dev-"); err != nil {
			return nil, nil, fmt.Errorf("temporary data directory: %w", err)
		}
	case path == "":
		if path, err = stack.DefaultDir(); err != nil {
			return nil, nil, err
		}
	}
	dir, err = stack.OpenDir(path)
	if err != nil {
		return nil, nil, err
	}
	return dir, func() error {
		err := dir.Close()
		if o.ephemeral {
			err = errors.Join(err, os.RemoveAll(path))
		}
		return err
	}, nil
}

// checkLoopback refuses an address that other machines reach: nothing here is
// protected by TLS, and the data directory's tokens are powerful.
func checkLoopback(flag, addr string, allowNonLoopback bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s %q is not host:port", flag, addr)
	}
	ip := net.ParseIP(host)
	if allowNonLoopback || host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s %s is not a loopback address; this is for development only (--allow-non-loopback serves it all the same, without TLS)", flag, addr)
}
