package command

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

// ask has a person confirm. Without a terminal nobody can, and --yes is needed.
func (a *App) ask(ctx context.Context, question string) error {
	if !terminal.IsTerminal(a.Stdin) || !terminal.IsTerminal(a.Stderr) {
		return fail.Usagef("%s Nobody is here to confirm it.", question).Then("Confirm with --yes.")
	}
	if _, err := fmt.Fprintf(a.Stderr, "%s\nGo on? [y/N] ", question); err != nil {
		return err
	}
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(a.Stdin).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return &fail.Error{Message: "interrupted; nothing was done", Exit: fail.Detached, Err: ctx.Err()}
	case l := <-typed:
		switch strings.ToLower(strings.TrimSpace(l.text)) {
		case "y", "yes":
			return nil
		}
		return &fail.Error{Message: "not confirmed; nothing was done", Exit: fail.Failed, Err: l.err}
	}
}

// say writes a sentence for people to standard output.
func (a *App) say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.Stdout, fail.Clean(fmt.Sprintf(format, args...)))
	return err
}

// say is the App's.
func (c *call) say(format string, args ...any) error { return c.app.say(format, args...) }
