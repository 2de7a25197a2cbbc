package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// fields are the flags from which a body is made. Each flag knows where its
// value belongs; what is not given stays out of the body.
type fields struct {
	flags *pflag.FlagSet
	stdin io.Reader
	file  *string
	all   []field
}

type field struct {
	flag string
	path string // members joined by dots
	set  func(body map[string]any) error
}

// newFields adds --file and makes an empty set.
func newFields(flags *pflag.FlagSet, stdin io.Reader) *fields {
	f := &fields{flags: flags, stdin: stdin}
	f.file = flags.StringP("file", "f", "", "read the body from a YAML or JSON file, - is standard input; flags win over it")
	return f
}

func (f *fields) add(flag, path string, value func() (any, error)) {
	f.all = append(f.all, field{flag, path, func(body map[string]any) error {
		v, err := value()
		if err != nil {
			return err
		}
		put(body, path, v)
		return nil
	}})
}

// text takes a string.
func (f *fields) text(flag, path, help string) {
	v := f.flags.String(flag, "", help)
	f.add(flag, path, func() (any, error) { return *v, nil })
}

// number takes an integer.
func (f *fields) number(flag, path, help string) {
	v := f.flags.Int64(flag, 0, help)
	f.add(flag, path, func() (any, error) { return *v, nil })
}

// float takes a number.
func (f *fields) float(flag, path, help string) {
	v := f.flags.Float64(flag, 0, help)
	f.add(flag, path, func() (any, error) { return *v, nil })
}

// boolean takes --flag and --flag=false.
func (f *fields) boolean(flag, path, help string) {
	v := f.flags.Bool(flag, false, help)
	f.add(flag, path, func() (any, error) { return *v, nil })
}

// list takes a string, may be repeated.
func (f *fields) list(flag, path, help string) {
	v := f.flags.StringArray(flag, nil, help+"; may be repeated")
	f.add(flag, path, func() (any, error) { return *v, nil })
}

// labels takes key=value, may be repeated; with removal, "key-" removes a key.
func (f *fields) labels(flag, path, help string, removal bool) {
	if removal {
		help += ", KEY- removes"
	}
	v := f.flags.StringArray(flag, nil, "KEY=VALUE, "+help+"; may be repeated")
	f.add(flag, path, func() (any, error) {
		out := map[string]any{}
		for _, s := range *v {
			key, value, ok := strings.Cut(s, "=")
			if !ok {
				key, ok = strings.CutSuffix(s, "-")
				if !ok || !removal {
					return nil, fail.Usagef("--%s %s is not KEY=VALUE", flag, s)
				}
				out[key] = nil
				continue
			}
			out[key] = value
		}
		return out, nil
	})
}

// records takes objects as member=value,member=value, may be repeated. A value
// without a member name is the first member's.
func (f *fields) records(flag, path, help string, members ...string) {
	v := f.flags.StringArray(flag, nil, help+"; may be repeated")
	f.add(flag, path, func() (any, error) {
		out := make([]any, 0, len(*v))
		for _, s := range *v {
			record := map[string]any{}
			for i, part := range strings.Split(s, ",") {
				name, value, ok := strings.Cut(part, "=")
				if !ok && i == 0 {
					name, value = members[0], part
				}
				if known(members, name) == "" || (!ok && i > 0) {
					return nil, fail.Usagef("--%s %s: the members are %s", flag, s, strings.Join(members, ", "))
				}
				record[known(members, name)] = value
			}
			out = append(out, record)
		}
		return out, nil
	})
}

// known finds a member by its name, or by its name without _id.
func known(members []string, name string) string {
	for _, m := range members {
		if name == m || name+"_id" == m || name+"_address" == m {
			return m
		}
	}
	return ""
}

// content takes the path of a file, - is standard input, whose content is the
// value: what is large or secret does not belong on a command line.
func (f *fields) content(flag, path, help string) {
	v := f.flags.String(flag, "", help+" (path of a file, - is standard input)")
	f.add(flag, path, func() (any, error) {
		raw, err := readInput(*v, f.stdin)
		if err != nil {
			return nil, err
		}
		if strings.Contains(flag, "password") || strings.Contains(flag, "token") || strings.Contains(flag, "public-key") {
			return strings.TrimRight(string(raw), "\r\n"), nil
		}
		return string(raw), nil
	})
}

// body puts the file and the flags together, as JSON.
func (f *fields) body(positional map[string]string) ([]byte, error) {
	body := map[string]any{}
	if *f.file != "" {
		raw, err := readInput(*f.file, f.stdin)
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(raw, &body); err != nil {
			return nil, fail.Usagef("%s: %v", *f.file, err)
		}
		if body == nil {
			body = map[string]any{}
		}
	}
	for path, value := range positional {
		put(body, path, value)
	}
	for _, x := range f.all {
		if !f.flags.Changed(x.flag) {
			continue
		}
		if err := x.set(body); err != nil {
			return nil, err
		}
	}
	return json.Marshal(body)
}

// put sets a member; objects on the way to it are made.
func put(body map[string]any, path string, v any) {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		body[head] = v
		return
	}
	inner, ok := body[head].(map[string]any)
	if !ok {
		inner = map[string]any{}
		body[head] = inner
	}
	put(inner, rest, v)
}

// inputLimit bounds what is read for a body.
const inputLimit = 8 << 20

// readInput reads a file or, for -, standard input.
func readInput(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(stdin, inputLimit))
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the caller's own
	if err != nil {
		return nil, fail.Usagef("%v", err)
	}
	return raw, nil
}

// bodied makes a request from the body; T says which members there are.
func bodied[T any](build func(c *call, body T) (*http.Request, error)) builder {
	return func(c *call) (*http.Request, error) {
		var body T
		dec := json.NewDecoder(bytes.NewReader(c.body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil {
			return nil, fail.Usagef("the body is not what this command takes: %s", plainly(err))
		}
		return build(c, body)
	}
}

// plainly says what JSON decoding did not like without naming Go types.
func plainly(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s cannot be a %s", e.Field, e.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
