package server

import "net/http"

// Code is the machine-readable cause in a problem. Clients act on it, never on
// texts.
type Code string

// The codes of problems.
const (
	CodeInvalidArgument         Code = "INVALID_ARGUMENT"
	CodeMalformedJSON           Code = "MALFORMED_JSON"
	CodeUnknownField            Code = "UNKNOWN_FIELD"
	CodeInvalidPageToken        Code = "INVALID_PAGE_TOKEN"
	CodeUnauthenticated         Code = "UNAUTHENTICATED"
	CodeTokenExpired            Code = "TOKEN_EXPIRED"
	CodePermissionDenied        Code = "PERMISSION_DENIED"
	CodeWrongPlane              Code = "WRONG_PLANE"
	CodeQuotaExceeded           Code = "QUOTA_EXCEEDED"
	CodeNotFound                Code = "NOT_FOUND"
	CodeUnknownAction           Code = "UNKNOWN_ACTION"
	CodeMethodNotAllowed        Code = "METHOD_NOT_ALLOWED"
	CodeFeatureNotSupported     Code = "FEATURE_NOT_SUPPORTED"
	CodeInvalidState            Code = "INVALID_STATE"
	CodeOperationInProgress     Code = "OPERATION_IN_PROGRESS"
	CodeNameConflict            Code = "NAME_CONFLICT"
	CodeResourceInUse           Code = "RESOURCE_IN_USE"
	CodeLimitReached            Code = "LIMIT_REACHED"
	CodeAddressesExhausted      Code = "ADDRESSES_EXHAUSTED"
	CodeDeleteProtected         Code = "DELETE_PROTECTED"
	CodeIdempotencyInProgress   Code = "IDEMPOTENCY_IN_PROGRESS"
	CodeJobNotCancellable       Code = "JOB_NOT_CANCELLABLE"
	CodePreconditionFailed      Code = "PRECONDITION_FAILED"
	CodePayloadTooLarge         Code = "PAYLOAD_TOO_LARGE"
	CodeUnsupportedMediaType    Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeIdempotencyKeyReused    Code = "IDEMPOTENCY_KEY_REUSED"
	CodeSemanticInvalid         Code = "SEMANTIC_INVALID"
	CodeRateLimited             Code = "RATE_LIMITED"
	CodePreconditionRequired    Code = "PRECONDITION_REQUIRED"
	CodeInternal                Code = "INTERNAL"
	CodeControlPlaneUnavailable Code = "CONTROL_PLANE_UNAVAILABLE"
	CodeConsoleSessionGone      Code = "CONSOLE_SESSION_GONE"
	CodeProviderUnavailable     Code = "PROVIDER_UNAVAILABLE"
)

// codeSpec is one row of the error table. It is the source of docs/errors.md
// and of GET /common/v1/error-codes.
type codeSpec struct {
	Code Code
	// Status is 0 for the codes that only a job's error bears.
	Status      int
	Title       string
	Description string
	// Retryable says that the same request may succeed later.
	Retryable bool
}

