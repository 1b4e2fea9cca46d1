"""Bundles whose checkpoint witnesses cosigned, or did not: `STORIES`, each under a policy of the
trust file with the code that check 4 must come to, and `POLICIES`, which are read or refused.

    python -m tests.audit.witnessed_worlds          writes tests/vectors/witnesses.json anew
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.cosignatures import WitnessKey, cosign
from ledger.proof.notes import Checkpoint, NoteKey, parse_checkpoint, sign_checkpoint
from tests.audit.forge import LOG_KEY, ORIGIN, TRUST
from tests.audit.forged_worlds import disclosed

VECTORS = Path(__file__).parents[1] / "vectors" / "witnesses.json"
PRIVATE = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 32) for name in "abcx"}
NAMES = {name: f"witness.example/{name}" for name in PRIVATE}
KEYS = {
    name: WitnessKey(NAMES[name], key.public_key().public_bytes_raw())
    for name, key in PRIVATE.items()
}
#: A minute after all that happens in `disclosed`.
SEEN = 1_800_000_600
WITNESSES = "".join(f"witness {name} {KEYS[name]}\n" for name in "abc")
TWO_OF_THREE = f"{WITNESSES}group two 2 a b c\nquorum two\n"
NOBODY = f"{WITNESSES}quorum none\n"
NESTED = f"{WITNESSES}group first any a b\ngroup both all first c\nquorum both\n"


def line(who: str, note: str, time: int = SEEN, name: str = "") -> str:
    """One more line, by ``who``, who may call itself by another's name."""
    return cosign(note, name or NAMES[who], PRIVATE[who], time).removeprefix(note)


def cosigned(note: str, *names: str, time: int = SEEN) -> str:
    return note + "".join(line(name, note, time) for name in names)


def of(note: str, **members: Any) -> str:
    """The same note of another checkpoint, signed by the log's key."""
    there = parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
    given = {"origin": there.origin, "size": there.size, "root": there.root, **members}
    return sign_checkpoint(Checkpoint(**given), ORIGIN, LOG_KEY)


def claimed(note: str, key: WitnessKey, signature: bytes) -> str:
    raw = base64.b64encode(key.key_id + signature).decode()
    return f"{note}— {key.name} {raw}\n"


def shuffled(note: str) -> str:
    """The log's own line last."""
    body, _, own = note.rpartition("\n\n")
    return f"{body}\n\n{line('a', note)}{line('b', note)}{own}"


def moved(note: str, **members: Any) -> str:
    """Cosignatures of another checkpoint under this one."""
    other = of(note, **members)
    return note + line("a", other) + line("b", other)


