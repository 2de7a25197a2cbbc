package libvirttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"
)

// Ask types a command on the serial line of a VM whose guest of Guest is ready,
// and returns what the guest says to it: the words after "GUEST-SAYS" and the
// command's name. The commands are in test/guest/build.sh.
func (s *Server) Ask(tb testing.TB, vmID, command string) string {
	tb.Helper()
	answer, err := s.ask(tb.Context(), vmID, command)
	if err != nil {
		tb.Fatalf("asking the guest %q: %v; its serial line says:\n%s", command, err, s.Serial(vmID))
	}
	return answer
}

// askLimit bounds one question. An emulated guest on a busy machine takes its time.
const askLimit = 30 * time.Second

func (s *Server) ask(ctx context.Context, vmID, command string) (string, error) {
	path, err := s.serialPTY(ctx, vmID)
	if err != nil {
		return "", err
	}
	line, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // libvirt names the terminal
	if err != nil {
		return "", err
	}
	// What the guest says must be taken, or its line stops. It is read in the log.
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, line)
		close(drained)
	}()
	defer func() { <-drained }()
	defer func() { _ = line.Close() }()
	before := len(s.Serial(vmID))
	if _, err := line.WriteString(command + "\n"); err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(command, " ")
	prefix := "GUEST-SAYS " + name
	var answer string
	err = waitFor(askLimit, fmt.Sprintf("the guest says %q", prefix), func() bool {
		said := s.Serial(vmID)
		if len(said) < before {
			return false
		}
		_, after, ok := strings.Cut(said[before:], prefix)
		text, _, whole := strings.Cut(after, "\n")
		answer = strings.TrimSpace(text)
		return ok && whole
	})
	return answer, err
}

// serialPTY returns the terminal that QEMU gives a running VM's serial line.
func (s *Server) serialPTY(ctx context.Context, vmID string) (string, error) {
	c, end, err := s.Client(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	id, err := uuid.Parse(vmID)
	if err != nil {
		return "", err
	}
	dom, err := c.DomainLookupByUUID(lv.UUID(id))
	if err != nil {
		return "", err
	}
	doc, err := c.DomainGetXMLDesc(dom, 0)
	if err != nil {
		return "", err
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(doc); err != nil {
		return "", err
	}
	for _, serial := range x.Devices.Serials {
		if serial.Source != nil && serial.Source.Pty != nil && serial.Source.Pty.Path != "" {
			return serial.Source.Pty.Path, nil
		}
	}
	return "", errors.New("the VM does not run, or has no serial line")
}
