package proxmox

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// migrationLog bounds how much of a migration's log is read, in lines.
const migrationLog = 1000

// whyNotMoved is the failure of a migration's task. Its exit status never tells
// more than that it was aborted, or had problems: the reason is in its log.
func (p *Provider) whyNotMoved(ctx context.Context, op string, u upid, exit string) *providers.Error {
	failure := exitError(op, exit)
	var log []struct {
		Text string `json:"t"`
	}
	path := apiPath("nodes", u.Node, "tasks", u.raw, "log")
	if failure == nil || p.get(ctx, op, path, params{"limit": migrationLog}, &log) != nil {
		return failure // what the exit status says is true, if not the whole truth
	}
	for _, line := range log {
		text := withoutFrame(line.Text)
		code, message := classifyAnswer(&apiError{Status: failed, Reason: text})
		if text != "" && code != providers.Unknown {
			return fail(op, code, errors.New(exit+": "+text), message)
		}
	}
	return failure
}

// withoutFrame takes from a line of a migration's log what all failures have.
func withoutFrame(line string) string {
	if strings.HasPrefix(line, "TASK ERROR: ") || strings.Contains(line, "migration finished with problems") {
		return ""
	}
	return regexp.MustCompile(`^.*migration aborted \(duration [0-9:]*\): `).ReplaceAllString(line, "")
}
