package console_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
	"github.com/hypervisor-control-plane/hcp/server/console/page"
)

// Keysyms of X11.
const (
	xkReturn = 0xff0d
	xkEscape = 0xff1b
	xkDelete = 0xffff
	xkShift  = 0xffe1
	xkCtrl   = 0xffe3
	xkAlt    = 0xffe9
)

// screen opens the page of a screen.
func screen(t *testing.T, b *browsertest.Browser, look browsertest.Look) (*rfbGuest, *gateway, *browsertest.Page) {
	t.Helper()
	g := newRFBGuest()
	w := serve(t, page.VNC, hostileName, g.serve)
	p := b.Open(t, w.URL, look)
	require.Equal(t, http.StatusOK, p.Goto("/console/t"))
	connected(p)
	return g, w, p
}

// pixel reads one pixel back from the canvas.
func pixel(x, y int) string {
	return fmt.Sprintf("[...document.querySelector('#stage canvas').getContext('2d').getImageData(%d, %d, 1, 1).data]", x, y)
}

func TestScreen(t *testing.T) {
	t.Parallel()
	b := browser(t)

	t.Run("pixels arrive, and the name is text", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		for i, at := range [][2]int{{10, 10}, {g.width - 10, 10}, {10, g.height - 10}, {g.width - 10, g.height - 10}} {
			c := quarters[i]
			p.Await(pixel(at[0], at[1]), []int{int(c[0]), int(c[1]), int(c[2]), 255})
		}
		requireNameIsText(t, p)
		require.Regexp(t, `^29:\d\d$`, p.Text("#left"))
		p.Screenshot("console-screen")
		p.Clean()
	})

	t.Run("the picture fits the window", func(t *testing.T) {
		_, _, p := screen(t, b, browsertest.Look{})
		fits := `(()=>{const c=document.querySelector("#stage canvas").getBoundingClientRect(),s=document.querySelector("#stage").getBoundingClientRect();` +
			`return c.width<=s.width+1&&c.height<=s.height+1&&(Math.abs(c.width-s.width)<6||Math.abs(c.height-s.height)<6)&&document.documentElement.scrollWidth<=innerWidth})()`
		for _, size := range [][2]int{{1280, 800}, {360, 640}, {800, 360}} {
			p.Resize(size[0], size[1])
			p.Await(fits, true)
		}
		p.Clean()
	})

	t.Run("keys arrive as keysyms", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		p.Type("aZ")
		p.Press("Enter")
		p.Press("Control+c")
		want := []int{'a', -'a', 'Z', -'Z', xkReturn, -xkReturn, xkCtrl, 'c', -'c', -xkCtrl}
		within(t, "keys", func() bool { return slices.Equal(g.symbols(), want) || len(g.symbols()) > len(want) })
		require.Equal(t, want, g.symbols())
		g.forget()
		p.Click("#cad")
		want = []int{xkCtrl, xkAlt, xkDelete, -xkDelete, -xkAlt, -xkCtrl}
		within(t, "Ctrl+Alt+Del", func() bool { return len(g.symbols()) >= len(want) })
		require.Equal(t, want, g.symbols())
		g.forget()
		p.Type("x")
		within(t, "the keyboard is with the VM again", func() bool { return slices.Equal(g.symbols(), []int{'x', -'x'}) })
		p.Clean()
	})

	t.Run("the panel sends what browsers keep", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		p.Click("#keys")
		p.Screenshot("console-screen-keys")
		p.Click(`#key-list button:text-is("Ctrl+Alt+F2")`)
		want := []int{xkCtrl, xkAlt, 0xffbf, -0xffbf, -xkAlt, -xkCtrl}
		within(t, "keys", func() bool { return len(g.symbols()) >= len(want) })
		require.Equal(t, want, g.symbols())
		p.Clean()
	})

	t.Run("the keyboard can be taken back", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		p.Press("Escape") // the VM's
		within(t, "escape", func() bool { return slices.Contains(g.symbols(), xkEscape) })
		p.Press("Control+Alt+Shift+M")
		p.Await("document.activeElement.id", "cad")
		within(t, "no key stays down", func() bool {
			down := map[uint32]bool{}
			for _, k := range g.typed() {
				down[k.sym] = k.down
			}
			for _, held := range down {
				if held {
					return false
				}
			}
			return len(down) > 3
		})
		require.NotContains(t, g.symbols(), int('M'))
		p.Press("Tab")
		p.Press("Enter")
		p.Await("document.querySelector('#keys-panel').hidden", false)
		p.Press("Escape")
		p.Await("document.querySelector('#keys-panel').hidden", true)
		p.Await("document.activeElement.id", "keys")
		p.Clean()
	})

	t.Run("the clipboard both ways", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		markup := `<img src=x onerror="document.title='owned'"> & caf` + "\xe9" // Latin-1, as RFB has it
		require.NoError(t, g.cut(markup+"\x1b[2J\x00"))
		p.Click("#clipboard")
		p.Await("document.querySelector('#from-vm').value", `<img src=x onerror="document.title='owned'"> & café[2J`)
		require.Contains(t, p.Text("#clipboard-said"), "2 invisible characters were left out")
		p.Await("document.querySelectorAll('img').length", 0)
		p.Click("#copy")
		p.Await("document.querySelector('#clipboard-said').textContent", "Copied.")
		p.Click("#to-vm")
		p.Press("Control+v")
		require.Equal(t, p.Value("#from-vm"), p.Value("#to-vm"), "what was copied is on this computer's clipboard")
		p.Screenshot("console-screen-clipboard")
		p.Fill("#to-vm", "hello\nVM é")
		p.Click("#send")
		within(t, "clipboard", func() bool { return len(g.received()) == 1 })
		require.Equal(t, "hello\nVM \xe9", g.received()[0])
		require.Empty(t, g.typed(), "what is typed into a panel is not the VM's")
		p.Clean()
	})

	t.Run("full screen and back", func(t *testing.T) {
		g, _, p := screen(t, b, browsertest.Look{})
		p.Click("#fullscreen")
		p.Await("document.fullscreenElement?.id", "app")
		p.Await("document.querySelector('#fullscreen').getAttribute('aria-pressed')", "true")
		p.Type("f")
		within(t, "the keyboard stays with the VM", func() bool { return slices.Equal(g.symbols(), []int{'f', -'f'}) })
		p.Click("#fullscreen")
		p.Await("document.fullscreenElement === null", true)
		p.Clean()
	})
}

