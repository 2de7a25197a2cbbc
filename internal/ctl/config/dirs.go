package config

import (
	"errors"
	"path/filepath"
)

// Dirs is where hcpctl keeps its files, after the XDG base directory
// specification on every system.
type Dirs struct {
	Config string // contexts and, without a keyring, secrets
	State  string // requests whose answer is awaited
	Cache  string // access tokens and candidates of the completion
}

// ErrNoHome is returned where neither HOME nor the XDG variables are set.
var ErrNoHome = errors.New("no home directory: set HOME, or XDG_CONFIG_HOME, XDG_STATE_HOME and XDG_CACHE_HOME")

// FindDirs derives the directories from the environment.
func FindDirs(env func(string) string) (Dirs, error) {
	home := env("HOME")
	if home == "" {
		home = env("USERPROFILE")
	}
	pick := func(variable string, below ...string) string {
		if v := env(variable); filepath.IsAbs(v) {
			return filepath.Join(v, "hcpctl")
		}
		if home == "" {
			return ""
		}
		return filepath.Join(append(append([]string{home}, below...), "hcpctl")...)
	}
	d := Dirs{
		Config: pick("XDG_CONFIG_HOME", ".config"),
		State:  pick("XDG_STATE_HOME", ".local", "state"),
		Cache:  pick("XDG_CACHE_HOME", ".cache"),
	}
	if d.Config == "" || d.State == "" || d.Cache == "" {
		return Dirs{}, ErrNoHome
	}
	return d, nil
}

// File is the path of the contexts.
func (d Dirs) File() string { return filepath.Join(d.Config, "config.yaml") }

// SecretsFile is the path of the secrets where there is no keyring.
func (d Dirs) SecretsFile() string { return filepath.Join(d.Config, "secrets.json") }

// Requests is the directory of the requests whose answer is awaited.
func (d Dirs) Requests() string { return filepath.Join(d.State, "requests") }

// Tokens is the directory of access tokens.
func (d Dirs) Tokens() string { return filepath.Join(d.Cache, "tokens") }

// Completions is the directory of the completion's candidates.
func (d Dirs) Completions() string { return filepath.Join(d.Cache, "completion") }
