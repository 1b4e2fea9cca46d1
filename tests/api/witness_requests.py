"""What is asked of a witness that has seen five entries, with the answer's status and, where it
tells one, the size; for whoever writes a witness, or asks ours.

    python -m tests.api.witness_requests          writes tests/vectors/add-checkpoint.json anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledger.proof.add_checkpoint import AddCheckpoint
from ledger.proof.merkle import consistency_proof
from tests.audit.watch.test_witness import KEY, NAME, OTHER, TRUE, VERIFIER, History

VECTORS = Path(__file__).parents[1] / "vectors" / "add-checkpoint.json"
SEEN = 5
FORKED = History(fork=3)


def asked(old: int, new: int, history: History = TRUE, **changed: Any) -> str:
    proof = tuple(consistency_proof(old, new, history.read)) if old <= new else ()
    given = {"old": old, "proof": proof, "note": history.note(new), **changed}
    return AddCheckpoint(**given).text()


PROOF = tuple(consistency_proof(SEEN, 9, TRUE.read))
RIGHT = asked(SEEN, 9)
#: Name, request, status, and the size that a 409 tells.
REQUESTS: list[tuple[str, str, int, int | None]] = [
    ("it grew", RIGHT, 200, None),
    ("as it was", asked(SEEN, SEEN), 200, None),
    ("with a stranger's line", RIGHT + TRUE.note(9, OTHER).splitlines(True)[-1], 200, None),
    ("nothing", "", 400, None),
    ("no old size", RIGHT.partition("\n")[2], 400, None),
    ("an old size with a nought before it", RIGHT.replace("old 5", "old 05"), 400, None),
    ("a negative old size", RIGHT.replace("old 5", "old -5"), 400, None),
    ("two blanks", RIGHT.replace("old 5", "old  5"), 400, None),
    ("no blank line", RIGHT.replace("\n\n", "\n", 1), 400, None),
    ("carriage returns", RIGHT.replace("\n", "\r\n"), 400, None),
    ("a hash that is cut short", asked(SEEN, 9, proof=(PROOF[0][:31], *PROOF[1:])), 400, None),
    ("64 hashes", asked(SEEN, 9, proof=PROOF[:1] * 64), 400, None),
    ("an old size beyond the checkpoint's", asked(SEEN, 4), 400, None),
    ("by another key", asked(SEEN, 9, note=TRUE.note(9, OTHER)), 403, None),
    ("without a signature", RIGHT.rpartition("— ")[0], 403, None),
    ("another size under the signature", RIGHT.replace("\n9\n", "\n10\n"), 403, None),
    ("another log", asked(SEEN, 9, note=TRUE.note(9, KEY, "log.example/other")), 404, None),
    ("who does not know", asked(0, 9), 409, SEEN),
    ("from earlier", asked(3, 9), 409, SEEN),
    ("from later", asked(7, 9), 409, SEEN),
    ("back to fewer entries", asked(3, 4), 409, SEEN),
    ("another root of the same size", asked(SEEN, SEEN, FORKED), 409, None),
    ("no proof", asked(SEEN, 9, proof=()), 422, None),
    ("a hash too few", asked(SEEN, 9, proof=PROOF[:-1]), 422, None),
    ("a hash too many", asked(SEEN, 9, proof=(*PROOF, bytes(32))), 422, None),
    ("another hash", asked(SEEN, 9, proof=(bytes(32), *PROOF[1:])), 422, None),
    ("hashes in another order", asked(SEEN, 9, proof=PROOF[::-1]), 422, None),
    ("a proof where none is due", asked(SEEN, SEEN, proof=PROOF), 422, None),
    ("another history, with its own proof", asked(SEEN, 9, FORKED), 422, None),
    ("another history, with the true proof", asked(SEEN, 9, FORKED, proof=PROOF), 422, None),
]


def vectors() -> dict[str, Any]:
    return {
        "note": "made by python -m tests.api.witness_requests; keys and names are nobody's",
        "log": str(VERIFIER),
        "origin": NAME,
        "first": asked(0, SEEN),
        "requests": [
            {"name": name, "request": text, "status": status, "size": size}
            for name, text, status, size in REQUESTS
        ],
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), ensure_ascii=False, indent=1) + "\n", "utf-8")
