package proxmoxsim

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// serveTerminal serves the protocol of termproxy: the client says who it is, and
// then frames what it types.
func serveTerminal(con *console, display *simhv.Display, conn net.Conn) {
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil || strings.TrimSuffix(line, "\n") != con.user+":"+con.ticket {
		return
	}
	if _, err := io.WriteString(conn, "OK"); err != nil {
		return
	}
	typed, typing := io.Pipe()
	go func() { _ = typing.CloseWithError(unframe(typing, in)) }() // never fails
	display.ServeSerial(conn, bufio.NewReader(typed))
	_ = typed.Close() // never fails
}

// unframe passes on what the client types: "0:<length>:<bytes>". Sizes
// ("1:<columns>:<rows>:") and pings ("2") tell the serial line nothing.
func unframe(out io.Writer, in *bufio.Reader) error {
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return err
		}
		switch kind {
		case '2':
		case '1':
			for range 3 {
				if _, err := in.ReadString(':'); err != nil {
					return err
				}
			}
		case '0':
			if err := unframeText(out, in); err != nil {
				return err
			}
		default:
			return errors.New("no frame of termproxy")
		}
	}
}

func unframeText(out io.Writer, in *bufio.Reader) error {
	if _, err := in.Discard(1); err != nil {
		return err
	}
	text, err := in.ReadString(':')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, ":"))
	if err != nil || n < 0 || n > maxFrame {
		return errors.New("no length of a frame")
	}
	_, err = io.CopyN(out, in, int64(n))
	return err
}
