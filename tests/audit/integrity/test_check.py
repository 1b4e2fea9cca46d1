"""Every single change to the database or on the chain is found, and the finding names the record.

The ledger is built once; each test changes a copy of its database file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from sqlalchemy import select

import authz.dispute.handler
import authz.grant.handler
import authz.lookup.handler
import authz.tables
import ledger.enrolment.handler
import ledger.enrolment.invitations
import ledger.enrolment.suspension
from audit.integrity.chain.records import ChainRecords
from audit.integrity.findings import report
from audit.integrity.findings.report import Finding, IntegrityReport
from audit.integrity.parallel import ahead
from authz.dispute.model import Case, DisputeState
from authz.lookup.policy import LookupRequest, Permit
from ledger.chain import Anchor
from ledger.chain.outbox import DirectoryEntry, StatusChange
from ledger.database import tables
from ledger.database.row_macs import change
from ledger.database.transactions import Database
from ledger.directory.keys import NEVER, Enrolled
from ledger.enrolment.devices import Word
from ledger.enrolment.invitation_codes import code_digest
from ledger.proof.encoding import b64url, canonical_json, sha256
from ledger.proof.tiles import Tree
from ledger.record.readings import Read, Reading
from ledger.statement.statements import Kind, payload_of
from tests import engines

pytestmark = pytest.mark.timeout(120)


class Copy:
    """A copy of the ledger's database, and what the tests call the records in it."""

    def __init__(self, ledger: Any, folder: Path) -> None:
        self.ledger, self.path = ledger, folder / "copy.db"
        engines.copy(ledger.path, self.path)
        self.names: dict[str, str] = ledger.names

    def run(self, sql: str, *values: Any) -> list[Any]:
        return engines.run(self.path, sql, *values)

    def takes(self, sql: str, *values: Any) -> bool:
        """Whether the engine's types have such a value; what they have not is never there to be
        found. SQLite takes anything."""
        try:
            self.run(sql, *values)
        except engines.refusals() as refused:
            if isinstance(refused, engines.integrity_error()):
                raise
            return False
        return True

    def one(self, sql: str, *values: Any) -> Any:
        return self.run(sql, *values)[0][0]

    @property
    def size(self) -> int:
        return int(self.one("select size from log_head"))

    def seq(self, kind: str, condition: str = "true") -> int:
        """The first entry of a kind."""
        found = self.one(f"select min(seq) from entries where kind = ? and {condition}", kind)
        return int(found)

    def check(self, **changed: Any) -> IntegrityReport:
        report: IntegrityReport = self.ledger.check(self.path, **changed)
        return report

    def rehash(self) -> None:
        """Make all tiles fit the entries, as one would who alters history with care."""
        database = Database(engines.url(self.path))
        with database.write() as connection:
            rows = connection.execute(tables.entries.select().order_by(tables.entries.c.seq))
            tree = Tree(0, lambda _level, _index: b"")
            tiles = tree.append([tables.entry_from_row(row).leaf_hash() for row in rows])
            connection.execute(tables.tiles.delete())
            connection.execute(
                tables.tiles.insert(),
                [{"level": k[0], "tile_index": k[1], "hashes": v} for k, v in tiles.items()],
            )
        database.close()


@pytest.fixture
def copy(ledger: Any, tmp_path: Path) -> Copy:
    return Copy(ledger, tmp_path)


def wheres(report: IntegrityReport) -> set[str]:
    return {finding.where for finding in report.findings}


def found(report: IntegrityReport, where: str) -> Finding:
    assert not report.clean
    named = [finding for finding in report.findings if finding.where == where]
    assert named, f"{where} is not among {sorted(wheres(report))}"
    return named[0]


def test_untouched_ledger_is_clean(copy: Copy) -> None:
    seen: list[tuple[int, int]] = []
    report = copy.check(progress=lambda done, total: seen.append((done, total)))
    assert report.findings == ()
    assert report.clean
    assert report.entries == report.anchored == copy.size > 256
    assert seen[-1] == (copy.size, copy.size)
    assert orjson.loads(orjson.dumps(report.to_json()))["clean"] is True


def test_check_changes_nothing(copy: Copy) -> None:
    before = engines.dump(copy.path)
    copy.check()
    assert engines.dump(copy.path) == before


# --- entries --------------------------------------------------------------------------------------


def another_first(column: str) -> str:
    """SQL: the text with another first character, whichever it had."""
    first = f"substr({column}, 1, 1)"
    return f"case {first} when '0' then '1' else '0' end || substr({column}, 2)"


LOOKUP = "decision = 'released'"
REFUSED = "decision = 'refused'"
ENTRY_CHANGES = [
    ("time_ms", "lookup", LOOKUP, "time_ms + 1"),
    ("kind", "lookup", LOOKUP, "'request'"),
    ("kind", "lookup", LOOKUP, "'no such kind'"),
    ("actor", "lookup", LOOKUP, another_first("actor")),
    ("statement_digest", "lookup", LOOKUP, "randomblob(32)"),
    ("salt", "lookup", LOOKUP, "randomblob(16)"),
    ("certificate", "lookup", LOOKUP, "null"),
    ("certificate", "issue", "true", "certificate || 'x'"),
    ("grant", "lookup", LOOKUP, "null"),
    ("terminal", "lookup", LOOKUP, "'terminal-2'"),
    ("site", "lookup", LOOKUP, "'hotel-2'"),
    ("department", "lookup", LOOKUP, "'operator'"),
    ("service_item", "lookup", LOOKUP, "'age-check'"),
    ("staff", "lookup", LOOKUP, "'staff-2'"),
    ("staff", "lookup", LOOKUP, "cast(x'ff41' as text)"),
    ("subject", "request", "true", another_first("subject")),
    ("state", "status", "true", "'active'"),
    ("decision", "lookup", REFUSED, "'released'"),
    ("decision", "lookup", LOOKUP, "'maybe'"),
    ("reason", "lookup", REFUSED, "'code_used'"),
    # Not hashed into the tree, so they are derived again:
    ("holder", "lookup", LOOKUP, "'H' || '0'"),
    ("holder", "issue", "true", "null"),
    ("holder", "status", "true", "null"),
    ("holder", "grant", "true", "'Hx'"),
    ("holder", "revocation", "true", "'Hx'"),
    ("holder", "refusal", "true", "null"),
    ("holder", "dispute", "true", "'Hx'"),
    ("holder", "resolution", "true", "null"),
    ("holder", "question", "true", "null"),
    ("reason", "question", "true", "case reason when 'holder' then 'department' else 'holder' end"),
    ("state", "answer", "true", "'upheld'"),
    ("reason", "answer", "true", "'holder'"),
    ("holder", "invitation", "holder is not null", "null"),
    (
        "holder",
        "enrolment",
        "subject = (select kid from invitations where kid is not null order by seq limit 1)",
        "'Hx'",
    ),
    ("subject", "invitation", "true", another_first("subject")),
    ("site", "invitation", "site is not null", "'hotel-2'"),
    ("request_key", "lookup", LOOKUP, "randomblob(16)"),
    ("reason", "dispute", "true", "'other'"),
    ("state", "dispute", "true", "'upheld'"),
    ("staff", "dispute", "true", "null"),
    ("terminal", "resolution", "true", "'terminal-2'"),
    ("state", "resolution", "true", "'rejected'"),
    ("grant", "resolution", "true", "null"),
    # A reading that is to be seen by nobody, or by somebody else.
    ("holder", "reading", "certificate is not null", "null"),
    ("holder", "reading", '"grant" is not null', "'Hx'"),
    ("holder", "reading", 'certificate is null and "grant" is null', "null"),
    ("holder", "reading", "state = 'log'", "'Hx'"),
    ("state", "reading", "true", "'log'"),
    ("subject", "reading", "true", another_first("subject")),
    ("certificate", "reading", "certificate is not null", "null"),
    ("request_key", "reading", "true", "randomblob(16)"),
    # A deferral of somebody else's, or one that has ended already.
    ("holder", "deferral", "true", "'Hx'"),
    ("holder", "deferral", "state = 'ended'", "null"),
    ("certificate", "deferral", "true", "'1.2.156.x'"),
    ("state", "deferral", "state = 'deferred'", "'ended'"),
    ("subject", "deferral", "true", another_first("subject")),
]


