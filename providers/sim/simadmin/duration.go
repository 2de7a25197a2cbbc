package simadmin

import (
	"errors"
	"time"
)

// Duration is a time.Duration that is text in JSON: "1.5s". It is never negative.
type Duration time.Duration

// MarshalText writes it as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, up to a day.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return err
	}
	if v < 0 || v > 24*time.Hour {
		return errors.New("a duration must be 0 to 24h")
	}
	*d = Duration(v)
	return nil
}
