package vsphere

import (
	"context"
	"errors"
	"reflect"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// healing repeats a call whose session had ended with a new session, once. Each call
// for itself: what a caller did before it is not done again.
type healing struct{ session *session }

// RoundTrip implements soap.RoundTripper.
func (h *healing) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	for attempt := 0; ; attempt++ {
		t, err := h.session.take(ctx)
		if err != nil {
			return err
		}
		err = t.client.Client.RoundTrip(ctx, req, res)
		if err == nil {
			err = unread(res)
		}
		if again := h.session.settle(t, err); !again || attempt == 1 {
			return err
		}
		reflect.ValueOf(res).Elem().SetZero() // the refusal is still in it
	}
}

// isEnded reports whether a call was refused for its session.
func isEnded(err error) bool {
	return isUnauthenticated(err) || hasFault(err) && fault.Is(err, &types.NotAuthenticated{})
}

// isAnswer reports whether an error is one that the server's API answered with.
func isAnswer(err error) bool {
	var answer *apiError
	return hasFault(err) || errors.As(err, &answer)
}

// unread is the refusal in an answer of the property collector: without a session it
// answers all the same, and says of each property why it is missing.
func unread(res soap.HasFault) error {
	var objects []types.ObjectContent
	switch body := res.(type) {
	case *methods.RetrievePropertiesExBody:
		if body.Res != nil && body.Res.Returnval != nil {
			objects = body.Res.Returnval.Objects
		}
	case *methods.RetrievePropertiesBody:
		if body.Res != nil {
			objects = body.Res.Returnval
		}
	}
	for _, o := range objects {
		for _, p := range o.MissingSet {
			if _, ended := p.Fault.Fault.(*types.NotAuthenticated); ended {
				return soap.WrapVimFault(p.Fault.Fault)
			}
		}
	}
	return nil
}

// isRefusal reports whether a login was refused for its credentials.
func isRefusal(err error) bool {
	if isUnauthenticated(err) {
		return true
	}
	if err == nil || !soap.IsSoapFault(err) {
		return false
	}
	row, ok := rowOf(err)
	return ok && (row.code == providers.Unauthenticated || row.code == providers.PermissionDenied)
}
