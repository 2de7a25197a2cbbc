package command

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

// AnnotationOperations is the annotation of a command that names the
// operations of the API that it is there for, separated by blanks.
const AnnotationOperations = "operations"

// scope says how a command has to do with a project.
type scope int

const (
	anywhere  scope = iota // nothing
	inProject              // it is for one
	perhaps                // it is for one with --in-project
)

// builder makes the request of a command, by the generated client.
type builder func(c *call) (*http.Request, error)

// spec describes a command that makes one request.
type spec struct {
	ops      string // operationIds, separated by blanks
	use      string
	short    string
	long     string
	example  string
	aliases  []string
	scope    scope
	refs     []ref          // what the positional arguments name
	named    string         // member of the body that a last, optional argument sets
	filters  func(*filters) // query parameters
	fields   func(*fields)  // members of the body
	request  builder
	resource output.Resource
	past     string                    // "created", for people
	ask      func(c *call) string      // what is confirmed; nil or "" asks nothing
	etag     bool                      // it takes If-Match
	unpaged  bool                      // the list has no pages
	pick     string                    // items are searched for the argument instead of read by ID
	show     func(*call, answer) error // another way to show the answer
}

// call is one run of a command that makes a request.
type call struct {
	*conn
	cmd     *cobra.Command
	project string   // ID; empty outside of projects
	ids     []string // what the arguments named
	args    []string
	body    []byte
}

// command makes the cobra command with its flags; run is given the call with
// everything resolved.
func (a *App) command(s spec, run func(*call) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: s.use, Short: s.short, Long: s.long, Example: s.example, Aliases: s.aliases,
		Annotations: map[string]string{AnnotationOperations: s.ops},
		Args:        cobra.ExactArgs(len(s.refs)),
	}
	if s.long == "" {
		cmd.Long = s.short + "."
	}
	if s.named != "" {
		cmd.Args = cobra.RangeArgs(len(s.refs), len(s.refs)+1)
	}
	var f *fields
	if s.fields != nil {
		f = newFields(cmd.Flags(), a.Stdin)
		s.fields(f)
	}
	within := new(bool)
	if s.scope == perhaps {
		within = cmd.Flags().Bool("in-project", false, "of the project instead of the whole tenant; --project implies it")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.call(cmd, s, args, *within)
		if err != nil {
			return err
		}
		if f == nil {
			return run(c)
		}
		positional := map[string]string{}
		if len(args) > len(s.refs) {
			positional[s.named] = args[len(s.refs)]
		}
		if c.body, err = f.body(positional); err != nil {
			return err
		}
		return run(c)
	}
	cmd.ValidArgsFunction = a.completeRefs(s)
	return cmd
}

// call connects, and resolves the project and the arguments.
func (a *App) call(cmd *cobra.Command, s spec, args []string, within bool) (*call, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, err
	}
	c := &call{conn: conn, cmd: cmd, args: args}
	if s.scope == inProject || (s.scope == perhaps && (within || a.flags.project != "")) {
		if err := c.resolveProject(cmd.Context()); err != nil {
			return nil, err
		}
	}
	if s.pick != "" {
		c.ids = args
		return c, nil
	}
	for i, r := range s.refs {
		id, err := c.resolve(cmd.Context(), r, args[i])
		if err != nil {
			return nil, err
		}
		c.ids = append(c.ids, id)
		c.resolved[args[i]] = id
	}
	return c, nil
}

// reading makes a command that shows one resource.
func (a *App) reading(s spec) *cobra.Command {
	return a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		req, err := s.request(c)
		if err != nil {
			return err
		}
		if s.pick != "" {
			return c.picked(s, req, p)
		}
		got, err := c.send(c.cmd.Context(), req)
		if err != nil {
			return err
		}
		if s.show != nil && p.Human() && len(p.Columns) == 0 {
			return s.show(c, got)
		}
		return p.One(s.resource, got.body)
	})
}

// picked shows the item of a list that the argument names: the API has no
// route that reads it alone.
func (c *call) picked(s spec, req *http.Request, p *output.Printer) error {
	items, err := c.pages(c.cmd.Context(), req, 0, maxPage)
	if err != nil {
		return err
	}
	item, err := matching(items, s.pick, c.args[0])
	if err != nil {
		return err
	}
	return p.One(s.resource, item.raw)
}

// changing makes a command whose change has happened when it is answered.
func (a *App) changing(s spec) *cobra.Command {
	var yes bool
	var key, match string
	cmd := a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		if err := c.confirm(s, yes); err != nil {
			return err
		}
		req, err := s.request(c)
		if err != nil {
			return err
		}
		if match != "" {
			req.Header.Set("If-Match", match)
		}
		got, err := c.change(c.cmd.Context(), req, key)
		if err != nil {
			return err
		}
		if s.show != nil && p.Human() {
			return s.show(c, got)
		}
		return c.changed(s, p, got)
	})
	a.changeFlags(cmd, s, &yes, &key, &match)
	return cmd
}

// changed shows the answer of a change.
func (c *call) changed(s spec, p *output.Printer, got answer) error {
	if len(got.body) == 0 { // 204
		if p.Human() {
			return c.say("%s %s %s", s.resource.Kind, strings.Join(c.args, " "), s.past)
		}
		return nil
	}
	return p.One(s.resource, got.body)
}

// changeFlags are the flags of every command that changes something.
func (a *App) changeFlags(cmd *cobra.Command, s spec, yes *bool, key, match *string) {
	cmd.Flags().StringVar(key, "idempotency-key", "", "repeat the request that was sent with this key")
	if s.etag {
		cmd.Flags().StringVar(match, "if-match", "", "only if the ETag is still this one")
	}
	if s.ask != nil {
		cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
	}
}

// confirm asks, where the command is to ask.
func (c *call) confirm(s spec, yes bool) error {
	if s.ask == nil || c.app.flags.showCurl {
		return nil
	}
	question := s.ask(c)
	if question == "" || yes {
		return nil
	}
	return c.app.ask(c.cmd.Context(), fail.Clean(question))
}
