package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hypervisor-control-plane/hcp/server/docs"
)

// docsSource is where the reference page is built, seen from dev/ in a
// checkout, where `go run -C dev .` runs.
const docsSource = "../server/docs"

// openDocs finds the files of the reference page: what the program was built
// with, or, in a checkout, what is on disk. Where neither is whole and npm is
// at hand, it builds the page in the background; /docs says meanwhile what is
// missing. wait returns when nothing is at work any more.
func openDocs(ctx context.Context, log *slog.Logger) (assets fs.FS, wait func(), err error) {
	wait = func() {}
	embedded, err := docs.Embedded()
	if err != nil || docs.Built(embedded) {
		return embedded, wait, err
	}
	web := filepath.Join(docsSource, "web")
	if _, err := os.Stat(filepath.Join(web, "package.json")); err != nil {
		return embedded, wait, nil //nolint:nilerr // not in a checkout
	}
	onDisk := os.DirFS(filepath.Join(docsSource, "dist"))
	npm, err := exec.LookPath("npm")
	if err != nil || docs.Built(onDisk) {
		return onDisk, wait, nil //nolint:nilerr // without npm the page says how it is built
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, args := range [][]string{{"ci"}, {"run", "build"}} {
			cmd := exec.CommandContext(ctx, npm, args...)
			cmd.Dir = web
			if out, err := cmd.CombinedOutput(); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "the reference page was not built", "command", fmt.Sprintf("npm %v", args), "error", err, "output", string(out))
				return
			}
		}
	}()
	return onDisk, func() { <-done }, nil
}
