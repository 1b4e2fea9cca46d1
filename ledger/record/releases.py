"""Releases: which software a service serves its pages from, by the operator's signature.

What is signed is `ledger.statement.kinds.Release`. The entry's ``subject`` is `digest_of` it, so
that whoever has the list can tell whether it is the one on record.

Several processes of one log may serve different sets: while one after the other is brought to a new
version, or for good by somebody's mistake. Each of them records its own at its start. So that they
do not record in turn for ever, a set that was recorded within `AGAIN_MS` is not recorded again,
nor is the one on record now.

Not this module's job: what the set is (`api.pages.release`), what a browser makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, select

from ledger.database import tables
from ledger.directory.keys import Role
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.encoding import b64url, canonical_json, sha256
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import Release
from ledger.statement.statements import Statement, StatementError

#: Milliseconds within which the same set is not recorded once more: a day.
AGAIN_MS: Final = 86_400_000


def digest_of(version: str, assets: Sequence[tuple[str, str]]) -> str:
    """Of a release: base64url of SHA-256 over canonical JSON ``{assets: [{path, sha256}],
    version}``, the assets in the order that was signed."""
    listed = [{"path": path, "sha256": digest} for path, digest in assets]
    return b64url(sha256(canonical_json({"version": version, "assets": listed})))


def recorded(release: Release) -> Draft:
    """What is recorded of it."""
    assets = [(asset.path, asset.sha256) for asset in release.assets]
    return Draft(kind=EventKind.RELEASE, subject=digest_of(release.version, assets))


class ReleaseHandler:
    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._release, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"release": entry.subject}

    def _release(self, batch: Batch, request: Request) -> Recorded:
        draft = recorded(Release.parse(request.statement.payload))
        if request.actor.role is not Role.OPERATOR:
            raise StatementError("actor.role", "only the operator records a release")
        if self._is_recorded(batch, str(draft.subject)):
            raise StatementError("release.recorded", "this release is on record already")
        return batch.record(request, draft, {"release": draft.subject})

    def _is_recorded(self, batch: Batch, subject: str) -> bool:
        entries = tables.entries
        of_kind = (
            select(entries.c.subject, entries.c.time_ms)
            .where(entries.c.kind == EventKind.RELEASE, tables.IS_RARE)
            .order_by(entries.c.seq.desc())
            .limit(1)
        )
        at_hand = [
            (entry.subject, entry.time_ms)
            for entry, _, _ in reversed(batch.appended)
            if entry.kind is EventKind.RELEASE
        ]
        found = [tuple(row) for row in batch.connection.execute(of_kind)]
        same = batch.connection.execute(of_kind.where(entries.c.subject == subject)).all()
        newest = [*at_hand, *found][:1]
        lately = [*at_hand, *map(tuple, same)]
        return any(known == subject for known, _ in newest) or any(
            known == subject and time_ms > batch.now_ms - AGAIN_MS for known, time_ms in lately
        )
