package simadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Refusal is an error that the admin side answers with: an HTTP status and a code.
type Refusal struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Refusal) Error() string {
	return fmt.Sprintf("simulated hypervisor: %d %s: %s", e.Status, e.Code, e.Message)
}

// Invalid refuses a request that can never be granted.
func Invalid(message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: "invalid", Message: message}
}

// NoVM refuses what is about a VM that is not there.
func NoVM() *Refusal {
	return &Refusal{Status: http.StatusNotFound, Code: "no_vm", Message: "no such VM"}
}

// NoNode refuses what is about a node that is not there.
func NoNode() *Refusal {
	return &Refusal{Status: http.StatusNotFound, Code: "no_node", Message: "no such node"}
}

// Taken refuses what another VM has.
func Taken(message string) *Refusal {
	return &Refusal{Status: http.StatusConflict, Code: "exists", Message: message}
}

// Decode reads a JSON body without unknown fields.
func Decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return Invalid(err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Invalid("data after the body")
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	var e *Refusal
	if !errors.As(err, &e) {
		e = &Refusal{Status: http.StatusInternalServerError, Code: "unavailable", Message: err.Error()}
	}
	Answer(w, e.Status, e)
}

// Answer writes a JSON body, and returns the status that was answered.
func Answer(w http.ResponseWriter, status int, body any) int {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"code":"unavailable","message":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has left is no concern of ours
	return status
}
