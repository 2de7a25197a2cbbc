package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

// Times of the completion: nobody waits longer for a tab, and what was true
// half a minute ago is good enough for one.
const (
	completeDeadline = time.Second
	completeLifetime = 30 * time.Second
)

// candidate is a word that may be typed, with what it is.
type candidate struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Hint string `json:"hint"`
}

// candidates of one list, as they are kept.
type candidates struct {
	At    time.Time   `json:"at"`
	Items []candidate `json:"items"`
}

// completeRefs completes the arguments of a command by asking the server.
func (a *App) completeRefs(s spec) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(s.refs) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd, s, args, s.refs[len(args)], prefix)
	}
}

// completeFlag completes a flag that names something of the server.
func (a *App) completeFlag(cmd *cobra.Command, flag string, r ref) {
	s := spec{scope: inProject}
	must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.complete(cmd, s, nil, r, prefix)
	}))
}

// completeChoices completes a flag that takes one of a few words.
func completeChoices(cmd *cobra.Command, flag string, choices []string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)))
}

// completeGlobals completes the flags of every command.
func (a *App) completeGlobals(root *cobra.Command) {
	completeChoices(root, "output", output.Formats())
	must(root.RegisterFlagCompletionFunc("context", a.completeContext))
	must(root.RegisterFlagCompletionFunc("project", func(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.complete(cmd, spec{}, nil, projectRef(), prefix)
	}))
}

// must is for flags that are defined a few lines above.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func contextNames(f config.File) []string { return slices.Sorted(maps.Keys(f.Contexts)) }

func (a *App) completeContext(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	d, err := a.dirs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	f, err := config.Load(d.File())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for _, name := range contextNames(f) {
		out = append(out, cobra.CompletionWithDesc(name, f.Contexts[name].Server))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// complete lists the names that begin with prefix, and the IDs where no name
// does. Whatever goes wrong, it says nothing: a tab is no place for errors.
func (a *App) complete(cmd *cobra.Command, s spec, args []string, r ref, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names, ids []cobra.Completion
	for _, c := range a.candidates(cmd, s, args, r) {
		hint := strings.TrimSpace(c.Hint)
		if c.Name != "" && !strings.ContainsAny(c.Name, " \t") && strings.HasPrefix(c.Name, prefix) {
			names = append(names, cobra.CompletionWithDesc(c.Name, strings.TrimSpace(c.ID+" "+hint)))
		} else if strings.HasPrefix(c.ID, prefix) && c.ID != "" {
			ids = append(ids, cobra.CompletionWithDesc(c.ID, strings.TrimSpace(c.Name+" "+hint)))
		}
	}
	return append(names, ids...), cobra.ShellCompDirectiveNoFileComp
}

// candidates asks the server, or what it said a moment ago.
func (a *App) candidates(cmd *cobra.Command, s spec, args []string, r ref) []candidate {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeDeadline)
	defer cancel()
	got := make(chan []candidate, 1)
	// What cannot be cancelled, a keyring for one, is left behind.
	go func() { got <- a.askCandidates(ctx, cmd, s, args, r) }()
	select {
	case c := <-got:
		return c
	case <-ctx.Done():
		return nil
	}
}

func (a *App) askCandidates(ctx context.Context, cmd *cobra.Command, s spec, args []string, r ref) []candidate {
	quiet := *a
	quiet.Policy.Attempts = 1
	quiet.flags.showCurl, quiet.flags.verbose = false, false
	t, err := quiet.target()
	if err != nil {
		return nil
	}
	d, err := quiet.dirs()
	if err != nil {
		return nil
	}
	path := filepath.Join(d.Completions(), completionKey(t, quiet.Env("HCP_TOKEN"), s, args, r)+".json")
	if kept, ok := quiet.keptCandidates(path); ok {
		return kept
	}
	items, err := quiet.fetchCandidates(ctx, cmd, s, args, r)
	if err != nil {
		return nil
	}
	if raw, err := json.Marshal(candidates{At: quiet.Now(), Items: items}); err == nil {
		sweep(d.Completions(), quiet.Now())
		_ = private.Write(path, raw) // without it the next tab asks again
	}
	return items
}

// sweep removes what is too old to be used. What it cannot remove does no harm.
func sweep(dir string, now time.Time) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && now.Sub(info.ModTime()) > completeLifetime {
			_ = private.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

// completionKey tells apart what must not be mixed up: servers, tokens,
// projects, lists.
func completionKey(t target, token string, s spec, args []string, r ref) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		t.context.Server, t.context.Plane, t.name, token, t.project, s.ops, r.noun, strings.Join(args, "\x01"),
	}, "\x00")))
	return hex.EncodeToString(sum[:])
}

func (a *App) keptCandidates(path string) ([]candidate, bool) {
	raw, err := private.Read(path)
	if err != nil {
		return nil, false
	}
	var c candidates
	if json.Unmarshal(raw, &c) != nil || a.Now().Sub(c.At) > completeLifetime || c.At.After(a.Now()) {
		return nil, false
	}
	return c.Items, true
}

func (a *App) fetchCandidates(ctx context.Context, cmd *cobra.Command, s spec, args []string, r ref) ([]candidate, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, err
	}
	c := &call{conn: conn, cmd: cmd, args: args}
	if s.scope == inProject {
		if err := c.resolveProject(ctx); err != nil {
			return nil, err
		}
	}
	for i, arg := range args {
		id, err := c.resolve(ctx, s.refs[i], arg)
		if err != nil {
			return nil, err
		}
		c.ids = append(c.ids, id)
	}
	if r.list == nil {
		return nil, nil
	}
	req, err := r.list(c)
	if err != nil {
		return nil, err
	}
	items, err := c.pages(ctx, req, maxPage, maxPage) // one page is enough for a tab
	if err != nil {
		return nil, err
	}
	out := make([]candidate, len(items))
	for i, raw := range items {
		n := read(raw, firstOf(r.search, "name"), r.hint)
		out[i] = candidate{n.id, n.name, n.hint}
	}
	return out, nil
}
