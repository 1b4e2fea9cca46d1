"""Readings: that somebody read what is about another person, or took fields away.

The statement of a reading is the access token that it was done with: signed by the reader's key,
for this ledger, with a ``jti`` of its own. As long as it holds, whoever has it acts as its owner.
So its signature is stored sealed under the master key, and who reads the tables has no token; the
entry's digest is over the whole of it. The token does not say what was read; the
entry does. It names the certificate and the grant, and whose they are stands beside it, as with
other entries. ``subject`` ties all of that together: a digest under the ledger's own key over
signer, ``jti``, kind of reading, certificate, grant, holder and, of one entry or a bundle about it,
its number, which is the reading's ``reason``. So nobody who sees the entry learns or guesses the
person from it, and no column can be changed after it, not even the one that is not hashed into the
tree.

The replay key is the front of the same digest. So all pages of one reading by one token are one
entry, whatever there are of them, and the same token used for something else is another. ::

    GET /v1/history?certificate=C            an entry: history, C
    GET /v1/history?certificate=C&before=90  the same token: the same entry
    GET /v1/history?certificate=D            another entry: history, D
    GET /v1/entries/7                        another entry: entry, 7

Not this module's job: which routes are readings (`api.http.readings`), whose history is read
(`audit.history.readings`), who sees the entry (`audit.history.visibility`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection

from ledger.database.row_macs import RowForged
from ledger.database.sealing import WRAPPED_BYTES, MasterKey, Sealed, SealError
from ledger.directory.keys import Enrolled
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.encoding import EncodingError, b64url, b64url_decode, canonical_json
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import Access
from ledger.statement.statements import Statement, StatementError

#: Seconds between a token's end and the entry of what was read with it, at most: what came in time
#: may wait for news, for its place and for its batch.
MAX_LATE_SECONDS: Final = 120
#: How far the reader's clock may be ahead.
MAX_AHEAD_SECONDS: Final = 60
REPLAY_KEY_BYTES: Final = 16


class Read(StrEnum):
    """What was read; fixed for ever."""

    LOG = "log"  # the log at large, of nobody in particular
    HISTORY = "history"  # what happened with one certificate, grant or holder
    ENTRY = "entry"  # one entry with its statement
    EVIDENCE = "evidence"  # a bundle without fields
    FIELDS = "fields"  # a bundle with fields


#: What names the entry that was read, or that the bundle is about.
OF_AN_ENTRY: Final = frozenset({Read.ENTRY, Read.EVIDENCE, Read.FIELDS})


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, and whose it is."""

    what: Read
    certificate: str | None = None
    grant: str | None = None
    holder: str | None = None
    of: str | None = None
    """The number of the entry that was read, or that the bundle is about. Without it, two bundles
    about one person would be one reading, and its number would tell that it is the same person."""

    def digest(self, master: MasterKey, kid: str, jti: str) -> bytes:
        """32 bytes; see the module."""
        of = [kid, jti, self.what.value, self.certificate, self.grant, self.holder, self.of]
        return master.derive(b"certledger reading v1", canonical_json(of))

    def draft(self, digest: bytes) -> Draft:
        return Draft(
            kind=EventKind.READING,
            subject=b64url(digest),
            state=self.what.value,
            certificate=self.certificate,
            grant=self.grant,
            holder=self.holder,
            reason=self.of,
        )


def require_held(access: Access, time_ms: int) -> None:
    """Raises StatementError for an entry of ``time_ms`` whose token did not hold when it was used:
    a machine that stood still, or a clock that was set, comes between the two."""
    since, until = access.iat - MAX_AHEAD_SECONDS, access.exp + MAX_LATE_SECONDS
    if not since * 1000 <= time_ms < until * 1000:
        raise StatementError("token.expired", "the access token did not hold then")


def seal_token(master: MasterKey, token: str) -> str:
    """The access token as it is stored: header and payload as they are, the signature sealed."""
    signed, _, signature = token.rpartition(".")
    sealed = master.seal(b64url_decode(signature), signed.encode("ascii"))
    return f"{signed}.{b64url(sealed.wrapped_key + sealed.ciphertext)}"


def open_token(master: MasterKey, stored: str) -> str:
    """The access token that `seal_token` sealed; raises RowForged."""
    signed, _, sealed = stored.rpartition(".")
    try:
        raw = b64url_decode(sealed)
        parts = Sealed(raw[:WRAPPED_BYTES], raw[WRAPPED_BYTES:])
        return f"{signed}.{b64url(master.open(parts, signed.encode('ascii')))}"
    except (EncodingError, SealError, UnicodeEncodeError):
        raise RowForged("statements") from None


def request_of(
    statement: Statement, actor: Enrolled, reading: Reading, master: MasterKey
) -> Request:
    """A reading on its way into the log; ``statement`` is the access token, verified."""
    digest = reading.digest(master, statement.kid, str(statement.payload["jti"]))
    token = seal_token(master, statement.token)
    statement = replace(statement, token=token, request_key=digest[:REPLAY_KEY_BYTES])
    return Request(statement, actor, reading.draft(digest))


class ReadingHandler:
    """Who may read was decided where it was read; what is here is recorded."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> list[Outcome]:
        def record(request: Request) -> Recorded:
            require_held(Access.parse(request.statement.payload), batch.now_ms)
            return batch.record(request, request.extra)

        return one_by_one(requests, record)

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> None:
        """There is nothing in the answer but the receipt."""
