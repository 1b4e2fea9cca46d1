"""What a deferral keeps back, from whom and until when: on the real log, by the test's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.history.history import history, news, one
from audit.history.visibility import Sight, hidden_at, kept_back
from ledger.database import tables
from ledger.database.row_macs import put
from ledger.directory.keys import Enrolled
from ledger.proof.entries import Entry, EventKind
from ledger.record.deferrals import MOST_HOLDING, Deferred, begun, deferrals_of
from ledger.record.readings import Read, Reading
from ledger.statement.kinds import MAX_DEFERRAL_SECONDS, PayloadError, ReadingDeferral
from ledger.statement.statements import Kind, StatementError
from tests.audit.conftest import Builder, identity_number, running

HOUR, DAY = 3600, 86_400
UNREAD = (EventKind.READING, EventKind.DEFERRAL)


class Scene:
    def __init__(self, builder: Builder) -> None:
        self.builder, self.names = builder, builder.built.names
        builder.start_city()
        numbers = [identity_number(index) for index in range(2)]
        for who, number in zip(("holder", "other"), numbers, strict=True):
            builder.enrol_holder(who, number)
        made = [builder.certificate(i, number, f"row-{i}") for i, number in enumerate(numbers)]
        self.card, self.others = (one.certificate_id for one in builder.send_all("issue", made))

    def key(self, who: str) -> Enrolled:
        found = self.builder.ring.find(self.names[who])
        assert found is not None
        return found[0]

    def read(self, who: str = "auditor", *, of: str = "holder") -> int:
        """The number of the entry of a reading of somebody's history."""
        self.builder.read(who, Reading(Read.HISTORY, None, None, self.key(of).holder))
        return self.builder.log.size - 1

    def sight(self, who: str, after: float = 0) -> Sight:
        with self.builder.database.read() as connection:
            return Sight.at(connection, self.key(who), int((time.time() + after) * 1000))

    def seen(self, who: str = "holder", after: float = 0, **asked: Any) -> list[int]:
        """Readings and deferrals that somebody sees ``after`` so many seconds, oldest first."""
        with self.builder.database.read() as connection:
            page = history(connection, {}, self.sight(who, after), limit=500, **asked)
        assert page.next_before is None
        return [line.seq for line in reversed(page.lines) if line.kind in UNREAD]

    def entry(self, seq: int) -> Entry:
        with self.builder.database.read() as connection:
            found = one(connection, self.sight("auditor"), seq)
        assert found is not None
        return found[0]

    def defer(self, seconds: int, *, by: str = "second-auditor", reader: str = "auditor") -> str:
        return self.builder.defer(by, reader, self.card, seconds)

    @property
    def newest(self) -> int:
        return self.builder.log.size - 1

    def clean(self) -> None:
        assert self.builder.built.check(database=self.builder.database).findings == ()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running(tmp_path) as builder:
        yield Scene(builder)


def test_what_is_read_meanwhile_is_shown_when_it_is_over_and_not_before(scene: Scene) -> None:
    before = scene.read()
    scene.defer(HOUR)
    deferral = scene.newest
    during = scene.read()
    unconcerned = scene.read("second-auditor")  # it is for one reader, and for one person
    of_other = scene.read(of="other")
    assert scene.seen() == [before, unconcerned]
    assert scene.seen(after=HOUR - 2) == [before, unconcerned]
    assert scene.seen(after=HOUR + 1) == [before, deferral, during, unconcerned]
    assert scene.seen("other") == [of_other]
    scene.clean()


def test_no_way_to_an_entry_tells_of_one_that_is_kept_back(scene: Scene) -> None:
    scene.defer(HOUR)
    hidden = [scene.newest, scene.read(), scene.read()]
    for after, expected in ((0, []), (HOUR + 1, hidden)):
        sight = scene.sight("holder", after)
        with scene.builder.database.read() as connection:
            found = [one(connection, sight, seq) for seq in hidden]
            told = news(connection, sight, after=0, below=scene.newest + 1, limit=500)
            # A page is as long as it may be, and ends where there is nothing more to see.
            rest = history(connection, {}, sight, limit=len(told))
            of_kind = [
                line.seq
                for kind in UNREAD
                for line in history(connection, {}, sight, kind=kind).lines
            ]
            by_card = history(connection, {"certificate": scene.card}, sight).lines
        assert [seq for seq, each in zip(hidden, found, strict=True) if each] == expected
        assert [line.seq for line in told if line.kind in UNREAD] == expected
        assert rest.next_before is None
        assert len(rest.lines) == len(told)
        assert sorted(of_kind) == expected
        assert [line.seq for line in by_card if line.kind in UNREAD] == expected[:1]
        assert [seq for seq in hidden if sight.sees(scene.entry(seq))] == expected


