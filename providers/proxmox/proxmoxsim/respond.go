package proxmoxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is the largest request that is read, in bytes.
const maxBody = 8 << 20

// params reads the parameters of a request: of the query, and of a form, a JSON
// or a multipart body. An uploaded file stays in the request.
func params(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	out := map[string]string{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	collect(out, query)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = "application/x-www-form-urlencoded"
	}
	switch kind {
	case "application/json":
		return out, jsonParams(r.Body, out)
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxBody); err != nil { //nolint:gosec // G120: the body is bounded above
			return nil, err
		}
		collect(out, r.MultipartForm.Value)
		for name, files := range r.MultipartForm.File {
			out[name] = files[0].Filename
		}
		return out, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	collect(out, form)
	return out, nil
}

func collect(out map[string]string, values url.Values) {
	for name, list := range values {
		out[name] = strings.Join(list, "\x00")
	}
}

func jsonParams(body io.Reader, out map[string]string) error {
	d := json.NewDecoder(body)
	d.UseNumber()
	raw := map[string]any{}
	if err := d.Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for name, value := range raw {
		if value == nil {
			continue
		}
		text, err := plain(value)
		if err != nil {
			return fmt.Errorf("parameter %q: %w", name, err)
		}
		out[name] = text
	}
	return nil
}

func plain(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case []any:
		list := make([]string, len(v))
		for i := range v {
			text, err := plain(v[i])
			if err != nil {
				return "", err
			}
			list[i] = text
		}
		return strings.Join(list, "\x00"), nil
	}
	return "", errors.New("not a plain value")
}

func answer(w http.ResponseWriter, data any) int {
	b, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return refuse(w, err)
	}
	note(w, http.StatusOK)
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // a client that has left is no concern of ours
	return http.StatusOK
}

// noted is a writer of answers that tells a call's status before it is written,
// so that whoever has read the answer finds it in the list of calls.
type noted struct {
	http.ResponseWriter
	note func(status int)
}

// Unwrap lets http.ResponseController take over the connection.
func (n noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func note(w http.ResponseWriter, status int) {
	if n, ok := w.(noted); ok {
		n.note(status)
	}
}

// refuse answers a failure, with its text in the status line as the real proxy
// does. net/http only writes status lines of its own, so the answer is written
// to the connection, which is closed then.
func refuse(w http.ResponseWriter, err error) int {
	var e *apiFailure
	if !errors.As(err, &e) {
		e = failed(err.Error())
	}
	note(w, e.status)
	reason := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, e.text)
	body := []byte{}
	if !e.bare {
		content := map[string]any{"data": nil, "message": e.text + "\n"}
		if len(e.errors) > 0 {
			content["errors"] = e.errors
		}
		body, err = json.Marshal(content)
		if err != nil {
			body = []byte(`{"data":null}`)
		}
	}
	header := http.Header{"Content-Type": {"application/json;charset=UTF-8"}}
	if e.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	conn, buffered, hijackErr := http.NewResponseController(w).Hijack()
	if hijackErr != nil {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(e.status)
		_, _ = w.Write(body) // a client that has left is no concern of ours
		return e.status
	}
	header.Set("Connection", "close")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = fmt.Fprintf(buffered, "HTTP/1.1 %d %s\r\n", e.status, reason)
	_ = header.Write(buffered)
	_, _ = buffered.WriteString("\r\n")
	_, _ = buffered.Write(body)
	_ = buffered.Flush()
	_ = conn.Close()
	return e.status
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) int {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return refuse(w, failed("this connection cannot be dropped"))
	}
	_ = conn.Close() // nobody is told: that is the fault
	return 0
}
