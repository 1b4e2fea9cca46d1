"""A log that only grows is witnessed; a log that forks leaves a proof that anybody can check."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.evidence.bundle import BundleError
from audit.evidence.forks import Fork, read_fork, verify_fork
from audit.watch.witness import (
    Consistent,
    Forked,
    NotShown,
    OtherSize,
    Tiles,
    Unclear,
    judge,
    judge_request,
)
from ledger.proof.add_checkpoint import AddCheckpoint
from ledger.proof.cosignatures import cosign
from ledger.proof.merkle import (
    EMPTY_ROOT,
    ReadNode,
    consistency_path,
    consistency_proof,
    leaf_hash,
    node_hash,
    range_root,
)
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint

NAME = "log.example/city"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
VERIFIER = NoteKey(NAME, KEY.public_key().public_bytes_raw())


class History:
    """A log's leaves; another history from leaf ``fork`` on."""

    def __init__(self, fork: int = 1 << 30) -> None:
        self._fork = fork

    def read(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(f"{index} {index >= self._fork}".encode())
        return node_hash(self.read(level - 1, 2 * index), self.read(level - 1, 2 * index + 1))

    def root(self, size: int) -> bytes:
        return range_root(0, size, self.read)

    def note(self, size: int, key: Ed25519PrivateKey = KEY, name: str = NAME) -> str:
        return sign_checkpoint(Checkpoint(name, size, self.root(size)), name, key)

    def tiles(self, shown: int = 1 << 30) -> Tiles:
        """As far as the log shows them."""

        def of(size: int) -> ReadNode:
            if size > shown:
                raise NotShown("not there")
            return self.read

        return of


class Seen:
    def __init__(self, *notes: tuple[int, str]) -> None:
        self._notes = notes

    def newest(self) -> str | None:
        return self._notes[-1][1] if self._notes else None

    def around(self, size: int) -> tuple[str | None, str | None]:
        before = [note for number, note in self._notes if number <= size]
        after = [note for number, note in self._notes if number > size]
        return before[-1] if before else None, after[0] if after else None


TRUE = History()


def seen(*sizes: int) -> Seen:
    return Seen(*((size, TRUE.note(size)) for size in sizes))


sizes = st.integers(min_value=1, max_value=70)


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_log_that_only_grows_is_witnessed(one: int, other: int) -> None:
    old, new = sorted((one, other))
    judged = judge(TRUE.note(new), VERIFIER, seen(old), TRUE.tiles())
    assert isinstance(judged, Consistent)
    assert judged.known == (old == new)
    first = judge(TRUE.note(new), VERIFIER, Seen(), TRUE.tiles())
    assert isinstance(first, Consistent)
    assert not first.known


@given(sizes, sizes, st.data())
@settings(max_examples=80, deadline=None)
def test_every_fork_is_proven_and_the_proof_stands_alone(
    one: int, other: int, data: st.DataObject
) -> None:
    old, new = sorted((one, other))
    at = data.draw(st.integers(min_value=0, max_value=old - 1))
    forked = History(fork=at)
    judged = judge(forked.note(new), VERIFIER, seen(old), forked.tiles())
    assert isinstance(judged, Forked)
    report = verify_fork(read_fork(judged.fork.to_json()), VERIFIER)
    assert report.proven
    shown = report.to_json()
    assert (shown["facts"]["older"]["size"], shown["facts"]["newer"]["size"]) == (old, new)
    # Nobody else's key makes it a proof about this log.
    assert not verify_fork(judged.fork, NoteKey(NAME, OTHER.public_key().public_bytes_raw())).proven


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_path_and_proof_are_one(one: int, other: int) -> None:
    old, new = sorted((one, other + 1))
    if old < new:
        path, proof = consistency_path(old, new, TRUE.read), consistency_proof(old, new, TRUE.read)
        assert path[len(path) - len(proof) :] == proof
        assert path[0] == (proof[0] if len(path) == len(proof) else TRUE.root(old))


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_nothing_proves_a_fork_of_a_log_that_never_forked(one: int, other: int) -> None:
    old, new = sorted((one, other))
    proof = tuple(consistency_path(old, new, TRUE.read)) if old < new else ()
    honest = Fork(TRUE.note(old), TRUE.note(new), proof)
    assert not verify_fork(honest, VERIFIER).proven
    for index in range(len(proof)):
        changed = (*proof[:index], bytes(32), *proof[index + 1 :])
        assert not verify_fork(Fork(honest.older, honest.newer, changed), VERIFIER).proven
    assert not verify_fork(Fork(honest.older, honest.newer, proof[:-1]), VERIFIER).proven
    assert not verify_fork(Fork(honest.older, honest.newer, (*proof, bytes(32))), VERIFIER).proven


def test_fewer_entries_than_before_are_an_old_answer_or_a_fork() -> None:
    witnessed = seen(5, 9, 20)
    for size in (3, 9, 12):
        judged = judge(TRUE.note(size), VERIFIER, witnessed, TRUE.tiles())
        assert isinstance(judged, Unclear)
        assert judged.code == "log.behind"
    forked = History(fork=4)
    # Of a size that was witnessed; between two of them; before all of them, which the tiles that
    # are shown now cannot prove.
    for size in (9, 12):
        judged = judge(forked.note(size), VERIFIER, witnessed, forked.tiles(shown=size))
        assert isinstance(judged, Forked)
        assert verify_fork(judged.fork, VERIFIER).proven
    late = History(fork=10)
    judged = judge(late.note(12), VERIFIER, witnessed, late.tiles(shown=12))
    assert isinstance(judged, Unclear)
    # Tiles of what was witnessed prove it where they are still to be had.
    judged = judge(late.note(12), VERIFIER, witnessed, TRUE.tiles())
    assert isinstance(judged, Forked)
    assert verify_fork(judged.fork, VERIFIER).proven


@pytest.mark.parametrize(
    ("note", "code"),
    [
        ("<html>busy</html>", "note.not_signed"),
        ("\ud800\n\n— x AAAA\n", "note.not_signed"),
        (TRUE.note(7, key=OTHER), "note.not_signed"),
        (TRUE.note(7, name="log.example/other"), "note.not_signed"),
        (TRUE.note(7) + "— w " + "A" * 20_000 + "\n", "note.not_signed"),
        (
            sign_checkpoint(Checkpoint("log.example/other", 7, TRUE.root(7)), NAME, KEY),
            "note.not_signed",
        ),
        (TRUE.note(400), "tiles.not_shown"),
        (sign_checkpoint(Checkpoint(NAME, 7, bytes(32)), NAME, KEY), "tiles.differ"),
    ],
)
def test_what_proves_nothing_is_neither_witnessed_nor_a_fork(note: str, code: str) -> None:
    for witnessed in (Seen(), seen(5)):
        judged = judge(note, VERIFIER, witnessed, TRUE.tiles(shown=100))
        assert isinstance(judged, Unclear)
        assert judged.code == code


def test_other_signers_lines_are_not_kept() -> None:
    note = TRUE.note(7)
    judged = judge(note + "— w.example AAAAAAAA\n", VERIFIER, Seen(), TRUE.tiles())
    assert isinstance(judged, Consistent)
    assert judged.note == note


def changed_forks() -> list[tuple[str, dict[str, Any]]]:
    forked = History(fork=2)
    fork = Fork(TRUE.note(5), forked.note(9), tuple(consistency_path(5, 9, forked.read)))
    assert verify_fork(fork, VERIFIER).proven
    good = fork.to_json()
    found = []
    for name, change in {
        "kind": {"kind": "certledger-evidence"},
        "version": {"v": 2},
        "version that is true": {"v": True},
        "unknown member": {"more": 1},
        "proof no list": {"proof": {}},
        "short hash": {"proof": ["AAAA"]},
        "second spelling": {"proof": [good["proof"][0][:-2] + "F=", *good["proof"][1:]]},
        "too many": {"proof": good["proof"] * 30},
        "note no text": {"older": 5},
        "note too long": {"older": "x" * 5_000},
    }.items():
        value = copy.deepcopy(good)
        value.update(change)
        found.append((name, value))
    missing = copy.deepcopy(good)
    del missing["newer"]
    return [*found, ("missing member", missing)]


@pytest.mark.parametrize(("name", "value"), changed_forks(), ids=lambda item: str(item)[:20])
def test_file_in_another_form_is_refused(name: str, value: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        read_fork(value)


def test_no_character_of_a_fork_can_be_changed() -> None:
    forked = History(fork=2)
    fork = Fork(TRUE.note(5), forked.note(9), tuple(consistency_path(5, 9, forked.read)))
    for name in ("older", "newer"):
        note: str = getattr(fork, name)
        extended = note + "— w.example AAAAAAAA\n"
        texts = [
            note[:i] + ("A" if note[i] != "A" else "B") + note[i + 1 :] for i in range(len(note))
        ]
        for text in [*texts, extended]:
            notes = {"older": fork.older, "newer": fork.newer, name: text}
            assert not verify_fork(Fork(**notes, proof=fork.proof), VERIFIER).proven
    for index, item in enumerate(fork.proof):
        changed = bytes([item[0] ^ 1]) + item[1:]
        proof = (*fork.proof[:index], changed, *fork.proof[index + 1 :])
        assert not verify_fork(Fork(fork.older, fork.newer, proof), VERIFIER).proven
    assert not verify_fork(Fork(fork.newer, fork.older, fork.proof), VERIFIER).proven
    twice = Fork(TRUE.note(5), forked.note(5), ())
    assert verify_fork(twice, VERIFIER).proven
    assert not verify_fork(Fork(twice.older, twice.newer, (bytes(32),)), VERIFIER).proven


def asked(
    old: int,
    new: int,
    history: History = TRUE,
    *,
    witnessed: Seen | None = None,
    note: str | None = None,
    proof: tuple[bytes, ...] | None = None,
) -> object:
    """What a witness that has seen ``old`` entries makes of a request for ``new``."""
    given = tuple(consistency_proof(old, new, history.read)) if proof is None else proof
    request = AddCheckpoint(old, given, note or history.note(new))
    return judge_request(request, VERIFIER, witnessed or (seen(old) if old else Seen()))


def unclear(judged: object) -> str:
    assert isinstance(judged, Unclear), judged
    return judged.code


@given(st.integers(min_value=0, max_value=70), sizes)
@settings(max_examples=60, deadline=None)
def test_who_asks_with_a_proof_is_cosigned(one: int, other: int) -> None:
    old, new = sorted((one, other))
    judged = asked(old, new)
    assert isinstance(judged, Consistent)
    assert (judged.note, judged.known) == (TRUE.note(new), old == new)


@given(sizes, sizes, st.data())
@settings(max_examples=80, deadline=None)
def test_no_proof_brings_a_fork_past_a_witness(one: int, other: int, data: st.DataObject) -> None:
    old, new = sorted((one, other))
    forked = History(fork=data.draw(st.integers(min_value=0, max_value=old - 1)))
    for proof in (None, tuple(consistency_proof(old, new, TRUE.read))):
        judged = asked(old, new, forked, proof=proof, witnessed=seen(old))
        assert not isinstance(judged, Consistent)
        if isinstance(judged, Forked):
            assert verify_fork(judged.fork, VERIFIER).proven
    # The log's own proof tells, but where the standard leaves out the hash that would.
    if old & (old - 1) or old == new:
        assert isinstance(asked(old, new, forked, witnessed=seen(old)), Forked)


def test_a_request_is_refused_by_the_standards_rules_in_their_order() -> None:
    stranger = TRUE.note(9, OTHER)
    elsewhere = TRUE.note(9, KEY, "log.example/other")
    assert unclear(asked(5, 9, note=elsewhere)) == "log.unknown"
    assert unclear(asked(5, 9, note=elsewhere.replace("9", "x", 1))) == "log.unknown"
    assert unclear(asked(5, 9, note=stranger)) == "note.not_signed"
    assert unclear(asked(5, 9, note=NAME + "\n")) == "note.not_signed"
    assert unclear(asked(5, 9, note=TRUE.note(9) + "x" * 20_000)) == "note.not_signed"
    # Signed by the log's key, and no checkpoint of it.
    assert unclear(asked(5, 9, note=TRUE.note(9).replace(f"{NAME}\n", "x\n", 1))) == "log.unknown"
    assert unclear(asked(12, 9, proof=(), witnessed=seen(5))) == "request.sizes"
    for old in (0, 3, 8):
        judged = asked(old, 9, proof=(), witnessed=seen(5))
        assert isinstance(judged, OtherSize)
        assert judged.size == 5
    assert asked(5, 9, witnessed=Seen()) == OtherSize(0)
    # Never back: the size that was witnessed last is larger than the checkpoint's.
    assert asked(3, 5, witnessed=seen(5, 9)) == OtherSize(9)
    proof = tuple(consistency_proof(5, 9, TRUE.read))
    for wrong in ((), proof[:-1], (*proof, bytes(32)), (bytes(32), *proof[1:]), proof[::-1]):
        assert unclear(asked(5, 9, proof=wrong)) == "proof.invalid"
    assert unclear(asked(0, 9, proof=proof)) == "proof.invalid"
    assert unclear(asked(5, 5, proof=proof)) == "proof.invalid"


def test_further_signature_lines_do_no_harm_and_are_not_kept() -> None:
    note = TRUE.note(9)
    for number in range(40):
        note = cosign(note, f"witness.example/{number}", OTHER, 1_800_000_000)
    assert len(note) > 4_096
    judged = asked(5, 9, note=note)
    assert isinstance(judged, Consistent)
    assert judged.note == TRUE.note(9)
    looked = judge(note, VERIFIER, seen(5), TRUE.tiles())
    assert isinstance(looked, Consistent)
    assert looked.note == TRUE.note(9)


def test_an_empty_log_has_one_root() -> None:
    empty = sign_checkpoint(Checkpoint(NAME, 0, EMPTY_ROOT), NAME, KEY)
    assert isinstance(asked(0, 0, note=empty, proof=()), Consistent)
    other = sign_checkpoint(Checkpoint(NAME, 0, bytes(32)), NAME, KEY)
    assert unclear(asked(0, 0, note=other, proof=())) == "proof.invalid"
    assert asked(0, 0, note=empty, proof=(), witnessed=seen(5)) == OtherSize(5)
