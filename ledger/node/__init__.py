"""The embedded chain: a process of its own that serves Ethereum JSON-RPC over py-evm and LMDB.

One authority orders transactions of enrolled senders, mines as soon as one waits, and signs every
block. In `engine`, `evm` and `limits` are all that knows py-evm; `store` is all that knows
LMDB; `block`, `pool` and `seal` are pure; `node` puts them together. In `rpc`, `methods` are
Ethereum's; `server` and `inprocess` are the two ways in.
"""

import ledger.process.recursion  # noqa: F401
