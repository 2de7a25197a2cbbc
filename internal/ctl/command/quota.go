package command

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

// dimensions are those of a quota, in the order of the API's description.
func dimensions() []string {
	return []string{"vms", "vcpus", "memory_mib", "disk_gib", "snapshots", "addresses"}
}

func quotaResource() output.Resource {
	r := output.Resource{Kind: "quota", Columns: []output.Column{{Header: "scope", Path: "scope"}, {Header: "id", Path: "scope_id"}}}
	for _, d := range dimensions() {
		r.Columns = append(r.Columns,
			output.Column{Header: d, Path: "used." + d}, output.Column{Header: d + "_limit", Path: "limits." + d})
	}
	return r
}

// showQuota shows a quota as a table, that of the tenant below the project's.
func showQuota(c *call, got answer) error {
	var q client.QuotaReport
	if err := json.Unmarshal(got.body, &q); err != nil {
		return fmt.Errorf("the server's quota is not understood: %w", err)
	}
	p, err := c.app.printer()
	if err != nil {
		return err
	}
	var rows []json.RawMessage
	for report := &q; report != nil; report = report.Parent {
		add, err := quotaRows(*report)
		if err != nil {
			return err
		}
		rows = append(rows, add...)
	}
	return p.List(output.Resource{Kind: "quota", Columns: []output.Column{
		{Header: "scope", Path: "scope"},
		{Header: "id", Path: "id"},
		{Header: "dimension", Path: "dimension"},
		{Header: "used", Path: "used"},
		{Header: "limit", Path: "limit"},
		{Header: "free", Path: "free"},
	}}, rows)
}

func quotaRows(q client.QuotaReport) ([]json.RawMessage, error) {
	limits, err := numbers(q.Limits)
	if err != nil {
		return nil, err
	}
	used, err := numbers(q.Used)
	if err != nil {
		return nil, err
	}
	rows := make([]json.RawMessage, 0, len(dimensions()))
	for _, d := range dimensions() {
		row := map[string]string{"scope": string(q.Scope), "id": q.ScopeID, "dimension": d, "used": strconv.FormatInt(used[d], 10), "limit": "none"}
		if limit, ok := limits[d]; ok {
			row["limit"] = strconv.FormatInt(limit, 10)
			row["free"] = strconv.FormatInt(max(0, limit-used[d]), 10)
		}
		raw, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		rows = append(rows, raw)
	}
	return rows, nil
}

// numbers is a struct of numbers by the names of the API.
func numbers(v any) (map[string]int64, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	return out, json.Unmarshal(raw, &out)
}
