"""The messages between a log and a witness (C2SP tlog-witness), and what is no such message."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.add_checkpoint import (
    MAX_PROOF,
    SIZE_TYPE,
    AddCheckpoint,
    Cosigned,
    Knows,
    Refused,
    read_add_checkpoint,
    read_answer,
)
from ledger.proof.cosignatures import WitnessKey, cosign, open_cosignature
from ledger.proof.notes import MAX_NOTE, Checkpoint, NoteError, sign_checkpoint

LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NAME, NOW = "witness.example/w", 1_800_000_000
KEY = WitnessKey(NAME, PRIVATE.public_key().public_bytes_raw())
HASHES = tuple(hashlib.sha256(bytes([number])).digest() for number in range(MAX_PROOF + 1))
NOTE = sign_checkpoint(Checkpoint("log.example/city", 9, HASHES[0]), "log.example/city", LOG)
REQUEST = AddCheckpoint(7, HASHES[:3], NOTE)


def line(key: Ed25519PrivateKey = PRIVATE, name: str = NAME, time: int = NOW) -> str:
    return cosign(NOTE, name, key, time).removeprefix(NOTE)


def answered(text: str | bytes, status: int = 200, kind: str = "", old: int = 7) -> object:
    body = text.encode() if isinstance(text, str) else text
    return read_answer(AddCheckpoint(old, (), NOTE), KEY, status, kind, body, NOW)


def refusal(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.code


def test_a_request_is_the_standards_text() -> None:
    hashes = [base64.b64encode(item).decode() for item in HASHES[:3]]
    assert REQUEST.text() == f"old 7\n{hashes[0]}\n{hashes[1]}\n{hashes[2]}\n\n{NOTE}"
    assert AddCheckpoint(0, (), NOTE).text() == f"old 0\n\n{NOTE}"
    assert read_add_checkpoint(REQUEST.text()) == REQUEST
    assert (REQUEST.old, REQUEST.size) == (7, 9)


HASH = base64.b64encode(HASHES[0]).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 7\n",
        f"old 7\n{NOTE.split(chr(10))[0]}\n",
        f"old\n\n{NOTE}",
        f"old  7\n\n{NOTE}",
        f"old 07\n\n{NOTE}",
        f"old -1\n\n{NOTE}",
        f"old +7\n\n{NOTE}",
        f"old ７\n\n{NOTE}",
        f"old {10**19}\n\n{NOTE}",
        f"Old 7\n\n{NOTE}",
        f"old 7\r\n\r\n{NOTE}",
        f"old 7 \n\n{NOTE}",
        f"\nold 7\n\n{NOTE}",
        f"old 7\nAAAA\n\n{NOTE}",
        f"old 7\n{HASH[:-1]}\n\n{NOTE}",
        f"old 7\n {HASH}\n\n{NOTE}",
        f"old 7\n{HASH[:-2]}{chr(ord(HASH[-2]) + 1)}=\n\n{NOTE}",
        "old 7\n" + f"{HASH}\n" * (MAX_PROOF + 1) + f"\n{NOTE}",
        f"old 7\n\n{NOTE}{'x' * MAX_NOTE}",
    ],
)
def test_no_other_text_is_a_request(text: str) -> None:
    with pytest.raises(NoteError):
        read_add_checkpoint(text)


def test_as_many_hashes_as_the_standard_allows_are_read() -> None:
    request = AddCheckpoint(7, HASHES[:MAX_PROOF], NOTE)
    assert read_add_checkpoint(request.text()) == request


def test_a_cosignature_by_the_witness_is_taken_and_no_other_line() -> None:
    stranger = line(OTHER, "witness.example/other")
    for text in (line(), stranger + line(), line() + stranger):
        answer = answered(text)
        assert answer == Cosigned(line(), NOW)
        assert isinstance(answer, Cosigned)
        assert open_cosignature(NOTE + answer.line, KEY) == NOW
    for time in (NOW - 60, NOW + 60):
        assert answered(line(time=time)) == Cosigned(line(time=time), time)


def moved(size: int) -> str:
    other = sign_checkpoint(
        Checkpoint("log.example/city", size, HASHES[1]), "log.example/city", LOG
    )
    return cosign(other, NAME, PRIVATE, NOW).removeprefix(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "cosigned\n",
        b"\xff\n",
        line().removesuffix("\n"),
        line(OTHER),
        line(OTHER, "witness.example/other"),
        moved(10),
        line()[:-6] + "AAAA\n",
        NOTE + line(),  # the whole note, and not the line alone
    ],
)
def test_an_answer_without_its_cosignature_is_none(text: str | bytes) -> None:
    assert refusal(answered(text)) == "witness.not_cosigned"


def test_nothing_stands_between_the_checkpoint_and_the_line_that_is_taken_over() -> None:
    """The witness signs a longer text, which would read as one note with the checkpoint."""
    body = NOTE.rpartition("\n\n")[0]
    longer = f"{body}\n\nmore\n\n"
    signed = cosign(longer, NAME, PRIVATE, NOW).removeprefix(longer)
    assert refusal(answered(f"more\n\n{signed}")) == "witness.not_cosigned"


def test_a_witness_whose_clock_is_wrong_is_no_help() -> None:
    for time in (NOW - 61, NOW + 61, 0, 2**63 - 1):
        assert refusal(answered(line(time=time))) == "witness.clock"


def test_a_witness_says_what_it_has_seen_instead() -> None:
    assert answered("5\n", 409, SIZE_TYPE) == Knows(5)
    assert answered("0\n", 409, f"{SIZE_TYPE}; charset=utf-8") == Knows(0)
    assert answered("12\n", 409, SIZE_TYPE) == Knows(12)


@pytest.mark.parametrize(
    ("status", "text", "old", "code"),
    [
        # Of the checkpoint's size it has seen another.
        (409, "9\n", 9, "witness.conflict"),
        (409, "", 9, "witness.conflict"),
        (422, "", 7, "witness.conflict"),
        # It says that it has what it was told it has.
        (409, "7\n", 7, "witness.refused"),
        (409, "5", 7, "witness.refused"),
        (409, "05\n", 7, "witness.refused"),
        (400, "", 7, "witness.refused"),
        (403, "", 7, "witness.refused"),
        (404, "", 7, "witness.refused"),
        (429, "", 7, "witness.unreachable"),
        (302, "", 7, "witness.unreachable"),
        (500, "", 7, "witness.unreachable"),
        (503, "", 7, "witness.unreachable"),
    ],
)
def test_a_refusal_has_one_code(status: int, text: str, old: int, code: str) -> None:
    assert refusal(answered(text, status, SIZE_TYPE, old)) == code


def test_a_size_of_another_media_type_is_none() -> None:
    assert refusal(answered("5\n", 409, "text/plain")) == "witness.refused"