def test_a_reading_hidden_with_care_is_named(copy: Copy) -> None:
    """Whose it is is bound to what is in the tree, although it is not in the tree itself: not
    even with another replay key and tiles that fit."""
    seq = copy.seq("reading", 'certificate is null and "grant" is null and holder is not null')
    copy.run("update entries set holder = null, request_key = randomblob(16) where seq = ?", seq)
    report = copy.check()
    assert wheres(report) == {f"entries {seq}"}
    assert "entry.differs" in {finding.code for finding in report.findings}


def test_a_reading_that_was_recorded_as_nobodys_is_named(copy: Copy) -> None:
    """Recorded by a service that does what it likes, master key and all."""
    seq = copy.seq("reading", "certificate is not null")
    kid, token, certificate = copy.run(
        "select e.actor, s.token, e.certificate from entries e join statements s on s.seq = e.seq"
        " where e.seq = ?",
        seq,
    )[0]
    reading = Reading(Read.HISTORY, certificate, None, None)
    digest = reading.digest(copy.ledger.master, kid, str(payload_of(token)["jti"]))
    copy.run(
        "update entries set holder = null, subject = ?, request_key = ? where seq = ?",
        b64url(digest),
        digest[:16],
        seq,
    )
    copy.rehash()
    what = found(copy.check(), f"entries {seq}").what
    assert what == "against the rules: it is not of the holder of what was read"


@pytest.mark.parametrize(("column", "kind", "condition", "value"), ENTRY_CHANGES)
def test_altered_entry_is_named(
    copy: Copy, column: str, kind: str, condition: str, value: str
) -> None:
    seq = copy.seq(kind, condition)
    copy.run(f'update entries set "{column}" = {value} where seq = ?', seq)
    report = copy.check()
    assert found(report, f"entries {seq}")
    # The tiles are right, and are not accused.
    assert not any(where.startswith("tiles") for where in wheres(report))


def test_altered_holder_of_an_enrolled_device_is_named(copy: Copy) -> None:
    seq = copy.seq("enrolment", "holder is not null")
    copy.run("update entries set holder = 'Hx' where seq = ?", seq)
    assert wheres(copy.check()) == {f"entries {seq}"}


def test_device_moved_to_another_person_is_named_wherever_it_was_written(copy: Copy) -> None:
    device, other = copy.names["holder"], copy.names["other"]
    seq = copy.one("select seq from keys where kid = ?", device)
    moved = "holder = (select holder from keys where kid = ?)"
    copy.run(f"update entries set {moved} where seq = ?", other, seq)
    copy.run(f"update keys set {moved} where kid = ?", other, device)
    assert wheres(copy.check()) == {f"entries {seq}", f"keys {device}"}


def test_device_sealed_again_for_another_person_is_named(copy: Copy) -> None:
    """Even by somebody who has the master key: the digest in the statement is signed."""
    from tests.audit.conftest import identity_number

    device, other = copy.names["holder"], copy.names["other"]
    seq = copy.one("select seq from keys where kid = ?", device)
    holder = copy.one("select holder from keys where kid = ?", other)
    number = {"identity_number": identity_number(1), "salt": b64url(bytes(32))}
    sealed = copy.ledger.master.seal(canonical_json(number), device.encode())
    copy.run("update entries set holder = ? where seq = ?", holder, seq)
    copy.run(
        "update keys set holder = ?, sealed = ?, wrapped_key = ? where kid = ?",
        holder,
        sealed.ciphertext,
        sealed.wrapped_key,
        device,
    )
    assert found(copy.check(), f"keys {device}").what == "altered: sealed not as enrolled"


@pytest.mark.parametrize("which", ["first", "middle", "newest"])
def test_missing_entry_is_named(copy: Copy, which: str) -> None:
    seq = {"first": 0, "middle": copy.size // 2, "newest": copy.size - 1}[which]
    copy.run("delete from entries where seq = ?", seq)
    report = copy.check()
    assert found(report, f"entries {seq}").code == "missing"
    assert found(report, f"statements {seq}").code == "added"


def test_swapped_entries_are_both_named(copy: Copy) -> None:
    first, second = copy.size - 20, copy.size - 10
    for old, new in ((first, -5), (second, first), (-5, second)):
        copy.run("update entries set seq = ? where seq = ?", new, old)
        copy.run("update statements set seq = ? where seq = ?", new, old)
    report = copy.check()
    assert found(report, f"entries {first}").code == "entry.altered"
    assert found(report, f"entries {second}").code == "entry.altered"


def test_added_entry_is_named(copy: Copy) -> None:
    size = copy.size
    columns = [column.name for column in tables.entries.columns]
    values = ", ".join(
        {"seq": str(size), "request_key": "randomblob(16)"}.get(name, f'"{name}"')
        for name in columns
    )
    copy.run(f"insert into entries select {values} from entries where seq = ?", size - 1)
    copy.run("insert into statements select ?, token from statements where seq = ?", size, size - 1)
    assert found(copy.check(), f"entries {size}").code == "added"


def test_entry_put_before_the_first_is_named(copy: Copy) -> None:
    copy.run("update entries set seq = -1 where seq = ?", copy.size - 1)
    assert found(copy.check(), "entries -1").code == "added"


def test_entry_altered_together_with_its_tiles_is_narrowed_to_its_anchor(copy: Copy) -> None:
    seq = copy.size - 100  # in the middle of a large batch
    copy.run("update entries set salt = randomblob(16) where seq = ?", seq)
    copy.rehash()
    (accused,) = [item for item in copy.check().findings if item.code == "root.differs"]
    first, _, last = accused.where.removeprefix("entries ").partition("-")
    assert int(first) <= seq <= int(last)


def test_entry_anchored_alone_is_named_the_same_with_and_without_its_tiles(copy: Copy) -> None:
    seq = copy.seq("lookup", LOOKUP)
    copy.run("update entries set salt = randomblob(16) where seq = ?", seq)
    without = found(copy.check(), f"entries {seq}")
    copy.rehash()
    with_tiles = found(copy.check(), f"entries {seq}")
    assert without.what == with_tiles.what == "altered: its hash is not the one in the log"


def test_findings_are_sentences_of_few_kinds(copy: Copy) -> None:
    names, size = copy.names, copy.size
    copy.run("update certificates set holder = 'x' where certificate_id = ?", names["plain"])
    copy.run("update entries set holder = 'x' where seq = ?", size - 1)
    copy.run("delete from sites where site = 'hotel-1'")
    copy.run("insert into log_head values (x'0102', 5)")
    said = {item.where: item.what for item in copy.check().findings}
    assert said == {
        f"certificates {names['plain']}": "altered: holder not as issued",
        f"entries {size - 1}": "altered: holder not as the statement says",
        "sites hotel-1": "missing",
        "log_head 0102": "added: the head of another log",
    }


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["enrolment", "invitation", "issue", "status", "grant", "lookup", "import"]
)
def test_statement_with_an_altered_signature_is_named(copy: Copy, kind: str) -> None:
    seq = copy.seq(kind)
    token = copy.one("select token from statements where seq = ?", seq)
    head, _, signature = token.rpartition(".")
    altered = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    copy.run("update statements set token = ? where seq = ?", altered, seq)
    report = copy.check()
    assert wheres(report) == {f"statements {seq}"}


