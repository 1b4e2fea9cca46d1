"""Deferrals of showing readings to the person whom they are about (`ledger.record.deferrals`)."""

from __future__ import annotations

from api.answer import log_shapes
from api.http.statements import Taken
from ledger.directory.keys import Role
from ledger.statement.statements import Kind

TAKEN = (
    Taken(
        kind=Kind.DEFERRAL,
        path="/v1/deferrals",
        told="Record a court's delay of showing a person what an auditor reads about them, whose "
        "key is another than the signer's; or its end.",
        handler="deferral",
        answers=log_shapes.DeferralRecorded,
        signers=frozenset({Role.AUDITOR}),
    ),
)
