"""The code of an invitation: what somebody is handed to get a key of their own enrolled, once.

16 characters of Crockford's base32 (80 random bits), shown as ``XXXX-XXXX-XXXX-XXXX``. Statements,
entries and the database hold its SHA-256 alone; the code itself is in one body, that of the claim.
Pinned by `tests/vectors/invitations.json`.

Not this module's job: drawing the bits, knowing which codes were given out.
"""

from __future__ import annotations

import re
from typing import Final

from ledger.proof.encoding import b64url, sha256
from ledger.statement.texts import nfkc

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_BYTES: Final = 10
_GROUP: Final = 4
_SHAPE: Final = re.compile(rf"[{ALPHABET}]{{16}}", re.ASCII)
_SEPARATORS: Final = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
# What people read for what is printed; U is in no code and nothing is read for it.
_READ_AS: Final = str.maketrans("OIL", "011")
#: The longest text that is looked at: a code with more separators than anybody types.
MAX_TYPED: Final = 64


def code_of(random: bytes) -> str:
    """The code of 10 random bytes, without separators."""
    if len(random) != CODE_BYTES:
        raise ValueError(f"a code is made of {CODE_BYTES} random bytes")
    number = int.from_bytes(random, "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))


def grouped(code: str) -> str:
    """The code as it is shown and printed."""
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def read_code(typed: str) -> str | None:
    """The code that somebody typed, without separators; None where it is none."""
    folded = nfkc(typed[:MAX_TYPED])
    code = _SEPARATORS.sub("", folded).upper().translate(_READ_AS)
    return code if len(typed) <= MAX_TYPED and _SHAPE.fullmatch(code) else None


def code_digest(code: str) -> str:
    """How statements name the invitation: base64url SHA-256 of the code without separators."""
    return b64url(sha256(code.encode("ascii")))
