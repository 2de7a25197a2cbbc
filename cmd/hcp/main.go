// Command hcp is the production binary of the Hypervisor Control Plane: the API
// server, the worker and the migrator in one static file, on PostgreSQL.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hcp:", err)
		stop()
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "hcp",
		Short:         "The Hypervisor Control Plane",
		Long:          "The Hypervisor Control Plane: a multi-tenant API for virtual machines on hypervisors of several kinds.\n\nSettings come from --config, the environment (HCP_DATABASE_URL sets database.url) and flags.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.PersistentFlags().String("config", "", "YAML file with settings")
	cmd.AddCommand(serverCommand(), workerCommand(), migrateCommand(), keygenCommand(), versionCommand())
	return cmd
}