def test_claim_with_an_altered_signature_is_named(copy: Copy) -> None:
    seq = copy.one("select seq from keys where kid = ?", copy.names["browser"])
    token = copy.one("select token from statements where seq = ?", seq)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BAAA")
    copy.run("update statements set token = ? where seq = ?", forged, seq)
    copy.run("update entries set statement_digest = ? where seq = ?", sha256(forged.encode()), seq)
    copy.rehash()
    assert found(copy.check(), f"statements {seq}").code == "statement.signature"


@pytest.mark.parametrize("kind", ["enrolment", "issue", "grant", "lookup"])
def test_forged_statement_is_named_although_its_digest_fits(copy: Copy, kind: str) -> None:
    seq = copy.seq(kind)
    token = copy.one("select token from statements where seq = ?", seq)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BAAA")
    digest = sha256(forged.encode())
    copy.run("update statements set token = ? where seq = ?", forged, seq)
    copy.run("update entries set statement_digest = ? where seq = ?", digest, seq)
    copy.rehash()
    assert found(copy.check(), f"statements {seq}").code == "statement.signature"


@pytest.mark.parametrize("token", ["''", "'a.b.c'", "cast(x'ff' as text)", "'天'", "x'00'"])
def test_statement_that_is_none_is_named(copy: Copy, token: str) -> None:
    seq = copy.seq("lookup")
    copy.run(f"update statements set token = {token} where seq = ?", seq)
    assert found(copy.check(), f"statements {seq}")


