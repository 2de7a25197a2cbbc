// Package browsertest lets a test drive a real browser: Debian's Chromium, by
// playwright-core, which runs in a Node.js process of its own.
//
// It is for tests only.
package browsertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerLimit bounds one answer of the browser: a value, never a picture.
const answerLimit = 16 << 20

// stopLimit is how long the browser may take to end.
const stopLimit = 20 * time.Second

// Browser is a browser that ends with its test.
type Browser struct {
	mu      sync.Mutex
	in      io.WriteCloser
	answers *bufio.Scanner
	opened  int
}

// Missing says why no browser can be driven on this machine, or nothing.
func Missing() string {
	if _, err := exec.LookPath("chromium"); err != nil {
		return "chromium is not installed: apt-get install -y chromium"
	}
	if _, err := exec.LookPath("node"); err != nil {
		return "Node.js is not installed: apt-get install -y nodejs npm"
	}
	dir, err := driver()
	if err != nil {
		return err.Error()
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		return "the browser's driver is not installed: go tool -modfile=tools/go.mod task web"
	}
	return ""
}

// driver finds the npm project from the directory that a test runs in.
func driver() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		for _, below := range []string{"dev/browsertest/driver", "browsertest/driver"} {
			found := filepath.Join(dir, filepath.FromSlash(below))
			if _, err := os.Stat(filepath.Join(found, "driver.mjs")); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("the browser's driver is not above the test")
}

// Start starts a browser. Where Missing says something, the test is skipped,
// and fails in CI.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	if why := Missing(); why != "" {
		if os.Getenv("CI") != "" {
			tb.Fatal(why)
		}
		tb.Skip(why)
	}
	dir, err := driver()
	must(tb, err)
	chromium, err := exec.LookPath("chromium")
	must(tb, err)
	cmd := exec.Command("node", "driver.mjs", chromium) //nolint:gosec,noctx // ends with its standard input, when the test does
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(tb, err)
	out, err := cmd.StdoutPipe()
	must(tb, err)
	must(tb, cmd.Start())
	tb.Cleanup(func() {
		late := time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = in.Close() // tells it to end
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the browser's driver: %v", err)
		}
	})
	b := &Browser{in: in, answers: bufio.NewScanner(out)}
	b.answers.Buffer(nil, answerLimit)
	return b
}

// ask sends one command and decodes its answer into result, which may be nil.
func (b *Browser) ask(command map[string]any, result any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the browser's driver takes no commands: %w", err)
	}
	if !b.answers.Scan() {
		return fmt.Errorf("the browser's driver has ended: %w", b.answers.Err())
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(b.answers.Bytes(), &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%v: %s", command["verb"], strings.TrimSpace(answer.Error))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// Artifacts is where tests leave pictures for a person to look at; empty for
// nowhere.
func Artifacts(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("HCP_TEST_ARTIFACTS")
	if dir != "" {
		must(tb, os.MkdirAll(dir, 0o750)) //nolint:gosec // a directory that who runs the test names
	}
	return dir
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
