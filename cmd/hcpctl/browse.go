package main

import (
	"context"
	"os/exec"
	"runtime"
)

// browse opens an address in the person's browser, by what the system has for
// it.
func browse(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	return exec.CommandContext(ctx, name, args...).Run() //nolint:gosec // an http address, checked before, as one argument
}