// problemCodes is THE error table of the API, in the order of the statuses.
func problemCodes() []codeSpec {
	return []codeSpec{
		{CodeInvalidArgument, http.StatusBadRequest, "Invalid argument", "A parameter, header or body field does not match the API's description; errors says which.", false},
		{CodeMalformedJSON, http.StatusBadRequest, "Malformed JSON", "The body is not exactly one JSON value, names a member twice, or is not UTF-8.", false},
		{CodeUnknownField, http.StatusBadRequest, "Unknown field", "The body or the query names a field that the API does not know.", false},
		{CodeInvalidPageToken, http.StatusBadRequest, "Invalid page token", "The page token was not made for this list with these filters and this order.", false},
		{CodeUnauthenticated, http.StatusUnauthorized, "Unauthenticated", "There is no bearer token, or it is not valid.", false},
		{CodeTokenExpired, http.StatusUnauthorized, "Token expired", "The token was valid once; get a new one.", false},
		{CodePermissionDenied, http.StatusForbidden, "Permission denied", "No role of the principal has the permission that the operation needs.", false},
		{CodeWrongPlane, http.StatusForbidden, "Wrong plane", "The token is for the other plane (tenant or ops).", false},
		{CodeQuotaExceeded, http.StatusForbidden, "Quota exceeded", "A quota of the project or of its tenant has no room: dimension, limit, used, requested and scope say which.", false},
		{CodeNotFound, http.StatusNotFound, "Not found", "There is no such resource, or it belongs to somebody else.", false},
		{CodeUnknownAction, http.StatusNotFound, "Unknown action", "The resource type has no action of this name after the colon.", false},
		{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", "The path is known, but not with this method; Allow lists those that are.", false},
		{CodeFeatureNotSupported, http.StatusConflict, "Feature not supported", "No hypervisor that could serve the request has the capability that it needs; capability names it.", false},
		{CodeInvalidState, http.StatusConflict, "Invalid state", "The state of the VM, or of the job, does not allow the operation; detail names it.", false},
		{CodeOperationInProgress, http.StatusConflict, "Operation in progress", "Another job is at work on the VM; current_job_id names it.", true},
		{CodeNameConflict, http.StatusConflict, "Name conflict", "The name, or the chosen ID, is taken.", false},
		{CodeLimitReached, http.StatusConflict, "Limit reached", "There are as many of these as there may be; delete one first.", false},
		{CodeResourceInUse, http.StatusConflict, "Resource in use", "Something else holds what was asked for, or depends on what is to go.", false},
		{CodeAddressesExhausted, http.StatusConflict, "Addresses exhausted", "No subnet of the network has a free address; errors says which network.", true},
		{CodeDeleteProtected, http.StatusConflict, "Delete protected", "The VM is protected against deletion.", false},
		{CodeIdempotencyInProgress, http.StatusConflict, "Idempotency in progress", "The first request with this Idempotency-Key is still being accepted.", true},
		{CodeJobNotCancellable, http.StatusConflict, "Job not cancellable", "The job has ended, is undoing what it did, or is of a kind that goes forward only; detail says which.", false},
		{CodeConsoleSessionGone, http.StatusGone, "Console session gone", "The address of the console was used, its time is over, or the session was closed; ask for a new console.", false},
		{CodePreconditionFailed, http.StatusPreconditionFailed, "Precondition failed", "The resource has another generation than If-Match names.", false},
		{CodePayloadTooLarge, http.StatusRequestEntityTooLarge, "Payload too large", "The body, or a field of it, is larger than GET /common/v1/limits says.", false},
		{CodeUnsupportedMediaType, http.StatusUnsupportedMediaType, "Unsupported media type", "The body is not application/json.", false},
		{CodeIdempotencyKeyReused, http.StatusUnprocessableEntity, "Idempotency key reused", "The Idempotency-Key was used for a request with another body.", false},
		{CodeSemanticInvalid, http.StatusUnprocessableEntity, "Semantically invalid", "The request is well-formed, but names something that does not exist or does not fit; errors says what.", false},
		{CodeRateLimited, http.StatusTooManyRequests, "Rate limited", "The principal, its tenant or the address sends requests too fast; Retry-After says when the next one fits.", true},
		{CodePreconditionRequired, http.StatusPreconditionRequired, "Precondition required", "The request must say with If-Match which state it changes.", false},
		{CodeInternal, http.StatusInternalServerError, "Internal error", "A defect of the control plane; give the request_id to its operators.", true},
		{CodeProviderUnavailable, http.StatusServiceUnavailable, "Provider unavailable", "The hypervisor did not answer while the request waited for it.", true},
		{CodeControlPlaneUnavailable, http.StatusServiceUnavailable, "Control plane unavailable", "The control plane's database does not answer.", true},
	}
}

// jobCodes are the codes of a job's error.
func jobCodes() []codeSpec {
	return []codeSpec{
		{"NO_CAPACITY", 0, "No capacity", "No node of the wanted zone has room.", true},
		{"FEATURE_NOT_SUPPORTED", 0, "Feature not supported", "The hypervisor cannot do what was asked for.", false},
		{"PROVIDER_UNAVAILABLE", 0, "Provider unavailable", "The hypervisor did not answer for too long.", true},
		{"PROVIDER_TIMEOUT", 0, "Provider timeout", "The hypervisor did not finish in time, however often it was asked.", true},
		{"PROVIDER_AUTH_FAILED", 0, "Provider refused our credentials", "An operator must renew the credentials of the hypervisor.", true},
		{"PROVIDER_CONFLICT", 0, "Provider conflict", "Something that is not ours is in the way on the hypervisor.", false},
		{"PROVIDER_REJECTED", 0, "Provider rejected the request", "The hypervisor refuses what was asked for.", false},
		{"IMAGE_NOT_READY", 0, "Image not ready", "The image or a network is not available in the wanted zone.", false},
		{"QUOTA_EXCEEDED", 0, "Quota exceeded", "The job was run again, and a quota has no room any more for what it had given back.", true},
		{"ADDRESSES_EXHAUSTED", 0, "Addresses exhausted", "The job was run again, and a network has no free address any more.", true},
		{"RESOURCE_IN_USE", 0, "Resource in use", "The job was run again, and what it needs is not to be had by now: an address, a name, or the source of a clone.", true},
		{"GUEST_TIMEOUT", 0, "Guest timeout", "The guest did not do what it was asked in time.", true},
		{"NODE_LOST", 0, "Node lost", "The node of the VM went away.", true},
		{"UNKNOWN_OUTCOME", 0, "Unknown outcome", "The job was ended from outside; what it did is read again.", false},
		{"DEADLINE_EXCEEDED", 0, "Deadline exceeded", "The job took longer than it may.", true},
		{"CANCELLED", 0, "Cancelled", "The job was cancelled.", true},
		{"COMPENSATION_INCOMPLETE", 0, "Compensation incomplete", "The job failed and could not undo all that it had done; operators see what is left.", false},
	}
}
