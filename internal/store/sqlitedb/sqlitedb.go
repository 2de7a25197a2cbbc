// Package sqlitedb opens SQLite for the store, in pure Go. Only the development
// binary and tests link it; production runs on Postgres.
package sqlitedb

import (
	"net/url"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // registers the database/sql driver "sqlite"
)

// busyTimeoutMillis is how long a writer waits for another process; writers of
// one process queue in the store instead.
const busyTimeoutMillis = "10000"

// Dialector opens the database file at path, creating it when it is absent.
//
//   - WAL: readers never wait for a writer. synchronous NORMAL: a crash of the
//     process loses nothing; a loss of power may lose the last commits.
//   - Transactions begin IMMEDIATE: they take the write lock at once, so that
//     none fails halfway through because another one wrote first.
//   - Times are integers in microseconds: they compare as they sort.
func Dialector(path string) gorm.Dialector {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+busyTimeoutMillis+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(NORMAL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "temp_store(MEMORY)")
	q.Add("_pragma", "cache_size(-16384)")
	q.Set("_txlock", "immediate")
	q.Set("_time_integer_format", "unix_micro")
	q.Set("_inttotime", "1")
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return &sqlite.Dialector{DriverName: "sqlite", DSN: dsn.String()}
}
