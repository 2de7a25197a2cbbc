package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheTestsOfTheSecurityRulesExist: a rule is claimed with its test or not
// at all.
func TestTheTestsOfTheSecurityRulesExist(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (.+) \| (.+) \|$`).FindAllSubmatch(page, -1)
	name := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
	named := 0
	for _, row := range rows[1:] { // below the head
		tests := name.FindAllSubmatch(row[2], -1)
		require.NotEmpty(t, tests, "no test shows: %s", row[1])
		for _, test := range tests {
			require.True(t, declares(t, filepath.Join("..", string(test[1])), string(test[2])), "there is no %s in %s", test[2], test[1])
			named++
		}
	}
	require.Greater(t, named, 40)
}

// declares says whether a test of a package has the name.
func declares(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	declaration := regexp.MustCompile(`(?m)^func ` + name + `\(`)
	for _, file := range files {
		source, err := os.ReadFile(filepath.Clean(file))
		require.NoError(t, err)
		if declaration.Match(source) {
			return true
		}
	}
	return false
}
