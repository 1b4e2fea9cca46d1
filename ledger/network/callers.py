"""Who asks a node: an account that may send transactions there shows so with each request.

The embedded node lets anybody on its machine read, a little at a time. The service must not wait
behind them for its anchors, so its client signs what a transaction's sender can sign: which chain,
until when, and nothing else. The chain is the one that the client has its contracts on, not what
the node says it is: whoever runs a node gets nothing that another chain's would take. Any other
node takes no notice of it.

``CALLER: <Unix seconds until which it is good>.<hex of 65 bytes r, s, v over
keccak256("certledger caller 2", the hash of the chain's first block and the seconds as 8 bytes)>``
"""

from __future__ import annotations

import time
from collections.abc import Collection

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

CALLER = "certledger-caller"
DOMAIN = b"certledger caller 2"
#: Seconds that one is good; it is made anew when half of them are over.
GOOD_SECONDS = 300


class Caller:
    """What an account's requests carry, once it is known to which chain."""

    def __init__(self, account_key: bytes) -> None:
        self._key = PrivateKey(account_key)
        self._genesis: bytes | None = None
        self._value, self._until = "", 0

    def to(self, genesis: bytes | None) -> None:
        """The hash of the first block of the chain that is asked from now on; None if unknown."""
        self._genesis, self._until = genesis, 0

    def value(self) -> str | None:
        """None while it is not known which chain is asked."""
        genesis = self._genesis
        if genesis is None:
            return None
        now = int(time.time())
        if self._until - now < GOOD_SECONDS // 2:
            until = now + GOOD_SECONDS
            signature = self._key.sign_msg_hash(_digest(genesis, until))
            self._value, self._until = f"{until}.{signature.to_bytes().hex()}", until
        return self._value


def caller(value: bytes, genesis: bytes, *, now: float) -> bytes | None:
    """The address of the account behind a header's value; another one, or None, if it is none, not
    good now, or for another chain."""
    seconds, _, signature = value.partition(b".")
    if not seconds.isdigit() or len(seconds) > 12 or len(signature) != 130:
        return None
    until = int(seconds)
    if not now < until <= now + 2 * GOOD_SECONDS:
        return None
    try:
        signed = Signature(bytes.fromhex(signature.decode("ascii")))
        public = signed.recover_public_key_from_msg_hash(_digest(genesis, until))
    except (ValueError, BadSignature, ValidationError):
        return None
    address: bytes = public.to_canonical_address()
    return address


class Known:
    """The callers that a node knows; each value is verified once."""

    def __init__(self, accounts: Collection[bytes], genesis: bytes) -> None:
        self._accounts, self._genesis = accounts, genesis
        self._seen: dict[bytes, float] = {}

    def knows(self, value: bytes) -> bool:
        now = time.time()
        until = self._seen.get(value)
        if until is not None:
            return now < until
        if caller(value, self._genesis, now=now) not in self._accounts:
            return False
        if len(self._seen) >= 64:
            self._seen.clear()
        self._seen[value] = int(value.partition(b".")[0])
        return True


def _digest(genesis: bytes, until: int) -> bytes:
    return keccak(DOMAIN + genesis + until.to_bytes(8, "big"))
