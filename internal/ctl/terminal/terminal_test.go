package terminal_test

import (
	"bytes"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

func TestDetect(t *testing.T) {
	master, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, master.Close()) })
	t.Cleanup(func() { require.NoError(t, tty.Close()) })
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 10, Cols: 72}))
	for name, c := range map[string]struct {
		env  map[string]string
		want terminal.Style
	}{
		"plain":     {map[string]string{"TERM": "xterm"}, terminal.Style{Live: true, Colour: true, Width: 72}},
		"no colour": {map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, terminal.Style{Live: true, Width: 72}},
		"dumb":      {map[string]string{"TERM": "dumb"}, terminal.Style{Width: 72}},
		"no TERM":   {nil, terminal.Style{Width: 72}},
		"C locale":  {map[string]string{"TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C"}, terminal.Style{Live: true, Colour: true, ASCII: true, Width: 72}},
		"UTF-8":     {map[string]string{"TERM": "xterm", "LANG": "de_DE.utf8"}, terminal.Style{Live: true, Colour: true, Width: 72}},
	} {
		t.Run(name, func(t *testing.T) {
			env := func(v string) string { return c.env[v] }
			require.Equal(t, c.want, terminal.Detect(tty, env, false))
			require.False(t, terminal.Detect(&bytes.Buffer{}, env, false).Live, "a pipe is not drawn on")
		})
	}
}

func TestCut(t *testing.T) {
	require.Equal(t, "größe", terminal.Style{}.Cut("größe", 5))
	require.Equal(t, "grö…", terminal.Style{}.Cut("größe", 4))
	require.Equal(t, "gr.", terminal.Style{ASCII: true}.Cut("große", 3))
	require.Equal(t, "anything", terminal.Style{}.Cut("anything", 0), "no limit")
}
