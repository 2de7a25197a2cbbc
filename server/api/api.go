// Package api holds the API's types and the interface that its handlers
// implement, generated from server/openapi.yaml. It imports nothing of ours.
package api
