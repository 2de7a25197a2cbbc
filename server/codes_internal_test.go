package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCodesComeFromTheTable: every code that the package answers with is one
// of the table's constants, never a text of its own; and every code of the
// table is answered somewhere.
func TestCodesComeFromTheTable(t *testing.T) {
	table := map[string]bool{} // the code's text, and whether it is used
	constant := map[string]string{}
	for _, c := range problemCodes() {
		table[string(c.Code)] = false
	}
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	var sources []*ast.File
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		require.NoError(t, err)
		if f.Name() != "codes.go" {
			sources = append(sources, parsed)
			continue
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				constant[spec.Names[0].Name] = text
			}
			return true
		})
	}
	for _, source := range sources {
		ast.Inspect(source, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				_, isCode := table[text]
				require.False(t, err == nil && isCode, "%s is spelled out in %s", text, source.Name)
			case *ast.CallExpr:
				requireCode(t, n, constant)
			case *ast.Ident:
				if text, ok := constant[n.Name]; ok {
					table[text] = true
				}
			}
			return true
		})
	}
	for code, used := range table {
		require.True(t, used, "%s is in the table, and nothing answers with it", code)
	}
}

// requireCode demands that problems are made of constants, or of a variable
// that holds one.
func requireCode(t *testing.T, call *ast.CallExpr, constant map[string]string) {
	t.Helper()
	f, ok := call.Fun.(*ast.Ident)
	if !ok {
		return
	}
	require.NotEqual(t, "Code", f.Name, "a text is turned into a code")
	if f.Name != "newProblem" {
		return
	}
	if name, ok := call.Args[0].(*ast.Ident); ok && strings.HasPrefix(name.Name, "Code") {
		require.Contains(t, constant, name.Name)
	}
}