// Text is typed no faster than forty characters in any second, by the guest's
// clock.
func TestTypingIsPaced(t *testing.T) {
	t.Parallel()
	b := browser(t)
	g, _, p := screen(t, b, browsertest.Look{})
	text := strings.Repeat("Ab1!", 30) + "\n€"
	p.Click("#type")
	p.Fill("#type-text", text)
	p.Click("#type-start")
	p.Await("document.querySelector('#type-stop').hidden", false)
	p.Screenshot("console-screen-typing")
	p.Await("document.querySelector('#type-said').textContent", "Sent.")

	var got []keyEvent
	want := len([]rune(text))
	presses := func() []keyEvent {
		got = nil
		for _, k := range g.typed() {
			if k.down && k.sym != xkShift {
				got = append(got, k)
			}
		}
		return got
	}
	within(t, "all characters", func() bool { return len(presses()) >= want })
	var syms []uint32
	for _, k := range got {
		syms = append(syms, k.sym)
	}
	var expected []uint32
	for _, c := range text {
		switch c {
		case '\n':
			expected = append(expected, xkReturn)
		case '€':
			expected = append(expected, 0x010020ac)
		default:
			expected = append(expected, uint32(c))
		}
	}
	require.Equal(t, expected, syms)
	// What a busy machine holds up comes in a lump: as much as was typed in the
	// longest silence, and a timer's worth.
	const perSecond = 40
	silence := 25 * time.Millisecond
	most := 0
	for i := range got {
		if i > 0 {
			silence = max(silence, got[i].at.Sub(got[i-1].at))
		}
		n := 0
		for _, k := range got[i:] {
			if k.at.Sub(got[i].at) < time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	took := got[len(got)-1].at.Sub(got[0].at)
	t.Logf("at most %d characters in a second; %d took %v; the longest silence was %v", most, want, took, silence)
	lump := int(silence*perSecond/time.Second) + 1
	require.LessOrEqual(t, most, perSecond+lump)
	require.GreaterOrEqual(t, took, time.Duration(want-1-lump)*time.Second/perSecond)
	shifted := 0
	for _, s := range g.symbols() {
		if s == xkShift {
			shifted++
		}
	}
	require.Equal(t, 60, shifted, "upper characters are made with shift")

	g.forget()
	p.Fill("#type-text", strings.Repeat("z", 4096))
	p.Click("#type-start")
	within(t, "some characters", func() bool { return len(presses()) > 3 })
	p.Click("#type-stop")
	p.Await("document.querySelector('#type-said').textContent", "Stopped before the end.")
	stopped := len(presses())
	require.Less(t, stopped, 1000)
	p.Type("q") // goes to the panel; by then nothing more is on its way
	p.Press("Escape")
	p.Click("#cad")
	within(t, "what comes after", func() bool { return slices.Contains(g.symbols(), xkDelete) })
	require.LessOrEqual(t, len(presses()), stopped+perSecond)
	p.Clean()
}
