// Command hcpctl is the command line of the Hypervisor Control Plane. It knows
// the API alone, by the client that is generated from its description.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/command"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/credential"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	app := &command.App{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env: os.Getenv, Keyring: credential.SystemKeyring{},
		Policy: transport.DefaultPolicy(), Sleep: transport.Sleep, Now: time.Now, Version: version(),
		Browse: browse,
	}
	code := app.Run(ctx)
	stop()
	os.Exit(code)
}

// version is the module's version and, where the build knew it, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += "+" + s.Value
		}
	}
	return v
}
