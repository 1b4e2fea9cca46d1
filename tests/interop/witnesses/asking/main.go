// A log of Tessera's, with the witnesses of a policy: every entry that is added waits for a
// checkpoint that the witnesses cosigned. Prints the last one.
//
// Usage: asking <folder> <policy> <log's signing key> <entry>...
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	folder, policy, key := os.Args[1], must(os.ReadFile(os.Args[2])), os.Args[3]
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(must(note.NewSigner(key))).
		WithCheckpointInterval(time.Second).
		WithBatching(1, 10*time.Millisecond).
		WithWitnesses(must(tessera.NewWitnessGroupFromPolicy(policy)), nil)
	driver := must(posix.New(ctx, posix.Config{Path: folder}))
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	must(appender, err)
	published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
	var checkpoint []byte
	for _, entry := range os.Args[4:] {
		_, checkpoint, err = published.Await(ctx, appender.Add(ctx, tessera.NewEntry([]byte(entry))))
		must(checkpoint, err)
	}
	must(0, shutdown(ctx))
	fmt.Print(string(checkpoint))
}
