"""Statements broken in one place, really sent: the service refuses each, and records none.

`tests.audit.test_statements` holds many more against every reader, by the functions that are behind
these routes.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.client import new_identifier
from api.routes.statements import TABLE
from ledger.proof.encoding import canonical_json
from ledger.statement.kinds import CertificateClaims, Signed
from ledger.statement.schemas import name
from ledger.statement.statements import MAX_TOKEN
from tests.audit.statements_made import drawn, encoded, misspelt, token_of
from tests.declared import EVERY, Payload, breakages

#: Of each declaration, in each of its parts.
SENT = 12
#: Bytes of a body that every route takes.
LONGEST = 12_000


@pytest.fixture(scope="module")
def web(city: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=city.url, trust_env=False, timeout=30) as client:
        yield client


def fresh(payload: Payload, ledger: str) -> Payload:
    """The same for this ledger and now."""
    now = int(time.time())
    found = {**payload, "ledger": ledger, "iat": now, "jti": new_identifier()}
    if "code_sha256" in found:  # an invitation's end is near its beginning
        found["not_after"] = now + 60
    return found


@pytest.mark.parametrize(
    "declaration",
    [one for one in EVERY if one.kind in TABLE and TABLE[one.kind].signers],
    ids=lambda one: one.__name__,
)
def test_what_is_broken_in_one_place_is_refused_and_not_recorded(
    city: Any, web: httpx.Client, holders: Any, declaration: type[Signed]
) -> None:
    kind, taken = declaration.kind, TABLE[declaration.kind]
    clients = (city.city.operator, city.police, holders[0].device, city.east, city.auditor)
    signer = next(one for one in clients if one.whoami()["role"] in taken.signers)
    payload = fresh(drawn(declaration, 2)[-1], signer.ledger)
    chance = random.Random(declaration.__name__)
    broken = [encoded(one.applied(payload)) for one in breakages(declaration, payload)]
    spelt = [written for _, written in misspelt(payload, canonical_json(payload))]
    bodies = chance.sample([one for one in broken if len(one) < LONGEST], SENT)
    bodies += chance.sample([one for one in spelt if len(one) < LONGEST], SENT)
    before = city.size()
    codes: Counter[str] = Counter()
    for body in bodies:
        token = token_of(kind, body, signer.key.private_key, signer.key.thumbprint())
        assert len(token) < MAX_TOKEN
        statement = token + "~" * (declaration is CertificateClaims)
        answer = web.post("/v1/statements", json={"statement": statement})
        code = answer.json()["code"]
        codes[code] += 1
        # Of a time long ago it is said that it is not fresh.
        assert answer.status_code in (400, 422) or code == "statement.stale", (body, code)
        assert code.split(".")[0] in ("statement", name(kind)), (body, code)
    assert codes["statement.not_canonical"] >= SENT / 2
    assert city.size() == before
