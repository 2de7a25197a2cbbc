package simhv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hypervisor-control-plane/hcp/providers/sim/filelock"
)

// journal is the state file: a header line, then one JSON line for each change.
// Each append is one write(2) before the call is answered, so what was
// acknowledged survives a kill of the process. It is not synced: a power cut
// may cost the last changes. Now and then the file is rewritten without what is
// no longer true.
type journal struct {
	path  string
	lock  *os.File
	file  *os.File
	size  int64 // up to the end of the last whole line
	lines int
	buf   bytes.Buffer

	compactErr error // why the last compaction failed
	postponed  int   // lines until the next try after a failure
}

// journalHeader names the format, so that another one is refused and not misread.
const journalHeader = `{"simhv_state":1}`

// compactAbove is how many lines more than four for each live record a journal
// may have.
const compactAbove = 10_000

func openJournal(path string, apply func(change)) (*journal, error) {
	lock, err := filelock.Open(path+".lock", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, lock: lock}
	if err := j.open(apply); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) open(apply func(change)) error {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	j.file = f
	if err := j.replay(apply); err != nil {
		return errors.Join(err, f.Close())
	}
	if j.lines > 0 {
		return nil
	}
	if err := j.write([]byte(journalHeader + "\n")); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// replay reads the file and cuts off a last line that a kill left torn.
func (j *journal) replay(apply func(change)) error {
	r := bufio.NewReaderSize(j.file, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if err := j.file.Truncate(j.size); err != nil {
				return err
			}
			_, err := j.file.Seek(j.size, io.SeekStart)
			return err
		}
		if err != nil {
			return err
		}
		if err := j.replayLine(bytes.TrimSpace(line), apply); err != nil {
			return fmt.Errorf("line %d: %w", j.lines+1, err)
		}
		j.size += int64(len(line))
		j.lines++
	}
}

func (j *journal) replayLine(line []byte, apply func(change)) error {
	if j.lines == 0 {
		if string(line) != journalHeader {
			return errors.New("this is not a state file of this version")
		}
		return nil
	}
	var c change
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	apply(c)
	return nil
}

func (j *journal) append(c change) error {
	j.buf.Reset()
	if err := json.NewEncoder(&j.buf).Encode(c); err != nil {
		return err
	}
	return j.write(j.buf.Bytes())
}

// write adds one whole line, or nothing.
func (j *journal) write(line []byte) error {
	if _, err := j.file.Write(line); err != nil {
		if cut := j.file.Truncate(j.size); cut != nil {
			return errors.Join(err, cut)
		}
		_, seek := j.file.Seek(j.size, io.SeekStart)
		return errors.Join(err, seek)
	}
	j.size += int64(len(line))
	j.lines++
	return nil
}

func (j *journal) wantsCompaction(live int) bool {
	return j.lines > max(4*live+compactAbove, j.postponed)
}

// tryCompact compacts. A failure costs nothing but room: the old file holds the
// truth; GET /_admin/stats shows why, and it is tried again later.
func (j *journal) tryCompact(snapshot func(write func(change) error) error) {
	j.compactErr = j.compact(snapshot)
	if j.postponed = 0; j.compactErr != nil {
		j.postponed = j.lines + compactAbove
	}
}

// compact writes a fresh journal beside the old one and puts it in its place.
func (j *journal) compact(snapshot func(write func(change) error) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(j.path), filepath.Base(j.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	w := bufio.NewWriterSize(tmp, 1<<20)
	if _, err = w.WriteString(journalHeader + "\n"); err != nil {
		return err
	}
	enc, lines := json.NewEncoder(w), 1
	err = snapshot(func(c change) error {
		lines++
		return enc.Encode(c)
	})
	if err != nil {
		return err
	}
	if err = errors.Join(w.Flush(), tmp.Sync()); err != nil {
		return err
	}
	size, err := tmp.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), j.path); err != nil {
		return err
	}
	old := j.file
	j.file, j.size, j.lines = tmp, size, lines
	_ = old.Close() // it is unlinked: nothing can be lost with it
	return nil
}

func (j *journal) close() error { return errors.Join(j.file.Close(), j.lock.Close()) }
