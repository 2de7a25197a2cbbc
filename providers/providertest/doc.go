package providertest

// How the suite works
//
// Run makes one subtest for each Case. A case opens the adapter anew, works on
// VMs that it makes itself, and removes them at its end, also when it failed.
// So cases need no order, and a hypervisor in use by others will do.
//
// A case acts as a workflow does: it asks, polls the task until it is done or
// forgotten, and then reads back. It never looks at a message, only at codes,
// and each error that crosses the boundary must itself be a *providers.Error
// that names its kind and operation.
//
// What differs between hypervisors is not tested: whether work is a task or is
// done at once, native IDs, addresses, and whether two VMs may share a name.
//
// What not every hypervisor can do is checked where Harness.Capabilities declares
// it: Info must list exactly that, and the methods of what is not listed answer
// Unimplemented. Disks, Boots, Serial and LoseAnswer let the cases look further
// than the adapter shows; each may be nil.
//
// An adapter's own tests add what the contract cannot know: faults of its
// hypervisor, its answers' classification, its sessions.
