// Package workflows holds one file for each operation: what it is given, the
// table of its steps and their undoing, and the workflow itself.
//
// It is deterministic: it imports the Temporal SDK, activities, models and
// providers (types only), and has no clock, randomness, I/O or log of its own.
// A change that a recorded history in testdata/replay does not stand needs
// workflow.GetVersion.
package workflows

// TaskQueueControl is the queue of all workflows, of the database steps and of
// the steps that deal with other jobs.
const TaskQueueControl = "control"

// providerQueuePrefix begins the names of the providers' queues.
const providerQueuePrefix = "provider-"

// ProviderQueue is the queue of the steps that touch one provider.
func ProviderQueue(providerID string) string { return providerQueuePrefix + providerID }

// The search attributes of a job, all of type Keyword.
const (
	AttrProjectID  = "HcpProjectId"
	AttrResourceID = "HcpResourceId"
	AttrOperation  = "HcpOperation"
	AttrActor      = "HcpActor"
	AttrProviderID = "HcpProviderId"
	AttrOutcome    = "HcpOutcome"
)

// SearchAttributes lists the search attributes of a job.
func SearchAttributes() []string {
	return []string{AttrProjectID, AttrResourceID, AttrOperation, AttrActor, AttrProviderID, AttrOutcome}
}
