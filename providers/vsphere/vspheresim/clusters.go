package vspheresim

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// What differs between clusters and hosts. A simulator has it all: DRS, vMotion, every
// datastore at every host. An unknown name changes nothing.

// SetDRS sets what DRS does by itself in a cluster; "" switches it off.
func (s *Server) SetDRS(cluster string, to types.DrsBehavior) {
	for _, e := range s.Model.Map().All("ClusterComputeResource") {
		c, ok := e.(*simulator.ClusterComputeResource)
		if !ok || c.Name != cluster {
			continue
		}
		if config, ok := c.ConfigurationEx.(*types.ClusterConfigInfoEx); ok {
			on := to != ""
			config.DrsConfig.Enabled, config.DrsConfig.DefaultVmBehavior = &on, to
		}
	}
}

// SetVMotion gives hosts a network for vMotion, or takes it away.
func (s *Server) SetVMotion(on bool, hosts ...string) {
	s.eachHost(hosts, func(h *simulator.HostSystem) { h.Summary.Config.VmotionEnabled = on })
}

// SetGraphics gives hosts one graphics device, and the vGPUs that it can be split into.
func (s *Server) SetGraphics(device types.HostGraphicsInfo, profiles []string, hosts ...string) {
	s.eachHost(hosts, func(h *simulator.HostSystem) {
		config := types.HostConfigInfo{}
		if h.Config != nil {
			config = *h.Config
		}
		config.GraphicsInfo = []types.HostGraphicsInfo{device}
		config.SharedPassthruGpuTypes = profiles
		h.Config = &config
	})
}

// SetMemoryUsed sets how much of a host's memory is in use, in MiB.
func (s *Server) SetMemoryUsed(host string, mib int32) {
	s.eachHost([]string{host}, func(h *simulator.HostSystem) { h.Summary.QuickStats.OverallMemoryUsage = mib })
}

// SetMaintenance takes a host out of use, or back.
func (s *Server) SetMaintenance(host string, on bool) {
	s.eachHost([]string{host}, func(h *simulator.HostSystem) { h.Runtime.InMaintenanceMode = on })
}

// MountOnly leaves hosts one datastore of those that they have, as storage of their own.
func (s *Server) MountOnly(datastore string, hosts ...string) {
	var refs []types.ManagedObjectReference
	for _, e := range s.Model.Map().All("Datastore") {
		if ds, ok := e.(*simulator.Datastore); ok && ds.Name == datastore {
			refs = append(refs, ds.Self)
		}
	}
	s.eachHost(hosts, func(h *simulator.HostSystem) { h.Datastore = slices.Clone(refs) })
}

// License gives hosts a licence with these features and no others.
func (s *Server) License(features []string, hosts ...string) {
	var properties []types.KeyAnyValue
	for _, f := range features {
		properties = append(properties, types.KeyAnyValue{Key: "feature", Value: types.KeyValue{Key: f, Value: f}})
	}
	manager, ok := s.Model.Map().Get(*s.Model.ServiceContent.LicenseManager).(*simulator.LicenseManager)
	if !ok || manager.LicenseAssignmentManager == nil {
		return
	}
	assigned, ok := s.Model.Map().Get(*manager.LicenseAssignmentManager).(*simulator.LicenseAssignmentManager)
	if !ok {
		return
	}
	s.eachHost(hosts, func(h *simulator.HostSystem) {
		res := &assigned.QueryAssignedLicensesResponse
		res.Returnval = append(slices.DeleteFunc(res.Returnval, func(a types.LicenseAssignmentManagerLicenseAssignment) bool {
			return a.EntityId == h.Self.Value
		}), types.LicenseAssignmentManagerLicenseAssignment{
			EntityId:        h.Self.Value,
			AssignedLicense: types.LicenseManagerLicenseInfo{LicenseKey: "some", EditionKey: "some", Properties: properties},
		})
	})
}

func (s *Server) eachHost(names []string, do func(*simulator.HostSystem)) {
	for _, e := range s.Model.Map().All("HostSystem") {
		if h, ok := e.(*simulator.HostSystem); ok && slices.Contains(names, h.Name) {
			do(h)
		}
	}
}