def test_who_did_not_ask_what_is_kept_back_shows_none_of_it(scene: Scene) -> None:
    seq = scene.read()
    assert scene.seen() == [seq]
    assert not Sight(scene.key("holder")).sees(scene.entry(seq))


def test_auditors_see_all_the_time_what_is_kept_back_and_why(scene: Scene) -> None:
    before = scene.read()
    scene.defer(HOUR)
    deferral = scene.newest
    during = scene.read()
    assert scene.seen("auditor", kind="reading") == [before, during]
    assert scene.seen("auditor", kind="deferral") == [deferral]
    lines = [scene.entry(seq) for seq in (before, during)]
    for after, expected in ((0, {during: deferral}), (HOUR + 1, {})):
        now_ms = int((time.time() + after) * 1000)
        with scene.builder.database.read() as connection:
            found = kept_back(connection, lines, now_ms)
        assert {seq: deferred.seq for seq, deferred in found.items()} == expected


def test_any_auditor_ends_it_early_and_nothing_else_moves_its_end(scene: Scene) -> None:
    deferral_id = scene.defer(HOUR)
    first, during = scene.newest, scene.read()
    scene.defer(60)  # a shorter one beside it
    shorter = scene.newest
    assert scene.seen(after=120) == []
    scene.builder.end_deferral("auditor", deferral_id)
    ended = scene.newest
    assert scene.seen() == []  # the other one holds still, and went on with the first
    assert scene.seen(after=61) == [first, during, shorter, ended]
    with pytest.raises(StatementError, match="over already"):
        scene.builder.end_deferral("auditor", deferral_id)
    scene.clean()


def test_what_goes_on_with_one_keeps_back_what_that_one_does(scene: Scene) -> None:
    scene.defer(HOUR)
    first, during = scene.newest, scene.read()
    scene.defer(DAY)
    assert scene.seen(after=HOUR + 1) == []
    # Nor by another of this person that does not concern this reader.
    scene.defer(60, by="auditor", reader="second-auditor")
    third = scene.newest
    assert scene.seen(after=61) == [third]
    assert scene.seen(after=DAY + 1) == [first, during, during + 1, third]
    scene.clean()


def test_nobody_but_another_auditor_may(scene: Scene) -> None:
    size = scene.builder.log.size
    for who, reader, refused in (
        ("auditor", "auditor", "deferral.own"),
        ("holder", "auditor", "actor.role"),
        ("terminal", "auditor", "actor.role"),
        ("issuer", "auditor", "actor.role"),
        ("operator", "auditor", "actor.role"),
        ("auditor", "terminal", "deferral.reader"),
        ("auditor", "holder", "deferral.reader"),
    ):
        with pytest.raises(StatementError) as caught:
            scene.builder.defer(who, reader, scene.card, HOUR)
        assert caught.value.code == refused, who
    with pytest.raises(StatementError) as caught:
        scene.builder.defer("auditor", "second-auditor", "1.2.156.x", HOUR)
    assert caught.value.code == "certificate.unknown"
    running_one = scene.defer(HOUR)
    for who in ("holder", "terminal", "issuer", "operator"):
        with pytest.raises(StatementError) as caught:
            scene.builder.end_deferral(who, running_one)
        assert caught.value.code == "actor.role"
    assert scene.builder.log.size == size + 1


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0, "deferral.window"),
        (-HOUR, "deferral.window"),
        (MAX_DEFERRAL_SECONDS + 2, "deferral.too_long"),
    ],
)
def test_an_end_that_is_past_or_too_far_is_refused(scene: Scene, seconds: int, code: str) -> None:
    with pytest.raises(PayloadError) as caught:
        scene.defer(seconds)
    assert (caught.value.code, caught.value.field) == (code, "not_after")


def test_one_number_is_one_deferral(scene: Scene) -> None:
    stated = {
        "what": "reading",
        "deferral_id": "0" * 26,
        "certificate_id": scene.card,
        "reader": scene.names["auditor"],
        "order": "示例法院 7 号",
        "not_after": int(time.time()) + HOUR,
    }
    send, state = scene.builder.send, scene.builder.statement
    send("deferral", state("second-auditor", Kind.DEFERRAL, **stated))
    with pytest.raises(StatementError) as caught:
        send("deferral", state("second-auditor", Kind.DEFERRAL, **stated))
    assert caught.value.code == "deferral.exists"
    unknown = {"what": "end", "deferral_id": "1" * 26}
    with pytest.raises(StatementError) as caught:
        send("deferral", state("auditor", Kind.DEFERRAL, **unknown))
    assert caught.value.code == "deferral.unknown"


