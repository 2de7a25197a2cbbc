package vsphere

import (
	"encoding/json"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// The keys of a VM's extra configuration that are the mark. They are there from the
// VM's birth: the clone's specification holds them.
const (
	keyVMID         = "hcp.vm_id"
	keyInstallation = "hcp.installation_id"
	keyMaking       = "hcp.making"
	keyName         = "hcp.name"
	keyNotes        = "hcp.notes"
)

// mark is what a VM says about itself. It is ours for a VM ID if it names our VM ID
// and installation, and the VM's instance UUID is the VM ID: a copy that an operator
// made has the extra configuration, but vCenter gives it another instance UUID.
type mark struct {
	VMID         string
	Installation string
	Name         string // as the tenant wrote it; a VM's own name is unique in its folder
	Making       bool   // CreateVM is not done with it
	Notes        notes
}

// options renders the mark. A key with an empty value is removed.
func (m mark) options() ([]types.BaseOptionValue, error) {
	raw, err := json.Marshal(m.Notes)
	if err != nil {
		return nil, err
	}
	making, text := "", string(raw)
	if m.Making {
		making = "true"
	}
	if len(m.Notes) == 0 {
		text = ""
	}
	return []types.BaseOptionValue{
		option(keyVMID, m.VMID), option(keyInstallation, m.Installation),
		option(keyName, m.Name), option(keyMaking, making), option(keyNotes, text),
	}, nil
}

func option(key, value string) *types.OptionValue { return &types.OptionValue{Key: key, Value: value} }

// proves reports whether a VM with this instance UUID and extra configuration is
// ours for vmID.
func (s settings) proves(instanceUUID string, extra []types.BaseOptionValue, vmID string) (mark, bool) {
	values := extraOf(extra)
	m := mark{
		VMID: values[keyVMID], Installation: values[keyInstallation],
		Name: values[keyName], Making: values[keyMaking] != "",
	}
	if !strings.EqualFold(instanceUUID, vmID) || m.VMID != vmID || m.Installation != s.installation {
		return mark{}, false
	}
	if text := values[keyNotes]; text != "" && json.Unmarshal([]byte(text), &m.Notes) != nil {
		m.Notes = notes{} // somebody wrote over it: whose VM it is stays proven
	}
	return m, true
}

// extraOf returns the texts of a VM's extra configuration by key.
func extraOf(extra []types.BaseOptionValue) map[string]string {
	out := map[string]string{}
	for _, o := range extra {
		v := o.GetOptionValue()
		if text, ok := v.Value.(string); ok {
			out[v.Key] = text
		}
	}
	return out
}
