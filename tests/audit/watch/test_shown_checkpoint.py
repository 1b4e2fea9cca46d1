"""Which of the anchored checkpoints a service shows, by what its witnesses have cosigned."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.process.serve import free_port
from api.service.cosigning import Cosigning
from ledger.database import tables
from ledger.proof.cosignatures import WitnessKey, cosign, cosignatures
from ledger.proof.notes import NoteKey, open_checkpoint
from ledger.proof.quorum import read_policy
from ledger.proof.receipts import Published

NAME = "witness.example/w"


def test_the_newest_with_the_quorum_is_shown_and_never_fewer_entries_than_before(
    own_ledger: Any, tmp_path: Path
) -> None:
    private = Ed25519PrivateKey.generate()
    witness = WitnessKey(NAME, private.public_key().public_bytes_raw())
    # Nobody is there: what it cosigned before stands in the database.
    asked = f"witness w {witness} http://127.0.0.1:{free_port()}\n"
    with own_ledger(tmp_path) as builder:
        builder.start_city()
        code = str(sys.modules[type(builder).__module__].REGISTRY)
        log, database = builder.log, builder.database
        key = NoteKey(builder.built.origin, builder.built.log_key.public_key().public_bytes_raw())

        def grown() -> Published:
            builder.enrol("operator", what="institution", code=code, name_zh="旅馆")
            deadline = time.monotonic() + 20
            while True:  # its row may be written a little later
                with database.read() as connection:
                    row = tables.newest_checkpoint(connection)
                if row is not None and row.size == log.anchored:
                    published: Published = log.published
                    return published
                assert time.monotonic() < deadline
                time.sleep(0.01)

        def cosigned(published: Published) -> None:
            line = cosign(published.note, NAME, private, int(time.time()))
            lines = {str(witness): line.removeprefix(published.note)}
            size, times = published.checkpoint.size, {"cosigned_ms": 1, "asked_ms": 1}
            row = {"witness": str(witness), "size": size, **times, "failures": 0}
            with database.write() as connection:
                tables.keep_asked(connection, [{**row, "code": None, "words": None}], size, lines)

        def shown_by(cosigning: Cosigning) -> tuple[int, bool]:
            published = cosigning.shown
            assert published is not None
            by_witness = bool(cosignatures(published.note, [witness]))
            assert open_checkpoint(published.note, key) == published.checkpoint
            return published.checkpoint.size, by_witness

        def covered(cosigning: Cosigning, seq: int) -> int:
            published = cosigning.covering(seq)
            assert published is not None
            return published.checkpoint.size

        first, second = grown(), grown()
        cosigned(first)
        older, newer = first.checkpoint.size, second.checkpoint.size

        @contextmanager
        def service(quorum: str) -> Iterator[Cosigning]:
            made = Cosigning(database, log, read_policy(f"{asked}quorum {quorum}\n"), key)
            yield made
            made.stop()

        with service("w") as cosigning:
            cosigning.start()
            assert shown_by(cosigning) == (older, True)
            assert covered(cosigning, older - 1) == older
            # What the quorum has not seen yet is proven without it.
            assert covered(cosigning, older) == newer
        with service("w") as cosigning:
            # Somebody has seen the newest before the quorum was reached.
            assert shown_by(cosigning) == (newer, False)
            cosigning.start()
            assert shown_by(cosigning) == (newer, False)
            assert covered(cosigning, older - 1) == older
        with service("none") as cosigning:
            cosigning.start()
            assert shown_by(cosigning) == (newer, False)
        cosigned(second)
        for quorum in ("w", "none"):
            with service(quorum) as cosigning:
                cosigning.start()
                assert shown_by(cosigning) == (newer, True)
