package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// binary is hcpctl, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hcpctl-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	binary = filepath.Join(dir, "hcpctl")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build hcpctl:", err)
		return 1
	}
	return m.Run()
}

// environment is that of a person who uses the server.
func environment(s *ctltest.Server, home string, more ...string) []string {
	return append([]string{
		"HOME=" + home, "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8",
		"HCP_SERVER=" + s.URL, "HCP_TOKEN=secret-token", "HCP_PROJECT=" + ctltest.SampleID, "HCP_KEYRING=off",
	}, more...)
}

// In a pipe nothing is drawn, and standard output is a program's.
func TestPipe(t *testing.T) {
	s := ctltest.New(t)
	cmd := exec.CommandContext(t.Context(), binary, "vm", "create", "web-1", "--image", "tiny", "--flavor", "small", "-o", "json")
	cmd.Env = environment(s, t.TempDir())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(t, cmd.Run(), errOut.String())
	require.NotContains(t, out.String()+errOut.String(), "\x1b")
	require.NotContains(t, errOut.String(), "\r")
	require.Contains(t, out.String(), `"job_id": "`+ctltest.SampleJob+`"`)
	require.Equal(t, "job "+ctltest.SampleJob+" vm.create: SUCCEEDED\n", errOut.String())
}

// stubCompletion stands in where the package bash-completion is not installed.
const stubCompletion = `_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }`

// complete lists what bash offers for the words; the last is begun.
func complete(t *testing.T, env []string, words string) string {
	t.Helper()
	script := `
shopt -s extglob progcomp
compopt() { :; } # bash has it only while a key is pressed
if [ -r /usr/share/bash-completion/bash_completion ]; then . /usr/share/bash-completion/bash_completion
else ` + stubCompletion + `; fi
. <(hcpctl completion bash) || exit 1
COMP_LINE=` + "'" + words + "'" + `; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
read -ra COMP_WORDS <<<"$COMP_LINE"; case $COMP_LINE in *' ') COMP_WORDS+=('');; esac
COMP_CWORD=$((${#COMP_WORDS[@]}-1))
__start_hcpctl; printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-c", script)
	cmd.Env = env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(t, cmd.Run(), errOut.String())
	require.Empty(t, errOut.String())
	return out.String()
}

func TestCompletionInBash(t *testing.T) {
	s := ctltest.New(t)
	env := environment(s, t.TempDir())
	require.Contains(t, complete(t, env, "hcpctl vm st"), "start")
	require.Contains(t, complete(t, env, "hcpctl vm st"), "stop")
	require.Equal(t, ctltest.SampleName, firstWord(complete(t, env, "hcpctl vm start exa")))
	require.Equal(t, ctltest.SampleID, firstWord(complete(t, env, "hcpctl vm start 0198")), "IDs where no name fits")
	require.Contains(t, complete(t, env, "hcpctl vm create x --image "), ctltest.SampleName)
	require.Contains(t, complete(t, env, "hcpctl vm list --status A"), "ACTIVE")
	require.Contains(t, complete(t, env, "hcpctl -o j"), "jsonpath=")
}

func firstWord(s string) string {
	words := bytes.Fields([]byte(s))
	if len(words) == 0 {
		return ""
	}
	return string(words[0])
}

// Without a server there is nothing to offer, at once and without a word; the
// script itself needs no server and no home.
func TestCompletionOffline(t *testing.T) {
	s := ctltest.New(t)
	env := environment(s, t.TempDir(), "HCP_SERVER=http://127.0.0.1:1")
	require.Empty(t, firstWord(complete(t, env, "hcpctl vm start ")))
	for _, shell := range []string{"bash", "zsh", "fish"} {
		cmd := exec.CommandContext(t.Context(), binary, "completion", shell)
		cmd.Env = []string{}
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "__complete", shell)
	}
	require.Empty(t, s.Seen())
}

// A server that is slow costs a second.
func TestCompletionDeadline(t *testing.T) {
	s := ctltest.New(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.Handle("listVMs", answerWhen(release))
	started := time.Now()
	cmd := exec.CommandContext(t.Context(), binary, "__complete", "vm", "start", "")
	cmd.Env = environment(s, t.TempDir())
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, ":4\n", string(out), "no candidates and no file names")
	require.Less(t, time.Since(started), 30*time.Second)
}