@pytest.mark.parametrize("levels", [900, 1_000, 2_000])
def test_statement_nested_as_deep_as_can_be_is_named(
    copy: Copy, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By processes that read ahead, too, which send on what they read."""
    monkeypatch.setattr(ahead, "PARALLEL_FROM", 1)
    seq = copy.seq("status")
    header, _, signature = copy.one("select token from statements where seq = ?", seq).split(".")
    payload = f'{{"jti": "a", "x": {"[" * levels}{"]" * levels}}}'
    token = f"{header}.{b64url(payload.encode())}.{signature}"
    copy.run("update statements set token = ? where seq = ?", token, seq)
    assert found(copy.check(), f"statements {seq}")


def test_missing_statement_is_named(copy: Copy) -> None:
    seq = copy.seq("lookup")
    copy.run("delete from statements where seq = ?", seq)
    assert found(copy.check(), f"statements {seq}").code == "missing"


def test_swapped_statements_are_both_named(copy: Copy) -> None:
    first, second = copy.size - 20, copy.size - 10
    for old, new in ((first, -5), (second, first), (-5, second)):
        copy.run("update statements set seq = ? where seq = ?", new, old)
    assert wheres(copy.check()) == {f"statements {first}", f"statements {second}"}


def test_added_statement_is_named(copy: Copy) -> None:
    copy.run("insert into statements select 9000, token from statements where seq = 5")
    assert wheres(copy.check()) == {"statements 9000"}


# --- tiles, head, checkpoints ---------------------------------------------------------------------

TILE_CHANGES = [
    ("update tiles set hashes = randomblob(8192) where level = 0 and tile_index = 0", "0/0"),
    ("update tiles set hashes = randomblob(length(hashes)) where level = 0 and tile_index = 1",
     "0/1"),
    ("update tiles set hashes = randomblob(32) where level = 1 and tile_index = 0", "1/0"),
    ("update tiles set hashes = substr(hashes, 1, 8160) where level = 0 and tile_index = 0", "0/0"),
    ("update tiles set hashes = substr(hashes, 1, 31) where level = 1", "1/0"),
    ("update tiles set hashes = 'text' where level = 0 and tile_index = 0", "0/0"),
    ("delete from tiles where level = 0 and tile_index = 0", "0/0"),
    ("delete from tiles where level = 0 and tile_index = 1", "0/1"),
    ("delete from tiles where level = 1", "1/0"),
    ("insert into tiles select 1, 1, hashes from tiles where level = 1", "1/1"),
    ("insert into tiles select 2, 0, hashes from tiles where level = 1", "2/0"),
    ("insert into tiles select 0, 7, hashes from tiles where level = 1", "0/7"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "tile"), TILE_CHANGES)
def test_changed_tile_is_named_and_no_entry_accused(copy: Copy, sql: str, tile: str) -> None:
    copy.run(sql)
    report = copy.check()
    assert found(report, f"tiles {tile}")
    assert not any(where.startswith("entries") for where in wheres(report))


def test_one_flipped_hash_of_a_tile_is_found(copy: Copy) -> None:
    hashes = bytearray(copy.one("select hashes from tiles where level = 0 and tile_index = 0"))
    hashes[100] ^= 1
    copy.run("update tiles set hashes = ? where level = 0 and tile_index = 0", bytes(hashes))
    assert wheres(copy.check()) == {"tiles 0/0"}


@pytest.mark.parametrize(
    "sql",
    [
        "update log_head set size = size + 1",
        "update log_head set size = size - 1",
        "update log_head set size = 0",
        "delete from log_head",
    ],
)
def test_changed_head_is_named(copy: Copy, sql: str) -> None:
    copy.run(sql)
    assert wheres(copy.check()) == {f"log_head {copy.ledger.log_id.hex()}"}


def test_second_head_is_named(copy: Copy) -> None:
    copy.run("insert into log_head values (x'0102', 5)")
    assert wheres(copy.check()) == {"log_head 0102"}


@pytest.mark.parametrize(
    "change",
    [
        "root = randomblob(32)",
        "note = replace(note, 'test.example', 'best.example')",
        "note = ''",
        "chain_id = 1",
        "contract = '0x'",
        "tx_hash = randomblob(32)",
        "block_number = block_number + 1",
        "block_hash = randomblob(32)",
    ],
)
def test_altered_checkpoint_is_named(copy: Copy, change: str) -> None:
    size = copy.one("select size from checkpoints order by size limit 1 offset 10")
    copy.run(f"update checkpoints set {change} where size = ?", size)
    assert wheres(copy.check()) == {f"checkpoints {size}"}


def test_missing_and_added_checkpoints_are_named(copy: Copy) -> None:
    sizes = {row[0] for row in copy.run("select size from checkpoints")}
    middle = sorted(sizes)[10]
    free = next(size for size in range(1, copy.size) if size not in sizes)
    copy.run("update checkpoints set size = ? where size = ?", free, middle)
    assert wheres(copy.check()) == {f"checkpoints {free}", f"checkpoints {middle}"}
    copy.run("update checkpoints set size = 100000 where size = ?", free)
    assert wheres(copy.check()) == {"checkpoints 100000", f"checkpoints {middle}"}


def test_newest_checkpoint_may_not_be_written_yet(copy: Copy) -> None:
    copy.run("delete from checkpoints where size = (select max(size) from checkpoints)")
    assert copy.check().clean


# --- derived tables -------------------------------------------------------------------------------

#: Table, condition with :name for what the story calls the record, change, the key in the finding.
ROW_CHANGES = [
    ("institutions", "code = '114403990000009209'", "name_zh = 'x'", "114403990000009209"),
    ("institutions", "code = '114403990000009209'", "name_en = 'x'", "114403990000009209"),
    ("institutions", "code = '114403990000009209'", "types = '[\"x\"]'", "114403990000009209"),
    ("institutions", "code = '114403990000009209'", "seq = 0", "114403990000009209"),
    ("institutions", "code = '114403990000009209'", None, "114403990000009209"),
    ("institutions", "code = '114403990000009209'", "code = 'other'", "other"),
    ("sites", "site = 'hotel-1'", "department = 'operator'", "hotel-1"),
    ("sites", "site = 'hotel-1'", "name_zh = 'x'", "hotel-1"),
    ("sites", "site = 'hotel-1'", "name_en = 'x'", "hotel-1"),
    ("sites", "site = 'hotel-1'", "seq = 0", "hotel-1"),
    ("sites", "site = 'hotel-1'", None, "hotel-1"),
    ("sites", "site = 'hotel-1'", "site = 'hotel-9'", "hotel-9"),
    ("keys", "kid = :terminal", "role = 'auditor'", ":terminal"),
    ("keys", "kid = :terminal", "institution = 'operator'", ":terminal"),
    ("keys", "kid = :terminal", "terminal = 'terminal-2'", ":terminal"),
    ("keys", "kid = :terminal", "site = 'hotel-2'", ":terminal"),
    ("keys", "kid = :terminal", "holder = 'Hx'", ":terminal"),
    ("keys", "kid = :terminal", "not_before = 1", ":terminal"),
    ("keys", "kid = :terminal", "not_after = not_after - 1", ":terminal"),
    ("keys", "kid = :terminal", "revoked_ms = 1", ":terminal"),
    ("keys", "kid = :terminal", "seq = 0", ":terminal"),
    ("keys", "kid = :terminal", "sealed = x'00'", ":terminal"),
    ("keys", "kid = :terminal", "wrapped_key = x'00'", ":terminal"),
    ("keys", "kid = :terminal", None, ":terminal"),
    ("keys", "kid = :terminal-2", "revoked_ms = null", ":terminal-2"),
    ("keys", "kid = :holder", "holder = (select holder from keys where kid = :other)", ":holder"),
    ("keys", "kid = :holder", "sealed = null", ":holder"),
    ("keys", "kid = :holder", "wrapped_key = null", ":holder"),
    ("keys", "kid = :holder", "sealed = randomblob(100)", ":holder"),
    ("keys", "kid = :holder",
     "(sealed, wrapped_key) = (select sealed, wrapped_key from keys where kid = :other)",
     ":holder"),
    ("keys", "kid = :holder", None, ":holder"),
    ("keys", "kid = :holder", "jwk = (select jwk from keys where kid = :other)", ":holder"),
    ("keys", "kid = :holder", "jwk = 'nothing'", ":holder"),
    ("keys", "kid = :operator", "jwk = (select jwk from keys where kid = :issuer)", ":operator"),
    ("keys", "kid = :kept", "jwk = (select jwk from keys where kid = :issuer)", ":kept"),
    ("keys", "kid = :kept", "sealed = randomblob(200)", ":kept"),
    ("keys", "kid = :kept", "wrapped_key = null", ":kept"),
    ("keys", "kid = :kept", None, ":kept"),
    ("keys", "kid = :auditor", "kid = 'nobody'", "nobody"),
    ("keys", "kid = :browser", "holder = (select holder from keys where kid = :other)", ":browser"),
    ("keys", "kid = :browser", "sealed = randomblob(100)", ":browser"),
    ("keys", "kid = :browser",
     "(sealed, wrapped_key) = (select sealed, wrapped_key from keys where kid = :other)",
     ":browser"),
    ("keys", "kid = :browser", "role = 'auditor'", ":browser"),
    ("keys", "kid = :browser", "scope = (select issuer from certificates limit 1)", ":browser"),
    ("keys", "kid = :browser", "completed_seq = seq", ":browser"),
    ("keys", "kid = :holder", "scope = '114403990000009209'", ":holder"),
    ("keys", "kid = :lost", "suspended_seq = null", ":lost"),
    ("keys", "kid = :lost", "suspended_seq = suspended_seq - 1", ":lost"),
    ("keys", "kid = :found", "suspended_seq = seq", ":found"),
    ("keys", "kid = :holder", "suspended_seq = seq", ":holder"),
    ("keys", "kid = :browser", None, ":browser"),
    ("keys", "kid = :web-terminal", "site = 'hotel-2'", ":web-terminal"),
    ("keys", "kid = :web-terminal", "terminal = 'terminal'", ":web-terminal"),
    ("keys", "kid = :web-terminal", "jwk = (select jwk from keys where kid = :issuer)",
     ":web-terminal"),
    ("keys", "kid = :web-terminal", None, ":web-terminal"),
    *[("invitations", "invitation = :browser-invitation", change, ":browser-invitation")
      for change in (
          "inviter = :operator", "role = 'auditor'", "institution = 'operator'", "terminal = 't'",
          "site = 'hotel-1'", "holder = (select holder from keys where kid = :other)",
          "not_after = not_after + 1", "sealed = randomblob(100)",
          "kid = null", "kid = :holder", "seq = seq - 1", None,
          "claimed_seq = seq", "claimed_seq = null",
          ("(sealed, wrapped_key) = (select sealed, wrapped_key from invitations"
           " where invitation = :unclaimed)"),
      )],
    *[("invitations", "invitation = :web-terminal-invitation", change, ":web-terminal-invitation")
      for change in (
          "role = 'operator'", "institution = 'operator'", "terminal = 'terminal'",
          "site = 'hotel-2'", "holder = 'Hx'", "sealed = x'00'", "wrapped_key = x'00'", None,
      )],
    ("invitations", "invitation = :unclaimed", "kid = :holder", ":unclaimed"),
    ("invitations", "invitation = :unclaimed", "invitation = 'nothing'", "nothing"),
    ("certificates", "certificate_id = :plain", "type = 'birth-certificate'", ":plain"),
    ("certificates", "certificate_id = :plain", "issuer = '114403990000009209'", ":plain"),
    ("certificates", "certificate_id = :plain", "holder = 'Hx'", ":plain"),
    ("certificates", "certificate_id = :plain", "commitment = randomblob(32)", ":plain"),
    ("certificates", "certificate_id = :plain", "seq = seq - 1", ":plain"),
    ("certificates", "certificate_id = :plain", "state = 'revoked'", ":plain"),
    ("certificates", "certificate_id = :plain", "state_seq = state_seq + 1", ":plain"),
    ("certificates", "certificate_id = :plain", "valid_from_ms = null", ":plain"),
    ("certificates", "certificate_id = :plain", "valid_until_ms = valid_until_ms + 1", ":plain"),
    ("certificates", "certificate_id = :plain", "validity = 'WyJ4Il0'", ":plain"),
    ("certificates", "certificate_id = :plain",
     "validity = (select validity from certificates where certificate_id = :card)", ":plain"),
    ("certificates", "certificate_id = :plain", "successor = :card", ":plain"),
    ("certificates", "certificate_id = :plain", "uniqueness = null", ":plain"),
    ("certificates", "certificate_id = :plain", "uniqueness = randomblob(16)", ":plain"),
    ("certificates", "certificate_id = :plain", "source = 'row-99'", ":plain"),
    ("certificates", "certificate_id = :plain", "content = randomblob(900)", ":plain"),
    ("certificates", "certificate_id = :plain", "content = null, wrapped_key = null", ":plain"),
    ("certificates", "certificate_id = :plain", "content = null", ":plain"),
    ("certificates", "certificate_id = :plain", "wrapped_key = null", ":plain"),
    ("certificates", "certificate_id = :plain",
     ("(content, wrapped_key) = (select content, wrapped_key from certificates"
     " where certificate_id = :card)"), ":plain"),
    ("certificates", "certificate_id = :plain", None, ":plain"),
    ("certificates", "certificate_id = :plain", "certificate_id = '1.2.156.x'", "1.2.156.x"),
    ("certificates", "certificate_id = :suspended", "state = 'active'", ":suspended"),
    ("certificates", "certificate_id = :restored", "state = 'suspended'", ":restored"),
    ("certificates", "certificate_id = :restored", "state_seq = seq", ":restored"),
    ("certificates", "certificate_id = :revoked", "state = 'active', state_seq = seq", ":revoked"),
    ("certificates", "certificate_id = :revoked", "uniqueness = randomblob(16)", ":revoked"),
    ("certificates", "certificate_id = :superseded", "successor = null", ":superseded"),
    ("certificates", "certificate_id = :erased",
     ("(content, wrapped_key) = (select content, wrapped_key from certificates"
     " where certificate_id = :card)"), ":erased"),
    ("certificates", "certificate_id = :erased", "content = x'00'", ":erased"),
    *[("dispute_questions", "seq = :question", change, ":question")
      for change in (
          "dispute_id = 'x'", "asked = 'holder'", "answer_seq = null", "answer_seq = 1", None)],
    ("dispute_questions", "seq = :unanswered", "answer_seq = 1", ":unanswered"),
    *[("deferrals", "deferral_id = :deferral-on", change, ":deferral-on")
      for change in (
          "until = until + 86400", "until = until - 7000", "holder = 'Hx'",
          "reader = :second-auditor", "since_seq = seq", "since_ms = since_ms + 1",
          "seq = seq + 1",
          "certificate_id = :plain", "ended_seq = seq + 1", None)],
    ("deferrals", "deferral_id = :deferral-ended", "ended_seq = null", ":deferral-ended"),
    ("deferrals", "deferral_id = :deferral-ended", "deferral_id = 'x'", "x"),
    ("grants", "grant_id = :direct", "seq = seq - 1", ":direct"),
    ("grants", "grant_id = :direct", "holder = 'Hx'", ":direct"),
    ("grants", "grant_id = :direct", "handle = randomblob(16)", ":direct"),
    ("grants", "grant_id = :direct", "kid = :other", ":direct"),
    ("grants", "grant_id = :answer", "kid = :lost", ":answer"),
    ("grants", "grant_id = :grant-lost", "kid = :holder", ":grant-lost"),
    ("grants", "grant_id = :grant-lost", "frozen = true", ":grant-lost"),
    ("grants", "grant_id = :held-by-both", "frozen = true", ":held-by-both"),
    ("grants", "grant_id = :grant-found", "frozen = true", ":grant-found"),
    ("grants", "grant_id = :direct", "uses_left = uses_left + 1", ":direct"),
    ("grants", "grant_id = :direct", "uses_left = 0", ":direct"),
    ("grants", "grant_id = :direct", "uses_left = 'many'", ":direct"),
    ("grants", "grant_id = :direct", "revoked_seq = 1", ":direct"),
    ("grants", "grant_id = :direct", "frozen = true", ":direct"),
    ("grants", "grant_id = :direct", None, ":direct"),
    ("grants", "grant_id = :direct", "grant_id = 'nothing'", "nothing"),
    ("grants", "grant_id = :withdrawn", "revoked_seq = null", ":withdrawn"),
    ("grants", "grant_id = :withdrawn", "revoked_seq = revoked_seq + 1", ":withdrawn"),
    ("grants", "grant_id = :sold-before", "revoked_seq = revoked_seq + 1", ":sold-before"),
    ("grants", "grant_id = :sold-first", "revoked_seq = null", ":sold-first"),
    ("grants", "grant_id = :sold-second", "revoked_seq = revoked_seq - 1", ":sold-second"),
    ("grants", "grant_id = :sold-second", "kid = :holder", ":sold-second"),
    ("grants", "grant_id = :sold-after", "kid = :holder", ":sold-after"),
    ("grants", "grant_id = :sold-after",
     "revoked_seq = (select revoked_seq from grants where grant_id = :sold-first)", ":sold-after"),
    ("grants", "grant_id = :scan", "uses_left = 1", ":scan"),
    ("grant_certificates", "grant_id = :direct", None, ":direct :card"),
    ("grant_certificates", "grant_id = :direct", "certificate_id = :plain", ":direct :plain"),
    ("access_requests", "request_id = :open", "seq = 0", ":open"),
    ("access_requests", "request_id = :open", "terminal = 'terminal-2'", ":open"),
    ("access_requests", "request_id = :open", "department = 'operator'", ":open"),
    ("access_requests", "request_id = :open", "site = 'hotel-2'", ":open"),
    ("access_requests", "request_id = :open", "opened_ms = opened_ms + 1", ":open"),
    ("access_requests", "request_id = :open", "state = 'denied'", ":open"),
    ("access_requests", "request_id = :open", "state = 'approved', grant_id = :direct", ":open"),
    ("access_requests", "request_id = :open", "handle = randomblob(16)", ":open"),
    ("access_requests", "request_id = :open",
     "matching_number = case matching_number when '00' then '01' else '00' end", ":open"),
    ("access_requests", "request_id = :open", None, ":open"),
    ("access_requests", "request_id = :open", "request_id = 'nothing'", "nothing"),
    ("access_requests", "request_id = :approved", "state = 'pending', grant_id = null",
     ":approved"),
    ("access_requests", "request_id = :approved", "grant_id = :direct", ":approved"),
    ("access_requests", "request_id = :denied", "state = 'pending'", ":denied"),
    ("access_requests", "request_id = :denied", "state = 'pending', refused_by = ''", ":denied"),
    ("access_requests", "request_id = :denied", "refused_by = 'Hx'", ":denied"),
    ("access_requests", "request_id = :denied", "refused_by = refused_by || ' Hx'", ":denied"),
    ("access_requests", "request_id = :refused", "refused_by = ''", ":refused"),
    ("access_requests", "request_id = :refused", "state = 'denied', grant_id = null", ":refused"),
    ("disputes", "dispute_id = :dispute-open", "seq = seq - 1", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "disputed_seq = 1", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "grant_id = :direct", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "holder = 'Hx'", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "department = 'operator'", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "department = null", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-grant",
     "department = (select department from entries where seq = disputed_seq)", ":dispute-grant"),
    ("disputes", "dispute_id = :dispute-open", "state = 'withdrawn'", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "state = 'upheld', resolved_seq = seq + 1",
     ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "resolved_seq = seq + 1", ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", None, ":dispute-open"),
    ("disputes", "dispute_id = :dispute-open", "dispute_id = 'nothing'", "nothing"),
    ("disputes", "dispute_id = :dispute-upheld", "state = 'rejected'", ":dispute-upheld"),
    ("disputes", "dispute_id = :dispute-upheld", "state = 'open', resolved_seq = null",
     ":dispute-upheld"),
    ("disputes", "dispute_id = :dispute-rejected", "state = 'upheld'", ":dispute-rejected"),
    ("disputes", "dispute_id = :dispute-rejected", "resolved_seq = resolved_seq - 1",
     ":dispute-rejected"),
    ("disputes", "dispute_id = :dispute-withdrawn", "state = 'rejected'", ":dispute-withdrawn"),
    ("grants", "grant_id = :grant-open", "frozen = false", ":grant-open"),
    ("grants", "grant_id = :grant-open", "frozen = 2", ":grant-open"),
    ("grants", "grant_id = :grant-open", "frozen = 'no'", ":grant-open"),
    ("grants", "grant_id = :grant-upheld", "frozen = false", ":grant-upheld"),
    ("grants", "grant_id = :grant-rejected", "frozen = true", ":grant-rejected"),
    ("grants", "grant_id = :grant-withdrawn", "frozen = true", ":grant-withdrawn"),
    ("grants", "grant_id = :held", "frozen = false", ":held"),
]  # fmt: skip


def named(text: str, names: dict[str, str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(f":{name}", names[name])
    return text


@pytest.mark.parametrize(("table", "condition", "change", "key"), ROW_CHANGES)
def test_changed_row_is_named(
    copy: Copy, table: str, condition: str, change: str | None, key: str
) -> None:
    quoted = {name: f"'{value}'" for name, value in copy.names.items()}
    where = named(condition, quoted)
    assert copy.one(f"select count(*) from {table} where {where}") == 1
    if change is None:
        copy.run(f"delete from {table} where {where}")
    else:
        if not copy.takes(f"update {table} set {named(change, quoted)} where {where}"):
            return
    assert found(copy.check(), f"{table} {named(key, copy.names)}")


@pytest.mark.parametrize("frozen", [0, 1])
def test_flipped_freeze_is_all_that_is_named(copy: Copy, frozen: int) -> None:
    grant = copy.names["direct" if frozen else "grant-open"]
    copy.run("update grants set frozen = ? where grant_id = ?", bool(frozen), grant)
    (finding,) = copy.check().findings
    assert (finding.where, finding.code) == (f"grants {grant}", "grant.frozen")


def test_added_dispute_is_named(copy: Copy) -> None:
    direct = copy.names["direct"]
    line = copy.seq("lookup", f"\"grant\" = '{direct}'")
    row = ("0" * 26, line, line, direct, "Hx", "open", bytes(16))
    columns = "dispute_id, seq, disputed_seq, grant_id, holder, state, mac"
    copy.run(f"insert into disputes ({columns}) values (?, ?, ?, ?, ?, ?, ?)", *row)
    assert wheres(copy.check()) == {f"disputes {'0' * 26}"}


@pytest.mark.parametrize("column", ["staff", "terminal", "certificate", "holder", "department"])
def test_altered_line_does_not_accuse_its_dispute(copy: Copy, column: str) -> None:
    line = copy.one(
        "select disputed_seq from disputes where dispute_id = ?", copy.names["dispute-open"]
    )
    copy.run(f'update entries set "{column}" = null where seq = ?', line)
    assert wheres(copy.check()) == {f"entries {line}"}


def test_dispute_of_a_grant_is_of_no_department(copy: Copy) -> None:
    columns = "d.department, e.kind, e.department is null"
    line = "disputes d join entries e on e.seq = d.disputed_seq where d.dispute_id = ?"
    (row,) = copy.run(f"select {columns} from {line}", copy.names["dispute-grant"])
    assert row == (None, "grant", 0)


@pytest.mark.parametrize(
    ("department", "accused"), [("department", False), ("null", True), ("'operator'", True)]
)
def test_altered_statement_of_a_line_does_not_accuse_its_dispute(
    copy: Copy, department: str, accused: bool
) -> None:
    line = copy.one(
        "select disputed_seq from disputes where dispute_id = ?", copy.names["dispute-open"]
    )
    other = copy.one("select max(seq) from entries where kind = 'lookup'")
    copy.run(
        "update statements set token = (select token from statements where seq = ?) where seq = ?",
        other,
        line,
    )
    copy.run(f"update disputes set department = {department} where disputed_seq = ?", line)
    report = copy.check()
    assert found(report, f"statements {line}")
    opened = copy.one("select seq from disputes where disputed_seq = ?", line)
    assert f"entries {opened}" not in wheres(report)
    assert (f"disputes {copy.names['dispute-open']}" in wheres(report)) is accused


def test_dispute_removed_with_its_freeze_is_named(copy: Copy) -> None:
    dispute, grant = copy.names["dispute-open"], copy.names["grant-open"]
    copy.run("delete from disputes where dispute_id = ?", dispute)
    copy.run("update grants set frozen = false where grant_id = ?", grant)
    assert wheres(copy.check()) == {f"disputes {dispute}", f"grants {grant}"}


def test_expired_request_is_stored_as_expired_by_nobody(copy: Copy) -> None:
    """Its time says so; what else wrote it was not the service."""
    open_request = copy.names["open"]
    copy.run("update access_requests set state = 'expired' where request_id = ?", open_request)
    assert wheres(copy.check()) == {f"access_requests {open_request}"}


def test_swapped_contents_are_both_named(copy: Copy) -> None:
    card, plain = copy.names["card"], copy.names["plain"]
    old = copy.run(
        "select certificate_id, wrapped_key, content from certificates"
        " where certificate_id in (?, ?)", card, plain
    )  # fmt: skip
    for (id_, _, _), (_, key, content) in zip(old, reversed(old), strict=True):
        copy.run(
            "update certificates set wrapped_key = ?, content = ? where certificate_id = ?",
            key,
            content,
            id_,
        )
    assert wheres(copy.check()) == {f"certificates {card}", f"certificates {plain}"}


OUTBOX_CHANGES = [
    "update chain_outbox set action = 'StatusChange' where seq = :seq",
    (
        "update chain_outbox set payload = replace(payload, '\"role\":3', '\"role\":4')"
        " where seq = :seq"
    ),
    "update chain_outbox set done = false where seq = :seq",
    "delete from chain_outbox where seq = :seq",
]


@pytest.mark.parametrize("sql", OUTBOX_CHANGES)
def test_changed_outbox_is_named(copy: Copy, sql: str) -> None:
    seq = copy.seq("enrolment", "terminal is not null")
    copy.run(sql.replace(":seq", str(seq)))
    assert wheres(copy.check()) == {f"chain_outbox {seq}"}


def test_added_outbox_rows_are_named(copy: Copy) -> None:
    copy.run("update chain_outbox set seq = 0 where seq = 1")
    copy.run("insert into chain_outbox values (9999, 'StatusChange', '{}', true)")
    assert wheres(copy.check()) == {"chain_outbox 0", "chain_outbox 1", "chain_outbox 9999"}


@pytest.mark.sqlite_only("writes into the database's file")
def test_damaged_file_is_a_finding_and_no_crash(copy: Copy) -> None:
    page = copy.one("select rootpage from sqlite_master where name = 'certificates'")
    page_size = copy.one("pragma page_size")
    content = bytearray(copy.path.read_bytes())
    content[(page - 1) * page_size : (page - 1) * page_size + 100] = bytes(100)
    copy.path.write_bytes(content)
    assert not copy.check().clean


def test_findings_are_bounded_and_all_counted(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "KEPT_FINDINGS", 10)
    copy.run("update entries set salt = randomblob(16)")
    checked = copy.check()
    assert len(checked.findings) == 10
    assert checked.found >= copy.size


def test_other_processes_find_the_same(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "PARALLEL_FROM", 1)
    seq = copy.seq("grant")
    token = copy.one("select token from statements where seq = ?", seq)
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BAAA")
    copy.run("update statements set token = ? where seq = ?", forged, seq)
    report = copy.check()
    assert {item.code for item in report.findings} == {"statement.digest", "statement.signature"}
    assert wheres(report) == {f"statements {seq}"}


# --- the chain ------------------------------------------------------------------------------------


class Twisted(ChainRecords):
    """The real chain, with one answer changed."""

    def __init__(self, ledger: Any, **twists: Callable[[Any], Any]) -> None:
        super().__init__(ledger.chain)
        self.twists = twists

    def _twist(self, name: str, value: Any) -> Any:
        return self.twists.get(name, lambda same: same)(value)

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        return self._twist("head", super().head(log_id))  # type: ignore[no-any-return]

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        return iter(self._twist("anchors", list(super().anchors(log_id))))

    def directory(self) -> Iterator[DirectoryEntry]:
        return iter(self._twist("directory", list(super().directory())))

    def statuses(self) -> Iterator[StatusChange]:
        return iter(self._twist("statuses", list(super().statuses())))


def first_changed(**members: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [replace(items[0], **members), *items[1:]]


CHAIN_TWISTS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("head", lambda head: (head[0] + 1, head[1]), "behind_chain"),
    ("head", lambda head: (head[0], bytes(32)), "chain.head"),
    ("anchors", lambda items: items[:-1], "chain.head"),
    ("anchors", lambda items: items[1:], "checkpoint.unknown"),
    ("anchors", first_changed(root=bytes(32)), "root.differs"),
    ("anchors", first_changed(tx_hash=bytes(32)), "checkpoint.differs"),
    ("directory", lambda items: items[1:], "chain.missing"),
    ("directory", first_changed(role=5), "chain.differs"),
    ("directory", first_changed(institution=bytes(32)), "chain.differs"),
    ("directory", first_changed(not_after=5), "chain.differs"),
    ("directory", first_changed(revoked_at=5), "chain.differs"),
    ("directory", lambda i: [*i, replace(i[0], thumbprint=bytes(32))], "chain.added"),
    ("statuses", lambda items: items[1:], "chain.missing"),
    ("statuses", first_changed(state=0), "chain.differs"),
    ("statuses", first_changed(digest=bytes(32)), "chain.differs"),
    ("statuses", lambda i: [*i, replace(i[0], commitment=bytes(32))], "chain.added"),
]


@pytest.mark.parametrize(("what", "twist", "code"), CHAIN_TWISTS)
def test_chain_that_says_otherwise_is_found(
    ledger: Any, what: str, twist: Callable[[Any], Any], code: str
) -> None:
    report = ledger.check(chain=Twisted(ledger, **{what: twist}))
    codes = {finding.code for finding in report.findings}
    assert code in codes
    places = {"directory": "directory ", "statuses": "status_registry "}
    if what in places:
        assert all(finding.where.startswith(places[what]) for finding in report.findings)


def test_status_missing_on_chain_names_the_certificate(ledger: Any) -> None:
    report = ledger.check(chain=Twisted(ledger, statuses=lambda _: []))
    states = ("suspended", "restored", "revoked", "superseded")
    assert wheres(report) == {f"status_registry {ledger.names[name]}" for name in states}


def test_entries_not_anchored_yet_are_counted_and_no_finding(copy: Copy) -> None:
    anchors = list(ChainRecords(copy.ledger.chain).anchors(copy.ledger.log_id))
    newest = anchors[-2]
    copy.run("delete from checkpoints where size > ?", newest.size)
    report = copy.check(
        chain=Twisted(
            copy.ledger,
            head=lambda _: (newest.size, newest.root),
            anchors=lambda items: list(takewhile(lambda a: a.size <= newest.size, items)),
        )
    )
    assert report.findings == ()
    assert report.anchored == newest.size < report.entries


def test_old_backup_is_behind_the_chain(copy: Copy) -> None:
    size = 100
    for table in ("entries", "statements", "chain_outbox", "certificates", "grants"):
        copy.run(f"delete from {table} where seq >= ?", size)
    copy.run("update log_head set size = ?", size)
    copy.run("delete from tiles where level > 0 or tile_index > 0")
    copy.run("update tiles set hashes = substr(hashes, 1, ?)", size * 32)
    report = copy.check()
    assert found(report, f"log_head {copy.ledger.log_id.hex()}").code == "behind_chain"


# --- a ledger that lied from the beginning --------------------------------------------------------


@pytest.fixture(scope="module")
def dishonest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dict[str, int]]]:
    """Properly hashed, signed and anchored, by an operator who released what must not be."""
    from tests.audit import conftest as story

    clock = {"offset": 0}

    def always(asked: LookupRequest, grant: Any, _facts: Any, *, now_ms: int) -> Permit:
        id_ = grant.certificates[0].certificate_id
        return Permit(grant.grant_id, id_, asked.fields, now_ms)

    find = ledger.enrolment.invitations.find
    sealed: dict[str, Any] = {}  # with an invitation, before it was used

    def always_open(connection: Any, invitation: str) -> Any:
        row = find(connection, invitation)._mapping
        proof = {name: sealed[invitation][name] for name in ("sealed", "wrapped_key")}
        return SimpleNamespace(**{**row, **proof, "kid": None, "not_after": NEVER})

    def in_full(_connection: Any, _catalogue: Any, actor: Enrolled, person: Any) -> Word:
        return Word(person.holder, actor.institution, None, person)

    lies: dict[str, int] = {}
    with (
        story.running(tmp_path_factory.mktemp("dishonest")) as builder,
        pytest.MonkeyPatch.context() as patch,
    ):
        builder.committer._time_after = lambda *_: time.time_ns() // 1_000_000 + clock["offset"]
        builder.start_city()
        for who, institution in (("issuer-2", story.ISSUER), ("licensing", story.HOTEL)):
            members = {"role": "issuer", "institution": institution, "jwk": builder.key(who)}
            builder.enrol("operator", what="key", **members)
        number = story.identity_number(0)
        builder.enrol_holder("holder", number)
        patch.setattr(ledger.enrolment.handler, "require_may_enrol", lambda *_: None)
        patch.setattr(ledger.enrolment.handler, "word_of_institution", in_full)
        for who in ("terminal", "operator", "licensing"):
            builder.enrol_holder(f"let in by {who}", story.identity_number(2), by=who)
            lies[f"enrolled.by_{who}"] = builder.log.size - 1
        patch.undo()
        issued = builder.send("issue", builder.certificate(1, number)).certificate_id
        patch.setattr(authz.lookup.handler, "decide", always)

        def lie(name: str, presented: dict[str, str], **options: Any) -> None:
            builder.look_up(presented, **options)
            lies[name] = builder.log.size - 1

        grant = builder.grant("holder", [issued], "direct", uses=3)
        lie("wrong_site", {"grant_id": grant}, who="terminal-2")
        lie("field_not_granted", {"grant_id": grant}, fields=("address",))
        scan = builder.grant("holder", [issued], "scan", uses=3)
        code = builder.screen_code(scan)
        builder.look_up(code)
        lie("code_used", code)
        single = builder.grant("holder", [issued], "direct")
        builder.look_up({"grant_id": single})
        lie("uses_exhausted", {"grant_id": single})
        builder.status(issued, "suspend")
        lie("certificate_suspended", {"grant_id": grant})
        builder.status(issued, "restore")
        _lie_about_disputes(builder, issued, lies, lie)
        expired = builder.grant("holder", [issued], "direct", uses=3)
        _lie_about_devices(builder, issued, number, lies)
        clock["offset"] = 7_200_000
        lie("grant_expired", {"grant_id": expired})
        clock["offset"] = 0
        builder.send(
            "revocation",
            builder.statement("holder", Kind.REVOCATION, grant_id=expired),
        )
        lies["time"] = builder.log.size - 1
        lie("grant_revoked", {"grant_id": expired})
        for who in ("claim.used", "claim.expired", "claim.withdrawn"):
            code = builder.invite(len(lies), number)
            late = builder.invite(99, number, by="issuer-2") if who == "claim.withdrawn" else code
            with builder.database.read() as connection:
                name = code_digest(late)
                sealed[name] = find(connection, name)._mapping
            if who == "claim.used":
                builder.send("claim", builder.claim_request("first", code))
            claim = builder.claim_request(who, code)
            if who == "claim.withdrawn":
                claim = builder.claim_request(who, late)
                kid = builder.built.names["issuer-2"]
                builder.enrol("operator", what="key_revocation", kid=kid)
            clock["offset"] = 7_200_000 if who == "claim.expired" else 0
            patch.setattr(ledger.enrolment.invitations, "find", always_open)
            patch.setattr(tables, "stopped_keys", lambda *_: set())
            builder.send("claim", claim)
            lies[who] = builder.log.size - 1
            clock["offset"] = 0
            patch.undo()
            patch.setattr(authz.lookup.handler, "decide", always)
        builder.enrol("operator", what="key_revocation", kid=builder.built.names["terminal-2"])
        patch.setattr(Enrolled, "valid_at", lambda _self, _now_ms: True)
        patch.setattr(tables, "stopped_keys", lambda *_: set())
        lie("key.validity", {"grant_id": scan}, who="terminal-2")
        patch.undo()
        builder.committer.stop()
        yield builder.built.check(), lies


LIES = (
    "wrong_site",
    "field_not_granted",
    "code_used",
    "uses_exhausted",
    "certificate_suspended",
    "grant_expired",
    "grant_revoked",
    "grant_frozen",
)


def _lie_about_disputes(
    builder: Any, issued: str, lies: dict[str, int], lie: Callable[..., None]
) -> None:
    """Released although frozen; then what nobody may dispute or settle."""
    from tests.audit import conftest as story

    disputed = builder.grant("holder", [issued], "direct", uses=3)
    builder.look_up({"grant_id": disputed})
    dispute_id = builder.dispute("holder", builder.log.size - 1)
    lie("grant_frozen", {"grant_id": disputed})
    builder.enrol_holder("stranger", story.identity_number(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authz.dispute.handler, "require_disputable", lambda entry, _: entry.grant)
        builder.dispute("stranger", lies["grant_frozen"])
        lies["dispute.not_yours"] = builder.log.size - 1
        patch.setattr(
            Case, "resolve", lambda case, outcome, *_: replace(case, state=DisputeState(outcome))
        )
        settled = {"dispute.party": "holder", "": "auditor", "dispute.twice": "auditor"}
        for name, who in settled.items():
            builder.resolve(who, dispute_id, "rejected")
            lies[name] = builder.log.size - 1


def _lie_about_devices(builder: Any, issued: str, number: str, lies: dict[str, int]) -> None:
    """Frozen and restored by whom it is no business of; and what a frozen device signs."""

    def said(who: str, what: str) -> None:
        builder.enrol(who, what=what, kid=builder.built.names["lost"])
        lies[f"{what} by {who}"] = builder.log.size - 1

    builder.enrol_holder("lost", number)
    given = builder.grant("lost", [issued], "direct", uses=3)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("may_suspend", "may_restore"):
            patch.setattr(ledger.enrolment.suspension, name, lambda *_, **__: True)
        for who in ("stranger", "terminal", "licensing", "operator"):
            said(who, "key_suspension")
            said(who, "key_restoration")
        said("holder", "key_suspension")
        builder.look_up({"grant_id": given})
        lies["released by a frozen device"] = builder.log.size - 1
        said("auditor", "key_restoration")
    builder.grant("lost", [issued], "direct")
    lies["granted by a frozen device"] = builder.log.size - 1
    revocation = {"kid": builder.built.names["lost"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authz.grant.handler, "speaks_for_device", lambda *_: True)
        patch.setattr(authz.tables, "has_standing", lambda *_: True)
        for who in ("stranger", "holder", "holder again"):
            signer = who.partition(" ")[0]
            builder.send("revocation", builder.statement(signer, Kind.REVOCATION, **revocation))
            lies[f"revoked by {who}"] = builder.log.size - 1
            if who == "stranger":  # what it did to the table is undone: the entry is what lies
                given_back(builder, lies[f"revoked by {who}"])


def given_back(builder: Any, seq: int) -> None:
    table = authz.tables.grants
    with builder.database.write() as connection:
        for row in connection.execute(select(table).where(table.c.revoked_seq == seq)).all():
            change(connection, table, row, {"revoked_seq": None})


def test_who_may_not_revoke_what_a_device_gave_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]],
) -> None:
    report, lies = dishonest
    stranger = found(report, f"entries {lies['revoked by stranger']}")
    assert stranger.what == "against the rules: there was no such device of this holder"
    assert f"entries {lies['revoked by holder']}" not in wheres(report)
    again = found(report, f"entries {lies['revoked by holder again']}")
    assert again.what == "against the rules: all that the device gave was revoked before"


@pytest.mark.parametrize("who", ["stranger", "terminal", "licensing", "operator"])
def test_who_may_not_freeze_or_restore_a_device_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], who: str
) -> None:
    report, lies = dishonest
    for what in ("key_suspension", "key_restoration"):
        assert found(report, f"entries {lies[f'{what} by {who}']}").code == "entry.rule"
    assert found(report, f"entries {lies['key_restoration by auditor']}").code == "entry.rule"
    assert f"entries {lies['key_suspension by holder']}" not in wheres(report)


def test_what_a_frozen_device_grants_or_has_granted_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]],
) -> None:
    report, lies = dishonest
    released = found(report, f"entries {lies['released by a frozen device']}")
    assert (released.code, released.what) == (
        "lookup.not_allowed",
        "against the rules: released, to be refused as grant_frozen",
    )
    granted = found(report, f"entries {lies['granted by a frozen device']}")
    assert granted.code == "key.validity"


@pytest.mark.parametrize(
    ("by", "what"),
    [
        ("terminal", "terminal keys may not enrol this"),
        ("operator", "operator keys may not enrol this"),
        ("licensing", "the department had issued nothing to this holder"),
    ],
)
def test_a_device_let_in_by_whose_word_does_not_count_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], by: str, what: str
) -> None:
    report, lies = dishonest
    named = found(report, f"entries {lies[f'enrolled.by_{by}']}")
    assert named.code == "entry.rule"
    assert what in named.what


@pytest.mark.parametrize("lie", ["dispute.not_yours", "dispute.party", "dispute.twice"])
def test_impossible_dispute_or_resolution_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], lie: str
) -> None:
    report, lies = dishonest
    assert found(report, f"entries {lies[lie]}").code == "entry.rule"
    # The auditor's word between the two is as it should be.
    assert f"entries {lies['']}" not in wheres(report)


@pytest.mark.parametrize("rule", LIES)
def test_release_against_the_rules_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], rule: str
) -> None:
    report, lies = dishonest
    named_ = [item for item in report.findings if item.where == f"entries {lies[rule]}"]
    assert any(item.code == "lookup.not_allowed" and rule in item.what for item in named_)


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ("claim.used", "the invitation was used before"),
        ("claim.expired", "the invitation had expired"),
        ("claim.withdrawn", "the inviter's key was revoked"),
    ],
)
def test_claim_against_the_rules_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], lie: str, what: str
) -> None:
    report, lies = dishonest
    named_ = [item for item in report.findings if item.where == f"entries {lies[lie]}"]
    assert f"against the rules: {what}" in {item.what for item in named_}


@pytest.mark.parametrize("code", ["time", "key.validity"])
def test_impossible_entry_is_named(
    dishonest: tuple[IntegrityReport, dict[str, int]], code: str
) -> None:
    report, lies = dishonest
    named_ = [item for item in report.findings if item.where == f"entries {lies[code]}"]
    assert code in {item.code for item in named_}


def test_a_statement_that_names_another_ledger_is_found(copy: Copy) -> None:
    """Whoever moves records from one ledger into another, with its checkpoints and its chain."""
    report = copy.check(origin="other.example/log")
    first = found(report, "statements 0")
    assert (first.code, first.what) == ("statement.ledger", "altered: signed for another ledger")
    assert sum(item.code == "statement.ledger" for item in report.findings) > 1
    assert report.found > copy.size
