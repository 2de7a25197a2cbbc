// Package client is the Go client of the API, generated from
// server/openapi.yaml. It imports nothing of ours.
package client
