package command

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

const sshKeyFileFlag = "ssh-key-file"

// sshKeyFiles adds the flag that reads public keys from files: they are what
// people have, not the text.
func (*App) sshKeyFiles(cmd *cobra.Command) {
	cmd.Flags().StringArray(sshKeyFileFlag, nil, "file of a public key; may be repeated")
}

func (c *call) addSSHKeyFiles(b *client.CreateVMRequest) error {
	paths, err := c.cmd.Flags().GetStringArray(sshKeyFileFlag)
	if err != nil || len(paths) == 0 {
		return err
	}
	var keys []string
	if b.SSHKeys != nil {
		keys = *b.SSHKeys
	}
	for _, path := range paths {
		raw, err := readInput(path, c.app.Stdin)
		if err != nil {
			return err
		}
		if bytes.Contains(raw, []byte("PRIVATE KEY")) {
			return fail.Usagef("%s is a private key; give the public one (%s.pub)", path, path)
		}
		keys = append(keys, string(bytes.TrimSpace(raw)))
	}
	b.SSHKeys = &keys
	return nil
}
