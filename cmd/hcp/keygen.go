package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

func keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Print fresh keys as environment variables",
		Long:  "Print fresh keys as environment variables: the keyset that seals secrets at rest, and the key that signs page tokens.\nEvery process of an installation needs the same ones. Whoever loses the keyset loses the sealed credentials.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keyset, err := secrets.NewKeyset()
			if err != nil {
				return err
			}
			key := make([]byte, 32)
			if _, err := rand.Read(key); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "HCP_SECRETS_KEYSET='%s'\nHCP_SERVER_PAGE_TOKEN_KEY='%s'\n",
				keyset, base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
}
