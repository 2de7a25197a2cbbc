package proxmox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// simTexts collects what the simulated cluster refuses with: the texts of its
// calls of failed and errors.New and its constants, with a 1 for what it fills in.
func simTexts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("proxmoxsim/*.go")
	if err != nil {
		t.Fatal(err)
	}
	constants, calls := map[string]ast.Expr{}, []*ast.CallExpr(nil)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if i < len(n.Values) {
						constants[id.Name] = n.Values[i]
					}
				}
			case *ast.CallExpr:
				if refuses(n) {
					calls = append(calls, n)
				}
			}
			return true
		})
	}
	var out []string
	for _, c := range calls {
		if text := textOf(c.Args[0], constants); strings.Trim(text, "1: ") != "" {
			out = append(out, text)
		}
	}
	return out
}

// refuses reports whether a call makes a refusal of its first argument.
func refuses(c *ast.CallExpr) bool {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name == "failed"
	case *ast.SelectorExpr:
		pkg, ok := f.X.(*ast.Ident)
		return ok && pkg.Name == "errors" && f.Sel.Name == "New"
	}
	return false
}

// textOf is what an expression of texts comes to.
func textOf(e ast.Expr, constants map[string]ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			return "1"
		}
		return text
	case *ast.BinaryExpr:
		return textOf(e.X, constants) + textOf(e.Y, constants)
	case *ast.Ident:
		if value, ok := constants[e.Name]; ok {
			return textOf(value, constants)
		}
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return regexp.MustCompile(`%[a-zA-Z]`).ReplaceAllString(textOf(e.Args[0], constants), "1")
		}
	}
	return "1"
}

// TestEveryTextOfTheSimulatorHasARow holds the table against all that the
// simulated cluster can refuse with.
func TestEveryTextOfTheSimulatorHasARow(t *testing.T) {
	texts := simTexts(t)
	if len(texts) < 60 {
		t.Fatalf("only %d texts were found", len(texts))
	}
	for _, text := range texts {
		if isFrame(text) || isNoAnswer(text) {
			continue
		}
		code, _ := classifyAnswer(&apiError{Status: http.StatusInternalServerError, Reason: text})
		if code == providers.Unknown {
			t.Errorf("%q has no row", text)
		}
	}
}

// isFrame reports whether a text is only put around another one, which has its row.
func isFrame(text string) bool {
	switch text {
	case "clone failed: 1", "unable to create VM 1 - 1", "storage migration failed: 1",
		"storage migration for '1' to storage '1' failed - 1":
		return true
	}
	return false
}

// isNoAnswer reports whether a text never is an answer of the API: it is the admin
// side's, about the simulator's own options, or ends a stream.
func isNoAnswer(text string) bool {
	for _, start := range []string{
		"proxmoxsim: ", "not a plain value", "nth must be", "the handler has answered", "this connection cannot be dropped",
		"no frame of termproxy", "no length of a frame",
	} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}
