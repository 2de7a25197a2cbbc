package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// simulated runs the command sim and returns its first lines by their first
// words.
func simulated(t *testing.T, lines int, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	cmd := newSimCommand()
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
	cmd.SetOut(in)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		ended <- errors.Join(err, in.Close())
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	said := map[string]string{}
	scanner := bufio.NewScanner(out)
	for range lines {
		require.True(t, scanner.Scan())
		i := strings.LastIndex(scanner.Text(), " ")
		said[strings.Fields(scanner.Text())[0]] = scanner.Text()[i+1:]
	}
	return said
}

func TestTheSimulatedClusterSaysHowItIsReached(t *testing.T) {
	said := simulated(t, 3, "--kind", "proxmox", "--nodes", "2")
	require.Regexp(t, `^([0-9A-F]{2}:){31}[0-9A-F]{2}$`, said["fingerprint"])
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the fingerprint is compared instead
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			if !strings.EqualFold(hex.EncodeToString(sum[:]), strings.ReplaceAll(said["fingerprint"], ":", "")) {
				return errors.New("another fingerprint")
			}
			return nil
		},
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said["simulated"]+"/api2/json/nodes", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+said["token"])
	res, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, errors.Join(err, res.Body.Close()))
	require.Equal(t, 200, res.StatusCode, string(body))
	require.Contains(t, string(body), `"node":"pve2"`)
	require.NotContains(t, string(body), `"node":"pve3"`)
}

func TestTheSimulatedClusterSpeaksPlainHTTPOnLoopback(t *testing.T) {
	said := simulated(t, 3, "--kind", "proxmox", "--plain-http")
	require.True(t, strings.HasPrefix(said["simulated"], "http://127.0.0.1:"), said["simulated"])
}

func TestSimRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--kind", "abacus"},
		{"--kind", "proxmox", "--state", "x"},
		{"--kind", "sim", "--plain-http"},
		{"--kind", "proxmox", "--listen", "0.0.0.0:0"},
		{"--kind", "proxmox", "--plain-http", "--allow-non-loopback", "--listen", "0.0.0.0:0"},
	} {
		cmd := newSimCommand()
		cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		require.Error(t, cmd.ExecuteContext(t.Context()), args)
	}
}
