package server

import "net/http"

// The generated interface wants one method for each operation's answer; a
// document answers every read, a receipt every change.

// VisitListCapabilitiesResponse implements the generated interface.
func (d document) VisitListCapabilitiesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListErrorCodesResponse implements the generated interface.
func (d document) VisitListErrorCodesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListFlavorsResponse implements the generated interface.
func (d document) VisitListFlavorsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListImagesResponse implements the generated interface.
func (d document) VisitListImagesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetLimitsResponse implements the generated interface.
func (d document) VisitGetLimitsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetOpenAPIResponse implements the generated interface.
func (d document) VisitGetOpenAPIResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetVersionResponse implements the generated interface.
func (d document) VisitGetVersionResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListZonesResponse implements the generated interface.
func (d document) VisitListZonesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListClustersResponse implements the generated interface.
func (d document) VisitOpsListClustersResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListFlavorsResponse implements the generated interface.
func (d document) VisitOpsListFlavorsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetFlavorResponse implements the generated interface.
func (d document) VisitOpsGetFlavorResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListImagesResponse implements the generated interface.
func (d document) VisitOpsListImagesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetImageResponse implements the generated interface.
func (d document) VisitOpsGetImageResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListJobsResponse implements the generated interface.
func (d document) VisitOpsListJobsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetJobResponse implements the generated interface.
func (d document) VisitOpsGetJobResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListNetworksResponse implements the generated interface.
func (d document) VisitOpsListNetworksResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetNetworkResponse implements the generated interface.
func (d document) VisitOpsGetNetworkResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListNodesResponse implements the generated interface.
func (d document) VisitOpsListNodesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListProjectsResponse implements the generated interface.
func (d document) VisitOpsListProjectsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetProjectResponse implements the generated interface.
func (d document) VisitOpsGetProjectResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListProvidersResponse implements the generated interface.
func (d document) VisitOpsListProvidersResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetProviderResponse implements the generated interface.
func (d document) VisitOpsGetProviderResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListTenantsResponse implements the generated interface.
func (d document) VisitOpsListTenantsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetTenantResponse implements the generated interface.
func (d document) VisitOpsGetTenantResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListVMsResponse implements the generated interface.
func (d document) VisitOpsListVMsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetVMResponse implements the generated interface.
func (d document) VisitOpsGetVMResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListZonesResponse implements the generated interface.
func (d document) VisitOpsListZonesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetZoneResponse implements the generated interface.
func (d document) VisitOpsGetZoneResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListJobsResponse implements the generated interface.
func (d document) VisitListJobsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetJobResponse implements the generated interface.
func (d document) VisitGetJobResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListProjectsResponse implements the generated interface.
func (d document) VisitListProjectsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetProjectResponse implements the generated interface.
func (d document) VisitGetProjectResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListProjectNetworksResponse implements the generated interface.
func (d document) VisitListProjectNetworksResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListVMsResponse implements the generated interface.
func (d document) VisitListVMsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetVMResponse implements the generated interface.
func (d document) VisitGetVMResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListVMJobsResponse implements the generated interface.
func (d document) VisitListVMJobsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsCreateFlavorResponse implements the generated interface.
func (r receipt) VisitOpsCreateFlavorResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateImageResponse implements the generated interface.
func (r receipt) VisitOpsCreateImageResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateNetworkResponse implements the generated interface.
func (r receipt) VisitOpsCreateNetworkResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateProjectResponse implements the generated interface.
func (r receipt) VisitOpsCreateProjectResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateProviderResponse implements the generated interface.
func (r receipt) VisitOpsCreateProviderResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsTestProviderResponse implements the generated interface.
func (r receipt) VisitOpsTestProviderResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateTenantResponse implements the generated interface.
func (r receipt) VisitOpsCreateTenantResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateZoneResponse implements the generated interface.
func (r receipt) VisitOpsCreateZoneResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateVMResponse implements the generated interface.
func (r receipt) VisitCreateVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteVMResponse implements the generated interface.
func (r receipt) VisitDeleteVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitRebootVMResponse implements the generated interface.
func (r receipt) VisitRebootVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitStartVMResponse implements the generated interface.
func (r receipt) VisitStartVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitStopVMResponse implements the generated interface.
func (r receipt) VisitStopVMResponse(w http.ResponseWriter) error { return r.send(w) }
