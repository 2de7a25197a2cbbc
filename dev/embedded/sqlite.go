package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
	_ "modernc.org/sqlite" // the driver that Temporal's plugin uses
)

// Names of what Options.Dir holds.
const (
	databaseFile = "temporal.db"
	stampFile    = "temporal.version"
)

func sqliteStores(ctx context.Context, o Options) (config.Persistence, error) {
	store := &config.SQL{PluginName: sqliteplugin.PluginName}
	if o.Dir == "" {
		store.DatabaseName = "temporal-" + uuid.NewString()
		store.ConnectAttributes = map[string]string{"mode": "memory", "cache": "shared"}
	} else {
		store.DatabaseName = filepath.Join(o.Dir, databaseFile)
		store.ConnectAttributes = map[string]string{
			"mode": "rwc", "journal_mode": "wal", "synchronous": "1", "busy_timeout": "10000",
		}
		if err := prepareFile(ctx, o, store.DatabaseName); err != nil {
			return config.Persistence{}, err
		}
	}
	ns, err := namespaceConfig(o)
	if err != nil {
		return config.Persistence{}, err
	}
	if err := sqlite.CreateNamespaces(store, ns); err != nil {
		return config.Persistence{}, fmt.Errorf("create namespace: %w", err)
	}
	return config.Persistence{
		DefaultStore:     sqliteplugin.PluginName,
		VisibilityStore:  sqliteplugin.PluginName,
		NumHistoryShards: historyShards,
		DataStores:       map[string]config.DataStore{sqliteplugin.PluginName: {SQL: store}},
	}, nil
}

func namespaceConfig(o Options) (*sqlite.NamespaceConfig, error) {
	ns, err := sqlite.NewNamespaceConfig(clusterName, o.Namespace, false, o.SearchAttributes)
	if err != nil {
		return nil, fmt.Errorf("namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(o.Retention)
	return ns, nil
}

// prepareFile makes sure that path is a database of this server's version.
// Temporal has no migrations for SQLite, so that one of another version is set
// aside. The stamp is written last: a file without one was never finished.
func prepareFile(ctx context.Context, o Options, path string) error {
	stamp := filepath.Join(o.Dir, stampFile)
	version := headers.ServerVersion
	have, err := os.ReadFile(stamp) //nolint:gosec // a file of our own directory
	switch {
	case err == nil && strings.TrimSpace(string(have)) == version && exists(path):
		return nil
	case err == nil:
		aside, moveErr := setAside(path, strings.TrimSpace(string(have)))
		if moveErr != nil {
			return moveErr
		}
		if aside != "" {
			o.Logger.Warn("the Temporal database was made by another version and cannot be upgraded; starting with an empty one",
				"version", version, "found", strings.TrimSpace(string(have)), "kept_as", aside)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read Temporal's version stamp: %w", err)
	}
	if err := errors.Join(remove(stamp), removeDatabase(path)); err != nil {
		return err
	}
	if err := createSchema(ctx, path); err != nil {
		return err
	}
	if err := os.WriteFile(stamp, []byte(version+"\n"), 0o600); err != nil {
		return fmt.Errorf("write Temporal's version stamp: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// setAside keeps an old database under another name; the name is empty when
// there was none.
func setAside(path, version string) (string, error) {
	if !exists(path) {
		return "", nil
	}
	aside := path + "." + filepath.Base(version)
	if err := removeDatabase(aside); err != nil {
		return "", err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("set the old Temporal database aside: %w", err)
		}
	}
	return aside, nil
}

func removeDatabase(path string) error {
	return errors.Join(remove(path), remove(path+"-wal"), remove(path+"-shm"))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// createSchema makes the tables in one transaction: one by one, each waits for
// the disk, which takes longer than all the rest of a first start.
func createSchema(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode=wal&_pragma=synchronous=1")
	if err != nil {
		return fmt.Errorf("open Temporal's database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create Temporal's schema: %w", err)
	}
	if err := sqlite.SetupSchemaOnDB(schemaTx{exec: func(stmt string) error {
		_, err := tx.ExecContext(ctx, stmt)
		return err
	}}); err != nil {
		return errors.Join(fmt.Errorf("create Temporal's schema: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create Temporal's schema: %w", err)
	}
	return os.Chmod(path, 0o600)
}

// schemaTx is as much of an AdminDB as SetupSchemaOnDB uses: Exec.
type schemaTx struct {
	sqlplugin.AdminDB
	exec func(stmt string) error
}

// Exec runs one statement of the schema.
func (s schemaTx) Exec(stmt string, _ ...any) error { return s.exec(stmt) }
