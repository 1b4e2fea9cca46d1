"""The ring of keys: what it keeps, and what it must not keep."""

from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import select

from ledger.database import tables
from ledger.database.row_macs import change, put
from ledger.database.transactions import Database
from ledger.directory.keys import NEVER, KeyRing, Role
from tests import engines


def enrolled_key(database: Database) -> str:
    key = ECKey.generate_key("P-256", private=True)
    public = key.as_dict(private=False)
    jwk = "{" + ",".join(f'"{name}":"{public[name]}"' for name in ("kty", "crv", "x", "y")) + "}"
    row = {"kid": key.thumbprint(), "jwk": jwk, "role": Role.AUDITOR, "institution": "operator"}
    with database.write() as connection:
        put(connection, tables.keys, {**row, "not_before": 0, "not_after": NEVER, "seq": 0})
    return str(key.thumbprint())


def revoke(database: Database, kid: str) -> None:
    with database.write() as connection:
        row = connection.execute(select(tables.keys).where(tables.keys.c.kid == kid)).one()
        change(connection, tables.keys, row, {"revoked_ms": 1})


def made(tmp_path: Path) -> tuple[Database, KeyRing, str]:
    database = engines.new_database(tmp_path / "ring.db")
    return database, KeyRing(database), enrolled_key(database)


def test_a_key_is_found_until_it_is_forgotten_and_then_read_again(tmp_path: Path) -> None:
    database, ring, kid = made(tmp_path)
    found = ring.find(kid)
    assert found is not None
    assert found[0].valid_at(10)
    revoke(database, kid)
    ring.forget()
    again = ring.find(kid)
    assert again is not None
    assert not again[0].valid_at(10)
    assert ring.find("unknown") is None
    database.close()


def test_what_was_read_before_a_revocation_does_not_outlive_it(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """A reader that read the old row, and stores it only after the ring was told to forget."""
    database, ring, kid = made(tmp_path)
    import ledger.directory.keys as module

    original = module.enrolled_from_row

    def slow(row: Any) -> Any:
        enrolled = original(row)
        monkeypatch.setattr(module, "enrolled_from_row", original)
        revoke(database, kid)
        ring.forget()
        return enrolled

    monkeypatch.setattr(module, "enrolled_from_row", slow)
    stale = ring.find(kid)
    assert stale is not None
    assert stale[0].valid_at(10)
    fresh = ring.find(kid)
    assert fresh is not None
    assert not fresh[0].valid_at(10)
    database.close()
