package workflows_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cellName names a cell of a matrix.
type cellName struct{ operation, step, column string }

// cellsOf reads the cells of a matrix, in their order.
func cellsOf(doc string) (names []cellName, cells map[cellName]string) {
	cells = map[cellName]string{}
	operation := ""
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			operation = heading
			continue
		}
		row := strings.Split(strings.Trim(line, "|"), "|")
		if operation == "" || len(row) != 1+disturbances || strings.TrimSpace(row[0]) == "Step" || strings.HasPrefix(line, "|---") {
			continue
		}
		for i, column := range columns() {
			name := cellName{operation, strings.TrimSpace(row[0]), column}
			names, cells[name] = append(names, name), strings.TrimSpace(row[1+i])
		}
	}
	return names, cells
}

// differences lists where a matrix differs from the one in a file, with the reason:
// one without a reason fails the test, and so does a reason for none. An operation that
// is not accepted has no cells.
func differences(t *testing.T, tables, file, there string, reasons map[string]string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	_, others := cellsOf(string(raw))
	names, cells := cellsOf(tables)
	maps.DeleteFunc(others, func(name cellName, _ string) bool {
		return strings.Contains(tables, "\n## "+name.operation+"\n\nNot accepted: ")
	})
	require.Len(t, others, len(cells))
	used := map[string]bool{}
	var rows strings.Builder
	for _, name := range names {
		if cells[name] == others[name] || cells[name] == elsewhereCell {
			continue
		}
		key := name.step + ", " + name.column
		used[key] = true
		require.NotEmpty(t, reasons[key], "%s: %s ends %q, and %q on %s: why?", name.operation, key, cells[name], others[name], there)
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s | %s |\n", name.operation, name.step, name.column, others[name], cells[name], reasons[key])
	}
	for _, key := range slices.Sorted(maps.Keys(reasons)) {
		require.True(t, used[key], "%s does not differ", key)
	}
	if rows.Len() == 0 {
		return "\nEvery case ends as it does on " + there + ".\n"
	}
	return "\nWhere it ends otherwise than on " + there + ":\n\n| Operation | Step | Case | There | Here | Because |\n|---|---|---|---|---|---|\n" + rows.String()
}
