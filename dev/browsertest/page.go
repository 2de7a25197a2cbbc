package browsertest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Page is one page, with a profile of its own.
type Page struct {
	tb      testing.TB
	browser *Browser
	name    string
	origin  string
}

// Look is how a page is shown.
type Look struct {
	Width, Height int    // pixels; 0 is 1280 and 800
	Scheme        string // "light" or "dark"; empty is light
	Touch         bool
}

// Wait is how long a page may take for what is waited for.
const Wait = 45 * time.Second

// Open opens an empty page that closes with the test. origin is the server's,
// "http://127.0.0.1:8080"; what the page asks of any other is a problem.
func (b *Browser) Open(tb testing.TB, origin string, look Look) *Page {
	tb.Helper()
	if look.Width == 0 {
		look.Width, look.Height = 1280, 800
	}
	b.mu.Lock()
	b.opened++
	p := &Page{tb: tb, browser: b, name: fmt.Sprintf("page-%d", b.opened), origin: origin}
	b.mu.Unlock()
	p.do("open", map[string]any{"origin": origin, "width": look.Width, "height": look.Height, "scheme": look.Scheme, "touch": look.Touch}, nil)
	tb.Cleanup(func() { p.do("close", nil, nil) })
	return p
}

func (p *Page) do(verb string, args map[string]any, result any) {
	p.tb.Helper()
	command := map[string]any{"verb": verb, "name": p.name}
	for k, v := range args {
		command[k] = v
	}
	must(p.tb, p.browser.ask(command, result))
}

// Goto loads an address of the server and returns the answer's status.
func (p *Page) Goto(path string) int {
	p.tb.Helper()
	var status int
	p.do("goto", map[string]any{"url": p.origin + path}, &status)
	return status
}

// Eval evaluates an expression in the page, waits for it where it is a
// promise, and decodes its value into result.
func (p *Page) Eval(expression string, result any) {
	p.tb.Helper()
	p.do("evaluate", map[string]any{"expression": expression}, result)
}

// Text is the text that an element shows.
func (p *Page) Text(selector string) string {
	p.tb.Helper()
	var text string
	p.Eval(fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", quote(selector)), &text)
	return text
}

// Value is what a field holds.
func (p *Page) Value(selector string) string {
	p.tb.Helper()
	var text string
	p.Eval(fmt.Sprintf("document.querySelector(%s)?.value ?? ''", quote(selector)), &text)
	return text
}

// Await waits until an expression has this value.
func (p *Page) Await(expression string, want any) {
	p.tb.Helper()
	raw, err := json.Marshal(want)
	must(p.tb, err)
	var expected any
	must(p.tb, json.Unmarshal(raw, &expected))
	deadline := time.NewTimer(Wait)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var got any
		p.Eval(expression, &got)
		if reflect.DeepEqual(got, expected) {
			return
		}
		select {
		case <-deadline.C:
			p.tb.Fatalf("%s is %v, not %v", expression, got, want)
		case <-tick.C:
		}
	}
}

// Click clicks an element as a person does: it must be seen and enabled.
func (p *Page) Click(selector string) {
	p.tb.Helper()
	p.do("click", map[string]any{"selector": selector}, nil)
}

// Fill writes a text into a field.
func (p *Page) Fill(selector, text string) {
	p.tb.Helper()
	p.do("fill", map[string]any{"selector": selector, "text": text}, nil)
}

// Copy puts a text on this computer's clipboard.
func (p *Page) Copy(text string) {
	p.tb.Helper()
	p.do("copy", map[string]any{"text": text}, nil)
}

// Press presses a key or a combination, "Control+Alt+x", where the keyboard
// goes to.
func (p *Page) Press(keys string) {
	p.tb.Helper()
	p.do("press", map[string]any{"keys": keys}, nil)
}

// Type types a text, key by key.
func (p *Page) Type(text string) {
	p.tb.Helper()
	p.do("type", map[string]any{"text": text}, nil)
}

// Resize gives the page another size.
func (p *Page) Resize(width, height int) {
	p.tb.Helper()
	p.do("resize", map[string]any{"width": width, "height": height}, nil)
}

// Scheme makes the person prefer light or dark.
func (p *Page) Scheme(scheme string) {
	p.tb.Helper()
	p.do("scheme", map[string]any{"scheme": scheme}, nil)
}

// Screenshot leaves a picture among the artifacts, where there is a place for
// them.
func (p *Page) Screenshot(name string) {
	p.tb.Helper()
	if dir := Artifacts(p.tb); dir != "" {
		p.do("screenshot", map[string]any{"path": filepath.Join(dir, name+".png")}, nil)
	}
}

// Record is what a page has done so far.
type Record struct {
	Problems   []string // errors of the console, uncaught errors, dialogs, popups, downloads
	Violations []string // of the page's policy
	Requests   []string // addresses
	Title      string
}

// Outside lists the requests to other hosts.
func (r Record) Outside(origin string) []string {
	var list []string
	host := strings.TrimPrefix(origin, "http")
	for _, url := range r.Requests {
		own := strings.HasPrefix(url, origin+"/") || strings.HasPrefix(url, "ws"+host+"/") || strings.HasPrefix(url, "data:")
		if !own {
			list = append(list, url)
		}
	}
	return list
}

// Record reads what the page has done.
func (p *Page) Record() Record {
	p.tb.Helper()
	var r Record
	p.do("problems", nil, &r)
	return r
}

// Clean fails the test if anything went wrong in the page, or if it spoke to
// another host.
func (p *Page) Clean() {
	p.tb.Helper()
	r := p.Record()
	for what, list := range map[string][]string{"problems": r.Problems, "violations of the policy": r.Violations, "requests to other hosts": r.Outside(p.origin)} {
		if len(list) > 0 {
			p.tb.Errorf("%s: %q", what, list)
		}
	}
}

func quote(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(raw)
}
