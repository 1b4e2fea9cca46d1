"""A receipt verified by the browser alone: Python's answer, whatever it is given."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser

from ledger.proof.encoding import b64url
from ledger.proof.entries import OPTIONAL, STATES, Decision, Draft, Entry, EventKind, is_closed
from ledger.proof.merkle import inclusion_proof, leaf_hash, node_hash, range_root
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint
from ledger.proof.receipts import ReceiptError, verify_receipt

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_NAME = "example.test/log"
_KEY = NoteKey(_NAME, _PRIVATE.public_key().public_bytes_raw())

Verify = Callable[..., Any]


@pytest.fixture(scope="module")
def verify(city: Any, browser: Any) -> Iterator[Verify]:
    """`verifyReceipt` of core/proof.js, run on many receipts at once."""
    page = browser.new_page()
    page.goto(city.url + "/")

    def run(receipts: list[Any], verifier: str) -> list[dict[str, Any]]:
        outcomes: list[dict[str, Any]] = page.evaluate(
            """async ([texts, verifier]) => {
              const { verifyReceipt } = await import("/assets/js/core/proof.js");
              return Promise.all(texts.map((text) => verifyReceipt(JSON.parse(text), verifier)));
            }""",
            [[json.dumps(receipt) for receipt in receipts], verifier],
        )
        return outcomes

    yield run
    page.close()


#: Of a lookup, beside its decision.
LOOKED_UP = {
    "certificate": "1.2.156.3005.2.X",
    "grant": "G" * 26,
    "terminal": "counter-1",
    "site": "hall-east",
    "department": "D1",
    "service_item": "hotel-check-in",
}


def entry_at(seq: int, **members: Any) -> Entry:
    return Entry(
        seq=seq,
        time_ms=1_700_000_000_000 + seq,
        kind=EventKind.LOOKUP,
        actor="A" * 43,
        statement_digest=bytes(32),
        salt=bytes([seq % 256]) * 16,
        **{**LOOKED_UP, "decision": Decision.RELEASED, **members},
    )


def receipt_of(entry: Entry, size: int, origin: str = _NAME) -> dict[str, Any]:
    """A receipt in a made-up log of ``size`` entries, where the others are filler."""
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    leaves[entry.seq] = entry.leaf_hash()

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    proof = inclusion_proof(entry.seq, size, node)
    checkpoint = Checkpoint(origin, size, range_root(0, size, node))
    return {
        "state": "anchored",
        "entry": entry.to_json(),
        "proof": [base64.b64encode(item).decode() for item in proof],
        "checkpoint": sign_checkpoint(checkpoint, _NAME, _PRIVATE),
        "anchor": {},
    }


def python_says(receipt: Any, key: NoteKey) -> bool:
    try:
        verify_receipt(receipt, key)
    except ReceiptError:
        return False
    return True


def meaning_of(receipt: dict[str, Any]) -> dict[str, Any]:
    """Without the further member that it may carry, and without base64's unused bits."""
    text, _, signatures = receipt["checkpoint"].rpartition("\n\n")
    signers = [line.rpartition(" ") for line in signatures.splitlines()]
    return {
        **{name: item for name, item in receipt.items() if name != "other"},
        "proof": [base64.b64decode(item) for item in receipt["proof"]],
        "checkpoint": (text, [(name, base64.b64decode(item)) for name, _, item in signers]),
    }


def failed(outcome: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in outcome["checks"] if check["ok"] is False}


