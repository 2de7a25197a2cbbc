package main

import (
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
)

const banner = `
The control plane is running.

  API            {{.Info.APIURL}}
  Reference      {{.Info.APIURL}}/docs
  Temporal       {{.Info.TemporalAddress}}
  Simulator      {{.Info.SimhvURL}}/_admin/vms
  Data           {{.Dir}}

  Temporal Web UI (the link opens it once, until {{.Until}}):
  {{.Link}}
  Another link:
  curl -sS -X POST {{.Info.TemporalUIURL}}login -H "Authorization: Bearer $(sed -n 's/.*"ops_token": "\([^"]*\)".*/\1/p' {{.InfoFile}})"; echo

Create a VM, and look at its job:

  TOKEN=$(sed -n 's/.*"tenant_token": "\([^"]*\)".*/\1/p' {{.InfoFile}})
  API={{.Info.APIURL}}/api/hcp/tenant/v1
  JOB=$(curl -sS $API/projects/{{.Info.ProjectID}}/vms -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{"name":"vm-1","image_id":"{{.Image}}","flavor_id":"{{.Flavor}}","networks":[{"network_id":"{{.Network}}"}],"placement":{"zone":"{{.Zone}}"}}' \
    | tee /dev/stderr | sed -n 's/.*"job_id": *"\([^"]*\)".*/\1/p'); echo
  curl -sS $API/jobs/$JOB -H "Authorization: Bearer $TOKEN"; echo

Ctrl-C stops it; its state is kept.
`

// printBanner tells what is where, and what to type next.
func printBanner(w io.Writer, s *stack.Stack, dir *stack.Dir) error {
	t, err := template.New("banner").Parse(banner)
	if err != nil {
		return fmt.Errorf("banner: %w", err)
	}
	link, until := s.WebUILink()
	return t.Execute(w, map[string]any{
		"Info": s.Info(), "Dir": dir.Path(), "InfoFile": shellQuote(dir.File("dev.json")), "Link": link, "Until": until.Local().Format(time.TimeOnly),
		"Image": stack.TinyImage, "Flavor": stack.SmallFlavor, "Network": stack.SimNetwork, "Zone": stack.SimZone,
	})
}

// shellQuote makes s one word of a shell, as it is where that is plain.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r == '/' || r == '-' || r == '_' || r == '.' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
