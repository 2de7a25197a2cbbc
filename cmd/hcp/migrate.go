package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

func migrateCommand() *cobra.Command {
	return withSettings(&cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long:  "Bring the database's schema up to date. Two at once are safe, and so is running it again.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg, log, err := load(cmd, config.RoleMigrate)
			if err != nil {
				return err
			}
			// The schema holds nothing sealed, so any keyset opens the store.
			keyset, err := secrets.NewKeyset()
			if err != nil {
				return err
			}
			sealer, err := secrets.NewSealer(keyset)
			if err != nil {
				return err
			}
			st, err := openStore(cmd.Context(), cfg, sealer, log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			if err := st.Migrate(cmd.Context()); err != nil {
				return err
			}
			log.Info("the schema is up to date")
			return nil
		},
	})
}
