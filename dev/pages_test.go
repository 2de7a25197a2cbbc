package main

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// A first start in a checkout builds what is missing, and takes what is there.
func TestPagesAreBuiltOnce(t *testing.T) {
	dir := t.TempDir()
	b := bundle{
		name: "a page", web: filepath.Join(dir, "web"), dist: filepath.Join(dir, "dist"),
		embedded: func() (fs.FS, error) { return fstest.MapFS{".keep": {}}, nil },
		built: func(files fs.FS) bool {
			_, err := fs.Stat(files, "index.html")
			return err == nil
		},
	}
	bin := t.TempDir()
	calls := filepath.Join(dir, "calls")
	npm := "#!/bin/sh\necho \"$@\" >>" + calls + "\n[ \"$1\" = ci ] || echo page >" + filepath.Join(b.dist, "index.html") + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "npm"), []byte(npm), 0o700))
	require.NoError(t, os.MkdirAll(b.dist, 0o700))
	log := slog.New(slog.DiscardHandler)
	open := func(ctx context.Context) fs.FS {
		var builds sync.WaitGroup
		files, err := b.open(ctx, log, &builds)
		require.NoError(t, err)
		builds.Wait()
		return files
	}
	called := func() string {
		raw, err := os.ReadFile(calls)
		if err != nil {
			return ""
		}
		return string(raw)
	}

	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	require.False(t, b.built(open(t.Context())), "outside of a checkout there is nothing to build")
	require.Empty(t, called())

	require.NoError(t, os.MkdirAll(b.web, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(b.web, "package.json"), []byte("{}"), 0o600))
	t.Setenv("PATH", t.TempDir())
	require.False(t, b.built(open(t.Context())), "without npm the page says how it is built")
	require.Empty(t, called())

	t.Setenv("PATH", bin+":/usr/bin:/bin")
	require.True(t, b.built(open(t.Context())))
	require.Equal(t, "ci\nrun build\n", called())
	require.True(t, b.built(open(t.Context())))
	require.Equal(t, "ci\nrun build\n", called(), "what is built is not built again")

	b.embedded = func() (fs.FS, error) { return fstest.MapFS{"index.html": {Data: []byte("embedded")}}, nil }
	page, err := fs.ReadFile(open(t.Context()), "index.html")
	require.NoError(t, err)
	require.Equal(t, "embedded", string(page))
}

func TestAPageThatCannotBeBuiltIsLogged(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\necho no network\nexit 1\n"), 0o700))
	var out bytes.Buffer
	b := bundle{name: "a page", web: t.TempDir()}
	b.build(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), filepath.Join(bin, "npm"))
	require.Contains(t, out.String(), "a page could not be built")
	require.Contains(t, out.String(), "no network")

	out.Reset()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	b.build(stopped, slog.New(slog.NewTextHandler(&out, nil)), filepath.Join(bin, "npm"))
	require.Empty(t, out.String(), "who stops it knows")
}

// The folders are those of the checkout.
func TestBundlesAreThere(t *testing.T) {
	reference, consoles := bundles()
	for _, b := range []bundle{reference, consoles} {
		require.FileExists(t, filepath.Join(b.web, "package-lock.json"))
		require.DirExists(t, b.dist)
	}
}
