package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
)

// strictBody reads the body once, within the limit, and refuses what
// encoding/json lets through: duplicate names, invalid UTF-8, and data after
// the value. The bytes stay readable for the validator and the handler.
func strictBody(c echo.Context, limit int64) ([]byte, error) {
	r := c.Request()
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
	if p := tooLarge(err); p != nil {
		return nil, p
	}
	if err != nil {
		return nil, newProblem(CodeMalformedJSON, "the body ended early")
	}
	r.Body, r.ContentLength = http.NoBody, 0
	if len(data) == 0 {
		return nil, nil
	}
	if p := oneValue(data); p != nil {
		return nil, p
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return data, nil
}

// oneValue demands exactly one strict JSON value (RFC 8259, RFC 7493).
func oneValue(data []byte) *problem {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	err := d.SkipValue()
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
		return newProblem(CodeMalformedJSON, "there is data after the JSON value")
	}
	p := newProblem(CodeMalformedJSON, "the body is not one JSON value")
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		p.Errors = []fieldError{{Pointer: string(syntax.JSONPointer), Detail: "the name is there twice"}}
	case errors.As(err, &syntax):
		p.Errors = []fieldError{{Pointer: string(syntax.JSONPointer), Detail: "is not valid JSON"}}
	}
	return p
}
