"""What everybody may see of log and chain agrees with both, costs little, and names nobody."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.admission.places import AllPlaces
from api.http.chain_view import ChainView
from audit.evidence.receipt_checks import Anchoring, ChainSays, Mined, examine, read_parts
from ledger.chain import Block, ChainClient, ChainUnavailable
from ledger.log.committer import Busy
from ledger.proof.notes import open_checkpoint


@pytest.fixture(scope="module")
def lived(city: Any) -> tuple[Any, Any]:
    """A person in the city, and a lookup of their card."""
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=5)
    answers = [city.look({"grant_id": granted["grant_id"]}) for _ in range(3)]
    return person, answers[-1]


def node(town: Any, method: str, *params: Any) -> Any:
    url = json.loads((town.service.data / "node" / "node.json").read_text())["url"]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(url, json=body, trust_env=False, timeout=30).json()["result"]


# --- checkpoints ------------------------------------------------------------------------------


def test_checkpoints_are_listed_newest_first_and_page_by_page(city: Any, lived: Any) -> None:
    listed: list[dict[str, Any]] = []
    before = None
    while True:
        page = city.auditor.checkpoints(before=before, limit=7)
        assert len(page["checkpoints"]) <= 7
        listed += page["checkpoints"]
        before = page["next_before"]
        if before is None:
            break
    sizes = [item["size"] for item in listed]
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) > 7
    times = [item["time_ms"] for item in listed]
    assert times == sorted(times, reverse=True)


def test_a_checkpoint_shows_what_the_log_signed_and_what_the_chain_has(
    city: Any, lived: Any
) -> None:
    _, answer = lived
    size = open_checkpoint(answer.receipt["checkpoint"], city.log_key).size
    shown = city.auditor.checkpoint_of(size)
    checkpoint = open_checkpoint(shown["note"], city.log_key)
    assert shown["root"] == "0x" + checkpoint.root.hex() == shown["chain"]["root"]
    assert shown["chain"]["agrees"]
    assert shown["tx_hash"] == answer.receipt["anchor"]["tx_hash"]
    transaction = shown["chain"]["transaction"]
    assert transaction["block_hash"] == shown["block_hash"] == shown["chain"]["block"]["hash"]
    assert transaction["to"].lower() == shown["contract"].lower()


def test_what_is_no_checkpoint_is_unknown(city: Any, lived: Any, problem: Any) -> None:
    for size in (0, 10**6, 2**53):
        problem(lambda s=size: city.auditor.checkpoint_of(s), "checkpoint.unknown", 404)
    for size in (-1, "x", 2**64):
        problem(lambda s=size: city.auditor.checkpoint_of(s), "request.invalid", 422)
    for wrong in ({"limit": 0}, {"limit": 201}, {"before": -1}, {"before": 2**64}):
        problem(lambda w=wrong: city.auditor.checkpoints(**w), "request.invalid", 422)


# --- blocks -----------------------------------------------------------------------------------


def test_blocks_are_the_chains_own_newest_first(city: Any, lived: Any) -> None:
    page = city.auditor.blocks(limit=10)
    numbers = [block["number"] for block in page["blocks"]]
    assert numbers == list(range(page["head"], page["head"] - 10, -1))
    assert page["next_before"] == numbers[-1]
    following = city.auditor.blocks(before=page["next_before"], limit=3)["blocks"]
    assert [block["number"] for block in following] == [numbers[-1] - n for n in (1, 2, 3)]
    assert following[0]["hash"] == page["blocks"][-1]["parent_hash"]
    told = node(city, "eth_getBlockByNumber", hex(numbers[0]), False)
    block = city.auditor.block(numbers[0])
    assert block["transactions"] == told["transactions"]
    assert {**block, "transactions": 0} == {
        "number": int(told["number"], 16),
        "hash": told["hash"],
        "parent_hash": told["parentHash"],
        "time": int(told["timestamp"], 16),
        "state_root": told["stateRoot"],
        "transactions_root": told["transactionsRoot"],
        "gas_used": int(told["gasUsed"], 16),
        "transaction_count": len(told["transactions"]),
        "transactions": 0,
    }
    last = city.auditor.blocks(before=2, limit=50)
    assert [item["number"] for item in last["blocks"]] == [1, 0]
    assert last["next_before"] is None
    assert city.auditor.blocks(before=0)["blocks"] == []


def test_blocks_with_anchors_are_listed_alone(city: Any, lived: Any) -> None:
    """A chain of many seals blocks without end; those before the first anchor stand for them."""
    anchored: set[int] = set()
    page = {"next_before": None}
    while True:
        page = city.auditor.checkpoints(before=page["next_before"], limit=200)
        anchored |= {item["block_number"] for item in page["checkpoints"]}
        if page["next_before"] is None:
            break
    found: list[int] = []
    page = {"next_before": None}
    while not found or page["next_before"] is not None:
        page = city.auditor.blocks(before=page["next_before"], limit=7, anchored=True)
        found += [block["number"] for block in page["blocks"]]
    assert found == sorted(anchored, reverse=True)
    assert 0 not in found
    assert city.auditor.blocks(before=found[-1], anchored=True)["blocks"] == []


def test_what_is_no_block_is_unknown(city: Any, problem: Any) -> None:
    for number in (10**7, 2**53):
        problem(lambda n=number: city.auditor.block(n), "block.unknown", 404)
    for wrong in ({"limit": 0}, {"limit": 51}, {"before": -1}):
        problem(lambda w=wrong: city.auditor.blocks(**w), "request.invalid", 422)
    problem(lambda: city.auditor.block(-1), "request.invalid", 422)


# --- growth -----------------------------------------------------------------------------------


def test_growth_is_the_logs_and_counts_every_lookup(city: Any, lived: Any) -> None:
    time.sleep(2.1)  # what was asked before is kept for so long
    grown = city.auditor.growth(50)
    times, sizes = zip(*grown["points"], strict=True)
    assert list(times) == sorted(times)
    assert list(sizes) == sorted(set(sizes))
    # To the minute: in a quiet hour a point is one entry, and its instant one person's.
    assert {each % 60_000 for each in times} == {0}
    assert (sizes[0], sizes[-1]) == (1, grown["size"])
    lines = [line for line in city.auditor.history(kind="lookup") if line["seq"] < grown["size"]]
    made = [line["decision"] for line in lines]
    assert grown["lookups"] == {
        "released": made.count("released"),
        "refused": made.count("refused"),
    }
    assert len(city.auditor.growth(2)["points"]) == 2
    assert len(city.auditor.growth(400)["points"]) <= 400


def test_growth_has_bounds(city: Any, problem: Any) -> None:
    for points in (1, 401, -5):
        problem(lambda p=points: city.auditor.growth(p), "request.invalid", 422)


# --- nothing personal -------------------------------------------------------------------------


def test_the_public_pages_name_nobody(city: Any, lived: Any) -> None:
    person, answer = lived
    size = open_checkpoint(answer.receipt["checkpoint"], city.log_key).size
    text = "".join(
        httpx.get(f"{city.url}{path}", trust_env=False, timeout=30).text
        for path in (
            "/v1/checkpoints?limit=200",
            f"/v1/checkpoints/{size}",
            "/v1/blocks?limit=50",
            f"/v1/blocks/{answer.receipt['anchor']['block_number']}",
            "/v1/growth?points=400",
        )
    )
    entry = answer.receipt["entry"]
    for secret in (person.number, person.card, entry["grant"], entry["salt"], entry["actor"]):
        assert secret not in text


# --- receipts ---------------------------------------------------------------------------------


def outcome(examined: dict[str, Any]) -> dict[str, Any]:
    return {check["name"]: check["ok"] for check in examined["checks"]}


def details(examined: dict[str, Any]) -> set[str]:
    return {check["detail"] for check in examined["checks"]}


NAMES = ["form", "entry", "leaf", "inclusion", "signature", "origin", "anchor", "transaction"]


def test_a_good_receipt_is_verified_check_by_check(city: Any, lived: Any) -> None:
    _, answer = lived
    examined = city.auditor.examine(answer.receipt)
    assert examined["verified"]
    assert list(outcome(examined)) == NAMES
    assert set(outcome(examined).values()) == {True}
    assert examined["entry"]["decision"] == "released"
    assert "salt" not in examined["entry"]
    shown = {name: examined["anchor"][name] for name in answer.receipt["anchor"]}
    assert shown == answer.receipt["anchor"]
    assert examined["anchor"]["block_time"] > 1_600_000_000


def flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(raw).decode()


def other_line(receipt: dict[str, Any], number: int, change: Callable[[str], str]) -> str:
    lines = receipt["checkpoint"].split("\n")
    lines[number] = change(lines[number])
    return "\n".join(lines)


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], Any], dict[str, Any], str]] = {
    "another decision": (
        lambda r: r["entry"].update(decision="refused", reason="wrong_site"),
        {"leaf": False, "inclusion": False, "signature": True, "anchor": True},
        "leaf.other",
    ),
    "another place": (
        lambda r: r["entry"].update(seq=0),
        {"leaf": False, "inclusion": False},
        "leaf.other",
    ),
    "a place beyond the log": (
        lambda r: r["entry"].update(seq=2**50),
        {"leaf": False, "inclusion": False},
        "leaf.missing",
    ),
    "an unknown member": (
        lambda r: r["entry"].update(admin=True),
        {"entry": False, "leaf": None, "inclusion": None, "signature": True},
        "entry.malformed",
    ),
    "a member of another kind": (
        lambda r: r["entry"].update(subject="x"),
        {"entry": False, "leaf": None, "inclusion": None, "signature": True},
        "entry.malformed",
    ),
    "a huge number": (
        lambda r: r["entry"].update(seq=2**53, time=2**53),
        {"entry": False},
        "entry.malformed",
    ),
    "the proof cut off": (
        lambda r: r["proof"].pop(),
        {"leaf": True, "inclusion": False},
        "inclusion.malformed",
    ),
    "the proof altered": (
        lambda r: r["proof"].__setitem__(0, flipped(r["proof"][0])),
        {"leaf": True, "inclusion": False},
        "inclusion.other_root",
    ),
    "the proof no list": (
        lambda r: r.update(proof="AAAA"),
        {"inclusion": False},
        "inclusion.malformed",
    ),
    "another root": (
        lambda r: r.update(checkpoint=other_line(r, 2, flipped)),
        {"inclusion": False, "signature": False, "anchor": False},
        "anchor.other_root",
    ),
    "another size": (
        lambda r: r.update(checkpoint=other_line(r, 1, lambda text: str(int(text) + 10**7))),
        {"signature": False, "anchor": False},
        "anchor.missing",
    ),
    "another log": (
        lambda r: r.update(checkpoint=other_line(r, 0, lambda text: "elsewhere/log")),
        {"signature": False, "origin": False, "anchor": True},
        "origin.other",
    ),
    "no signature": (
        lambda r: r.update(checkpoint=r["checkpoint"].partition("\n\n")[0] + "\n\n"),
        {"signature": False, "origin": True, "anchor": True},
        "signature.invalid",
    ),
    "no note": (
        lambda r: r.update(checkpoint="certledger"),
        {"signature": False, "inclusion": None, "origin": None, "anchor": None},
        "checkpoint.malformed",
    ),
    "another transaction": (
        lambda r: r["anchor"].update(tx_hash="0x" + "ab" * 32),
        {"anchor": True, "transaction": False},
        "transaction.missing",
    ),
    "another block": (
        lambda r: r["anchor"].update(block_number=r["anchor"]["block_number"] - 1),
        {"anchor": True, "transaction": False},
        "transaction.elsewhere",
    ),
    "another contract": (
        lambda r: r["anchor"].update(contract="0x" + "ab" * 20),
        {"transaction": False},
        "transaction.elsewhere",
    ),
    "another chain": (
        lambda r: r["anchor"].update(chain_id=r["anchor"]["chain_id"] + 1),
        {"anchor": True, "transaction": False},
        "transaction.elsewhere",
    ),
    "an endless note": (
        lambda r: r.update(checkpoint=r["checkpoint"] + "— a AAAA\n" * 500),
        {"form": False},
        "form.malformed",
    ),
    "an endless proof": (
        lambda r: r.update(proof=r["proof"][:1] * 65),
        {"inclusion": False},
        "inclusion.malformed",
    ),
    "an anchor that is none": (
        lambda r: r.update(anchor=[1, None]),
        {"transaction": False, "anchor": True},
        "transaction.malformed",
    ),
    "no checkpoint": (lambda r: r.pop("checkpoint"), {"form": False}, "form.malformed"),
    "pending": (
        lambda r: r.update(state="pending"),
        {"form": None, "entry": True, "leaf": True, "anchor": None},
        "form.pending",
    ),
    "another state": (lambda r: r.update(state=["x"]), {"form": False}, "form.malformed"),
}


@pytest.mark.parametrize("name", sorted(SPOILT))
def test_a_spoilt_receipt_fails_where_it_is_spoilt(city: Any, lived: Any, name: str) -> None:
    spoil, expected, detail = SPOILT[name]
    receipt = json.loads(json.dumps(lived[1].receipt))
    spoil(receipt)
    examined = city.auditor.examine(receipt)
    assert not examined["verified"]
    assert list(outcome(examined)) == NAMES
    assert {key: outcome(examined)[key] for key in expected} == expected
    assert detail in details(examined)


@pytest.mark.parametrize(
    "receipt",
    [
        {},
        {"state": "anchored"},
        {"state": "anchored", "entry": [], "checkpoint": "", "proof": [], "anchor": {}},
        {"state": "anchored", "entry": {"v": 1}, "checkpoint": "\n\n", "proof": [1, None]},
        {"state": "anchored", "entry": None, "checkpoint": "a\n1\n\n\n— a !\n", "proof": {}},
        {"state": "pending", "entry": {"seq": float(1)}},
        {"state": {"a": [[[[[]]]]]}, "anchor": {"chain_id": 1.5}},
    ],
)
def test_garbage_is_examined_like_anything_else(city: Any, receipt: dict[str, Any]) -> None:
    examined = city.auditor.examine(receipt)
    assert not examined["verified"]
    assert list(outcome(examined)) == NAMES
    assert examined["entry"] is None


def test_an_anchor_of_something_else_is_not_the_receipts(city: Any, lived: Any) -> None:
    """A transaction that is where it is said to be, but anchored another size."""
    receipt = json.loads(json.dumps(lived[1].receipt))
    size = open_checkpoint(receipt["checkpoint"], city.log_key).size
    row = city.auditor.checkpoints(before=size, limit=1)["checkpoints"][0]
    for name in ("tx_hash", "block_number", "block_hash"):
        receipt["anchor"][name] = row[name]
    examined = city.auditor.examine(receipt)
    assert not examined["verified"]
    assert outcome(examined) == {**dict.fromkeys(NAMES, True), "transaction": False}
    assert "transaction.elsewhere" in details(examined)


def test_an_address_has_no_second_meaning_by_its_letters(city: Any, lived: Any) -> None:
    receipt = json.loads(json.dumps(lived[1].receipt))
    receipt["anchor"]["contract"] = receipt["anchor"]["contract"].lower()
    assert city.auditor.examine(receipt)["verified"]


def test_an_anchor_without_record_is_of_the_logs_own_contract(city: Any, lived: Any) -> None:
    parts = read_parts(lived[1].receipt)
    named = parts.anchor
    assert named is not None
    mined = Mined(named.block_number, named.block_hash, named.contract)
    for home, ok in (
        ((named.chain_id, named.contract.upper().replace("0X", "0x")), True),
        ((named.chain_id + 1, named.contract), False),
        ((named.chain_id, "0x" + "ab" * 20), False),
        (None, False),
    ):
        says, own = ChainSays(None, mined), Anchoring(home, None)
        found = {check.name: check for check in examine(parts, city.log_key, None, says, own)}
        assert found["transaction"].ok is ok, home


def test_numbers_beyond_all_bounds_are_examined_too(city: Any, lived: Any) -> None:
    for at, name in (("entry", "seq"), ("anchor", "chain_id"), ("anchor", "block_number")):
        receipt = json.loads(json.dumps(lived[1].receipt))
        receipt[at][name] = 10**40
        answer = httpx.post(f"{city.url}/v1/verify", json={"receipt": receipt}, trust_env=False)
        assert answer.status_code == 200, (at, name, answer.text[:200])
        assert f"{at if at == 'entry' else 'transaction'}.malformed" in details(answer.json())


def test_what_is_no_question_is_a_problem(city: Any) -> None:
    url = f"{city.url}/v1/verify"
    for content, status in (
        (b"", 400),
        (b"[]", 422),
        (b'{"receipt": []}', 422),
        (b'{"receipt": "a"}', 422),
        (b"{}", 422),
        (b'{"receipt": {}, "more": 1}', 422),
        (b'{"receipt": ' + b'{"a":' * 60_000 + b"1" + b"}" * 60_000 + b"}", 400),
        (b'{"receipt": {"a": "' + b"a" * (1 << 20) + b'"}}', 413),
    ):
        answer = httpx.post(url, content=content, trust_env=False)
        assert answer.status_code == status, (content[:40], answer.text[:200])
        assert answer.json()["code"] in {"request.malformed", "request.invalid", "body.too_large"}


# --- a few questions at a time ----------------------------------------------------------------


class SlowChain(ChainClient):
    """Counts what reaches it, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.may = threading.Event()
        self.fails = False

    def block(self, number: int) -> Block | None:
        self.asked.append(number)
        self.may.wait(10)
        if self.fails:
            raise ChainUnavailable("no answer")
        return Block(number, "0x1", "0x0", 1, "0x2", "0x3", 4, ())

    def head_number(self) -> int:
        self.asked.append(-1)
        self.may.wait(10)
        return len(self.asked)


