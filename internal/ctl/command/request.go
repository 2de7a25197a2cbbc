package command

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/journal"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

// keyOr makes a key where none was given.
func keyOr(key string) string {
	if key == "" {
		return journal.NewKey()
	}
	return key
}

func (a *App) requestCommand() *cobra.Command {
	cmd := group("request", "Requests whose outcome is not known", a.requestList(), a.requestForget())
	cmd.Long = "Requests whose outcome is not known: the connection was cut, or hcpctl was killed, before the answer came.\n" +
		"Each is kept with its Idempotency-Key for a day; repeating it with that key does nothing twice."
	return cmd
}

func (a *App) requestList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List them, with the commands that repeat them", Args: cobra.NoArgs, Example: "  hcpctl request list",
		RunE: func(*cobra.Command, []string) error {
			p, err := a.printer()
			if err != nil {
				return err
			}
			j, err := a.journal()
			if err != nil {
				return err
			}
			pending, err := j.Pending(a.Now())
			if err != nil {
				return err
			}
			rows := make([]json.RawMessage, len(pending))
			for i, r := range pending {
				if rows[i], err = json.Marshal(r); err != nil {
					return err
				}
			}
			return p.List(output.Resource{Kind: "request", Columns: []output.Column{
				{Header: "age", Path: "created_at", Age: true},
				{Header: "method", Path: "method"},
				{Header: "repeat", Path: "command"},
				{Header: "url", Path: "url", Wide: true},
				{Header: "key", Path: "key", Wide: true},
			}}, rows)
		},
	}
}

func (a *App) requestForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget KEY", Short: "Forget one", Args: cobra.ExactArgs(1), Example: "  hcpctl request forget hcpctl-AAAAAAAAAAAAAAAAAAAAAA",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := journal.CheckKey(args[0]); err != nil {
				return fail.Usagef("%v", err)
			}
			j, err := a.journal()
			if err != nil {
				return err
			}
			return j.Forget(args[0])
		},
	}
}

func (a *App) journal() (journal.Journal, error) {
	d, err := a.dirs()
	return journal.At(d.Requests()), err
}