def altered(value: Any) -> Iterator[Any]:
    """``value`` with one thing at a time altered, left out, added or of another type."""
    if isinstance(value, dict):
        for name in value:
            yield {key: item for key, item in value.items() if key != name}
            for other in altered(value[name]):
                yield {**value, name: other}
        yield {**value, "other": "x"}
    elif isinstance(value, list):
        for at in range(len(value)):
            yield value[:at] + value[at + 1 :]
            for other in altered(value[at]):
                yield [*value[:at], other, *value[at + 1 :]]
        yield [*value, *value[:1]]
        yield value[::-1]
    elif isinstance(value, str):
        # Every kind of place in it: a note's origin, size, root, separator, signature.
        for at in range(0, len(value), max(1, len(value) // 24)):
            yield value[:at] + ("B" if value[at] != "B" else "C") + value[at + 1 :]
            yield value[:at] + value[at + 1 :]
        yield from (value + " ", value + "\n", "", 7)
    elif isinstance(value, int):
        yield from (value + 1, -1, str(value), None)
    yield None


def test_a_real_receipt_verifies_and_shows_its_path(city: Any, verify: Verify) -> None:
    person = city.person()
    granted = city.grant(person, "name")
    receipts = [granted["receipt"], city.look(city.scanned(granted), "name").receipt]
    receipts += [
        line["receipt"] for line in city.auditor.history(certificate=person.card, receipts=True)
    ]
    for receipt, outcome in zip(receipts, verify(receipts, str(city.log_key)), strict=True):
        entry, checkpoint = verify_receipt(receipt, city.log_key)
        assert outcome["verified"]
        assert [check["ok"] for check in outcome["checks"]] == [True] * 5
        assert outcome["entry"] == entry.to_json()
        assert outcome["leaf"] == entry.leaf_hash().hex()
        assert outcome["root"] == outcome["checkpoint"]["root"] == checkpoint.root.hex()
        assert (outcome["checkpoint"]["origin"], outcome["checkpoint"]["size"]) == (
            checkpoint.origin,
            checkpoint.size,
        )
        siblings = [base64.b64decode(item).hex() for item in receipt["proof"]]
        assert [step["sibling"] for step in outcome["path"]] == siblings


def test_whatever_is_altered_the_browser_and_python_agree(city: Any, verify: Verify) -> None:
    person = city.person()
    receipt = city.look(city.scanned(city.grant(person, "name")), "address").receipt
    # The anchor is for the chain to confirm, and not part of what is verified here.
    variants = [
        other
        for other in altered(receipt)
        if not isinstance(other, dict) or other.get("anchor") == receipt["anchor"]
    ]
    assert len(variants) > 300
    outcomes = verify(variants, str(city.log_key))
    for other, outcome in zip(variants, outcomes, strict=True):
        expected = isinstance(other, dict) and python_says(other, city.log_key)
        assert outcome["verified"] == expected, other
        if outcome["verified"]:
            assert meaning_of(other) == meaning_of(receipt)
    assert {**receipt, "other": "x"} in [
        other for other, outcome in zip(variants, outcomes, strict=True) if outcome["verified"]
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 40])
def test_every_place_in_a_tree_leads_to_its_root(verify: Verify, size: int) -> None:
    receipts = [receipt_of(entry_at(seq), size) for seq in range(size)]
    assert all(outcome["verified"] for outcome in verify(receipts, str(_KEY)))
    for receipt in receipts:
        receipt["entry"]["seq"] = (receipt["entry"]["seq"] + 1) % size or size
    assert not any(outcome["verified"] for outcome in verify(receipts, str(_KEY)))


def test_leaves_are_those_of_the_vectors(verify: Verify) -> None:
    vectors = json.loads((VECTORS / "entries.json").read_text("utf-8"))
    outcomes = verify(
        [
            {
                "state": "anchored",
                "entry": item["entry"],
                "proof": [],
                "checkpoint": f"x\n{2**53}\n{'A' * 43}=\n\n",
            }
            for item in vectors
        ],
        str(_KEY),
    )
    assert [item["leaf_hash"] for item in vectors] == [outcome["leaf"] for outcome in outcomes]


def test_exactly_the_members_of_each_kind_are_taken(city: Any, browser: Browser) -> None:
    """Whatever may stand in an entry, there or not, in every combination: as
    ledger/proof/entries.py.
    """
    names = [name for name in OPTIONAL if name not in ("state", "decision")]
    states = [None, *sorted({state for some in STATES.values() for state in some if state}), "x"]
    decisions = [None, *Decision]
    page = browser.new_page()
    page.goto(city.url + "/")
    taken = page.evaluate(
        """async ([kinds, names, states, decisions]) => {
          const { isClosed } = await import("/assets/js/core/entries.js");
          const taken = [];
          for (const kind of kinds) for (let set = 0; set < 1 << names.length; set++) {
            for (const state of states) for (const decision of decisions) {
              const entry = { kind };
              names.forEach((name, at) => { if (set >> at & 1) entry[name] = "x"; });
              if (state) entry.state = state;
              if (decision) entry.decision = decision;
              if (isClosed(entry)) taken.push([kind, set, state, decision]);
            }
          }
          return taken;
        }""",
        [[*EventKind], names, states, decisions],
    )
    page.close()
    expected = [
        [kind, chosen, state, decision]
        for kind in EventKind
        for chosen in range(1 << len(names))
        for state in states
        for decision in decisions
        if is_closed(
            Draft(
                kind=kind,
                state=state,
                decision=decision,
                **{name: "x" for at, name in enumerate(names) if chosen >> at & 1},
            )
        )
    ]
    assert taken == expected
    assert {kind for kind, *_ in taken} == set(EventKind)


def test_each_wrong_thing_is_named(verify: Verify) -> None:
    good = receipt_of(entry_at(3, decision=Decision.REFUSED, reason="wrong_site"), 6)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    wrong: list[tuple[dict[str, Any], dict[str, str]]] = []

    def add(names: dict[str, str], **changes: Any) -> None:
        wrong.append(({**copy.deepcopy(good), **changes}, names))

    add({"inclusion": "inclusion.other_root"}, entry={**good["entry"], "reason": "wrong_item"})
    add({"entry": "entry.malformed"}, entry={**good["entry"], "name": "somebody"})
    add({"entry": "entry.malformed"}, entry={**good["entry"], "salt": b64url(bytes(16)) + "="})
    add({"entry": "entry.malformed"}, entry={**good["entry"], "v": 1})
    add({"entry": "entry.malformed"}, entry={**good["entry"], "subject": "somebody"})
    add({"inclusion": "inclusion.malformed"}, proof=good["proof"][:-1])
    add({"inclusion": "inclusion.malformed"}, proof=[*good["proof"], good["proof"][0]])
    add(
        {"signature": "signature.invalid"},
        checkpoint=sign_checkpoint(_checkpoint(good), _NAME, stranger),
    )
    add({"signature": "checkpoint.malformed"}, checkpoint=good["checkpoint"].replace("\n\n", "\n"))
    add({"form": "form.malformed"}, state="lost")
    wrong.append((receipt_of(entry_at(0), 1, "example.test/other"), {"origin": "origin.other"}))
    outcomes = verify([receipt for receipt, _ in wrong], str(_KEY))
    assert [failed(outcome) for outcome in outcomes] == [names for _, names in wrong]
    assert not any(outcome["verified"] for outcome in outcomes)


def _checkpoint(receipt: dict[str, Any]) -> Checkpoint:
    return verify_receipt(receipt, _KEY)[1]


def test_a_pending_receipt_is_neither_right_nor_wrong(verify: Verify) -> None:
    pending = {"state": "pending", "entry": entry_at(0).to_json()}
    (outcome,) = verify([pending], str(_KEY))
    assert not outcome["verified"]
    assert failed(outcome) == {}
    assert outcome["checks"][0] == {"name": "form", "ok": None, "detail": "form.pending"}


def test_another_signer_beside_the_log_is_passed_over(verify: Verify) -> None:
    receipt = receipt_of(entry_at(1), 5)
    witness = Ed25519PrivateKey.from_private_bytes(bytes(32))
    line = sign_checkpoint(_checkpoint(receipt), "witness", witness).split("\n\n")[1]
    body, own = receipt["checkpoint"].split("\n\n")
    receipt["checkpoint"] = f"{body}\n\n{line}{own}"
    assert python_says(receipt, _KEY)
    assert verify([receipt], str(_KEY))[0]["verified"]
    receipt["checkpoint"] = f"{body}\n\n{line}"
    assert not verify([receipt], str(_KEY))[0]["verified"]


def test_garbage_is_answered_and_not_thrown(verify: Verify) -> None:
    garbage: list[Any] = [
        None,
        7,
        "x",
        [],
        {},
        {"state": "anchored"},
        {"entry": []},
        {"checkpoint": {}},
    ]
    assert not any(outcome["verified"] for outcome in verify(garbage, str(_KEY)))
    assert not any(
        outcome["verified"] for outcome in verify([receipt_of(entry_at(0), 1)], "no key")
    )
