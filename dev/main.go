// The development binary: the whole control plane in one process, with an
// embedded Temporal and its Web UI, SQLite and a simulated hypervisor.
//
//	go run -C dev .          start everything
//	go run -C dev . token    mint a token for it
//	go run -C dev . sim      a simulated hypervisor as a process of its own
//
// It is for development, demonstrations and tests, never for production.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
)

func main() {
	debug.SetGCPercent(stack.GCPercent)
	unix.Umask(0o077) // databases, logs and keys are the user's alone
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hcp-dev:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := newUpCommand()
	cmd.Use = "hcp-dev"
	cmd.Short = "Run the whole control plane in one process, for development"
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newTokenCommand(), newSimCommand())
	return cmd
}
