package serial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

func TestTextColourAndCursorPass(t *testing.T) {
	for _, s := range []string{
		"plain\r\n\ttext\b\a", "räksmörgås ж 漢 🙂", "\x1b[1;31mred\x1b[0m", "\x1b[38;2;1;2;3mx", "\x1b[38:5:200mx", "\x1b[2J\x1b[H\x1b[3;4H\x1b[K\x1b[?25l\x1b[?1049h\x1b[?2004h",
		"\x1b7\x1b8\x1bM\x1b(0lqk\x1b(B\x0e\x0f", "\x1b[4 q\x1b[!p\x1b=\x1b>", "\x1b[10;20r\x1b[5S\x1b[?J",
	} {
		var f filter
		require.Equal(t, s, string(f.clean([]byte(s))))
	}
}

func TestWhatIsMoreIsDropped(t *testing.T) {
	for name, s := range map[string]string{
		"title":             "\x1b]0;owned\x07",
		"title, other end":  "\x1b]2;owned\x1b\\",
		"clipboard":         "\x1b]52;c;b3duZWQ=\x07",
		"link":              "\x1b]8;;http://example.invalid\x07",
		"notification":      "\x1b]777;notify;a;b\x07\x1b]9;x\x07",
		"device attributes": "\x1b[c\x1b[0c\x1b[>c\x1b[=c",
		"status":            "\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n",
		"modes":             "\x1b[?1$p\x1b[4$p",
		"window":            "\x1b[18t\x1b[21t\x1b[8;50;100t",
		"parameters":        "\x1b[x\x1b[1x\x1b[>q\x1b[>0q\x1b[?u\x1b[>1u\x1b[>4;2m",
		"settings":          "\x1bP$qm\x1b\\\x1bP+q544e\x1b\\",
		"other strings":     "\x1b_Gi=1;x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\",
		"answer back":       "\x05\x1bZ",
		"mouse and focus":   "\x1b[?1000h\x1b[?1004h\x1b[?25;1003h\x1b[?9h\x1b[?01006h",
		"encoding":          "\x1b G\x1b%G\x1b%@",
		"latin-1 controls":  "\u009b6n\u009d52;c;eA==\u0007\u0090$qm\u001b\\\u009d0;x\u001b\\\u009a\x9b\x9d",
		"overlong":          "\x1b[" + strings.Repeat("1;", 200) + "m",
		"cancelled":         "\x1b[6\x18\x1b]0;x\x1a",
		"keys":              "\x1b[?1;2;3~",
	} {
		t.Run(name, func(t *testing.T) {
			var whole, bytewise filter
			require.Equal(t, "<>", string(whole.clean([]byte("<"+s+">"))))
			var out []byte
			for _, b := range []byte("<" + s + ">") {
				out = append(out, bytewise.clean([]byte{b})...)
			}
			require.Equal(t, "<>", string(out), "divided between frames")
		})
	}
}

// Whatever comes, what goes out is text and sequences that pass again.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"\x1b]0;x\x07a", "\xc2\x9b6n", "\x1b[?1004h", "\xf0\x9f\x1b[31m", "\x1b\x1b[c", "\x1b]\x1b]\x1b[6n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second filter
		once := first.clean(data)
		require.Equal(t, string(once), string(second.clean(once)))
		for _, never := range []string{"\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bZ", "\x05", "\u009b", "\u009d", "\u0090"} {
			require.NotContains(t, string(once), never)
		}
	})
}

func TestEscapes(t *testing.T) {
	for typed, want := range map[string]struct {
		data  string
		leave bool
	}{
		"~.":          {"", true},
		"ls\r~.":      {"ls\r", true},
		"ls~.":        {"ls~.", false},
		"~~.":         {"~.", false},
		"~x":          {"~x", false},
		"\r~\r~.":     {"\r~\r", true},
		"a\n~.gone":   {"a\n", true},
		"x\r~~\r\r~.": {"x\r~\r\r", true},
	} {
		whole, single := escapes{begin: true}, escapes{begin: true}
		data, leave := whole.take([]byte(typed))
		require.Equal(t, want.data, string(data), "%q", typed)
		require.Equal(t, want.leave, leave, "%q", typed)
		var all []byte
		left := false
		for i := 0; i < len(typed) && !left; i++ {
			data, left = single.take([]byte{typed[i]})
			all = append(all, data...)
		}
		require.Equal(t, want.data, string(all), "%q", typed)
		require.Equal(t, want.leave, left, "%q", typed)
	}
}

