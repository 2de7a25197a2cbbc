package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// EnvPrefix is before every variable: HCP_DATABASE_URL sets database.url.
const EnvPrefix = "HCP_"

// Load reads the file (if path is not empty), the environment and the flags
// that were given. An unknown key in the file or an unknown HCP_ variable is an
// error: a typing mistake must not be a silent default.
func Load(path string, environ []string, flags *pflag.FlagSet) (Config, error) {
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, fmt.Errorf("configuration file: %w", err)
		}
	}
	known := settings()
	var unknown []string
	err := k.Load(env.Provider(".", env.Opt{
		Prefix:      EnvPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			s, ok := known[strings.TrimPrefix(name, EnvPrefix)]
			switch {
			case !ok && ofOthers(name):
				return "", nil
			case !ok:
				unknown = append(unknown, name)
				return "", nil
			case s.list:
				return s.key, strings.Split(value, ",")
			}
			return s.key, value
		},
	}), nil)
	if err != nil {
		return Config{}, fmt.Errorf("environment: %w", err)
	}
	if len(unknown) > 0 {
		return Config{}, fmt.Errorf("environment: unknown variables: %s", strings.Join(unknown, ", "))
	}
	if flags != nil {
		if err := k.Load(posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
			if !f.Changed || !strings.Contains(f.Name, ".") {
				return "", nil // not a setting, or left at its default
			}
			return f.Name, posflag.FlagVal(flags, f)
		}), nil); err != nil {
			return Config{}, fmt.Errorf("flags: %w", err)
		}
	}
	return decode(k)
}

func decode(k *koanf.Koanf) (Config, error) {
	c := Default()
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result:           &c,
		ErrorUnused:      true,
		WeaklyTypedInput: true,
		ZeroFields:       true,
		DecodeHook:       mapstructure.StringToTimeDurationHookFunc(),
		TagName:          "koanf",
	}})
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// ReadKeyset returns the keyset, from the setting or from its file.
func (s Secrets) ReadKeyset() ([]byte, error) {
	if s.KeysetFile == "" {
		return []byte(s.Keyset.Reveal()), nil
	}
	b, err := os.ReadFile(s.KeysetFile)
	if err != nil {
		return nil, errors.New("secrets.keyset_file: cannot be read: " + reason(err))
	}
	return b, nil
}

func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// ofOthers tells the variables of the command-line client and of the tests,
// which may stand in the same environment.
func ofOthers(name string) bool {
	return name == "HCP_TOKEN" || name == "HCP_CONTEXT" || strings.HasPrefix(name, "HCP_TEST_")
}

type setting struct {
	key  string
	list bool
}

// settings maps the rest of a variable's name to its setting.
func settings() map[string]setting {
	out := map[string]setting{}
	for _, s := range Describe() {
		if s.Env != "" {
			out[strings.TrimPrefix(s.Env, EnvPrefix)] = setting{key: s.Key, list: s.kind == reflect.Slice}
		}
	}
	return out
}
