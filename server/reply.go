package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/store"
)

// document is the answer to a read.
type document struct {
	body any
	// tag, where there is one, is the document's entity tag.
	tag string
	// unchanged says that the client has this document already.
	unchanged bool
}

// tagged is a row that never changes with its entity tag, answered with 304
// where the client has it already.
func tagged(body any, ifNoneMatch *string) document {
	return generation(body, firstGeneration, ifNoneMatch)
}

// generation is the same for a row that changes only by requests.
func generation(body any, number int, ifNoneMatch *string) document {
	return matched(body, etag(number), ifNoneMatch)
}

// revised is the same for a resource that changes by itself too.
func revised(body any, generation int, changed time.Time, ifNoneMatch *string) document {
	return matched(body, revisionTag(generation, changed), ifNoneMatch)
}

// hashed is a document that shows what changes without its generation: how much
// of a quota is used, say. Its tag begins with the generation, which is what
// If-Match compares, and ends with a hash of the document.
func hashed(body any, generation int, ifNoneMatch *string) (document, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return document{}, err
	}
	return matched(json.RawMessage(raw), contentTag(generation, raw), ifNoneMatch), nil
}

func matched(body any, tag string, ifNoneMatch *string) document {
	return document{body: body, tag: tag, unchanged: noneMatch(ifNoneMatch, tag)}
}

func (d document) send(w http.ResponseWriter) error {
	h := w.Header()
	if d.tag != "" {
		h.Set("ETag", d.tag)
	}
	// What a principal may see is no other's: caches may keep it for revalidation only.
	h.Set("Cache-Control", "private, no-cache")
	if d.unchanged {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body, ok := d.body.(json.RawMessage)
	if !ok {
		var err error
		if body, err = json.Marshal(d.body); err != nil {
			return err
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

// listOf is one page of a list as JSON.
type listOf[T any] struct {
	Items         []T    `json:"items"`
	NextPageToken string `json:"next_page_token"`
}

// page makes the document of one page from rows.
func page[R, T any](s *Server, l listing, rows []R, next store.Cursor, view func(R) T) (document, error) {
	token, err := s.tokens.seal(l, next)
	if err != nil {
		return document{}, err
	}
	list := listOf[T]{Items: make([]T, len(rows)), NextPageToken: token}
	for i, r := range rows {
		list.Items[i] = view(r)
	}
	return document{body: list}, nil
}

// receipt is the answer to a change. It goes out as it was stored with the
// request's Idempotency-Key, the first time as every other.
type receipt struct {
	answer   store.Answer
	replayed bool
}

func (r receipt) send(w http.ResponseWriter) error {
	h := w.Header()
	for k, v := range r.answer.Header {
		h.Set(k, v)
	}
	if r.replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	h.Set("Cache-Control", "no-store")
	if len(r.answer.Body) == 0 { // 204
		w.WriteHeader(r.answer.Status)
		return nil
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(r.answer.Body)))
	w.WriteHeader(r.answer.Status)
	_, err := w.Write(r.answer.Body)
	return err
}
