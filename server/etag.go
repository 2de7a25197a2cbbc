package server

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// etag is the entity tag of a generation (RFC 9110, section 8.8.3).
func etag(generation int) string { return `"` + strconv.Itoa(generation) + `"` }

// revisionTag is the entity tag of a resource whose state changes without its
// generation: a VM becomes ACTIVE or loses its power, a provider stops
// answering. The generation stands first, and is what If-Match compares; the
// moment of the last change keeps a 304 from hiding it.
func revisionTag(generation int, changed time.Time) string {
	return `"` + strconv.Itoa(generation) + "." + strconv.FormatInt(changed.UnixMicro(), 36) + `"`
}

// contentTag is the entity tag of a document whose content changes without its
// generation.
func contentTag(generation int, content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + strconv.Itoa(generation) + "." + hex.EncodeToString(sum[:8]) + `"`
}

// noneMatch says whether an If-None-Match names the tag. The comparison is the
// weak one, as section 13.1.2 wants.
func noneMatch(header *string, tag string) bool {
	if header == nil {
		return false
	}
	for one := range strings.SplitSeq(*header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// ifMatch is the generation that an If-Match demands; nil for any. A tag that
// is none of ours matches nothing: it is answered as a generation that is over.
func ifMatch(header *string) (*int, error) {
	if header == nil || strings.TrimSpace(*header) == "*" {
		return nil, nil //nolint:nilnil // no demand is no error, and the store takes nil for it
	}
	tag := strings.TrimSpace(*header)
	if strings.Contains(tag, ",") {
		return nil, newProblem(CodeInvalidArgument, "If-Match must name one entity tag",
			fieldError{Pointer: "/header/If-Match", Detail: "must name one entity tag"})
	}
	generation := -1
	if unquoted, ok := strings.CutPrefix(tag, `"`); ok {
		if unquoted, ok = strings.CutSuffix(unquoted, `"`); ok {
			digits, _, _ := strings.Cut(unquoted, ".")
			if n, err := strconv.Atoi(digits); err == nil && strconv.Itoa(n) == digits {
				generation = n
			}
		}
	}
	return &generation, nil
}
