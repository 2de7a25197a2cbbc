package console

import (
	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ending is why a connection ends: for the record, and for its client. It is the
// cause of a session's context.
type ending struct {
	reason models.ConsoleEnd
	code   websocket.StatusCode
	word   string
}

func (e *ending) Error() string { return "console: " + e.word }

// The codes of the private range that clients know.
const (
	codeExpired websocket.StatusCode = 4000 + iota
	codeVMStopped
	codeVMDeleted
	codeVMMigrated
	codeAccessRevoked
	codeClosedByUser
	codeHypervisorClosed
	codeTooSlow
	codeTooFast
)

// ended says how a session of the given end is told to its client.
func ended(reason models.ConsoleEnd) *ending {
	e := &ending{reason: reason, word: string(reason)}
	switch reason {
	case models.ConsoleExpired, models.ConsoleNotUsed:
		e.code, e.word = codeExpired, "session_expired"
	case models.ConsoleVMStopped:
		e.code = codeVMStopped
	case models.ConsoleVMDeleted:
		e.code = codeVMDeleted
	case models.ConsoleVMMigrated:
		e.code = codeVMMigrated
	case models.ConsoleAccessRevoked:
		e.code = codeAccessRevoked
	case models.ConsoleClosedByUser:
		e.code = codeClosedByUser
	case models.ConsoleHypervisorClosed, models.ConsoleFailed:
		e.code, e.word = codeHypervisorClosed, string(models.ConsoleHypervisorClosed)
	case models.ConsoleTooSlow:
		e.code = codeTooSlow
	case models.ConsoleTooFast:
		e.code = codeTooFast
	case models.ConsoleGatewayLost:
		e.code, e.word = websocket.StatusGoingAway, "shutting_down"
	case models.ConsoleClosedByClient:
		e.code, e.word = websocket.StatusNormalClosure, ""
	}
	return e
}

// unsupported is a client that sends text.
func unsupported() *ending {
	return &ending{reason: models.ConsoleClosedByClient, code: websocket.StatusUnsupportedData, word: "binary frames only"}
}
