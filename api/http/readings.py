"""No field leaves without an entry, and nobody reads what is another's unrecorded.

`SHOWS` says of every route what its answers hold of people; a route that is not in it fails a
test. What `READS` something has its reading recorded before the answer leaves, by one rule, the
one of lookups: anchored, or durable where the operator chose so (``release``). A reading that is
only committed could be withdrawn with an old backup, after its reader has what they wanted. So no
crash leaves an answer without an entry; one between the entry and the answer leaves an entry of
what was asked for and not got.

The pages of one reading by one token are one entry (`ledger.record.readings`), and only the first
of them waits. Clients therefore keep a token for as long as it holds.

Not this module's job: whose a reading is (`audit.history.readings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from fastapi import Request

from api.admission.places import aside
from api.service.assembly import Service
from ledger.database import tables
from ledger.directory.keys import Enrolled
from ledger.log import batch
from ledger.proof.entries import Entry
from ledger.record.readings import Reading, request_of
from ledger.statement.statements import Statement


class Shows(StrEnum):
    """What a route's answers hold of people."""

    NOTHING = "nothing"
    """Nothing of anybody: proofs, hashes, names of institutions, states, numbers of events; or what
    was in the request itself."""
    OWN = "the caller's own"
    """What the caller stated, holds, was granted or has to do; nothing of a stranger's."""
    ENTRY = "by an entry of its own"
    """Its own statement is recorded before it answers."""
    READS = "a reading"
    """Another's history, or fields: recorded by `record_reading`."""


_NOTHING, _OWN, _ENTRY, _READS = Shows
#: By method and path, as OpenAPI has them.
SHOWS: Final[Mapping[str, Shows]] = {
    # Reports, saved tables and the command line's are made by clients from these.
    "GET /v1/history": _READS,
    "GET /v1/entries/{seq}": _READS,
    "GET /v1/entries/{seq}/proof": _READS,
    "GET /v1/notices": _READS,
    "GET /v1/disputes": _READS,
    "GET /v1/disputes/{dispute_id}": _READS,
    "POST /v1/evidence": _READS,
    "POST /v1/statements": _ENTRY,
    "POST /v1/lookups": _ENTRY,
    "POST /v1/enrolments": _ENTRY,
    "POST /v1/invitations": _ENTRY,
    "POST /v1/invitations/claim": _ENTRY,
    "POST /v1/certificates": _ENTRY,
    "POST /v1/certificates/{certificate_id}/status": _ENTRY,
    "POST /v1/imports": _ENTRY,
    "POST /v1/grants": _ENTRY,
    "POST /v1/grants/{grant_id}/revocation": _ENTRY,
    "POST /v1/requests": _ENTRY,
    "POST /v1/requests/{request_id}/refusal": _ENTRY,
    "POST /v1/disputes": _ENTRY,
    "POST /v1/disputes/{dispute_id}/resolution": _ENTRY,
    "POST /v1/disputes/{dispute_id}/questions": _ENTRY,
    "POST /v1/disputes/{dispute_id}/answers": _ENTRY,
    "POST /v1/releases": _ENTRY,
    "POST /v1/deferrals": _ENTRY,
    # No fields in these: identifiers, states, and for their holder and issuer the dates.
    "GET /v1/certificates": _OWN,
    "GET /v1/retention": _OWN,
    "GET /v1/imports/{import_id}": _OWN,
    "GET /v1/imports/{import_id}/report": _OWN,
    "GET /v1/grants": _OWN,
    "GET /v1/grants/{grant_id}/code": _OWN,
    "POST /v1/grants/{grant_id}/spoken-code": _OWN,
    "GET /v1/requests/{request_id}": _OWN,
    "POST /v1/requests/find": _OWN,
    "GET /v1/keys": _OWN,  # for operators and auditors those of institutions, too
    "GET /v1/whoami": _OWN,
    # Whoever has the identifier is told the state of the certificate: that is what it is for.
    "GET /v1/certificates/{certificate_id}": _NOTHING,
    "GET /v1/catalogue": _NOTHING,
    "GET /v1/schemas": _NOTHING,
    "GET /v1/releases": _NOTHING,
    "GET /v1/releases/{seq}": _NOTHING,
    "GET /v1/time": _NOTHING,
    "GET /v1/trust": _NOTHING,
    "GET /v1/checkpoints": _NOTHING,
    "GET /v1/checkpoints/{size}": _NOTHING,
    "GET /v1/blocks": _NOTHING,
    "GET /v1/blocks/{number}": _NOTHING,
    "GET /v1/growth": _NOTHING,
    "GET /v1/proofs/inclusion": _NOTHING,
    "GET /v1/proofs/consistency": _NOTHING,
    "GET /log/checkpoint": _NOTHING,
    "GET /log/tile/{path}": _NOTHING,
    "GET /healthz": _NOTHING,
    "GET /readyz": _NOTHING,
    "GET /metrics": _NOTHING,
    "POST /v1/scans": _NOTHING,
    "POST /v1/verify": _NOTHING,
    "POST /v1/verify/report": _NOTHING,
    "GET /sample/people": _NOTHING,  # who do not exist
    "POST /sample/invitations": _NOTHING,
}


#: Codes with which a reading is not recorded, and nothing answered.
UNRECORDED: Final = (
    "anchor.pending",
    "chain.unavailable",
    "not_serving",
    "statement.replayed",
    "storage.unwritable",
)


async def record_reading(
    request: Request, service: Service, reader: Enrolled, reading: Reading | None
) -> int | None:
    """Have it recorded that ``reader`` read this, and return its entry's number once the answer may
    leave; nothing for None. Raises what recording a lookup raises."""
    if reading is None:
        return None
    access: Statement = request.state.access
    made = request_of(access, reader, reading, service.master)
    known = await aside(_recorded, service, made)
    if known is not None:
        return known.seq
    return (await service.record("reading", made)).receipt.entry.seq


def _recorded(service: Service, made: batch.Request) -> Entry | None:
    """The entry of the same reading by the same token, if it may be told."""
    statement = made.statement
    with service.database.read() as connection:
        entry = tables.recorded(connection, [statement.request_key]).get(statement.request_key)
    if entry is None or entry.statement_digest != statement.digest:
        return None
    return entry if entry.seq < service.committer.released else None
