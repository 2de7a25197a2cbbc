package server

import "net/http"

// As in visit.go, for the operations on VMs and on what belongs to them.

// VisitResetVMResponse implements the generated interface.
func (r receipt) VisitResetVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitSuspendVMResponse implements the generated interface.
func (r receipt) VisitSuspendVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitResumeVMResponse implements the generated interface.
func (r receipt) VisitResumeVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitResizeVMResponse implements the generated interface.
func (r receipt) VisitResizeVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitRebuildVMResponse implements the generated interface.
func (r receipt) VisitRebuildVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitRetryVMResponse implements the generated interface.
func (r receipt) VisitRetryVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsForceDeleteVMResponse implements the generated interface.
func (r receipt) VisitOpsForceDeleteVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCloneVMResponse implements the generated interface.
func (r receipt) VisitCloneVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateSnapshotResponse implements the generated interface.
func (r receipt) VisitCreateSnapshotResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteSnapshotResponse implements the generated interface.
func (r receipt) VisitDeleteSnapshotResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitRevertSnapshotResponse implements the generated interface.
func (r receipt) VisitRevertSnapshotResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitListSnapshotsResponse implements the generated interface.
func (d document) VisitListSnapshotsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetSnapshotResponse implements the generated interface.
func (d document) VisitGetSnapshotResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListDisksResponse implements the generated interface.
func (d document) VisitListDisksResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetDiskResponse implements the generated interface.
func (d document) VisitGetDiskResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitAttachDiskResponse implements the generated interface.
func (r receipt) VisitAttachDiskResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDetachDiskResponse implements the generated interface.
func (r receipt) VisitDetachDiskResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitAttachNICResponse implements the generated interface.
func (r receipt) VisitAttachNICResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDetachNICResponse implements the generated interface.
func (r receipt) VisitDetachNICResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsMigrateVMResponse implements the generated interface.
func (r receipt) VisitOpsMigrateVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsRetryJobStepResponse implements the generated interface.
func (r receipt) VisitOpsRetryJobStepResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpenVMConsoleResponse implements the generated interface.
func (r receipt) VisitOpenVMConsoleResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitListConsoleSessionsResponse implements the generated interface.
func (d document) VisitListConsoleSessionsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitCloseConsoleSessionResponse implements the generated interface.
func (r receipt) VisitCloseConsoleSessionResponse(w http.ResponseWriter) error { return r.send(w) }
