package reference

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown is the section of each command, the flags of every command first.
func Markdown(root *cobra.Command) []byte {
	var b strings.Builder
	b.WriteString("## Flags of every command\n\n")
	writeFlags(&b, flags(root.PersistentFlags()))
	walk(root, func(cmd *cobra.Command) {
		if cmd == root || cmd.HasSubCommands() {
			return
		}
		fmt.Fprintf(&b, "## %s\n\n", cmd.CommandPath())
		b.WriteString(description(cmd) + "\n\n")
		fmt.Fprintf(&b, "    %s\n\n", cmd.UseLine())
		if list := examples(cmd); len(list) > 0 {
			b.WriteString("Examples:\n\n")
			for _, e := range list {
				b.WriteString("    " + e + "\n")
			}
			b.WriteByte('\n')
		}
		writeFlags(&b, flags(cmd.NonInheritedFlags()))
	})
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return strings.TrimSpace(cmd.Long)
	}
	return cmd.Short + "."
}

func writeFlags(b *strings.Builder, list []flag) {
	if len(list) == 0 {
		return
	}
	b.WriteString("| Flag | |\n|---|---|\n")
	for _, f := range list {
		fmt.Fprintf(b, "| `%s` | %s |\n", f.name, strings.ReplaceAll(f.usage, "|", "\\|"))
	}
	b.WriteByte('\n')
}