def with_chain(run: Callable[[ChainView, SlowChain], Any]) -> None:
    chain = SlowChain()

    async def all_of_it() -> None:
        places = AllPlaces()
        view = ChainView(chain, bytes(32), places.chain)
        try:
            await run(view, chain)
        finally:
            chain.may.set()
            places.close()

    asyncio.run(all_of_it())


def test_one_question_is_asked_once_however_many_ask_it() -> None:
    async def run(view: ChainView, chain: SlowChain) -> None:
        asked = [asyncio.create_task(view.block(7)) for _ in range(500)]
        await asyncio.sleep(0.05)
        asked[0].cancel()
        chain.may.set()
        found = await asyncio.gather(*asked[1:])
        assert {block.number for block in found if block} == {7}
        assert chain.asked == [7]
        # What is mined is final, and where the chain ends is not.
        await view.blocks([7, 8])
        assert chain.asked == [7, 8]
        first = await view.head_number()
        assert await view.head_number() == first
        await asyncio.sleep(1.1)
        assert await view.head_number() > first

    with_chain(run)


def test_more_questions_than_the_chain_can_bear_are_turned_away() -> None:
    async def run(view: ChainView, chain: SlowChain) -> None:
        asked = [asyncio.create_task(view.block(number)) for number in range(64)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await view.block(1_000)
        assert len(chain.asked) == 2
        chain.may.set()
        await asyncio.gather(*asked)
        assert (await view.block(1_000)) is not None

    with_chain(run)


def test_a_chain_that_does_not_answer_is_left_alone_for_a_moment() -> None:
    async def run(view: ChainView, chain: SlowChain) -> None:
        chain.fails = True
        asked = [asyncio.create_task(view.block(number)) for number in range(40)]
        await asyncio.sleep(0.05)
        chain.may.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {ChainUnavailable}
        assert len(chain.asked) == 2
        chain.fails = False
        await asyncio.sleep(1.1)
        assert (await view.block(3)) is not None

    with_chain(run)


def test_many_readers_at_once_get_the_same_answer(city: Any) -> None:
    with ThreadPoolExecutor(32) as pool, httpx.Client(trust_env=False, timeout=30) as client:
        asked = [pool.submit(client.get, f"{city.url}/v1/blocks?limit=50") for _ in range(200)]
        assert {one.result().status_code for one in asked} == {200}