#: Policy, what becomes of the note with the log's line alone, and what check 4 comes to.
STORIES: Mapping[str, tuple[str, Callable[[str], str], str]] = {
    "nobody asked, nobody there": ("quorum none\n", lambda n: n, "checkpoint.signed"),
    "nobody asked, unknown lines": (
        "quorum none\n",
        lambda n: cosigned(n, "a", "b"),
        "checkpoint.signed",
    ),
    "nobody asked, one there": (NOBODY, lambda n: cosigned(n, "b"), "checkpoint.witnessed"),
    "quorum reached": (TWO_OF_THREE, lambda n: cosigned(n, "a", "c"), "checkpoint.witnessed"),
    "all of them": (TWO_OF_THREE, lambda n: cosigned(n, "c", "b", "a"), "checkpoint.witnessed"),
    "with an unknown witness's line": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "x", "a", "b"),
        "checkpoint.witnessed",
    ),
    "the log's line last": (TWO_OF_THREE, shuffled, "checkpoint.witnessed"),
    "a group in a group": (NESTED, lambda n: cosigned(n, "b", "c"), "checkpoint.witnessed"),
    "one witness is the quorum": (
        f"{WITNESSES}quorum b\n",
        lambda n: cosigned(n, "b"),
        "checkpoint.witnessed",
    ),
    "with comments, blanks and addresses": (
        (
            f"# of the district\n\n \tlog\t{TRUST.log} https://log.example/ \n"
            f"witness 甲 {KEYS['a']}  https://a.example\nquorum\t甲\n"
        ),
        lambda n: cosigned(n, "a"),
        "checkpoint.witnessed",
    ),
    "seen a minute before, by a slow clock": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=YOUNGEST - 60),
        "checkpoint.witnessed",
    ),
    "of a repeated line the first counts": (
        TWO_OF_THREE,
        lambda n: claimed(cosigned(n, "a", "b"), KEYS["a"], b"\0" * 72),
        "checkpoint.witnessed",
    ),
    "nobody cosigned": (TWO_OF_THREE, lambda n: n, "checkpoint.quorum"),
    "one short": (TWO_OF_THREE, lambda n: cosigned(n, "b"), "checkpoint.quorum"),
    "the same witness twice": (TWO_OF_THREE, lambda n: cosigned(n, "a", "a"), "checkpoint.quorum"),
    "the same witness at two times": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a") + line("a", n, SEEN + 1),
        "checkpoint.quorum",
    ),
    "one and an unknown one": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "x"),
        "checkpoint.quorum",
    ),
    "an unknown key claims a name": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a") + line("x", n, name=NAMES["b"]),
        "checkpoint.quorum",
    ),
    "a known key under another name": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a") + line("b", n, name=NAMES["x"]),
        "checkpoint.quorum",
    ),
    "not of both groups": (NESTED, lambda n: cosigned(n, "a", "b"), "checkpoint.quorum"),
    "a known key's line is no signature": (
        TWO_OF_THREE,
        lambda n: claimed(cosigned(n, "a", "b"), KEYS["c"], b"\0" * 72),
        "checkpoint.cosignature",
    ),
    "a cosignature cut short": (
        NOBODY,
        lambda n: claimed(n, KEYS["a"], SEEN.to_bytes(8, "big")),
        "checkpoint.cosignature",
    ),
    "the checkpoint's signature as a cosignature": (
        NOBODY,
        lambda n: claimed(n, KEYS["a"], PRIVATE["a"].sign(n.rpartition("\n\n")[0].encode())),
        "checkpoint.cosignature",
    ),
    "cosigned for another origin": (
        TWO_OF_THREE,
        lambda n: moved(n, origin="other.example/log"),
        "checkpoint.cosignature",
    ),
    "cosigned with another root": (
        TWO_OF_THREE,
        lambda n: moved(n, root=bytes(32)),
        "checkpoint.cosignature",
    ),
    "cosigned with another size": (
        TWO_OF_THREE,
        lambda n: moved(n, size=7),
        "checkpoint.cosignature",
    ),
    "time zero": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=0),
        "checkpoint.witness_time",
    ),
    "a time beyond the calendar": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=253_402_300_800),
        "checkpoint.witness_time",
    ),
    "the last time there is": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=2**63 - 1),
        "checkpoint.witness_time",
    ),
    "a time with its highest bit": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=2**63),
        "checkpoint.cosignature",
    ),
    "seen before what is in it": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b", time=YOUNGEST - 62),
        "checkpoint.witness_time",
    ),
    "not signed by the log": (
        TWO_OF_THREE,
        lambda n: n.rpartition("\n\n")[0] + "\n\n" + line("a", n) + line("b", n),
        "checkpoint.invalid",
    ),
    "a line that is none": (
        TWO_OF_THREE,
        lambda n: cosigned(n, "a", "b") + "- witness.example/c AAAA\n",
        "checkpoint.invalid",
    ),
    "base64 in another form": (
        "quorum none\n",
        lambda n: f"{n}— w AB==\n",
        "checkpoint.invalid",
    ),
}


def chained(count: int) -> str:
    """Each group is of the one before it."""
    lines = [f"group g{i} any {'a' if i == 0 else f'g{i - 1}'}\n" for i in range(count)]
    return "".join(lines) + f"quorum g{count - 1}\n"


#: Of `disclosed`: the second of the newest entry that it shows.
YOUNGEST = max(line["entry"]["time"] for line in disclosed()["entries"]) // 1000

