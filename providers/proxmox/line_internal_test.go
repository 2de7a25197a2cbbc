package proxmox

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestTheTerminalsProtocol plays the terminal's proxy: the ticket comes first,
// what is typed comes in counted frames, and what the guest says is not changed.
func TestTheTerminalsProtocol(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	if err := errors.Join(ours.SetDeadline(time.Now().Add(30*time.Second)), theirs.SetDeadline(time.Now().Add(30*time.Second))); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 2)
	go func() {
		defer close(heard)
		r := bufio.NewReader(theirs)
		login, _ := r.ReadString('\n')
		heard <- login
		_, _ = io.WriteString(theirs, "OKlogin: ")
		frame := make([]byte, len("0:5:r\x00ot\n"))
		_, _ = io.ReadFull(r, frame)
		heard <- string(frame)
	}()
	term, err := logIn(t.Context(), ours, "root@pam!hcp", "PVEVNC:1")
	if err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "root@pam!hcp:PVEVNC:1\n" {
		t.Errorf("the login is %q", got)
	}
	prompt := make([]byte, len("login: "))
	if _, err := io.ReadFull(term, prompt); err != nil || string(prompt) != "login: " {
		t.Fatalf("read %q: %v", prompt, err)
	}
	if n, err := term.Write([]byte("r\x00ot\n")); err != nil || n != 5 {
		t.Fatalf("Write: %d, %v", n, err)
	}
	if got := <-heard; got != "0:5:r\x00ot\n" {
		t.Errorf("the frame is %q", got)
	}
	for range 2 {
		if err := term.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := term.Read(prompt); err == nil {
		t.Error("a closed line can be read")
	}
}

func TestATerminalThatRefuses(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	go func() {
		_, _ = bufio.NewReader(theirs).ReadString('\n')
		_, _ = io.WriteString(theirs, "NO")
	}()
	if _, err := logIn(t.Context(), ours, "root@pam", "PVEVNC:1"); !errors.Is(err, errTerminalRefused) {
		t.Errorf("a refusal is %v", err)
	}
	if _, err := logIn(t.Context(), ours, "root@pam\nroot@pam", "PVEVNC:1"); !errors.Is(err, errTerminalRefused) {
		t.Errorf("a user of two lines is %v", err)
	}
}

func TestSnapshotNames(t *testing.T) {
	t.Parallel()
	const id = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71b6"
	name := snapshotName(id)
	if len(name) > 40 || snapshotID(name) != id {
		t.Errorf("%s is named %q, which is read as %q", id, name, snapshotID(name))
	}
	for _, foreign := range []string{"", "hcp", "before-upgrade", "hcp0198F3A26C1E7B349D532F0C8E4A71B6", "hcp-0198f3a26c1e7b349d532f0c8e4a71b6"} {
		if got := snapshotID(foreign); got != "" {
			t.Errorf("%q is taken for %s", foreign, got)
		}
	}
}
