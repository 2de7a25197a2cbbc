package auth

import "crypto/sha256"

// Known says that the token was verified a short while ago and is still good,
// at the price of a hash: where verification itself is rationed, these pass.
func (v *Verifier) Known(token string) bool {
	if len(token) > maxTokenBytes {
		return false
	}
	_, ok := v.cache.get(tokenHash(sha256.Sum256([]byte(token))), v.now())
	return ok
}
