// Checks a running log with Go's own transparency log libraries: the signed note, the tree hash
// read from tiles, a proof for every record hash given, and a proof between two sizes.
//
// Usage: go run . <url> <verifier key> <older note> <records>
// The third is a file with a checkpoint taken earlier, the fourth one with a record a line, as
// sequence number and base64.
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

type checkpoint struct {
	origin string
	tree   tlog.Tree
}

func open(text []byte, verifiers note.Verifiers) (checkpoint, error) {
	opened, err := note.Open(text, verifiers)
	if err != nil {
		return checkpoint{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		return checkpoint{}, fmt.Errorf("a checkpoint of %d lines", len(lines))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return checkpoint{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return checkpoint{lines[0], tlog.Tree{N: size, Hash: hash}}, err
}

type tiles struct {
	url  string
	read int
}

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		// tlog names the height in its path (tile/8/0/000), C2SP tlog-tiles does not.
		path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		data, err := get(t.url + "/log/tile/" + path)
		if err != nil {
			return nil, err
		}
		found[i] = data
		t.read++
	}
	return found, nil
}

func main() {
	if len(os.Args) != 5 {
		fail("usage: go run . <url> <verifier key> <older note> <records>")
	}
	url := os.Args[1]
	verifier := must(note.NewVerifier(os.Args[2]))
	verifiers := note.VerifierList(verifier)

	newest := must(open(must(get(url+"/log/checkpoint")), verifiers))
	older := must(open(must(os.ReadFile(os.Args[3])), verifiers))
	if newest.origin != verifier.Name() || older.origin != newest.origin {
		fail("the checkpoint of %q is signed by %q", newest.origin, verifier.Name())
	}
	if _, err := note.Open(tampered(must(get(url+"/log/checkpoint"))), verifiers); err == nil {
		fail("a note with another size opens all the same")
	}

	reader := &tiles{url: url}
	hashes := tlog.TileHashReader(newest.tree, reader)
	root := must(tlog.TreeHash(newest.tree.N, hashes))
	if root != newest.tree.Hash {
		fail("the tiles give root %v, the checkpoint %v", root, newest.tree.Hash)
	}

	records := 0
	file := must(os.Open(os.Args[4]))
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		seq, text, _ := strings.Cut(lines.Text(), " ")
		index := must(strconv.ParseInt(seq, 10, 64))
		raw := must(base64.StdEncoding.DecodeString(text))
		leaf := tlog.RecordHash(raw)
		proof := must(tlog.ProveRecord(newest.tree.N, index, hashes))
		if err := tlog.CheckRecord(proof, newest.tree.N, newest.tree.Hash, index, leaf); err != nil {
			fail("record %d: %v", index, err)
		}
		leaf[0] ^= 1
		if tlog.CheckRecord(proof, newest.tree.N, newest.tree.Hash, index, leaf) == nil {
			fail("record %d: another record has the same proof", index)
		}
		records++
	}

	proof := must(tlog.ProveTree(newest.tree.N, older.tree.N, hashes))
	if err := tlog.CheckTree(proof, newest.tree.N, newest.tree.Hash, older.tree.N, older.tree.Hash); err != nil {
		fail("from %d to %d: %v", older.tree.N, newest.tree.N, err)
	}
	older.tree.Hash[0] ^= 1
	if tlog.CheckTree(proof, newest.tree.N, newest.tree.Hash, older.tree.N, older.tree.Hash) == nil {
		fail("another older root is proven by the same proof")
	}
	fmt.Printf("note, root of %d, %d records, extension from %d: verified, %d tiles read\n",
		newest.tree.N, records, older.tree.N, reader.read)
}

// tampered is the note with one more entry than was signed.
func tampered(text []byte) []byte {
	lines := strings.SplitN(string(text), "\n", 3)
	size := must(strconv.ParseInt(lines[1], 10, 64))
	return []byte(fmt.Sprintf("%s\n%d\n%s", lines[0], size+1, lines[2]))
}
