package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
)

// shared is the process's cluster.
//
//nolint:gochecknoglobals // a process of tests has one cluster, and tests share nothing else to hold it in
var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Main runs a package's tests and then waits until the cluster, if a test
// started one, is stopped and removed. Use it as the body of TestMain. Without
// it the cluster goes too, a moment after the process.
func Main(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// DSN makes an empty database for one test and returns its connection string;
// the database is dropped when the test ends. Where Postgres is missing the
// test is skipped with the command that installs it; in CI it fails.
func DSN(tb testing.TB) string {
	tb.Helper()
	name := "hcp_test_" + strings.ToLower(rand.Text())
	admin, dsn := endpoints(tb, name)
	if err := execute(tb.Context(), admin, "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The test's own context is over by now.
		if err := execute(context.Background(), admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
	})
	return dsn
}

// endpoints returns the connection strings for making a database and for using it.
func endpoints(tb testing.TB, name string) (admin, dsn string) {
	tb.Helper()
	if server := os.Getenv(EnvURL); server != "" {
		u, err := url.Parse(server)
		if err != nil {
			tb.Fatalf("%s is not a URL", EnvURL)
		}
		u.Path = "/" + name
		return server, u.String()
	}
	shared.once.Do(func() { shared.cluster, shared.err = Start(context.Background(), Options{}) })
	if errors.Is(shared.err, ErrNoBinaries) && os.Getenv("CI") == "" {
		tb.Skip(shared.err)
	}
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster.DSN("postgres"), shared.cluster.DSN(name)
}
