package workflows_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

var updateDocs = flag.Bool("update-docs", false, "write the generated part of docs/operations.md")

// TestOperationsPage: docs/operations.md has the table of operations as the
// accept reads it, and the steps as the workflows plan them.
func TestOperationsPage(t *testing.T) {
	path := filepath.Join("..", "docs", "operations.md")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	const mark = "<!-- generated: go test ./workflows -run OperationsPage -update-docs -->\n"
	head, _, ok := strings.Cut(string(raw), mark)
	require.True(t, ok)
	want := head + mark + operationsTable() + stepsTable()
	if *updateDocs {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(raw), "run go test ./workflows -run OperationsPage -update-docs")
}

// planOf is the longest plan of an operation; nil for one that nothing carries out.
func planOf(kind models.OperationKind) []workflows.Step {
	return workflows.Steps(kind, models.OperationParams{Start: true})
}

func operationsTable() string {
	var b strings.Builder
	b.WriteString("\n## Which VM takes what\n\n| Operation | | Status | Power, where it is ACTIVE | Needs | A busy VM |\n|---|---|---|---|---|---|\n")
	for _, s := range models.Operations() {
		if s.Resource != models.ResourceVM || s.Kind == models.OpVMCreate || s.Kind != models.OpVMRetry && planOf(s.Kind) == nil {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", s.Kind, s.Title, words(s.Allowed.Statuses), powers(s), needs(s), busy(s))
	}
	return b.String()
}

func words[S ~string](list []S) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

func powers(s models.OperationSpec) string {
	out := "any"
	if s.Allowed.Powers != nil {
		out = words(s.Allowed.Powers)
	}
	if s.Graceful.Statuses != nil {
		out += "; mode graceful: ACTIVE, " + words(s.Graceful.Powers)
	}
	return out
}

func needs(s models.OperationSpec) string {
	var out []string
	if s.Capability != "" {
		out = append(out, "`"+s.Capability.Flag()+"`")
	}
	if s.Running != "" {
		out = append(out, "while RUNNING `"+s.Running.Flag()+"`")
	}
	if s.NoSnapshots {
		out = append(out, "no snapshots")
	}
	return strings.Join(out, ", ")
}

func busy(s models.OperationSpec) string {
	switch {
	case s.LockFree:
		return "takes it"
	case s.Kind == models.OpVMStop:
		return "mode force cancels the job at work"
	case s.Kind == models.OpVMForceDelete:
		return "cancels, then abandons the job at work"
	case s.Preempts:
		return "cancels the job at work"
	}
	return "refuses it"
}

func stepsTable() string {
	var b strings.Builder
	b.WriteString("\n## Steps\n\n| Operation | Workflow | Step | Undone by | Cancellable |\n|---|---|---|---|---|\n")
	for _, s := range models.Operations() {
		if s.Kind == models.OpVMRetry {
			continue
		}
		for i, step := range planOf(s.Kind) {
			kind, workflow, cancellable := "", "", ""
			if i == 0 {
				kind, workflow, cancellable = "`"+string(s.Kind)+"`", "`"+s.Workflow+"`", "no"
				if s.Cancellable {
					cancellable = "yes"
				}
			}
			undo := ""
			if step.Undo != "" {
				undo = "`" + step.Undo + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | `%s` %s | %s | %s |\n", kind, workflow, step.Name, step.Title, undo, cancellable)
		}
	}
	return b.String()
}
