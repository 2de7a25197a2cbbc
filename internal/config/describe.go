package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting describes one setting for the documentation and for flags.
type Setting struct {
	Key     string // "database.url"
	Env     string // "HCP_DATABASE_URL"; empty for what only a file can say
	Default string
	Secret  bool
	Doc     string

	kind reflect.Kind
}

// Describe lists every setting in the order of the structs.
func Describe() []Setting { return walk(reflect.ValueOf(Default()), "") }

// DescribeIssuer lists the settings of an entry of auth.issuers. Defaults that
// are empty are those of auth.
func DescribeIssuer() []Setting {
	out := walk(reflect.ValueOf(Issuer{}), "")
	for i := range out {
		out[i].Env = ""
	}
	return out
}

func walk(v reflect.Value, prefix string) []Setting {
	var out []Setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := prefix + f.Tag.Get("koanf")
		doc, leaf := f.Tag.Lookup("doc")
		if !leaf {
			out = append(out, walk(v.Field(i), key+".")...)
			continue
		}
		s := Setting{Key: key, Doc: doc, kind: f.Type.Kind(), Secret: f.Type == reflect.TypeFor[Secret]()}
		if f.Type != reflect.TypeFor[[]Issuer]() {
			s.Env = EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		}
		if !v.Field(i).IsZero() && !s.Secret {
			s.Default = defaultText(v.Field(i))
		}
		out = append(out, s)
	}
	return out
}

func defaultText(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}