// joined is a line to a guest that a function plays.
func joined(t *testing.T, guest func(context.Context, *websocket.Conn)) *websocket.Conn {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
		if err != nil {
			return
		}
		guest(r.Context(), conn)
		_ = conn.CloseNow()
	}))
	t.Cleanup(server.Close)
	conn, resp, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{Subprotocols: []string{"binary"}})
	require.NoError(t, err)
	if resp.Body != nil {
		require.NoError(t, resp.Body.Close())
	}
	return conn
}

func TestLeaving(t *testing.T) {
	var got bytes.Buffer
	status := make(chan websocket.StatusCode, 1)
	conn := joined(t, func(ctx context.Context, conn *websocket.Conn) {
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				status <- websocket.CloseStatus(err)
				return
			}
			got.Write(data)
		}
	})
	var out bytes.Buffer
	l := Line{Conn: conn, In: strings.NewReader("ls\r~.never"), Out: &out, Interactive: true}
	require.NoError(t, l.Run(t.Context()))
	require.Equal(t, websocket.StatusNormalClosure, <-status)
	require.Equal(t, "ls\r", got.String())
	require.Contains(t, out.String(), "\x1b[?2004l", "the terminal is left as it was found")
}

func TestTheOtherSideCloses(t *testing.T) {
	conn := joined(t, func(ctx context.Context, conn *websocket.Conn) {
		_ = conn.Write(ctx, websocket.MessageBinary, []byte("login: \x1b]0;owned\x07"))
		_ = conn.Close(4001, "vm_stopped")
	})
	in, keyboard := io.Pipe()
	defer keyboard.Close() //nolint:errcheck // never fails
	var out bytes.Buffer
	err := (&Line{Conn: conn, In: in, Out: &out}).Run(t.Context())
	require.Equal(t, websocket.StatusCode(4001), websocket.CloseStatus(err))
	require.Equal(t, "login: ", out.String())
}

func TestTheEndOfInputIsNotTheEnd(t *testing.T) {
	conn := joined(t, func(ctx context.Context, conn *websocket.Conn) {
		_, data, err := conn.Read(ctx)
		if err == nil {
			_ = conn.Write(ctx, websocket.MessageBinary, append([]byte("you said "), data...))
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})
	var out bytes.Buffer
	err := (&Line{Conn: conn, In: strings.NewReader("~.\n"), Out: &out}).Run(t.Context())
	require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
	require.Equal(t, "you said ~.\n", out.String(), "in a pipe a tilde is a tilde")
}

func TestInputIsPaced(t *testing.T) {
	type arrival struct {
		n  int
		at time.Time
	}
	var arrivals []arrival
	done := make(chan struct{})
	const size = burst + 1200
	conn := joined(t, func(ctx context.Context, conn *websocket.Conn) {
		defer close(done)
		for total := 0; total < size; {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			total += len(data)
			arrivals = append(arrivals, arrival{len(data), time.Now()})
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})
	err := (&Line{Conn: conn, In: strings.NewReader(strings.Repeat("x", size)), Out: io.Discard}).Run(t.Context())
	require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
	<-done
	total := 0
	for _, a := range arrivals {
		require.LessOrEqual(t, a.n, burst)
		total += a.n
	}
	require.Equal(t, size, total)
	took := arrivals[len(arrivals)-1].at.Sub(arrivals[0].at)
	require.Greater(t, took, time.Second, "1,200 bytes beyond the burst take more than a second")
}

func TestInterrupted(t *testing.T) {
	conn := joined(t, func(ctx context.Context, conn *websocket.Conn) { _, _, _ = conn.Read(ctx) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, keyboard := io.Pipe()
	defer keyboard.Close() //nolint:errcheck // never fails
	err := (&Line{Conn: conn, In: in, Out: io.Discard}).Run(ctx)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}
