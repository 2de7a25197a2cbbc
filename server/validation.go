package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// fromValidation turns the validator's errors into one problem with a pointer
// for each defect.
func fromValidation(err error) *problem {
	v := violations{code: CodeInvalidArgument}
	v.walk(err, "")
	if v.code == CodeUnsupportedMediaType {
		return newProblem(v.code, "the body must be application/json")
	}
	return newProblem(v.code, "the request does not match the API's description", v.fields...)
}

type violations struct {
	code   Code
	fields []fieldError
}

// walk collects defects; parameter is the pointer of the parameter that the
// error is about, empty for the body.
func (v *violations) walk(err error, parameter string) {
	//nolint:errorlint // each layer is looked at, none may be skipped
	switch e := err.(type) {
	case openapi3.MultiError:
		for _, x := range e {
			v.walk(x, parameter)
		}
	case *openapi3filter.RequestError:
		v.request(e, parameter)
	case *openapi3.SchemaError:
		v.schema(e, parameter)
	case *openapi3filter.ParseError:
		v.add(parameter, "cannot be read as the type that it must have")
	default:
		if inner := errors.Unwrap(err); inner != nil {
			v.walk(inner, parameter)
			return
		}
		v.add(parameter, "is not valid")
	}
}

func (v *violations) request(e *openapi3filter.RequestError, parameter string) {
	if e.Parameter != nil {
		parameter = "/" + e.Parameter.In + "/" + e.Parameter.Name
	}
	switch {
	case e.Err != nil:
		v.walk(e.Err, parameter)
	case strings.Contains(e.Reason, "Content-Type"):
		v.code = CodeUnsupportedMediaType
	default:
		v.add(parameter, e.Reason)
	}
}

func (v *violations) schema(e *openapi3.SchemaError, parameter string) {
	at := parameter
	if parameter == "" {
		at = pointer(e.JSONPointer())
	}
	if name, ok := unknownField(e); ok {
		v.code = CodeUnknownField
		v.add(at+pointer([]string{name}), "unknown field")
		return
	}
	v.add(at, strings.TrimSpace(e.Reason))
}

func (v *violations) add(pointer, detail string) {
	v.fields = append(v.fields, fieldError{Pointer: pointer, Detail: detail})
}

// pointer makes a JSON pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, s := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
	}
	return b.String()
}

// unknownField recognises the validator's error for a property that the schema
// does not have: it has no type of its own, only this text.
func unknownField(e *openapi3.SchemaError) (string, bool) {
	name, ok := strings.CutPrefix(e.Reason, `property "`)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, `" is unsupported`)
}

// tooLarge is the problem of a body over the limit; nil for another error.
func tooLarge(err error) *problem {
	var over *http.MaxBytesError
	if !errors.As(err, &over) {
		return nil
	}
	return newProblem(CodePayloadTooLarge, fmt.Sprintf("the body is larger than %d bytes", over.Limit))
}
