// Opens a cosigned checkpoint with Go's own signed notes, both signatures verified, and prints the
// witness's time. The cosignature's verifier is written here from C2SP tlog-cosignature.
//
// Usage: go run ./cosigned <log's verifier key> <witness's verifier key> < note
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const cosignatureType = 4

type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time *uint64
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(message, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	*w.time = binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", *w.time, message)
	return ed25519.Verify(w.key, []byte(signed), signature[8:])
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func newWitness(vkey string) witness {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		fail("%q is no verifier key", vkey)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != cosignatureType {
		fail("%q is no witness's verifier key", vkey)
	}
	digest := sha256.Sum256([]byte(parts[0] + "\n" + string(raw)))
	hash := binary.BigEndian.Uint32(digest[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		fail("the key's id is %08x, not %s", hash, parts[1])
	}
	return witness{parts[0], hash, raw[1:], new(uint64)}
}

func main() {
	log, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	cosigner := newWitness(os.Args[2])
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail("%v", err)
	}
	opened, err := note.Open(text, note.VerifierList(log, cosigner))
	if err != nil {
		fail("%v", err)
	}
	if len(opened.Sigs) != 2 || len(opened.UnverifiedSigs) != 0 {
		fail("%d signatures verified, %d not", len(opened.Sigs), len(opened.UnverifiedSigs))
	}
	fmt.Println(*cosigner.time)
}
