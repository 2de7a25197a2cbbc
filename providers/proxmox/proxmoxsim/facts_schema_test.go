package proxmoxsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// schemaNode is what is read of a node of the published schema.
type schemaNode struct {
	Path     string                `json:"path"`
	Info     map[string]schemaInfo `json:"info"`
	Children []schemaNode          `json:"children"`
}

type schemaInfo struct {
	Parameters struct {
		Additional json.RawMessage        `json:"additionalProperties"`
		Properties map[string]schemaParam `json:"properties"`
	} `json:"parameters"`
}

type schemaParam struct {
	Type      string          `json:"type"`
	Optional  json.RawMessage `json:"optional"`
	Default   json.RawMessage `json:"default_key"`
	Enum      []string        `json:"enum"`
	Minimum   json.RawMessage `json:"minimum"`
	Maximum   json.RawMessage `json:"maximum"`
	MinLength json.RawMessage `json:"minLength"`
	MaxLength json.RawMessage `json:"maxLength"`
	Pattern   string          `json:"pattern"`
	Format    json.RawMessage `json:"format"`
	Requires  string          `json:"requires"`
	Alias     string          `json:"alias"`
	KeyAlias  string          `json:"keyAlias"`
	TypeText  string          `json:"typetext"`
}

// readSchema reads the published schema from beside the project, by endpoint; nil
// where it is not at hand.
func readSchema(t *testing.T) map[string]schemaInfo {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		body, err := os.ReadFile(filepath.Join(dir, "shared", "proxmox", "apidoc.json"))
		if err == nil {
			return flatten(t, body)
		}
		if !os.IsNotExist(err) {
			t.Fatal(err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func flatten(t *testing.T, body []byte) map[string]schemaInfo {
	t.Helper()
	var roots []schemaNode
	if err := json.Unmarshal(body, &roots); err != nil {
		t.Fatal(err)
	}
	out := map[string]schemaInfo{}
	var walk func([]schemaNode)
	walk = func(nodes []schemaNode) {
		for _, n := range nodes {
			for method, info := range n.Info {
				out[method+" "+n.Path] = info
			}
			walk(n.Children)
		}
	}
	walk(roots)
	return out
}

// derive makes the table that the schema asks for.
func derive(t *testing.T, schema map[string]schemaInfo) *factTable {
	t.Helper()
	out := &factTable{Formats: map[string]map[string]paramFacts{}, Endpoints: map[string]map[string]paramFacts{}}
	for _, key := range strings.Fields(strings.ReplaceAll(strings.TrimSpace(served), " /", "\x00/")) {
		key = strings.ReplaceAll(key, "\x00", " ")
		info, ok := schema[key]
		if !ok {
			t.Fatalf("the schema has no %s", key)
		}
		params := map[string]paramFacts{}
		for _, name := range slices.Sorted(maps.Keys(info.Parameters.Properties)) {
			params[name] = deriveParam(t, out, name, info.Parameters.Properties[name])
		}
		out.Endpoints[key] = params
	}
	return out
}

func deriveParam(t *testing.T, table *factTable, name string, p schemaParam) paramFacts {
	t.Helper()
	out := paramFacts{
		Type: p.Type, Required: !truth(p.Optional) && p.Alias == "", Default: truth(p.Default), Enum: p.Enum,
		Min: number(t, p.Minimum), Max: number(t, p.Maximum),
		Pattern:  strings.ReplaceAll(strings.ReplaceAll(p.Pattern, "(?^:", "(?:"), "{,", "{0,"),
		Requires: p.Requires, Alias: p.Alias, KeyAlias: p.KeyAlias,
	}
	if n := number(t, p.MinLength); n != nil {
		out.MinLength = int(*n)
	}
	if n := number(t, p.MaxLength); n != nil {
		out.MaxLength = int(*n)
	}
	if len(p.Format) == 0 {
		return out
	}
	if json.Unmarshal(p.Format, &out.Format) == nil {
		return out
	}
	var keys map[string]schemaParam
	if err := json.Unmarshal(p.Format, &keys); err != nil {
		t.Fatalf("the format of %s: %v", name, err)
	}
	format := map[string]paramFacts{}
	for key, sub := range keys {
		format[key] = deriveParam(t, table, name+"."+key, sub)
	}
	base := strings.TrimSuffix(name, "[n]")
	for i := 1; ; i++ {
		out.Sub = base
		if i > 1 {
			out.Sub = fmt.Sprintf("%s.%d", base, i)
		}
		if have, ok := table.Formats[out.Sub]; !ok || string(marshal(t, have)) == string(marshal(t, format)) {
			break
		}
	}
	table.Formats[out.Sub] = format
	return out
}

// truth reads what the schema writes as 1, "1" or true.
func truth(raw json.RawMessage) bool {
	s := strings.Trim(string(raw), `"`)
	return s == "1" || s == "true"
}

func number(t *testing.T, raw json.RawMessage) *float64 {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil {
		t.Fatal(err)
	}
	return &n
}
