package simhv

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// A page token says after which Seq the next page begins, sealed with a
// checksum over the installation that asked, so that a token of another list or
// a made-up one is refused and not misread. It is no secret and no permission.

const pageTokenSize = 8 + crc32.Size

func pageToken(installationID string, after uint64) string {
	b := binary.BigEndian.AppendUint64(nil, after)
	b = binary.BigEndian.AppendUint32(b, pageTokenSum(installationID, b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePageToken returns 0 for the empty token of the first page.
func parsePageToken(installationID, token string) (after uint64, ok bool) {
	if token == "" {
		return 0, true
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != pageTokenSize {
		return 0, false
	}
	if binary.BigEndian.Uint32(b[8:]) != pageTokenSum(installationID, b[:8]) {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

func pageTokenSum(installationID string, b []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte("simhv page\x00"+installationID+"\x00"), b...))
}
