// Package migrations holds the schema's versions as SQL, one directory a
// dialect. A file that was released is never edited: a change is a new file in
// both directories, and must let the release before it go on working.
package migrations

import "embed"

// FS holds the directories "postgres" and "sqlite".
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
