"""What is stored of institutions, sites, keys and imported files, held against the log made again.

Not this module's job: what the log says of them (`audit.integrity.replay.enrolments`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Table

from audit.integrity.entry.values import rows_of
from audit.integrity.findings.report import Findings
from ledger.database import tables
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.directory.holders import salted_digest
from ledger.directory.keys import Enrolled
from ledger.issue.handler import import_name
from ledger.proof.encoding import b64url, b64url_decode


@dataclass(slots=True)
class Key:
    enrolled: Enrolled
    point: bytes
    seq: int
    kept: bool = False  # by the service, for a department
    proven: bool = False  # whose device it is, by what is sealed with it
    completed_seq: int | None = None
    suspended_by: str | None = None
    confirmed: bool = False  # that its row is as enrolled, but for a revocation


class DirectoryTables:
    """What is stored of institutions, sites, keys and imported files, held against the log."""

    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        master: MasterKey,
        erased: Collection[int],
    ) -> None:
        """``erased``: entries of which the sealed proof was destroyed."""
        self._connection, self._findings = connection, findings
        self._master, self._erased = master, erased

    def check_keys(self, keys: Mapping[str, Key]) -> None:
        missing = set(keys)
        for row in rows_of(self._connection, tables.keys):
            key = keys.get(row.kid)
            if key is None:
                self._findings.added(f"keys {row.kid}", "no entry enrols it")
            else:
                missing.discard(row.kid)
                self._check_key(row, key)
        for kid in sorted(missing):
            self._findings.missing(f"keys {kid}")

    def check_import_files(self, imports: Mapping[int, str]) -> None:
        """What is sealed with each import opens the commitment that was signed."""
        table, missing = tables.import_files, set(imports)
        for row in rows_of(self._connection, table):
            where, commitment = f"import_files {row.seq}", imports.get(row.seq)
            if commitment is None:
                self._findings.added(where, "no entry imports it")
                continue
            missing.discard(row.seq)
            if row.seq in self._erased and is_erased(row):
                continue
            try:
                if row.seq in self._erased:
                    raise ValueError("not erased")
                sealed = Sealed(row.wrapped_key, row.sealed)
                kept = orjson.loads(self._master.open(sealed, import_name(row.seq)))
                digest, salt = bytes.fromhex(kept["file_sha256"]), b64url_decode(kept["salt"])
                opened = salted_digest(salt, digest) == commitment
            except (SealError, ValueError, TypeError, KeyError, AttributeError):
                opened = False
            if not opened:
                self._findings.altered(where, "sealed not as imported", "import.differs")
        for seq in sorted(missing):
            self._findings.missing(f"import_files {seq}")

    def compare(self, table: Table, key: str, expected: Mapping[str, dict[str, Any]]) -> None:
        rows = {getattr(row, key): row for row in rows_of(self._connection, table)}
        for name in sorted(rows.keys() | expected.keys(), key=str):
            where = f"{table.name} {name}"
            if name not in rows:
                self._findings.missing(where)
            elif name not in expected:
                self._findings.added(where, "no entry enrols it")
            else:
                self._findings.compare(
                    where, rows[name], expected[name], "enrolled", "enrolment.differs"
                )

    def _check_key(self, row: Any, key: Key) -> None:
        enrolled = key.enrolled
        erased = key.seq in self._erased
        as_confirmed = (
            row.revoked_ms == enrolled.revoked_ms and row.suspended_seq == enrolled.suspended_seq
        )
        if key.confirmed and as_confirmed and not erased:
            return
        expected = {
            "role": enrolled.role,
            "institution": enrolled.institution,
            "terminal": enrolled.terminal,
            "site": enrolled.site,
            "holder": enrolled.holder,
            "not_before": enrolled.not_before,
            "not_after": enrolled.not_after,
            "scope": enrolled.scope,
            "revoked_ms": enrolled.revoked_ms,
            "suspended_seq": enrolled.suspended_seq,
            "completed_seq": key.completed_seq,
            "seq": key.seq,
        }
        wrong = [name for name in expected if getattr(row, name) != expected[name]]
        if not same_jwk(row.jwk, key.point):
            wrong.append("jwk")
        if not self._same_sealed(row, key):
            wrong.append("sealed")
        if wrong:
            self._findings.altered(
                f"keys {row.kid}", f"{', '.join(wrong)} not as enrolled", "key.differs"
            )

    def _same_sealed(self, row: Any, key: Key) -> bool:
        """A kept key's private part opens and belongs to the public one; what is sealed with a
        device was held against its statement on the way; nothing is with any other key."""
        if key.proven:
            return is_erased(row) is (key.seq in self._erased)
        if not key.kept:
            return row.sealed is None and row.wrapped_key is None
        try:
            jwk = orjson.loads(unsealed(self._master, row.kid, row))
            private = ec.derive_private_key(
                int.from_bytes(b64url_decode(jwk["d"]), "big"), ec.SECP256R1()
            )
        except (SealError, ValueError, TypeError, KeyError):
            return False
        numbers = private.public_key().public_numbers()
        return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big") == key.point


def unsealed(master: MasterKey, name: str, row: Any) -> bytes:
    """What is sealed in a row."""
    return master.open(Sealed(row.wrapped_key, row.sealed), name.encode())


def is_erased(row: Any) -> bool:
    """Whether what was sealed in a row is destroyed."""
    return row.sealed is None and row.wrapped_key is None


def same_jwk(text: Any, point: bytes) -> bool:
    """Whether what is stored of a key is this point, as the service writes it."""
    wanted = {"kty": "EC", "crv": "P-256", "x": b64url(point[:32]), "y": b64url(point[32:])}
    try:
        found = orjson.loads(text)
    except (ValueError, TypeError):
        return False
    same = isinstance(found, dict) and all(found.get(name) == wanted[name] for name in wanted)
    return same and orjson.dumps(found).decode() == text
