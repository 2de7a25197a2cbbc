package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"/plain/path-1_2.json", "/with space/dev.json", "it's", "$HOME", "`id`", "", "a\"b", "ü"} {
		t.Run(s, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellQuote(s)).Output()
			require.NoError(t, err)
			require.Equal(t, s, string(out))
		})
	}
	require.Equal(t, "/plain/path-1_2.json", shellQuote("/plain/path-1_2.json"))
}

func TestCheckLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:1": true, "[::1]:8080": true, "localhost:80": true,
		"0.0.0.0:8080": false, ":8080": false, "192.168.1.1:80": false, "[::]:80": false, "example.org:80": false, "8080": false,
	} {
		t.Run(addr, func(t *testing.T) {
			err := checkLoopback("--addr", addr, false)
			require.Equal(t, ok, err == nil, "%v", err)
		})
	}
	require.NoError(t, checkLoopback("--addr", "0.0.0.0:8080", true))
}
