package server_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// The words in which tokens are refused.
const (
	malformed     = "the token is malformed"
	tooLong       = "the token is too large"
	badSignature  = "the token's signature is not valid"
	noKey         = "the token names no key"
	unknownKey    = "the token's key is not known"
	critical      = "the token has a critical header"
	untrusted     = "the token's issuer is not trusted"
	expired       = "the token has expired"
	notYet        = "the token is not valid yet"
	lacksClaim    = "the token lacks a claim"
	badClaim      = "a claim of the token is malformed"
	otherAudience = "the token is for another audience"
	bothPlanes    = "the token is for both planes"
	noSubject     = "the token names no subject"
	noTenant      = "the token names no tenant"
	otherTenant   = "the token's issuer does not speak for this tenant"
	otherPlane    = "the token's issuer does not speak for this plane"
)

type attack struct{ token, want string }

// corpus is every forged token, with the words in which it is refused.
func (f *forge) corpus() map[string]attack {
	out := map[string]attack{}
	for group, attacks := range map[string]map[string]attack{
		"form": f.onTheForm(), "algorithm": f.onTheAlgorithm(), "header": f.onTheHeader(), "time": f.onTheTimes(),
		"issuer": f.onTheIssuer(), "claims": f.onTheClaims(), "JSON": f.onTheJSON(),
	} {
		for name, a := range attacks {
			out[group+": "+name] = a
		}
	}
	return out
}

func (f *forge) onTheForm() map[string]attack {
	good := f.with(nil)
	p := strings.Split(good, ".")
	inner := f.claimsText(`"` + good + `"`)
	return map[string]attack{
		"no dots":                      {"abc", malformed},
		"two parts":                    {p[0] + "." + p[1], malformed},
		"four parts":                   {good + ".x", malformed},
		"five parts, a JWE":            {b64.EncodeToString([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}`)) + ".AAAA.AAAA.AAAA.AAAA", malformed},
		"five parts, dir":              {b64.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM","kid":"ed"}`)) + "..AAAA.AAAA.AAAA", malformed},
		"data behind":                  {good + "=", malformed},
		"more data behind":             {good + "AAAA", badSignature},
		"a dot behind":                 {good + ".", malformed},
		"padded":                       {p[0] + "=." + p[1] + "." + p[2], malformed},
		"a space inside":               {p[0] + "." + p[1] + " ." + p[2], malformed},
		"the other alphabet":           {p[0] + "." + p[1] + "." + "+/" + p[2][2:], malformed},
		"loose last bits":              {good[:len(good)-1] + nextChar(good[len(good)-1]), malformed},
		"no signature":                 {p[0] + "." + p[1] + ".", malformed},
		"half of a signature":          {p[0] + "." + p[1] + "." + p[2][:44], badSignature},
		"the signature of another":     {p[0] + "." + b64.EncodeToString([]byte(f.json(map[string]any{"tenant": "other"}))) + "." + p[2], badSignature},
		"a token in a token":           {inner, malformed},
		"a token in a token, declared": {f.text(`{"alg":"EdDSA","kid":"ed","cty":"JWT"}`, good), malformed},
		"one byte too large":           {f.sized(16<<10, true), tooLong},
		"much too large":               {strings.Repeat("A", 30<<10), tooLong},
		"deep":                         {f.claimsText(strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)), untrusted},
		"JSON serialization":           {`{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"}]}`, malformed},
	}
}

