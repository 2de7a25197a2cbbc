package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

func newTokenCommand() *cobra.Command {
	var (
		dataDir, plane string
		g              auth.Grant
	)
	cmd := &cobra.Command{
		Use:   "token --plane tenant|ops --role ROLE",
		Short: "Print a token for the instance of a data directory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if dataDir == "" {
				if dataDir, err = stack.DefaultDir(); err != nil {
					return err
				}
			}
			signer, err := stack.Signer(dataDir)
			if err != nil {
				return err
			}
			if g.TTL <= 0 {
				return fmt.Errorf("--ttl %v is not positive", g.TTL)
			}
			if g.Plane = auth.Plane(plane); g.Subject == "" {
				g.Subject = "dev-" + g.Roles[0]
			}
			token, err := signer.Mint(g, time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dataDir, "data-dir", "", "data directory of the instance (default: that of the default instance)")
	f.StringVar(&plane, "plane", string(auth.PlaneTenant), "tenant or ops")
	f.StringVar(&g.TenantID, "tenant", "", "ID of the tenant (tenant plane)")
	f.StringVar(&g.ProjectID, "project", "", "ID of the one project that the token is good for (tenant plane; default: all of the tenant's)")
	f.StringSliceVar(&g.Roles, "role", nil, "role, may be repeated: owner, operator, viewer, billing (tenant); admin, operator, auditor (ops)")
	f.StringVar(&g.Subject, "subject", "", "who the token names (default: dev-ROLE)")
	f.DurationVar(&g.TTL, "ttl", time.Hour, "how long the token is valid")
	if err := cmd.MarkFlagRequired("role"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}
