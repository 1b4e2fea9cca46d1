"""What each reader in Python says of tokens: ``python -m tests.audit.statements_read TOKENS``, in
any interpreter, prints one line of JSON: for each reader a list of codes, ``""`` for what it takes.

| reader | is |
|---|---|
| `door` | what `api.http.auth` and the handlers call: header, signature, ledger, the declaration |
| `fsck` | the second reading of the whole check (`audit.integrity.entry.rereading`) |
| `verifier` | steps 2 and 3 of the protocol (`audit.evidence.verification`,
`audit.evidence.claims`) | | `independent` | the verifier that reads nothing of ours |

The first three share `ledger.statement.statements` and `ledger.statement.kinds.read`, and differ in
how they come to them. Whether a signer may say this, and whether what it names exists, is not asked
here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit.evidence.verification import _OWN_WORDS
from audit.integrity.entry.chunk import Broken
from audit.integrity.entry.rereading import _STATEMENT_OF, Rereader, _Read, _read
from authz.lookup.handler import read_lookup
from ledger.catalogue import load_catalogue
from ledger.certificate.credential import read_claims
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, Role
from ledger.enrolment.invitations import Claim
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import EventKind
from ledger.statement.kinds import DECLARATIONS
from ledger.statement.statements import Kind, StatementError, load_public_key, read_header, verify
from tests.audit import independent_verifier
from tests.audit.statements_made import JWK, KID, LEDGER

_KEY = load_public_key(JWK)
_POINT = b64url_decode(JWK["x"]) + b64url_decode(JWK["y"])
_TERMINAL = Enrolled(kid=KID, role=Role.TERMINAL, terminal="t", site="s", institution="i")
#: What a lookup shows must be a code as well; verifiers of evidence do not read codes.
_NO_CODE = "lookup.code"
_EVENTS = {
    **{kind: event for event, kind in _STATEMENT_OF.items()},
    Kind.CLAIM: EventKind.ENROLMENT,
    Kind.ACCESS: EventKind.ENROLMENT,  # never an entry
}
_READ: dict[Kind, Callable[[Any], object]] = {
    Kind.CERTIFICATE: read_claims,
    Kind.CLAIM: Claim.parse,
    Kind.LOOKUP: lambda payload: read_lookup(payload, _TERMINAL),
}


def door(token: str) -> str:
    try:
        if read_header(token).kid != KID:
            return "key.unknown"
        statement = verify(token, _KEY, LEDGER)
        _READ.get(statement.kind, DECLARATIONS[statement.kind].parse)(statement.payload)
    except StatementError as error:
        return "" if error.code == _NO_CODE else error.code
    return ""


class Fsck:
    def __init__(self) -> None:
        # Nothing of a database is asked for what a statement tells by itself.
        nowhere: Any = None
        self._reader = Rereader(nowhere, LEDGER, MasterKey(bytes(32)), load_catalogue())
        self._reader.points[KID] = _POINT

    def __call__(self, token: str) -> str:
        read = _read(token)
        if not isinstance(read, _Read):
            return "unreadable"
        columns = (0, 0, _EVENTS[read.kind], read.kid, read.digest)
        signed = self._reader._signed(columns, read.request_key, read, {})
        if signed.foreign or not signed.verified:
            return "foreign" if signed.foreign else "signature"
        if read.kind is Kind.ACCESS:
            return door(token)
        assert not signed.differs
        assert not signed.other_key
        says = signed.says
        if not isinstance(says, Broken) or says.reason.startswith(_NO_CODE):
            return ""
        # Whether the catalogue has its type is no matter of form.
        of_form = read.kind is not Kind.CERTIFICATE or says.reason.startswith("certificate.")
        return says.reason if of_form else ""


def verifier(token: str) -> str:
    """By the codes of the protocol's checks."""
    try:
        kid = read_header(token).kid
        if kid != KID:
            return "signature.no_key"
        statement = verify(token, _KEY, LEDGER)
    except StatementError as error:
        return error.code if error.code in _OWN_WORDS else "signature.invalid"
    try:
        DECLARATIONS[statement.kind].parse(statement.payload)
    except StatementError:
        return "statement.form"
    return ""


def independent(token: str) -> str:
    try:
        typ, _, said = independent_verifier.open_statement(token, {KID: JWK}, LEDGER)
        independent_verifier.check_form(typ, said)
    except (independent_verifier.No, independent_verifier.Broken) as error:
        return str(error) or "no"
    return ""


READERS: dict[str, Callable[[str], str]] = {
    "door": door,
    "fsck": Fsck(),
    "verifier": verifier,
    "independent": independent,
}


def main(path: str) -> None:
    tokens = json.loads(Path(path).read_text("utf-8"))
    print(json.dumps({reader: [read(one) for one in tokens] for reader, read in READERS.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