LOG = str(TRUST.log)
AS_WITNESS = str(WitnessKey("w", LOG_KEY.public_key().public_bytes_raw()))
OTHER_LOG = str(NoteKey("other.example", PRIVATE["x"].public_key().public_bytes_raw()))
RENAMED = str(WitnessKey("other", PRIVATE["a"].public_key().public_bytes_raw()))
SPACED = str(WitnessKey("w\u2003w", PRIVATE["a"].public_key().public_bytes_raw()))
A = f"witness a {KEYS['a']}\n"
#: Each with whether it is a policy of the trusted log.
POLICIES: Mapping[str, tuple[str, bool]] = {
    "no quorum asked": ("quorum none\n", True),
    "among several logs": (f"log {OTHER_LOG}\nlog {LOG}\nquorum none\n", True),
    "a witness that the quorum does not need": (f"{A}quorum none\n", True),
    "lines after the quorum": (f"quorum none\n{A}", True),
    "thirty-two groups": (A + chained(32), True),
    "thirty-three groups": (A + chained(33), False),
    "empty": ("", False),
    "no end of line": ("quorum none", False),
    "a carriage return": ("quorum none\r\n", False),
    "two quorums": ("quorum none\nquorum none\n", False),
    "no quorum": (A, False),
    "a quorum that is not defined": (f"{A}quorum b\n", False),
    "a quorum defined after": (f"quorum a\n{A}", False),
    "an unknown line": (f"{A}witnesses a\nquorum a\n", False),
    "a fourth word": (f"log {LOG} https://a b\nquorum none\n", False),
    "of another log": (f"log {OTHER_LOG}\nquorum none\n", False),
    "a name twice": (f"{A}witness a {KEYS['b']}\nquorum a\n", False),
    "a group with a witness's name": (f"{A}group a any a\nquorum a\n", False),
    "a witness called none": (f"witness none {KEYS['a']}\nquorum none\n", False),
    "a key twice": (f"{A}witness b {RENAMED}\nquorum none\n", False),
    "the log as its witness": (f"witness w {AS_WITNESS}\nquorum w\n", False),
    "a log's key for a witness": (f"witness w {OTHER_LOG}\nquorum w\n", False),
    "a witness's key for a log": (f"log {KEYS['a']}\nquorum none\n", False),
    "a key with another id": (f"{A.replace('+', '+0', 1)}quorum a\n", False),
    "a blank in a key's name": (f"witness w {SPACED}\nquorum w\n", False),
    "a member twice": (f"{A}group g 2 a a\nquorum g\n", False),
    "a member of two groups": (f"{A}group g any a\ngroup h any a\nquorum g\n", False),
    "a member that is none": (f"{A}group g any a none\nquorum g\n", False),
    "itself a member": (f"{A}group g any g a\nquorum g\n", False),
    "a group of nobody": (f"{A}group g any\nquorum g\n", False),
    "a threshold of nought": (f"{A}group g 0 a\nquorum g\n", False),
    "a threshold beyond its members": (f"{A}group g 2 a\nquorum g\n", False),
    "a threshold with a nought before it": (f"{A}group g 01 a\nquorum g\n", False),
    "too long": ("#" * 16_384 + "\nquorum none\n", False),
}


def vectors() -> dict[str, Any]:
    bundle = disclosed()
    return {
        "note": "made by python -m tests.audit.witnessed_worlds; keys and names are nobody's",
        "trust": TRUST.to_json(),
        "stories": [
            {
                "name": name,
                "policy": policy,
                "code": code,
                "bundle": {**bundle, "checkpoint": make(bundle["checkpoint"])},
            }
            for name, (policy, make, code) in STORIES.items()
        ],
        "policies": [
            {"name": name, "policy": text, "read": read} for name, (text, read) in POLICIES.items()
        ],
    }


def main() -> None:
    text = json.dumps(vectors(), ensure_ascii=False, indent=None, separators=(",", ":"))
    VECTORS.write_text(text.replace('{"name":', '\n{"name":') + "\n", "utf-8")


if __name__ == "__main__":
    main()
