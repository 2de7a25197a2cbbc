// Package record records real histories of every workflow on an embedded
// Temporal server: workflows/testdata/replay holds them for replay, and
// internal/jobview/testdata what the job view is tested on.
//
//	go -C dev test ./record            checks that every scenario ends as it must
//	go -C dev test ./record -update    writes the files anew; then
//	go test ./internal/jobview -update  writes what the view makes of them, to be looked at
//
// It has tests only.
package record
