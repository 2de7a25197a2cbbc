package reference

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Man returns the manual pages by their file names: a page for each command
// and each group of commands.
func Man(root *cobra.Command) map[string][]byte {
	out := map[string][]byte{}
	walk(root, func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		out[name+".1"] = page(cmd, name)
	})
	return out
}

func page(cmd *cobra.Command, name string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"Hypervisor Control Plane\" \"User commands\"\n", strings.ToUpper(name))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n")
	for paragraph := range strings.SplitSeq(description(cmd), "\n") {
		if paragraph == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	options(&b, "OPTIONS", flags(cmd.NonInheritedFlags()))
	options(&b, "OPTIONS OF EVERY COMMAND", flags(cmd.InheritedFlags()))
	if list := examples(cmd); len(list) > 0 {
		b.WriteString(".SH EXAMPLES\n.nf\n")
		for _, e := range list {
			b.WriteString(roff(e) + "\n")
		}
		b.WriteString(".fi\n")
	}
	related(&b, cmd)
	return []byte(b.String())
}

func options(b *strings.Builder, heading string, list []flag) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", heading)
	for _, f := range list {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(f.name), roff(f.usage))
	}
}

func related(b *strings.Builder, cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, cmd.Parent().CommandPath())
	}
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			pages = append(pages, c.CommandPath())
		}
	}
	if len(pages) == 0 {
		return
	}
	for i, p := range pages {
		pages[i] = "\\fB" + roff(strings.ReplaceAll(p, " ", "-")) + "\\fR(1)"
	}
	fmt.Fprintf(b, ".SH SEE ALSO\n%s\n", strings.Join(pages, ", "))
}

// roff makes text that troff shows as it is: backslashes and dashes escaped, a
// dot or quote at the beginning of a line guarded.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
