package watch

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"
)

// event is one server-sent event.
type event struct {
	kind  string
	id    string
	data  []byte
	retry time.Duration
}

// lineLimit bounds a line of the stream; a job is one.
const lineLimit = jobLimit

// decoder reads events as the HTML standard defines them.
type decoder struct {
	lines *bufio.Scanner
	alive func() // called for each line, comments too
}

func newDecoder(r io.Reader, alive func()) *decoder {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), lineLimit)
	s.Split(splitLine)
	return &decoder{lines: s, alive: alive}
}

// next returns the next event that bears data, an ID or a retry; the end of the
// stream is io.EOF, and what was begun is dropped.
func (d *decoder) next() (event, error) {
	e := event{kind: "message"}
	var data [][]byte
	for d.lines.Scan() {
		d.alive()
		line := d.lines.Text()
		if line == "" {
			if data == nil && e.retry == 0 && e.id == "" {
				e = event{kind: "message"}
				continue
			}
			e.data = bytes.Join(data, []byte("\n"))
			return e, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.kind = value
		case "data":
			data = append(data, []byte(value))
		case "id":
			if !strings.ContainsRune(value, 0) {
				e.id = value
			}
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil && ms > 0 {
				e.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if err := d.lines.Err(); err != nil {
		return event{}, err
	}
	return event{}, io.EOF
}

// splitLine ends lines at LF, CR or CRLF.
func splitLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	}
	if data[i] == '\n' {
		return i + 1, data[:i], nil
	}
	if i+1 == len(data) && !atEOF {
		return 0, nil, nil // a LF may follow
	}
	if i+1 < len(data) && data[i+1] == '\n' {
		return i + 2, data[:i], nil
	}
	return i + 1, data[:i], nil
}
