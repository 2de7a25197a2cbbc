package server

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	// maxWait bounds how long a read may wait for a change.
	maxWait = time.Minute
	// leaseEvery is how often it is asked again whether a principal may have what
	// it is being sent.
	leaseEvery = time.Second
)

// lifetime is the context of a handler, with the time that its operation may
// take, and gives the connection that time too: the server's own limits are for
// requests that are answered at once.
func lifetime(c echo.Context, op *operation) (context.Context, context.CancelFunc) {
	ctx := c.Request().Context()
	switch {
	case op.streams: // bounds each event that it sends
		extend(c.Response(), time.Time{})
		return context.WithCancel(ctx)
	case op.waits:
		extend(c.Response(), time.Now().Add(maxWait+2*handlerTimeout))
		return context.WithTimeout(ctx, maxWait+handlerTimeout)
	}
	return context.WithTimeout(ctx, handlerTimeout)
}

// extend moves the deadlines of a request's connection. A writer that has none
// needs no more.
func extend(w http.ResponseWriter, write time.Time) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the request is read; what is watched for is that the client goes away
	_ = rc.SetWriteDeadline(write)
}
