package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

// ref is a kind of thing that an argument names by its name or ID.
type ref struct {
	noun     string // for people
	list     builder
	byName   bool   // the list takes ?name=
	nameless bool   // it has an ID alone; the list is for the completion
	search   string // members that name it, separated by blanks; the first is the name
	hint     string // path of what the completion says beside a name
}

// named is an item of a list.
type named struct {
	raw  json.RawMessage
	id   string
	name string
	hint string
}

// uuid is the form of IDs that the server makes: nothing is looked up for them.
func isUUID(s string) bool {
	ok, err := regexp.MatchString(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`, s)
	return err == nil && ok
}

// isID reports whether the API would take s as an ID.
func isID(s string) bool {
	ok, err := regexp.MatchString(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, s)
	return err == nil && ok
}

// resolve turns what was typed into an ID. What no name matches is taken for
// an ID: the server knows better.
func (c *call) resolve(ctx context.Context, r ref, typed string) (string, error) {
	if r.nameless || isUUID(typed) || (c.app.flags.showCurl && isID(typed)) {
		if !isID(typed) {
			return "", fail.Usagef("%q is not the ID of a %s", typed, r.noun)
		}
		return typed, nil
	}
	req, err := r.list(c)
	if err != nil {
		return "", err
	}
	if r.byName {
		if !isID(typed) {
			return "", fail.Usagef("%q is neither the name nor the ID of a %s", typed, r.noun)
		}
		q := req.URL.Query()
		q.Set("name", typed)
		req.URL.RawQuery = q.Encode()
	}
	items, err := c.pages(ctx, req, 0, maxPage)
	if err != nil {
		return "", err
	}
	found, err := matching(items, firstOf(r.search, "name"), typed)
	if err == nil {
		return found.id, nil
	}
	if e, ok := err.(*fail.Error); ok && e.Code == codeAmbiguous { //nolint:errorlint // made here
		e.Message = fmt.Sprintf("%q names several: choose one by its ID", typed)
		return "", e
	}
	if isID(typed) {
		return typed, nil
	}
	return "", &fail.Error{Code: "NOT_FOUND", Message: fmt.Sprintf("there is no %s %q", r.noun, typed), Exit: fail.Failed}
}

// Codes of hcpctl's own.
const (
	codeAmbiguous = "AMBIGUOUS_NAME"
	codeNotFound  = "NOT_FOUND"
)

// matching finds the one item with an ID or, where there is none, with a name;
// members are the members that count as a name.
func matching(items []json.RawMessage, members, typed string) (named, error) {
	var hits []named
	for _, raw := range items {
		n := read(raw, members, "")
		if n.id == typed {
			return n, nil
		}
		var all map[string]any
		if json.Unmarshal(raw, &all) != nil {
			continue
		}
		for member := range strings.FieldsSeq(members) {
			if output.Value(all, member) == typed {
				hits = append(hits, n)
				break
			}
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return named{}, &fail.Error{Code: codeNotFound, Message: fmt.Sprintf("there is no %q", typed), Exit: fail.Failed}
	}
	e := &fail.Error{Code: codeAmbiguous, Exit: fail.Usage, Message: "ambiguous"}
	for _, h := range hits {
		e.Next = append(e.Next, h.id+"  "+h.name)
	}
	return named{}, e
}

// read takes an item apart.
func read(raw json.RawMessage, members, hint string) named {
	n := named{raw: raw}
	var all map[string]any
	if json.Unmarshal(raw, &all) != nil {
		return n
	}
	n.id = output.Value(all, "id")
	first, _, _ := strings.Cut(members, " ")
	n.name = output.Value(all, first)
	if hint != "" {
		n.hint = output.Value(all, hint)
	}
	return n
}

// resolveProject finds the project that the command is for. Where none is
// named and there is but one, it is that one.
func (c *call) resolveProject(ctx context.Context) (err error) {
	if c.target.project != "" {
		c.project, err = c.resolve(ctx, projectRef(), c.target.project)
		return err
	}
	none := fail.Usagef("no project is chosen").Then("Choose one: hcpctl project use NAME, or --project NAME.", "See what there is: hcpctl project list")
	if c.app.flags.showCurl {
		return none
	}
	req, err := projectRef().list(c)
	if err != nil {
		return err
	}
	items, err := c.pages(ctx, req, 2, 0)
	if err != nil {
		return err
	}
	if len(items) != 1 {
		return none
	}
	c.project = read(items[0], "name", "").id
	return nil
}

// The kinds of things that arguments name.

func projectRef() ref {
	return ref{noun: "project", list: func(c *call) (*http.Request, error) { return client.NewListProjectsRequest(c.server, nil) }}
}

func vmRef() ref {
	return ref{noun: "VM", byName: true, hint: "power_state", list: func(c *call) (*http.Request, error) {
		return client.NewListVMsRequest(c.server, c.project, nil)
	}}
}

func jobRef(ops bool) ref {
	return ref{noun: "job", nameless: true, hint: "type", list: func(c *call) (*http.Request, error) {
		if ops {
			return client.NewOpsListJobsRequest(c.server, nil)
		}
		return client.NewListJobsRequest(c.server, nil)
	}}
}

func imageRef() ref {
	return ref{noun: "image", list: func(c *call) (*http.Request, error) { return client.NewListImagesRequest(c.server, nil) }}
}

func flavorRef() ref {
	return ref{noun: "flavor", list: func(c *call) (*http.Request, error) { return client.NewListFlavorsRequest(c.server, nil) }}
}

func zoneRef() ref {
	return ref{noun: "zone", list: func(c *call) (*http.Request, error) { return client.NewListZonesRequest(c.server, nil) }}
}

func networkRef() ref {
	return ref{noun: "network", list: func(c *call) (*http.Request, error) {
		return client.NewListProjectNetworksRequest(c.server, c.project, nil)
	}}
}

func roleRef() ref {
	return ref{noun: "role", list: func(c *call) (*http.Request, error) { return client.NewListRolesRequest(c.server, nil) }}
}

func serviceAccountRef() ref {
	return ref{noun: "service account", list: func(c *call) (*http.Request, error) {
		return client.NewListServiceAccountsRequest(c.server, c.project, nil)
	}}
}

func sshKeyRef() ref {
	return ref{noun: "SSH key", hint: "fingerprint", list: func(c *call) (*http.Request, error) {
		return client.NewListSSHKeysRequest(c.server, c.project, nil)
	}}
}