// nextChar changes only the bits of a base64 text's last character that do not
// count: 64 bytes leave four of them.
func nextChar(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func (f *forge) onTheAlgorithm() map[string]attack {
	out := map[string]attack{
		"missing":                    {f.text(`{"kid":"ed"}`, f.json(nil)), badSignature},
		"a number":                   {f.text(`{"alg":5,"kid":"ed"}`, f.json(nil)), badSignature},
		"a list":                     {f.text(`{"alg":["EdDSA"],"kid":"ed"}`, f.json(nil)), badSignature},
		"in lower case":              {f.text(`{"alg":"eddsa","kid":"ed"}`, f.json(nil)), badSignature},
		"empty":                      {f.text(`{"alg":"","kid":"ed"}`, f.json(nil)), badSignature},
		"HS256 with the raw key":     {f.sign(jwt.SigningMethodHS256, []byte(f.ed.Public().(ed25519.PublicKey)), map[string]any{"kid": "ed"}, nil), badSignature},
		"HS256 with the PEM":         {f.sign(jwt.SigningMethodHS256, f.rsaPEM(), map[string]any{"kid": "rsa"}, nil), badSignature},
		"HS384 with the PEM":         {f.sign(jwt.SigningMethodHS384, f.rsaPEM(), map[string]any{"kid": "rsa"}, nil), badSignature},
		"HS512 with the modulus":     {f.sign(jwt.SigningMethodHS512, f.rsa.N.Bytes(), map[string]any{"kid": "rsa"}, nil), badSignature},
		"HS256 with the JWK":         {f.sign(jwt.SigningMethodHS256, []byte(edJWK("ed", f.ed)), map[string]any{"kid": "ed"}, nil), badSignature},
		"HS256 with nothing":         {f.sign(jwt.SigningMethodHS256, []byte{}, map[string]any{"kid": "ed"}, nil), badSignature},
		"RS384 of a good key":        {f.sign(jwt.SigningMethodRS384, f.rsa, map[string]any{"kid": "rsa"}, nil), badSignature},
		"PS256 of a good key":        {f.sign(jwt.SigningMethodPS256, f.rsa, map[string]any{"kid": "rsa"}, nil), badSignature},
		"ES256 with the RSA key":     {f.sign(jwt.SigningMethodES256, f.ec, map[string]any{"kid": "rsa"}, nil), unknownKey},
		"RS256 with the EC key":      {f.sign(jwt.SigningMethodRS256, f.rsa, map[string]any{"kid": "ec"}, nil), unknownKey},
		"ES256 with the Ed25519 key": {f.sign(jwt.SigningMethodES256, f.ec, map[string]any{"kid": "ed"}, nil), unknownKey},
		// The second issuer allows ES256 alone.
		"not the issuer's": {f.sign(jwt.SigningMethodRS256, f.rsa, map[string]any{"kid": "foreign"}, map[string]any{"iss": secondName}), badSignature},
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE"} {
		bare := b64.EncodeToString([]byte(`{"alg":"`+none+`","kid":"ed"}`)) + "." + b64.EncodeToString([]byte(f.json(nil))) + "."
		out[none] = attack{bare, malformed}
		out[none+" with a signature"] = attack{f.text(`{"alg":"`+none+`","kid":"ed"}`, f.json(nil)), badSignature}
	}
	return out
}

func (f *forge) onTheHeader() map[string]attack {
	own := json.RawMessage(edJWK("ed", f.mallory))
	out := map[string]attack{
		"no kid":                {f.sign(jwt.SigningMethodEdDSA, f.ed, nil, nil), noKey},
		"kid empty":             {f.header(map[string]any{"kid": ""}), noKey},
		"kid a list":            {f.header(map[string]any{"kid": []string{"ed"}}), noKey},
		"kid a number":          {f.header(map[string]any{"kid": 0}), noKey},
		"kid very long":         {f.header(map[string]any{"kid": strings.Repeat("e", 5000)}), noKey},
		"kid in another case":   {f.header(map[string]any{"kid": "ED"}), unknownKey},
		"kid of another issuer": {f.header(map[string]any{"kid": "foreign"}), unknownKey},
		"kid with a space":      {f.header(map[string]any{"kid": "ed "}), unknownKey},
		"own key, jwk":          {f.stranger(map[string]any{"jwk": own}), badSignature},
		"own key, jwk, its kid": {f.stranger(map[string]any{"jwk": own, "kid": "mine"}), unknownKey},
		"own key, jwk, no kid":  {f.sign(jwt.SigningMethodEdDSA, f.mallory, map[string]any{"jwk": own}, nil), noKey},
		"own key, jku":          {f.stranger(map[string]any{"jku": "http://127.0.0.1:1/keys"}), badSignature},
		"own key, x5u":          {f.stranger(map[string]any{"x5u": "http://127.0.0.1:1/keys"}), badSignature},
		"own key, x5c":          {f.stranger(map[string]any{"x5c": []string{"MIIB"}}), badSignature},
		"own key":               {f.stranger(nil), badSignature},
		"crit":                  {f.header(map[string]any{"crit": []string{"exp"}}), critical},
		"crit, empty":           {f.header(map[string]any{"crit": []string{}}), critical},
		"b64 false":             {f.header(map[string]any{"b64": false}), critical},
		"b64 false, declared":   {f.header(map[string]any{"b64": false, "crit": []string{"b64"}}), critical},
		"alg twice":             {f.text(`{"alg":"none","alg":"EdDSA","kid":"ed"}`, f.json(nil)), malformed},
		"kid twice":             {f.text(`{"alg":"EdDSA","kid":"ed","kid":"ec"}`, f.json(nil)), malformed},
		"kid twice, escaped":    {f.text(`{"alg":"EdDSA","kid":"ec","\u006bid":"ed"}`, f.json(nil)), malformed},
		"ALG":                   {f.text(`{"ALG":"EdDSA","kid":"ed"}`, f.json(nil)), badSignature},
		"KID":                   {f.text(`{"alg":"EdDSA","KID":"ed"}`, f.json(nil)), noKey},
		"a list":                {f.text(`["EdDSA"]`, f.json(nil)), malformed},
		"null":                  {f.text(`null`, f.json(nil)), malformed},
	}
	for _, kid := range []string{
		"../../../dev/null", "/dev/null", "file:///dev/null", "ed' OR '1'='1", "x' UNION SELECT 'k'--", "ed\x00", "ed\n", "| id", "${jndi:x}", "%65%64", "ｅｄ",
	} {
		out[fmt.Sprintf("kid %q", kid)] = attack{f.header(map[string]any{"kid": kid}), unknownKey}
		out[fmt.Sprintf("kid %q, own key", kid)] = attack{f.stranger(map[string]any{"kid": kid}), unknownKey}
	}
	return out
}

func (f *forge) onTheTimes() map[string]attack {
	at := func(d time.Duration) int64 { return f.now.Add(d).Unix() }
	return map[string]attack{
		"expired":              {f.with(map[string]any{"exp": at(-time.Hour)}), expired},
		"expired at the epoch": {f.with(map[string]any{"exp": 0}), expired},
		"no expiry":            {f.with(map[string]any{"exp": nil}), lacksClaim},
		"expiry null":          {f.claimsText(strings.Replace(f.json(map[string]any{"exp": nil}), `{`, `{"exp":null,`, 1)), malformed},
		"expiry a text":        {f.with(map[string]any{"exp": fmt.Sprint(at(time.Hour))}), malformed},
		"expiry a fraction":    {f.with(map[string]any{"exp": json.Number(fmt.Sprint(at(time.Hour)) + ".5")}), malformed},
		"expiry an exponent":   {f.with(map[string]any{"exp": json.Number("9e9")}), malformed},
		"expiry huge":          {f.with(map[string]any{"exp": json.Number("1e300")}), malformed},
		"expiry past int64":    {f.with(map[string]any{"exp": json.Number("9223372036854775808")}), malformed},
		"expiry in int64":      {f.with(map[string]any{"exp": json.Number("9223372036854775807")}), malformed},
		"expiry past floats":   {f.with(map[string]any{"exp": json.Number("1e999")}), malformed},
		"expiry negative":      {f.with(map[string]any{"exp": -1}), malformed},
		"expiry a list":        {f.with(map[string]any{"exp": []int64{at(time.Hour)}}), malformed},
		"expiry true":          {f.with(map[string]any{"exp": true}), malformed},
		"not yet":              {f.with(map[string]any{"nbf": at(time.Hour)}), notYet},
		"not before, a text":   {f.with(map[string]any{"nbf": "now"}), malformed},
		"issued tomorrow":      {f.with(map[string]any{"iat": at(24 * time.Hour)}), notYet},
	}
}

func (f *forge) onTheIssuer() map[string]attack {
	second := func(change map[string]any) string {
		all := map[string]any{"iss": secondName, "tenant": storetest.OtherTenant}
		for k, v := range change {
			all[k] = v
		}
		return f.sign(jwt.SigningMethodES256, f.second, map[string]any{"kid": "foreign"}, all)
	}
	return map[string]attack{
		"none":                          {f.with(map[string]any{"iss": nil}), untrusted},
		"a list":                        {f.with(map[string]any{"iss": []string{realmName}}), untrusted},
		"unknown":                       {f.with(map[string]any{"iss": "https://evil.example.test"}), untrusted},
		"with a slash more":             {f.with(map[string]any{"iss": realmName + "/"}), untrusted},
		"in upper case":                 {f.with(map[string]any{"iss": strings.ToUpper(realmName)}), untrusted},
		"with a NUL":                    {f.with(map[string]any{"iss": realmName + "\x00"}), untrusted},
		"another's name":                {f.with(map[string]any{"iss": secondName}), badSignature},
		"our own name":                  {f.with(map[string]any{"iss": "hcp", "key": "k"}), unknownKey},
		"another's key":                 {f.sign(jwt.SigningMethodES256, f.second, map[string]any{"kid": "foreign"}, nil), unknownKey},
		"a tenant that is not its":      {second(map[string]any{"tenant": storetest.Tenant}), otherTenant},
		"a tenant in another case":      {second(map[string]any{"tenant": strings.ToUpper(storetest.OtherTenant)}), otherTenant},
		"operators, which are not its":  {second(map[string]any{"aud": "hcp-ops", "roles": []string{"admin"}}), otherPlane},
		"a name that forges another ID": {f.with(map[string]any{"iss": realmName + "|alice", "sub": "x"}), untrusted},
	}
}

func (f *forge) onTheClaims() map[string]attack {
	return map[string]attack{
		"no audience":             {f.with(map[string]any{"aud": nil}), otherAudience},
		"another audience":        {f.with(map[string]any{"aud": "someone-else"}), otherAudience},
		"audience with a space":   {f.with(map[string]any{"aud": "hcp-tenant "}), otherAudience},
		"both audiences":          {f.with(map[string]any{"aud": []string{"hcp-tenant", "hcp-ops"}}), bothPlanes},
		"audience a number":       {f.with(map[string]any{"aud": 7}), otherAudience},
		"audiences of numbers":    {f.with(map[string]any{"aud": []any{"hcp-tenant", 7}}), malformed},
		"audience an object":      {f.with(map[string]any{"aud": map[string]any{"hcp-tenant": true}}), otherAudience},
		"no subject":              {f.with(map[string]any{"sub": nil}), noSubject},
		"subject empty":           {f.with(map[string]any{"sub": ""}), badClaim},
		"subject a list":          {f.with(map[string]any{"sub": []string{"alice"}}), badClaim},
		"subject a number":        {f.with(map[string]any{"sub": 1}), badClaim},
		"subject too long":        {f.with(map[string]any{"sub": strings.Repeat("a", 256)}), badClaim},
		"subject with a NUL":      {f.with(map[string]any{"sub": "alice\x00"}), badClaim},
		"subject with a newline":  {f.with(map[string]any{"sub": "alice\nroot"}), badClaim},
		"subject in another case": {f.claimsText(strings.Replace(f.json(nil), `"sub"`, `"Sub"`, 1)), noSubject},
		"no tenant":               {f.with(map[string]any{"tenant": nil}), noTenant},
		"tenant empty":            {f.with(map[string]any{"tenant": ""}), badClaim},
		"tenant a list":           {f.with(map[string]any{"tenant": []string{"demo", "other"}}), badClaim},
		"tenant an object":        {f.with(map[string]any{"tenant": map[string]any{"$ne": ""}}), badClaim},
		"tenant null":             {f.claimsText(strings.Replace(f.json(map[string]any{"tenant": nil}), `{`, `{"tenant":null,`, 1)), badClaim},
		"tenant with a NUL":       {f.with(map[string]any{"tenant": "demo\x00other"}), badClaim},
		"tenant in another case":  {f.claimsText(strings.Replace(f.json(nil), `"tenant"`, `"Tenant"`, 1)), noTenant},
		"project a number":        {f.with(map[string]any{"project": 1}), badClaim},
		"project empty":           {f.with(map[string]any{"project": ""}), badClaim},
		"project null":            {f.claimsText(strings.Replace(f.json(nil), `{`, `{"project":null,`, 1)), badClaim},
		"roles a text":            {f.with(map[string]any{"roles": "owner"}), badClaim},
		"roles an object":         {f.with(map[string]any{"roles": map[string]any{"0": "owner"}}), badClaim},
		"roles of numbers":        {f.with(map[string]any{"roles": []int{1}}), badClaim},
		"roles with a NUL":        {f.with(map[string]any{"roles": []string{"owner\x00"}}), badClaim},
		"too many roles":          {f.with(map[string]any{"roles": make([]string, 33)}), badClaim},
		"subject with a long s":   {f.claimsText(strings.Replace(f.json(nil), `"sub"`, `"\u017fub"`, 1)), noSubject},
	}
}

func (f *forge) onTheJSON() map[string]attack {
	twice := func(member string) attack {
		return attack{f.claimsText(strings.Replace(f.json(nil), `{`, `{`+member+`,`, 1)), malformed}
	}
	return map[string]attack{
		"two subjects":           twice(`"sub":"root"`),
		"two subjects, escaped":  twice(`"\u0073ub":"root"`),
		"two tenants":            twice(`"tenant":"other"`),
		"two issuers":            twice(`"iss":"https://second.example.test"`),
		"two audiences":          twice(`"aud":"hcp-ops"`),
		"two expiries":           twice(`"exp":1`),
		"two roles":              twice(`"roles":["admin"]`),
		"two of what is unknown": twice(`"a":{"b":1,"b":2}`),
		"invalid UTF-8":          twice(`"a":"` + "\xff" + `"`),
		"half a surrogate":       twice(`"a":"\ud800"`),
		"data behind":            {f.claimsText(f.json(nil) + `{}`), malformed},
		"a byte order mark":      {f.claimsText("\ufeff" + f.json(nil)), malformed},
		"a list":                 {f.claimsText(`[` + f.json(nil) + `]`), malformed},
		"a text":                 {f.claimsText(`"alice"`), malformed},
		"null":                   {f.claimsText(`null`), malformed},
		"half":                   {f.claimsText(`{"iss":`), malformed},
		"a comment":              {f.claimsText(strings.Replace(f.json(nil), `{`, `{/**/`, 1)), malformed},
		"an empty object":        {f.claimsText(`{}`), untrusted},
	}
}
