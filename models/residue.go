package models

// Residue is one thing that a job may have left behind: it could neither be
// removed nor proven absent.
type Residue struct {
	// Type is a thing on the hypervisor ("vm", "disk", "snapshot"), or "step"
	// for a step that was not undone.
	Type string `json:"type"`
	// Step is the step that was not undone; empty where it is not about one.
	Step string `json:"step,omitempty"`
	// Ref is the hypervisor's own name of the thing: for operators only, never
	// for a tenant.
	Ref string `json:"ref,omitempty"`
}
