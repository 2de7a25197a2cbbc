package jobview

import (
	"strings"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// explain reads the code and the tenant-safe message of a failure, and for
// operators the words of all its causes. A failure that none of our steps wrote
// keeps its words from tenants.
func explain(f *failurepb.Failure, dc converter.DataConverter) *Error {
	if f == nil {
		return nil
	}
	out := &Error{}
	var causes []string
	for ; f != nil; f = f.GetCause() {
		f = decoded(f, dc)
		if kind := f.GetApplicationFailureInfo().GetType(); out.Code == "" && kind != "" && activities.TenantSafe(kind) {
			out.Code, out.Message = activities.JobCode(kind), f.GetMessage()
			if kind == activities.FailureStore {
				out.Code = ReasonControlPlane
			}
			continue
		}
		if f.GetActivityFailureInfo() == nil && f.GetMessage() != "" {
			causes = append(causes, f.GetMessage())
		}
		if f.GetTimeoutFailureInfo() != nil && f.GetCause() == nil && out.Code == "" {
			out.Code, out.Message = models.JobDeadlineExceeded, "the step did not end in time"
		}
	}
	if out.Code == "" {
		out.Code, out.Message = models.JobUnknownOutcome, "the step ended in a way that is not understood"
	}
	out.Cause = strings.Join(causes, ": ")
	return out
}

// decoded is f with its words decrypted, where a codec encrypted them; one of a
// key that is not at hand keeps the SDK's placeholder. f itself stays as it is.
func decoded(f *failurepb.Failure, dc converter.DataConverter) *failurepb.Failure {
	if f.GetEncodedAttributes() == nil {
		return f
	}
	c, ok := proto.Clone(f).(*failurepb.Failure)
	if !ok {
		return f
	}
	converter.DecodeCommonFailureAttributes(dc, c)
	return c
}

// waitsFor reports whether a step between two tries waits for something
// outside, rather than for another worker to carry on.
func waitsFor(f *failurepb.Failure) bool {
	for ; f != nil; f = f.GetCause() {
		if kind := f.GetApplicationFailureInfo().GetType(); kind != "" {
			return kind != activities.FailureInterrupted
		}
	}
	return false
}
