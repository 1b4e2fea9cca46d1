"""'Withdraw all that it granted': one act of the holder, for everything that one device gave."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.data.keyfiles import new_signing_key
from ledger.statement.statements import Kind
from tests.api.routes.test_devices import ITEM, let_in
from tests.api.routes.test_suspension import Pair, _code


@pytest.fixture
def pair(city: Any) -> Pair:
    return Pair(city)


def refused(pair: Pair, granted: dict[str, str]) -> int:
    answer = pair.city.look(granted)
    pair.city.refused(answer, "grant_revoked")
    return int(answer.receipt["entry"]["seq"])


def test_all_that_a_device_granted_is_revoked_by_one_entry(
    pair: Pair, problem: Callable[..., Any]
) -> None:
    city, first, other = pair.city, pair.first, pair.other
    own, second = pair.grant_of(first), pair.grant_of(other)
    before = pair.grant_of(other)
    first.revoke_grant(before["grant_id"])
    answer = first.revoke_grants_of(pair.kid)
    assert (answer["subject"], answer["state"], answer["grants"]) == (pair.kid, "revoked", 2)
    entry, _ = city.proven(answer["receipt"])
    assert (entry.kind, entry.subject, entry.grant) == ("revocation", pair.kid, None)
    for granted in (pair.granted, second, before):
        refused(pair, granted)
    pair.released(own)
    # What it grants afterwards stands: freezing it is an act of its own.
    pair.released(pair.grant_of(other))
    states = {grant["grant_id"]: grant["state"] for grant in first.grants()}
    assert [states[each["grant_id"]] for each in (pair.granted, second, own)] == [
        "revoked",
        "revoked",
        "active",
    ]
    # The history of each grant has the line, and that of no other one.
    for granted, lines in ((pair.granted, 1), (second, 1), (before, 0), (own, 0)):
        for reader in (first, city.auditor):
            shown = [line["seq"] for line in reader.history(grant=granted["grant_id"])]
            assert shown.count(entry.seq) == lines
            assert shown == sorted(shown, reverse=True)
    assert entry.seq in [line["seq"] for line in first.history()]
    problem(lambda: first.revoke_grant(second["grant_id"]), "grant.revoked", 409)


def test_it_is_answered_again_and_done_once(pair: Pair, problem: Callable[..., Any]) -> None:
    first = pair.first
    token = first.statement(Kind.REVOCATION, {"kid": pair.kid})
    once, again = (first.post("/v1/statements", {"statement": token}).json() for _ in range(2))
    assert again == once
    assert once["grants"] == 1
    problem(lambda: first.revoke_grants_of(pair.kid), "grant.revoked", 409)
    problem(lambda: first.revoke_grants_of(first.key.thumbprint()), "grant.revoked", 409)


def test_the_device_itself_and_any_that_may_stop_it_may(
    pair: Pair, problem: Callable[..., Any]
) -> None:
    city, other = pair.city, pair.other
    scoped, card = let_in(city, pair.person)
    of_scoped = scoped.grant({card: ["name"]}, mode="direct", **ITEM)
    strangers = (city.person().device, scoped)
    for key in strangers:
        problem(lambda k=key: k.revoke_grants_of(pair.kid), "grant.unknown", 404)
    for key in (city.police, city.auditor, city.east, city.city.operator):
        problem(lambda k=key: k.revoke_grants_of(pair.kid), "actor.role", 403)
    unknown = new_signing_key().thumbprint()
    for kid in (unknown, city.east.key.thumbprint()):
        problem(lambda k=kid: pair.first.revoke_grants_of(k), "grant.unknown", 404)
    pair.released()
    assert other.revoke_grants_of(pair.kid)["grants"] == 1
    refused(pair, pair.granted)
    assert scoped.revoke_grants_of(scoped.key.thumbprint())["grants"] == 1
    refused(pair, {"grant_id": of_scoped["grant_id"]})
    again = scoped.grant({card: ["name"]}, mode="direct", **ITEM)
    assert pair.first.revoke_grants_of(scoped.key.thumbprint())["grants"] == 1
    refused(pair, {"grant_id": again["grant_id"]})


def test_what_a_frozen_or_stopped_device_granted_is_revoked_for_good(pair: Pair) -> None:
    first = pair.first
    first.suspend_device(pair.kid)
    first.revoke_grants_of(pair.kid)
    first.restore_device(pair.kid)
    refused(pair, pair.granted)
    later = pair.grant_of(pair.other)
    first.revoke_key(pair.kid)
    pair.released(later)
    first.revoke_grants_of(pair.kid)
    refused(pair, later)


def test_a_frozen_device_revokes_nothing(pair: Pair, problem: Callable[..., Any]) -> None:
    own = pair.grant_of(pair.first)
    pair.first.suspend_device(pair.kid)
    for kid in (pair.kid, pair.first.key.thumbprint()):
        problem(lambda k=kid: pair.other.revoke_grants_of(k), "key.not_valid", 401)
    pair.released(own)


def test_two_devices_that_withdraw_each_others_at_once_both_do(pair: Pair) -> None:
    own = pair.grant_of(pair.first)
    sides = ((pair.first, pair.kid), (pair.other, pair.first.key.thumbprint()))
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(_code, lambda d=d, k=k: d.revoke_grants_of(k)) for d, k in sides * 2]
        codes = sorted(each.result() or "" for each in tries)
    assert codes == ["", "", "grant.revoked", "grant.revoked"]
    for granted in (own, pair.granted):
        refused(pair, granted)


def test_under_load_a_grant_stands_only_if_it_came_after(pair: Pair) -> None:
    city = pair.city

    def look() -> Any:
        return city.look(pair.granted, business_number=uuid.uuid4().hex)

    with ThreadPoolExecutor(9) as pool:
        looks = [pool.submit(look) for _ in range(40)]
        grants = [pool.submit(pair.grant_of, pair.other) for _ in range(5)]
        time.sleep(0.05)
        done = pool.submit(pair.first.revoke_grants_of, pair.kid)
        grants += [pool.submit(pair.grant_of, pair.other) for _ in range(15)]
        looks += [pool.submit(look) for _ in range(40)]
        answer = done.result()
        seq = answer["receipt"]["entry"]["seq"]
        answers = [each.result() for each in looks]
        ids = {each.result()["grant_id"] for each in grants} | {pair.granted["grant_id"]}
    behind = [each for each in answers if each.receipt["entry"]["seq"] > seq]
    assert behind
    assert {each.code for each in behind} == {"grant_revoked"}
    assert {each.code for each in answers if each not in behind} <= {None}
    shown = {grant["grant_id"]: grant for grant in pair.first.grants()}
    earlier = {id_ for id_ in ids if shown[id_]["seq"] < seq}
    assert answer["grants"] == len(earlier)
    assert {id_ for id_ in ids if shown[id_]["state"] == "revoked"} == earlier


def test_the_evidence_of_a_grant_and_of_a_refusal_shows_it(pair: Pair) -> None:
    first, city = pair.first, pair.city
    seq = first.revoke_grants_of(pair.kid)["receipt"]["entry"]["seq"]
    line = refused(pair, pair.granted)

    def shown(subject: str, name: Any, reader: Any = first) -> set[int]:
        bundle = reader.evidence(subject, name)["bundle"]
        report = reader.examine_bundle(bundle)
        assert report["verdict"] in ("verified", "incomplete")  # a fresh lookup is withheld
        return {each["entry"]["seq"] for each in bundle["entries"]}

    for reader in (first, city.auditor):
        assert seq in shown("grant", pair.granted["grant_id"], reader)
        assert seq in shown("lookup", line, reader)
        assert seq not in shown("lookup", pair.line, reader)
    # Whoever was refused is told no more than that.
    assert seq not in shown("lookup", line, city.east)
    later = pair.grant_of(pair.other)
    assert seq not in shown("grant", later["grant_id"])
