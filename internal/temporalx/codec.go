package temporalx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

const (
	metaEncoding  = "encoding"
	metaKeyID     = "encryption-key-id"
	encodingValue = "binary/encrypted"
	keyBytes      = 32 // AES-256
)

// Key is one key of the codec.
type Key struct {
	// ID names the key in a payload's metadata, in the clear.
	ID string
	// Secret is 32 bytes, for AES-256-GCM.
	Secret []byte
}

// String hides the secret from every formatter.
func (k Key) String() string { return "[key " + k.ID + "]" }

// GoString hides the secret from %#v.
func (k Key) GoString() string { return k.String() }

// Codec encrypts payloads with AES-256-GCM. The first key encrypts, all of them
// decrypt: to rotate, put a new key in front, and take the old one out when
// Temporal's retention has passed. The key's ID is authenticated with the
// payload.
type Codec struct {
	current string
	aeads   map[string]cipher.AEAD
}

var _ converter.PayloadCodec = (*Codec)(nil)

// NewCodec returns a codec over the keys, the newest first.
func NewCodec(keys ...Key) (*Codec, error) {
	if len(keys) == 0 {
		return nil, errors.New("a payload codec needs a key")
	}
	c := &Codec{current: keys[0].ID, aeads: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if k.ID == "" || len(k.Secret) != keyBytes {
			return nil, fmt.Errorf("payload key %q: wants an ID and %d bytes", k.ID, keyBytes)
		}
		if _, dup := c.aeads[k.ID]; dup {
			return nil, fmt.Errorf("payload key %q is given twice", k.ID)
		}
		block, err := aes.NewCipher(k.Secret)
		if err != nil {
			return nil, fmt.Errorf("payload key %q: %w", k.ID, err)
		}
		if c.aeads[k.ID], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("payload key %q: %w", k.ID, err)
		}
	}
	return c, nil
}

// Encode encrypts each payload, its metadata included.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	aead := c.aeads[c.current]
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encode a payload: %w", err)
		}
		nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
		if _, err := rand.Read(nonce); err != nil {
			return nil, fmt.Errorf("encode a payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{metaEncoding: []byte(encodingValue), metaKeyID: []byte(c.current)},
			Data:     aead.Seal(nonce, nonce, plain, []byte(c.current)),
		}
	}
	return out, nil
}

// Decode decrypts what Encode made and passes on what was never encrypted. A
// key that is not at hand, or a payload that was tampered with, is an error.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[metaEncoding]) != encodingValue {
			out[i] = p
			continue
		}
		id := string(p.GetMetadata()[metaKeyID])
		aead, ok := c.aeads[id]
		if !ok {
			return nil, fmt.Errorf("payload key %q is not at hand", id)
		}
		n := aead.NonceSize()
		if len(p.GetData()) < n {
			return nil, errors.New("an encrypted payload is cut short")
		}
		plain, err := aead.Open(nil, p.GetData()[:n], p.GetData()[n:], []byte(id))
		if err != nil {
			return nil, fmt.Errorf("decrypt a payload with key %q: %w", id, err)
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, fmt.Errorf("decode a payload: %w", err)
		}
	}
	return out, nil
}

// newFailureConverter encrypts messages and stack traces of failures where
// payloads are encrypted.
func newFailureConverter(dc converter.DataConverter, encode bool) converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: dc, EncodeCommonAttributes: encode,
	})
}
