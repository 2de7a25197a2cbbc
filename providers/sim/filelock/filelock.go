// Package filelock locks files of simulators: the lock ends with the process that holds
// it, however it ends.
package filelock
