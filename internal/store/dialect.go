package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// dialect is the kind of database. What differs between the two is said here
// and in the migrations, and nowhere else.
type dialect string

const (
	postgres dialect = "postgres"
	sqlite   dialect = "sqlite"
)

func dialectOf(name string) (dialect, error) {
	switch d := dialect(name); d {
	case postgres, sqlite:
		return d, nil
	}
	return "", fmt.Errorf("store: no support for the database %q", name)
}

// lock ends a SELECT that locks the rows of the given tables or aliases until
// the transaction ends. SQLite has locked everything at BEGIN IMMEDIATE. The
// weaker of the two update locks lets inserts refer to the row meanwhile.
func (d dialect) lock(tables string) string {
	if d == sqlite {
		return ""
	}
	return " FOR NO KEY UPDATE OF " + tables
}

// The locks on a row. Who refers to the row passes the first, and waits for
// the second.
const (
	forChange     = "NO KEY UPDATE"
	forRetirement = "UPDATE"
)

// locking makes a query of GORM's lock its rows, as lock does for a statement.
func (d dialect) locking(q *gorm.DB, strength string) *gorm.DB {
	if d == sqlite {
		return q
	}
	return q.Clauses(clause.Locking{Strength: strength})
}

// share ends a SELECT whose rows are referred to: none of them is retired until
// the transaction ends. It is the lock that foreign keys take, and stands in
// the way of a row's retirement only, not of its other changes.
func (d dialect) share() string {
	if d == sqlite {
		return ""
	}
	return " FOR KEY SHARE"
}

// hasNIC is a condition over one parameter, the ID of a network.
func (d dialect) hasNIC() string {
	if d == sqlite {
		return "EXISTS (SELECT 1 FROM json_each(vms.nics) AS nic WHERE nic.value ->> 'network_id' = ?)"
	}
	return "vms.nics @> jsonb_build_array(jsonb_build_object('network_id', ?::text))"
}

// hold ends a SELECT after which the rows stay until the transaction ends;
// others may hold them too, and change them.
func (d dialect) hold(tables string) string {
	if d == sqlite {
		return ""
	}
	return " FOR KEY SHARE OF " + tables
}

// seize ends a SELECT that waits until nobody holds the rows and keeps others
// from holding them.
func (d dialect) seize(tables string) string {
	if d == sqlite {
		return ""
	}
	return " FOR UPDATE OF " + tables
}

// snapshotIsolation is the level at which a transaction that only reads sees
// one moment. SQLite's always do.
func (d dialect) snapshotIsolation() sql.IsolationLevel {
	if d == sqlite {
		return sql.LevelDefault
	}
	return sql.LevelRepeatableRead
}

// elements is a subquery over one parameter, a JSON array of strings. A list
// thus takes one parameter, and one prepared statement serves every length.
func (d dialect) elements() string {
	if d == sqlite {
		return "(SELECT value FROM json_each(?))"
	}
	return "(SELECT jsonb_array_elements_text(?::jsonb))"
}

// hasVersions asks whether any migration was ever applied.
func (d dialect) hasVersions() string {
	if d == sqlite {
		return "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'goose_db_version')"
	}
	return "SELECT to_regclass('goose_db_version') IS NOT NULL"
}

// hasTag is a condition over two parameters, key and value.
func (d dialect) hasTag() string {
	if d == sqlite {
		return "EXISTS (SELECT 1 FROM json_each(vms.tags) AS tag WHERE tag.key = ? AND tag.value = ?)"
	}
	return "vms.tags ->> ?::text = ?::text"
}

// prefix narrows q to rows whose column begins with prefix, case and all.
func (d dialect) prefix(q *gorm.DB, column, prefix string) *gorm.DB {
	if d == sqlite { // LIKE folds case there; GLOB does not, and has wildcards of its own
		return q.Where("substr("+column+", 1, length(?)) = ?", prefix, prefix)
	}
	return q.Where(column+` LIKE ? ESCAPE '\'`, likePrefix(prefix))
}

// jsonArray is the parameter of elements.
func jsonArray[S ~string](values []S) string {
	if len(values) == 0 {
		return "[]"
	}
	b, err := json.Marshal(values)
	if err != nil {
		return "[]" // strings always marshal
	}
	return string(b)
}

// likePrefix turns a prefix into a LIKE pattern that stands for itself. Use it
// with ESCAPE '\'.
func likePrefix(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(prefix) + "%"
}

// The error codes that are looked at. Postgres: appendix A of its manual.
// SQLite: https://sqlite.org/rescode.html, extended codes; the lowest byte is
// the primary one.
const (
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlockDetected     = "40P01"
	pgLockNotAvailable     = "55P03"
	pgQueryCanceled        = "57014"

	sqliteBusy             = 5
	sqliteLocked           = 6
	sqliteConstraintKey    = 1555
	sqliteConstraintUnique = 2067
)

// sqliteError is modernc.org/sqlite's error, without importing it.
type sqliteError interface {
	error
	Code() int
}

func postgresCode(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func sqliteCode(err error) int {
	var e sqliteError
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// isTransient reports whether the same transaction may succeed when it is run again.
func isTransient(err error) bool {
	switch postgresCode(err) {
	case pgSerializationFailure, pgDeadlockDetected:
		return true
	}
	switch sqliteCode(err) & 0xff {
	case sqliteBusy, sqliteLocked:
		return true
	}
	return false
}

// isLockTimeout reports whether a row stayed locked by others for too long.
func isLockTimeout(err error) bool {
	code := postgresCode(err)
	return code == pgLockNotAvailable || code == pgQueryCanceled || sqliteCode(err)&0xff == sqliteBusy
}

// takenField tells which of a catalog row's unique fields is taken: "id",
// "name", or "" when err is no unique violation.
func takenField(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == pgUniqueViolation {
		if strings.HasSuffix(pg.ConstraintName, "_pkey") {
			return "id"
		}
		return "name"
	}
	switch sqliteCode(err) {
	case sqliteConstraintKey:
		return "id"
	case sqliteConstraintUnique:
		return "name"
	}
	return ""
}
