package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Raw gives every key to the reader of a terminal, ^C too, and shows none.
// restore undoes it.
func Raw(in io.Reader) (restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok {
		return nil, os.ErrInvalid
	}
	fd := int(f.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(fd, before) }, nil // the terminal may be gone
}
