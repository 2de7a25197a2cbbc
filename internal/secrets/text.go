package secrets

import (
	"fmt"
	"log/slog"
)

// hidden is what a Text shows in place of its value.
const hidden = "[secret]"

// Text is a secret string in a configuration. No formatter, encoder or logger
// shows it, not even by reflection over an unexported field: the value lies
// behind a pointer. The zero Text is empty.
type Text struct{ value *string }

// NewText wraps a secret.
func NewText(value string) Text { return Text{value: &value} }

// Reveal returns the secret. Call it only where it is used.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsEmpty reports whether there is no secret.
func (t Text) IsEmpty() bool { return t.Reveal() == "" }

// Format hides the secret from every verb of package fmt.
func (t Text) Format(f fmt.State, _ rune) {
	// A failing writer is the formatter's concern; State reports no errors to us.
	_, _ = f.Write([]byte(hidden))
}

// String hides the secret.
func (t Text) String() string { return hidden }

// GoString hides the secret from %#v.
func (t Text) GoString() string { return hidden }

// MarshalText hides the secret from YAML, XML and map keys.
func (t Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON hides the secret from JSON.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// LogValue hides the secret from slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(hidden) }

// UnmarshalText reads a secret from a file or an environment variable.
func (t *Text) UnmarshalText(text []byte) error {
	*t = NewText(string(text))
	return nil
}
