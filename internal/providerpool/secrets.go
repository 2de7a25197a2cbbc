package providerpool

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// redacted stands where a credential stood.
const redacted = "[redacted]"

// secrets are the texts that must not leave the process in an error. Adapters
// do not put them there; the libraries below them may.
type secrets struct{ replace *strings.Replacer }

// secretsOf collects a provider's secrets in the forms in which they travel.
func secretsOf(c models.Credentials, rawURL string) secrets {
	plain := []string{c.Password, c.Token, c.ClientKey}
	if u, err := url.Parse(rawURL); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			plain = append(plain, password)
		}
	}
	var pairs []string
	for _, s := range plain {
		if s == "" {
			continue
		}
		forms := []string{
			s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)),
			base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + s)),
		}
		for _, f := range forms {
			pairs = append(pairs, f, redacted)
		}
	}
	return secrets{replace: strings.NewReplacer(pairs...)}
}

// clean takes the secrets out of an error. One that holds none is returned as
// it is.
func (s secrets) clean(err error) error {
	if err == nil || s.replace.Replace(err.Error()) == err.Error() {
		return err
	}
	out := &providers.Error{Code: providers.CodeOf(err), Message: "the provider's answer is withheld"}
	var e *providers.Error
	if errors.As(err, &e) {
		out.Provider, out.Op, out.RetryAfter = e.Provider, e.Op, e.RetryAfter
		out.Message = s.replace.Replace(e.Message)
		err = e.Err
	}
	if err != nil {
		out.Err = errors.New(s.replace.Replace(err.Error()))
	}
	return out
}
