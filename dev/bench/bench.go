// Package bench holds the load benchmarks of the control plane; it has tests
// only. Everything runs in one process and shares the machine with the load:
//
//	go test ./bench -run '^$' -bench . -benchtime 500x
//
// Each figure that depends on the machine stands beside a yardstick from the
// same run: creates beside a bare workflow with as many activities on the same
// Temporal, reads beside a bare Echo handler with the same query.
package bench