def test_the_words_of_the_court_are_in_the_statement_alone(scene: Scene) -> None:
    scene.defer(HOUR)
    assert "示例法院" not in str(scene.entry(scene.newest))
    with scene.builder.database.read() as connection:
        (kept,) = deferrals_of(connection, [scene.key("holder").holder or ""])
    assert "示例法院" not in str(kept)
    assert kept.holds_at(int(time.time() * 1000))


def stated_at(iat: int, not_after: int, reader: str = "r") -> ReadingDeferral:
    return ReadingDeferral.parse(
        {
            "v": 2,
            "ledger": "l",
            "iat": iat,
            "jti": "j" * 16,
            "what": "reading",
            "deferral_id": "0" * 26,
            "certificate_id": "1.2.A",
            "reader": reader * 43,
            "order": "x",
            "not_after": not_after,
        }
    )


def test_a_chain_of_deferrals_ends_731_days_after_its_first() -> None:
    until = 1000 + MAX_DEFERRAL_SECONDS
    first = begun(stated_at(1000, until - DAY), "H", 7, [], 1_000_000)
    last = begun(stated_at(2000, until), "H", 8, [first], 2_000_000)
    assert (last.since_seq, last.since_ms, last.until) == (7, 1_000_000, until)
    late = stated_at(until - 5, until + 1)
    for others in ([first], [first, last], [last]):
        with pytest.raises(PayloadError) as caught:
            begun(stated_at(2000, until + 1), "H", 9, others, 2_000_000)
        assert (caught.value.code, caught.value.field) == ("deferral.too_long", "not_after")
    # Of somebody else, of another reader, or after its end it is one of its own.
    for who, reader, now in (("G", "r", until - 5), ("H", "s", until - 5), ("H", "r", until)):
        made = begun(stated_at(late.iat, late.not_after, reader), who, 9, [last], now * 1000)
        assert made.since_seq == 9


def test_about_one_person_twenty_hold_at_a_time(scene: Scene) -> None:
    ids = [scene.defer(HOUR + n) for n in range(MOST_HOLDING - 1)]
    ids.append(scene.defer(HOUR, by="auditor", reader="second-auditor"))
    size = scene.builder.log.size
    for by, reader in (("second-auditor", "auditor"), ("auditor", "second-auditor")):
        with pytest.raises(StatementError) as caught:
            scene.defer(HOUR, by=by, reader=reader)
        assert caught.value.code == "deferral.too_many"
    assert scene.builder.log.size == size
    scene.builder.end_deferral("auditor", ids[0])
    scene.defer(HOUR)
    assert scene.seen() == []
    scene.clean()


def test_a_person_sees_their_history_beside_however_many_that_are_over(scene: Scene) -> None:
    """SQLite binds 32,766 values in a statement; nor is its depth of conditions without end."""
    seq = scene.read()
    now_ms, holder = int(time.time() * 1000), scene.key("holder").holder
    scene.defer(HOUR)
    with scene.builder.database.write() as connection:
        (first,) = deferrals_of(connection, [holder or ""])
        for number in range(600):
            made = replace(first, deferral_id=f"{number:026}", seq=first.seq + 1 + number)
            values = {name: getattr(made, name) for name in Deferred.__slots__}
            put(connection, tables.deferrals, values)
        found = deferrals_of(connection, [holder or ""])
    (hidden,) = hidden_at(found, now_ms)
    assert (hidden.since, len(hidden.deferrals)) == (first.since_seq, 601)
    assert len(hidden.condition().compile().params) < 10
    assert scene.seen() == [seq]


def test_a_reader_whose_key_is_revoked_is_none(scene: Scene) -> None:
    scene.defer(HOUR)
    scene.builder.enrol("operator", what="key_revocation", kid=scene.names["auditor"])
    with pytest.raises(StatementError) as caught:
        scene.defer(HOUR)
    assert caught.value.code == "deferral.reader"
    scene.clean()


def test_an_end_is_not_part_of_what_it_ends() -> None:
    stated = stated_at(1000, 2000)
    first = begun(stated, "H", 7, [], 1_000_000)
    assert (first.since_seq, first.holds_at(1_999_999), first.holds_at(2_000_000)) == (
        7,
        True,
        False,
    )
    others: list[tuple[Deferred, int]] = [(begun(stated, "H", 9, [first], 1_500_000), 7)]
    others += [(begun(stated, "G", 9, [first], 1_500_000), 9)]
    others += [(begun(stated, "H", 9, [first], 2_000_000), 9)]
    assert all(made.since_seq == since for made, since in others)
    assert hidden_at([first], 2_000_000) == ()
