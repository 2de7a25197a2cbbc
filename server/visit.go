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

// VisitStreamJobEventsResponse implements the generated interface.
func (e eventStream) VisitStreamJobEventsResponse(w http.ResponseWriter) error { return e(w) }

// VisitOpsStreamJobEventsResponse implements the generated interface.
func (e eventStream) VisitOpsStreamJobEventsResponse(w http.ResponseWriter) error { return e(w) }

// VisitGetStatusResponse implements the generated interface.
func (d document) VisitGetStatusResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetWhoAmIResponse implements the generated interface.
func (d document) VisitGetWhoAmIResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsExplainAuthzResponse implements the generated interface.
func (d document) VisitOpsExplainAuthzResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListAddressesResponse implements the generated interface.
func (d document) VisitOpsListAddressesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListSubnetsResponse implements the generated interface.
func (d document) VisitOpsListSubnetsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetSubnetResponse implements the generated interface.
func (d document) VisitOpsGetSubnetResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetQuotaResponse implements the generated interface.
func (d document) VisitOpsGetQuotaResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListRoleBindingsResponse implements the generated interface.
func (d document) VisitOpsListRoleBindingsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsGetRoleBindingResponse implements the generated interface.
func (d document) VisitOpsGetRoleBindingResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsListRolesResponse implements the generated interface.
func (d document) VisitOpsListRolesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListMembersResponse implements the generated interface.
func (d document) VisitListMembersResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListProjectMembersResponse implements the generated interface.
func (d document) VisitListProjectMembersResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetProjectNetworkResponse implements the generated interface.
func (d document) VisitGetProjectNetworkResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetProjectQuotaResponse implements the generated interface.
func (d document) VisitGetProjectQuotaResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListProjectRoleBindingsResponse implements the generated interface.
func (d document) VisitListProjectRoleBindingsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetProjectRoleBindingResponse implements the generated interface.
func (d document) VisitGetProjectRoleBindingResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListServiceAccountsResponse implements the generated interface.
func (d document) VisitListServiceAccountsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetServiceAccountResponse implements the generated interface.
func (d document) VisitGetServiceAccountResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListServiceAccountKeysResponse implements the generated interface.
func (d document) VisitListServiceAccountKeysResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListSSHKeysResponse implements the generated interface.
func (d document) VisitListSSHKeysResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetSSHKeyResponse implements the generated interface.
func (d document) VisitGetSSHKeyResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetTenantQuotaResponse implements the generated interface.
func (d document) VisitGetTenantQuotaResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListTenantRoleBindingsResponse implements the generated interface.
func (d document) VisitListTenantRoleBindingsResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetTenantRoleBindingResponse implements the generated interface.
func (d document) VisitGetTenantRoleBindingResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitListRolesResponse implements the generated interface.
func (d document) VisitListRolesResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetRoleResponse implements the generated interface.
func (d document) VisitGetRoleResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitOpsDeleteFlavorResponse implements the generated interface.
func (r receipt) VisitOpsDeleteFlavorResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateFlavorResponse implements the generated interface.
func (r receipt) VisitOpsUpdateFlavorResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteImageResponse implements the generated interface.
func (r receipt) VisitOpsDeleteImageResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateImageResponse implements the generated interface.
func (r receipt) VisitOpsUpdateImageResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsAbandonJobResponse implements the generated interface.
func (r receipt) VisitOpsAbandonJobResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCancelJobResponse implements the generated interface.
func (r receipt) VisitOpsCancelJobResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsRetryJobResponse implements the generated interface.
func (r receipt) VisitOpsRetryJobResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteNetworkResponse implements the generated interface.
func (r receipt) VisitOpsDeleteNetworkResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateNetworkResponse implements the generated interface.
func (r receipt) VisitOpsUpdateNetworkResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateSubnetResponse implements the generated interface.
func (r receipt) VisitOpsCreateSubnetResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteSubnetResponse implements the generated interface.
func (r receipt) VisitOpsDeleteSubnetResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteProjectResponse implements the generated interface.
func (r receipt) VisitOpsDeleteProjectResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateProjectResponse implements the generated interface.
func (r receipt) VisitOpsUpdateProjectResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsPutQuotaResponse implements the generated interface.
func (r receipt) VisitOpsPutQuotaResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsCreateRoleBindingResponse implements the generated interface.
func (r receipt) VisitOpsCreateRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteRoleBindingResponse implements the generated interface.
func (r receipt) VisitOpsDeleteRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteTenantResponse implements the generated interface.
func (r receipt) VisitOpsDeleteTenantResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateTenantResponse implements the generated interface.
func (r receipt) VisitOpsUpdateTenantResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsDeleteZoneResponse implements the generated interface.
func (r receipt) VisitOpsDeleteZoneResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitOpsUpdateZoneResponse implements the generated interface.
func (r receipt) VisitOpsUpdateZoneResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCancelJobResponse implements the generated interface.
func (r receipt) VisitCancelJobResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateProjectRoleBindingResponse implements the generated interface.
func (r receipt) VisitCreateProjectRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteProjectRoleBindingResponse implements the generated interface.
func (r receipt) VisitDeleteProjectRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateServiceAccountResponse implements the generated interface.
func (r receipt) VisitCreateServiceAccountResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteServiceAccountResponse implements the generated interface.
func (r receipt) VisitDeleteServiceAccountResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitUpdateServiceAccountResponse implements the generated interface.
func (r receipt) VisitUpdateServiceAccountResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateServiceAccountKeyResponse implements the generated interface.
func (r receipt) VisitCreateServiceAccountKeyResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteServiceAccountKeyResponse implements the generated interface.
func (r receipt) VisitDeleteServiceAccountKeyResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateSSHKeyResponse implements the generated interface.
func (r receipt) VisitCreateSSHKeyResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteSSHKeyResponse implements the generated interface.
func (r receipt) VisitDeleteSSHKeyResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitUpdateVMResponse implements the generated interface.
func (r receipt) VisitUpdateVMResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateTenantRoleBindingResponse implements the generated interface.
func (r receipt) VisitCreateTenantRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteTenantRoleBindingResponse implements the generated interface.
func (r receipt) VisitDeleteTenantRoleBindingResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateRoleResponse implements the generated interface.
func (r receipt) VisitCreateRoleResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitDeleteRoleResponse implements the generated interface.
func (r receipt) VisitDeleteRoleResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitUpdateRoleResponse implements the generated interface.
func (r receipt) VisitUpdateRoleResponse(w http.ResponseWriter) error { return r.send(w) }
