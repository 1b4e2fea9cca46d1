// An ssh-agent with one Ed25519 key, which is where litewitness takes its own from. Says when it is
// ready, and ends with its standard input.
//
// Usage: agent <socket> <seed, 64 hexadecimal digits>
package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh/agent"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	keyring := agent.NewKeyring()
	seed := must(hex.DecodeString(os.Args[2]))
	must(0, keyring.Add(agent.AddedKey{PrivateKey: ed25519.NewKeyFromSeed(seed)}))
	listener := must(net.Listen("unix", os.Args[1]))
	go func() {
		for {
			connection := must(listener.Accept())
			go func() { _ = agent.ServeAgent(keyring, connection) }()
		}
	}()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
