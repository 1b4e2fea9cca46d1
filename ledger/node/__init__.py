"""The embedded chain: a process of its own that serves Ethereum JSON-RPC over py-evm and LMDB.

One authority orders transactions of enrolled senders, mines as soon as one waits, and signs every
block. Files, from the inside out: `evm` and `interpreter` are all that knows py-evm; `store` is all
that knows LMDB; `block`, `pool`, `seal`, `shapes` and `filters` are pure; `node` puts them
together; `rpc` is the methods; `server` and `inprocess` are the two ways in.
"""
