package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/hypervisor-control-plane/hcp/server/console/page"
	"github.com/hypervisor-control-plane/hcp/server/docs"
)

// pages are the files of what browsers are shown.
type pages struct {
	docs    fs.FS // the API's reference page
	console fs.FS // the consoles of VMs
}

// bundle is a set of files that npm builds.
type bundle struct {
	name     string
	web      string // the npm project, seen from dev/ in a checkout
	dist     string // what it makes
	embedded func() (fs.FS, error)
	built    func(fs.FS) bool
}

func bundles() (reference, consoles bundle) {
	return bundle{"the reference page", "../server/docs/web", "../server/docs/dist", docs.Embedded, docs.Built},
		bundle{"the console pages", "../server/console/web", "../server/console/page/dist", page.Embedded, page.Built}
}

// openPages finds the files of the pages. Those that are nowhere whole are
// built in the background, where npm is at hand; the server says meanwhile what
// is missing. wait returns when nothing is at work any more.
func openPages(ctx context.Context, log *slog.Logger) (p pages, wait func(), err error) {
	var builds sync.WaitGroup
	reference, consoles := bundles()
	if p.docs, err = reference.open(ctx, log, &builds); err == nil {
		p.console, err = consoles.open(ctx, log, &builds)
	}
	return p, builds.Wait, err
}

// open finds the files of one bundle: what the program was built with, or, in a
// checkout, where `go run -C dev .` runs, what is on disk.
func (b bundle) open(ctx context.Context, log *slog.Logger, builds *sync.WaitGroup) (fs.FS, error) {
	embedded, err := b.embedded()
	if err != nil || b.built(embedded) {
		return embedded, err
	}
	if _, err := os.Stat(filepath.Join(b.web, "package.json")); err != nil {
		return embedded, nil //nolint:nilerr // not in a checkout
	}
	onDisk := os.DirFS(b.dist)
	npm, err := exec.LookPath("npm")
	if err != nil || b.built(onDisk) {
		return onDisk, nil //nolint:nilerr // without npm the page says how it is built
	}
	builds.Go(func() { b.build(ctx, log, npm) })
	return onDisk, nil
}

func (b bundle) build(ctx context.Context, log *slog.Logger, npm string) {
	for _, args := range [][]string{{"ci"}, {"run", "build"}} {
		cmd := exec.CommandContext(ctx, npm, args...) //nolint:gosec // npm of the PATH, with the words above
		cmd.Dir = b.web
		if out, err := cmd.CombinedOutput(); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, b.name+" could not be built", "command", fmt.Sprintf("npm %v", args), "error", err, "output", string(out))
			return
		}
	}
}
