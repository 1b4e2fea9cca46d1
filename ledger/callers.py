"""Who asks a node: an account that may send transactions there shows so with each request.

The embedded node lets anybody on its machine read, a little at a time. The service must not wait
behind them for its anchors, so its client signs what a transaction's sender can sign: a time, and
nothing else. Any other node takes no notice of it.

``CALLER: <Unix seconds until which it is good>.<hex of 65 bytes r, s, v over
keccak256("certledger caller 1" and the seconds as 8 bytes)>``
"""

from __future__ import annotations

import time
from collections.abc import Collection

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

CALLER = "certledger-caller"
DOMAIN = b"certledger caller 1"
#: Seconds that one is good; it is made anew when half of them are over.
GOOD_SECONDS = 300


class Caller:
    """What an account's requests carry."""

    def __init__(self, account_key: bytes) -> None:
        self._key = PrivateKey(account_key)
        self._value, self._until = "", 0

    def value(self) -> str:
        now = int(time.time())
        if self._until - now < GOOD_SECONDS // 2:
            until = now + GOOD_SECONDS
            signature = self._key.sign_recoverable(_digest(until), hasher=None)
            self._value, self._until = f"{until}.{signature.hex()}", until
        return self._value


def caller(value: bytes, *, now: float) -> bytes | None:
    """The address of the account behind a header's value; None if it is none, or not good now."""
    seconds, _, signature = value.partition(b".")
    if not seconds.isdigit() or len(seconds) > 12 or len(signature) != 130:
        return None
    until = int(seconds)
    if not now < until <= now + 2 * GOOD_SECONDS:
        return None
    try:
        public = PublicKey.from_signature_and_message(
            bytes.fromhex(signature.decode("ascii")), _digest(until), hasher=None
        )
    except Exception:  # noqa: BLE001  (coincurve raises bare Exception for points off the curve)
        return None
    return keccak(public.format(compressed=False)[1:])[12:]


class Known:
    """The callers that a node knows; each value is verified once."""

    def __init__(self, accounts: Collection[bytes]) -> None:
        self._accounts = accounts
        self._seen: dict[bytes, float] = {}

    def knows(self, value: bytes) -> bool:
        now = time.time()
        until = self._seen.get(value)
        if until is not None:
            return now < until
        if caller(value, now=now) not in self._accounts:
            return False
        if len(self._seen) >= 64:
            self._seen.clear()
        self._seen[value] = int(value.partition(b".")[0])
        return True


def _digest(until: int) -> bytes:
    return keccak(DOMAIN + until.to_bytes(8, "big"))
