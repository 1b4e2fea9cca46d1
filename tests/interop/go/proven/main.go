// Verifies a C2SP tlog-proof with Go's own transparency logs and signed notes, the entry being its
// extra data. The parser is written here from the specification.
//
// Usage: go run ./proven <log's verifier key> < proof
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func decoded(text string) []byte {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		fail("%q is not base64", text)
	}
	return data
}

func main() {
	log, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail("%v", err)
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("no tlog-proof")
	}
	entry := decoded(strings.TrimPrefix(lines[1], "extra "))
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		fail("%v", err)
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		proof = append(proof, tlog.Hash(decoded(line)))
	}
	opened, err := note.Open(checkpoint, note.VerifierList(log))
	if err != nil {
		fail("%v", err)
	}
	body := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(body[1], 10, 64)
	if err != nil {
		fail("%v", err)
	}
	if err := tlog.CheckRecord(proof, size, tlog.Hash(decoded(body[2])), index, tlog.RecordHash(entry)); err != nil {
		fail("%v", err)
	}
	fmt.Println(body[0], index)
}
