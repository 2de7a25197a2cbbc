package command_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/reference"
)

var update = flag.Bool("update", false, "write the generated part of docs/hcpctl.md")

// docs/hcpctl.md describes the commands that there are.
func TestReferencePage(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "hcpctl.md")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(raw), "<!-- generated")
	require.True(t, ok)
	mark, _, ok := strings.Cut(rest, "-->\n")
	require.True(t, ok)
	want := head + "<!-- generated" + mark + "-->\n\n" + string(reference.Markdown(newRig(t).app(nil).Root()))
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(raw), "run go test ./internal/ctl/command -run Reference -update")
}

// The page's exit codes are the program's.
func TestReferenceExitCodes(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "hcpctl.md"))
	require.NoError(t, err)
	for code, says := range map[int]string{
		fail.OK: "done", fail.Failed: "failed", fail.Usage: "the command line", fail.JobFailed: "the job failed", fail.Auth: "not authenticated",
		fail.Unknown: "it is not known", fail.Timeout: "the wait is over", fail.Detached: "interrupted",
	} {
		require.Regexp(t, `(?m)^\| `+strconv.Itoa(code)+` \| `+says, string(raw))
	}
}

func TestManualPages(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(r.home, "man1")
	r.ok("man", dir)
	page, err := os.ReadFile(filepath.Join(dir, "hcpctl-vm-create.1"))
	require.NoError(t, err)
	for _, want := range []string{`.TH "HCPCTL-VM-CREATE" 1`, ".SH NAME\nhcpctl\\-vm\\-create \\- Create a VM", ".SH OPTIONS", "\\-\\-image", ".SH EXAMPLES", `\fBhcpctl\-vm\fR(1)`} {
		require.Contains(t, string(page), want)
	}
	// No line of text is taken for a request of troff.
	for line := range strings.SplitSeq(string(page), "\n") {
		if strings.HasPrefix(line, ".") {
			require.Regexp(t, `^\.(TH|SH|B|TP|PP|nf|fi)( |$)`, line)
		}
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Greater(t, len(files), 100)
}
