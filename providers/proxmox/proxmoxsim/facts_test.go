package proxmoxsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// served lists the endpoints of the table.
const served = `
GET /access/permissions
GET /access/ticket
POST /access/ticket
GET /cluster/nextid
GET /cluster/options
GET /cluster/resources
GET /cluster/status
GET /cluster/tasks
GET /nodes
GET /nodes/{node}/network
GET /nodes/{node}/qemu
POST /nodes/{node}/qemu
DELETE /nodes/{node}/qemu/{vmid}
GET /nodes/{node}/qemu/{vmid}/agent
POST /nodes/{node}/qemu/{vmid}/agent/ping
GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces
POST /nodes/{node}/qemu/{vmid}/clone
GET /nodes/{node}/qemu/{vmid}/cloudinit
PUT /nodes/{node}/qemu/{vmid}/cloudinit
GET /nodes/{node}/qemu/{vmid}/cloudinit/dump
GET /nodes/{node}/qemu/{vmid}/config
POST /nodes/{node}/qemu/{vmid}/config
PUT /nodes/{node}/qemu/{vmid}/config
GET /nodes/{node}/qemu/{vmid}/feature
GET /nodes/{node}/qemu/{vmid}/migrate
POST /nodes/{node}/qemu/{vmid}/migrate
POST /nodes/{node}/qemu/{vmid}/move_disk
GET /nodes/{node}/qemu/{vmid}/pending
PUT /nodes/{node}/qemu/{vmid}/resize
GET /nodes/{node}/qemu/{vmid}/rrddata
GET /nodes/{node}/qemu/{vmid}/snapshot
POST /nodes/{node}/qemu/{vmid}/snapshot
DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}
GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config
PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config
POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback
GET /nodes/{node}/qemu/{vmid}/status/current
POST /nodes/{node}/qemu/{vmid}/status/reboot
POST /nodes/{node}/qemu/{vmid}/status/reset
POST /nodes/{node}/qemu/{vmid}/status/resume
POST /nodes/{node}/qemu/{vmid}/status/shutdown
POST /nodes/{node}/qemu/{vmid}/status/start
POST /nodes/{node}/qemu/{vmid}/status/stop
POST /nodes/{node}/qemu/{vmid}/status/suspend
POST /nodes/{node}/qemu/{vmid}/template
POST /nodes/{node}/qemu/{vmid}/termproxy
PUT /nodes/{node}/qemu/{vmid}/unlink
POST /nodes/{node}/qemu/{vmid}/vncproxy
GET /nodes/{node}/qemu/{vmid}/vncwebsocket
GET /nodes/{node}/rrddata
GET /nodes/{node}/status
GET /nodes/{node}/storage
GET /nodes/{node}/storage/{storage}/content
POST /nodes/{node}/storage/{storage}/content
DELETE /nodes/{node}/storage/{storage}/content/{volume}
GET /nodes/{node}/storage/{storage}/content/{volume}
GET /nodes/{node}/storage/{storage}/status
POST /nodes/{node}/storage/{storage}/upload
GET /nodes/{node}/tasks
DELETE /nodes/{node}/tasks/{upid}
GET /nodes/{node}/tasks/{upid}/log
GET /nodes/{node}/tasks/{upid}/status
GET /nodes/{node}/version
GET /pools
GET /storage
GET /version
`

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

// print lays the table out with a parameter on each line.
func (t *factTable) print(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	section := func(name string, of map[string]map[string]paramFacts) {
		fmt.Fprintf(&out, "%q: {", name)
		for i, key := range slices.Sorted(maps.Keys(of)) {
			if i > 0 {
				out.WriteString(",")
			}
			fmt.Fprintf(&out, "\n%q: {", key)
			for j, param := range slices.Sorted(maps.Keys(of[key])) {
				if j > 0 {
					out.WriteString(",")
				}
				body, err := json.Marshal(of[key][param])
				if err != nil {
					tb.Fatal(err)
				}
				fmt.Fprintf(&out, "\n  %q: %s", param, body)
			}
			out.WriteString("}")
		}
		out.WriteString("\n}")
	}
	out.WriteString("{\n")
	section("formats", t.Formats)
	out.WriteString(",\n")
	section("endpoints", t.Endpoints)
	out.WriteString("\n}\n")
	return out.Bytes()
}

// comparedFacts is the SHA-256 of the table as it was compared with the schema, which
// is test data that not everybody has: without it a change of the table is seen.
const comparedFacts = "375139e0c432e26ab9d0b21ea2e1c5206e1af5e00170392ce71180188c5e605d"

// UPDATE_FACTS=1 writes the table anew from the schema.
func TestFactsAreThoseOfThePublishedSchema(t *testing.T) {
	body, err := os.ReadFile("facts.json")
	if err != nil {
		t.Fatal(err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(body)); sum != comparedFacts && os.Getenv("UPDATE_FACTS") == "" {
		t.Errorf("the table's SHA-256 is %s: compare it with the schema, and note that as comparedFacts", sum)
	}
	schema := readSchema(t)
	if schema == nil {
		t.Log("the published schema (shared/proxmox/apidoc.json above this directory) is not at hand: only the sum is compared")
		return
	}
	want := derive(t, schema)
	if os.Getenv("UPDATE_FACTS") != "" {
		body = want.print(t)
		if err := os.WriteFile("facts.json", body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have := &factTable{}
	if err := json.Unmarshal(body, have); err != nil {
		t.Fatal(err)
	}
	compareFacts(t, "endpoint", have.Endpoints, want.Endpoints)
	compareFacts(t, "format", have.Formats, want.Formats)
}

func compareFacts(t *testing.T, kind string, have, want map[string]map[string]paramFacts) {
	t.Helper()
	for key, params := range have {
		for name, p := range params {
			known, ok := want[key][name]
			if !ok {
				t.Errorf("%s %s: the schema has no %q", kind, key, name)
			} else if got, wanted := marshal(t, p), marshal(t, known); !bytes.Equal(got, wanted) {
				t.Errorf("%s %s: %s is %s, and %s in the schema", kind, key, name, got, wanted)
			}
		}
	}
	for key, params := range want {
		for name := range params {
			if _, ok := have[key][name]; !ok {
				t.Errorf("%s %s: %q is missing", kind, key, name)
			}
		}
		if _, ok := have[key]; !ok {
			t.Errorf("%s %s is missing", kind, key)
		}
	}
}

// The property strings whose format the schema only names are described in
// formats.go; their keys are in the schema's text of the type.
func TestNamedFormatsHaveTheKeysOfThePublishedSchema(t *testing.T) {
	schema := readSchema(t)
	if schema == nil {
		t.Log("the published schema is not at hand")
		return
	}
	keyOf := regexp.MustCompile(`(?:^| )\[*,?\[?([a-z][a-z0-9-]*)=`)
	seen := map[string]bool{}
	for name, p := range schema["POST /nodes/{node}/qemu/{vmid}/config"].Parameters.Properties {
		var format string
		if json.Unmarshal(p.Format, &format) != nil {
			continue
		}
		keys, ok := namedFormat(format)
		if !ok {
			continue
		}
		seen[format] = true
		var want []string
		for _, m := range keyOf.FindAllStringSubmatch(p.TypeText, -1) {
			want = append(want, m[1])
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
			t.Errorf("%s (%s) has the keys %v, and %v in the schema (%s)", format, name, got, want, p.TypeText)
		}
	}
	if len(seen) < 4 {
		t.Errorf("only %v were compared", seen)
	}
}
