package config

import (
	"encoding/base64"
	"log/slog"
)

// Secret is a setting that never prints.
type Secret string

const redacted = "[redacted]"

// String hides the value.
func (Secret) String() string { return redacted }

// GoString hides the value from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the value from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal gives the value to the one who needs it.
func (s Secret) Reveal() string { return string(s) }

// Base64 decodes the value, standard alphabet with padding.
func (s Secret) Base64() ([]byte, error) { return base64.StdEncoding.DecodeString(string(s)) }
