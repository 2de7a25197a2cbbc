package proxmoxsim

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	unknownProperty = "property is not defined in schema and the schema does not allow additional properties"
	missingProperty = "property is missing and it is not optional"
)

// validate checks a request's parameters, those of its path among them. It
// returns what is wrong by parameter, or nil.
func (t *factTable) validate(endpoint string, params map[string]string) map[string]string {
	return t.validateKeys(t.Endpoints[endpoint], params)
}

func (t *factTable) validateKeys(facts map[string]paramFacts, params map[string]string) map[string]string {
	bad := map[string]string{}
	for name, value := range params {
		p, ok := param(facts, name)
		if !ok {
			bad[name] = unknownProperty
			continue
		}
		if msg := t.check(name, p, value); msg != "" {
			bad[name] = msg
		}
		if p.Requires != "" {
			if _, ok := params[p.Requires]; !ok {
				bad[p.Requires] = "missing property - '" + name + "' requires this property"
			}
		}
	}
	for name, p := range facts {
		if _, given := params[name]; p.Required && !given && !strings.HasSuffix(name, "[n]") {
			bad[name] = missingProperty
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// check returns what is wrong with a value.
func (t *factTable) check(name string, p paramFacts, value string) string {
	if !typed(p.Type, value) {
		return fmt.Sprintf("type check ('%s') failed - got '%s'", p.Type, value)
	}
	if p.Type == "integer" || p.Type == "number" {
		if msg := checkRange(p, value); msg != "" {
			return msg
		}
	}
	switch {
	case p.MaxLength > 0 && len(value) > p.MaxLength:
		return fmt.Sprintf("value may only be %d characters long", p.MaxLength)
	case len(value) < p.MinLength:
		return fmt.Sprintf("value must be minimum %d characters long", p.MinLength)
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, value):
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(p.Enum, ", "))
	case p.Pattern != "" && !t.patterns[p.Pattern].MatchString(value):
		return "value does not match the regex pattern"
	}
	keys, ok := namedFormat(p.Format)
	if p.Sub != "" {
		keys, ok = t.Formats[p.Sub], true
	}
	if ok {
		_, msg := t.parse(name, keys, value)
		return msg
	}
	return checkFormat(p.Format, value)
}

func checkRange(p paramFacts, value string) string {
	n, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil:
		return fmt.Sprintf("type check ('%s') failed - got '%s'", p.Type, value)
	case p.Min != nil && n < *p.Min:
		return "value must have a minimum value of " + strconv.FormatFloat(*p.Min, 'f', -1, 64)
	case p.Max != nil && n > *p.Max:
		return "value must have a maximum value of " + strconv.FormatFloat(*p.Max, 'f', -1, 64)
	}
	return ""
}

func typed(typ, value string) bool {
	switch typ {
	case "boolean":
		_, ok := truthOf(value)
		return ok
	case "integer":
		_, err := strconv.ParseInt(value, 10, 64)
		return err == nil
	case "number":
		_, err := strconv.ParseFloat(value, 64)
		return err == nil
	default:
		return true
	}
}

// truthOf reads a boolean in any of the ways that the API takes.
func truthOf(value string) (truth, ok bool) {
	switch strings.ToLower(value) {
	case "1", "on", "yes", "true":
		return true, true
	case "0", "off", "no", "false":
		return false, true
	default:
		return false, false
	}
}

// parse reads a property string: keys with values, between commas. It returns
// them under their own names, aliases resolved, or what is wrong.
func (t *factTable) parse(name string, keys map[string]paramFacts, value string) (map[string]string, string) {
	out := map[string]string{}
	for part := range strings.SplitSeq(value, ",") {
		if part == "" {
			continue
		}
		found, wrong, msg := parsePart(keys, part)
		for key, value := range found {
			if _, twice := out[key]; twice {
				wrong, msg = key, "duplicate key in comma-separated list property: "+key
			}
			out[key] = value
		}
		if msg != "" {
			return nil, wrongFormat(name, wrong, msg)
		}
	}
	if bad := t.validateKeys(keys, out); bad != nil {
		first := slices.Sorted(maps.Keys(bad))[0]
		return nil, wrongFormat(name, first, bad[first])
	}
	return out, ""
}

// parsePart reads one part of a property string: a key, or two where its name is
// the value of another. It returns what is wrong with which key.
func parsePart(keys map[string]paramFacts, part string) (found map[string]string, wrong, msg string) {
	key, value, named := strings.Cut(part, "=")
	if !named {
		if key, value = defaultKey(keys), part; key == "" {
			return nil, part, "value without key, but schema does not define a default key"
		}
	}
	facts, ok := keys[key]
	if !ok {
		return nil, key, unknownProperty
	}
	found = map[string]string{}
	if facts.KeyAlias != "" {
		found[facts.KeyAlias] = key
	}
	if facts.Alias != "" {
		key = facts.Alias
	}
	found[key] = value
	return found, "", ""
}

func wrongFormat(name, key, message string) string {
	return "invalid format - format error\n" + name + "." + key + ": " + message + "\n"
}

func defaultKey(keys map[string]paramFacts) string {
	for name, p := range keys {
		if p.Default {
			return name
		}
	}
	return ""
}

// properties parses a configuration's value that was validated when it came.
func (t *factTable) properties(key, value string) map[string]string {
	p, ok := param(t.Endpoints["POST /nodes/{node}/qemu/{vmid}/config"], key)
	if !ok {
		return map[string]string{}
	}
	keys, ok := namedFormat(p.Format)
	if !ok {
		keys = t.Formats[p.Sub]
	}
	out, msg := t.parse(key, keys, value)
	if msg != "" {
		return map[string]string{}
	}
	return out
}

// matches says whether a value has a form; the forms are few and short, and the
// simulator compiles them as it needs them.
func matches(pattern, value string) bool {
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(value)
}
