"""The node to the outside: Ethereum JSON-RPC, over a socket or in the same process."""
