package command_test

import (
	"io/fs"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/command"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// walk visits every command that does something.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if !cmd.HasSubCommands() {
		visit(cmd)
	}
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// words splits a line as a shell does.
func words(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-c", `printf '%s\0' `+line).Output()
	require.NoError(t, err, line)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Every command has examples, every example works, and together they make every
// operation of the API.
func TestExamples(t *testing.T) {
	r := newRig(t)
	doc := ctltest.Spec(t)
	t.Chdir(r.home)
	for name, content := range map[string]string{
		"vm.yaml":       "image_id: debian-13\nflavor_id: small\nnetworks: [{network_id: net0}]\n",
		"provider.yaml": "kind: libvirt\nurl: qemu+tls://kvm-2.example.com/system\nzone_id: zone-1\n",
		"zone.json":     `{"name":"Zone 3"}`, "id.pub": "ssh-ed25519 AAAA someone\n", "secret.txt": "hcp_secret\n", "token.txt": "secret-token\n",
	} {
		r.file(name, content)
	}
	r.server.Console("web", func(conn *websocket.Conn, _ *http.Request) { _ = conn.Close(websocket.StatusNormalClosure, "") })
	cancelled := ctltest.Job("CANCELLED")
	runs := 0
	walk(r.app(nil).Root(), func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Parent().Name() == "completion" {
			return
		}
		require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			args := words(t, strings.TrimSpace(line))
			r.ok("context", "set", "example", "--server", r.server.URL)
			require.Equal(t, "hcpctl", args[0], line)
			switch cmd.Name() {
			case "login", "logout": // the login has tests of its own
				continue
			case "cancel", "abandon":
				end := cancelled
				if cmd.Name() == "abandon" {
					end = ctltest.Failed("COMPENSATION_INCOMPLETE", "left behind", "INCOMPLETE")
				}
				for _, op := range []string{"getJob", "opsGetJob"} {
					r.server.Handle(op, answering(end))
				}
			default:
				r.server.Handle("getJob", nil)
				r.server.Handle("opsGetJob", nil)
			}
			if cmd.Name() == "watch" {
				r.server.Handle("getJob", answering(ctltest.Job("RUNNING")))
				r.server.Handle("opsGetJob", answering(ctltest.Job("RUNNING")))
			}
			got := r.run(args[1:]...)
			require.Zero(t, got.code, "%s: %s%s", line, got.out, got.errOut)
			runs++
		}
	})
	t.Logf("%d examples", runs)
	seen := r.server.Seen()
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.NotZero(t, seen[op.OperationID], "no example makes %s (%s %s)", op.OperationID, method, path)
		}
	}
	requirePrivate(t, r.home)
}

// requirePrivate looks at every file that hcpctl has written.
func requirePrivate(t *testing.T, home string) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() || strings.Contains(path, "man1") {
			return nil
		}
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %v", path, info.Mode())
		files++
		return nil
	}))
	require.NotZero(t, files)
}

// Each operation of the API belongs to a command, and each query parameter and
// each member of a body can be given.
func TestEveryOperationHasACommand(t *testing.T) {
	r := newRig(t)
	commands := map[string]*cobra.Command{}
	walk(r.app(nil).Root(), func(cmd *cobra.Command) {
		for op := range strings.FieldsSeq(cmd.Annotations[command.AnnotationOperations]) {
			if commands[op] == nil || cmd.Name() == "list" {
				commands[op] = cmd
			}
		}
	})
	known := map[string]bool{}
	for path, item := range ctltest.Spec(t).Paths.Map() {
		for _, op := range item.Operations() {
			known[op.OperationID] = true
			cmd := commands[op.OperationID]
			require.NotNil(t, cmd, "no command makes %s %s", op.OperationID, path)
			for _, p := range op.Parameters {
				if flag := flagOf(p.Value); flag != "" {
					require.NotNil(t, cmd.Flags().Lookup(flag), "%s cannot give %s", cmd.CommandPath(), p.Value.Name)
				}
			}
			require.Equal(t, op.Parameters.GetByInAndName("header", "If-Match") == nil, cmd.Flags().Lookup("if-match") == nil, "%s: --if-match", cmd.CommandPath())
			if op.RequestBody == nil || cmd.Name() == "api" {
				continue
			}
			schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
			for member := range schema.Properties {
				require.True(t, cmd.Flags().Lookup("file") != nil || hasFlagFor(cmd, member), "%s cannot give %s", cmd.CommandPath(), member)
			}
		}
	}
	for op := range commands {
		require.True(t, known[op], "%s is no operation of the API", op)
	}
}

// flagOf is the flag of a parameter, "" for those that hcpctl sets itself.
func flagOf(p *openapi3.Parameter) string {
	switch p.Name {
	case "page_token", "wait", "If-None-Match", "Last-Event-ID", "If-Match":
		return ""
	case "power_state":
		return "power"
	case "resource_id", "provider_id", "tenant_id":
		return strings.TrimSuffix(p.Name, "_id")
	}
	return strings.ToLower(strings.ReplaceAll(p.Name, "_", "-"))
}

// hasFlagFor looks for the flag of a member in a command without --file.
func hasFlagFor(cmd *cobra.Command, member string) bool {
	if member == "timeout" {
		member = "grace" // --timeout is how long hcpctl waits
	}
	return cmd.Flags().Lookup(strings.ReplaceAll(member, "_", "-")) != nil
}
