"""Who may see which entry: one table, role by kind, behind everything that shows an entry.

History, notices, one entry with its statement, evidence and disputes ask this and nothing else, so
none of them shows what another withholds. What somebody may not see is answered as what is not
there. A pseudonym is no member of any entry; it is told to its holder and to auditors alone, who
therefore are the only ones that may ask by one.

Three things are shown beside the table. Who makes an entry gets its receipt, and so the entry. And
whoever has a certificate's identifier is told its state, with the receipts of its issue and its
last change: that is what it is for. Releases of the software are about nobody: everybody is told
them (`api.routes.releases`), and nobody's history has them.

One thing is kept back for a time: readings about a person whom a court has not told yet, and what
would tell that there is such a deferral (`ledger.record.deferrals`). `Sight.at` asks what holds
now. While it does, these entries are for that person as what is not there: not in a history, a
page's length, a notice or a number. Without having asked, a `Sight` shows a person neither readings
nor deferrals. Auditors see all of it, and of each reading until when it is not shown (`kept_back`).

Not this module's job: what of a statement is shown (`api.routes.entries`), which other entries an
evidence bundle needs for its proofs (`audit.evidence.gathering`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from sqlalchemy import ColumnElement, Connection, and_, false, not_, or_, true

from ledger.certificate.identifiers import ROOT, issuer_in
from ledger.database.tables import entries
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry, EventKind
from ledger.record.deferrals import Deferred, deferrals_of, kept_since
from ledger.statement.kinds import Asked


class Reach(StrEnum):
    """Which entries of a kind a role may see."""

    NONE = "-"
    OWN = "own"
    """Of the holder who reads: about them, their certificates, grants and devices. Of a device that
    speaks for one department only (`ledger.enrolment.devices`): what names a certificate of that
    one."""
    DEPARTMENT = "department's"
    """About the department that the reading key belongs to."""
    ASKED = "department's, if it was asked"
    """Of those, questions to the department and its answers; what the holder is asked is not its
    business."""
    ALL = "all"


_ROLES: Final = (
    Role.HOLDER,
    Role.TERMINAL,
    Role.ISSUER,
    Role.AUDITOR,
    Role.OPERATOR,
    Role.SEQUENCER,
)
_NONE, _OWN, _DEPT, _ASKED, _ALL = Reach
_ROWS: Final[Mapping[EventKind, tuple[Reach, ...]]] = {
    EventKind.ENROLMENT: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.INVITATION: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.ISSUE: (_OWN, _NONE, _DEPT, _ALL, _NONE, _NONE),
    EventKind.STATUS: (_OWN, _NONE, _DEPT, _ALL, _NONE, _NONE),
    EventKind.IMPORT: (_OWN, _NONE, _DEPT, _ALL, _NONE, _NONE),
    EventKind.GRANT: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.REVOCATION: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.REQUEST: (_OWN, _DEPT, _DEPT, _ALL, _NONE, _NONE),
    EventKind.REFUSAL: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.LOOKUP: (_OWN, _DEPT, _DEPT, _ALL, _NONE, _NONE),
    EventKind.DISPUTE: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.RESOLUTION: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.QUESTION: (_OWN, _ASKED, _ASKED, _ALL, _NONE, _NONE),
    EventKind.ANSWER: (_OWN, _ASKED, _ASKED, _ALL, _NONE, _NONE),
    EventKind.READING: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.RELEASE: (_NONE, _NONE, _NONE, _ALL, _NONE, _NONE),
    EventKind.DEFERRAL: (_OWN, _NONE, _NONE, _ALL, _NONE, _NONE),
}
#: Total: a kind without a row fails here, when the module is read.
REACH: Final[Mapping[Role, Mapping[EventKind, Reach]]] = {
    role: {kind: _ROWS[kind][_ROLES.index(role)] for kind in EventKind} for role in Role
}
#: Roles that may see something.
READERS: Final = tuple(role for role in Role if set(REACH[role].values()) != {Reach.NONE})
#: What may be kept back from the person whom it is about.
DEFERRABLE: Final = (EventKind.READING, EventKind.DEFERRAL)
#: Roles that are told pseudonyms, and may ask by them; of a holder, their own.
TOLD_PSEUDONYMS: Final = frozenset({Role.HOLDER, Role.AUDITOR})


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the deferrals that hold for one reader keep back from ``holder``: readings by ``reader``
    after the entry ``since``, and whatever is recorded of its deferrals since then, over or not,
    which are ``deferrals``."""

    holder: str
    reader: str
    since: int
    deferrals: frozenset[str]

    def covers(self, entry: Entry) -> bool:
        """The same rule as `condition`."""
        if entry.kind is EventKind.READING:
            return entry.actor == self.reader and entry.seq > self.since
        return entry.kind is EventKind.DEFERRAL and entry.subject in self.deferrals

    def condition(self) -> ColumnElement[bool]:
        columns = entries.c
        kept = kept_since(self.holder, self.reader, self.since)
        return or_(
            and_(
                columns.kind == EventKind.READING,
                columns.actor == self.reader,
                columns.seq > self.since,
            ),
            and_(columns.kind == EventKind.DEFERRAL, columns.subject.in_(kept)),
        )


def hidden_at(about: Sequence[Deferred], now_ms: int) -> tuple[Hidden, ...]:
    """What is kept back at ``now_ms`` from the person whom all of ``about`` are about: one for each
    reader."""
    since: dict[tuple[str, str], int] = {}
    for one in about:
        if one.holds_at(now_ms):
            whose = one.holder, one.reader
            since[whose] = min(one.since_seq, since.get(whose, one.since_seq))
    return tuple(
        Hidden(
            *whose,
            first,
            frozenset(
                one.deferral_id
                for one in about
                if (one.holder, one.reader) == whose and one.seq >= first
            ),
        )
        for whose, first in since.items()
    )


def kept_back(connection: Connection, lines: Iterable[Entry], now_ms: int) -> dict[int, Deferred]:
    """Of each of these readings that is kept back from its person, the deferral that ends last;
    for auditors. Raises RowForged."""
    readings = [entry for entry in lines if entry.kind is EventKind.READING and entry.holder]
    about = deferrals_of(connection, [entry.holder for entry in readings if entry.holder])
    holding = sorted(
        (one for one in about if one.holds_at(now_ms)), key=lambda one: (one.until, one.seq)
    )
    return {
        entry.seq: one
        for one in holding
        for entry in readings
        if (entry.holder, entry.actor) == (one.holder, one.reader) and entry.seq > one.since_seq
    }


@dataclass(frozen=True, slots=True)
class Sight:
    """What one enrolled key may see. Raises nothing: a key that belongs to nobody sees nothing."""

    reader: Enrolled
    hidden: tuple[Hidden, ...] | None = None
    """What is kept back from the person who reads; None where nobody asked what is."""

    @classmethod
    def at(cls, connection: Connection, reader: Enrolled, now_ms: int) -> Self:
        """What the key may see at ``now_ms``. Raises RowForged."""
        if reader.holder is None:
            return cls(reader)
        return cls(reader, hidden_at(deferrals_of(connection, [reader.holder]), now_ms))

    def reach(self, kind: EventKind) -> Reach:
        return REACH[self.reader.role][kind]

    @property
    def is_everything(self) -> bool:
        return set(REACH[self.reader.role].values()) == {Reach.ALL}

    def sees(self, entry: Entry) -> bool:
        """Whether the reader may see this entry; the same rule as `condition`."""
        reader = self.reader
        department = reader.institution is not None and entry.department == reader.institution
        match self.reach(entry.kind):
            case Reach.ALL:
                return True
            case Reach.OWN:
                own = reader.holder is not None and entry.holder == reader.holder
                own = own and not self._is_hidden(entry)
                return own and (reader.scope is None or _is_of(entry.certificate, reader.scope))
            case Reach.DEPARTMENT:
                return department
            case Reach.ASKED:
                return department and entry.reason == Asked.DEPARTMENT
            case Reach.NONE:
                return False

    def condition(self) -> ColumnElement[bool]:
        """Of the rows of ``entries`` that the reader may see."""
        kinds: dict[Reach, list[EventKind]] = {}
        for kind, reach in REACH[self.reader.role].items():
            kinds.setdefault(reach, []).append(kind)
        parts = [
            self._of(reach) if len(kinds) == 1 else and_(self._of(reach), _among(of_kind))
            for reach, of_kind in kinds.items()
            if reach is not Reach.NONE
        ]
        return or_(false(), *parts)

    def _is_hidden(self, entry: Entry) -> bool:
        if self.hidden is None:
            return entry.kind in DEFERRABLE
        return any(hidden.covers(entry) for hidden in self.hidden)

    def _hidden(self) -> ColumnElement[bool] | None:
        """The same rule as `_is_hidden`; None where nothing is."""
        if self.hidden is None:
            return _among(list(DEFERRABLE))
        return or_(*(hidden.condition() for hidden in self.hidden)) if self.hidden else None

    def _of(self, reach: Reach) -> ColumnElement[bool]:
        reader, columns = self.reader, entries.c
        department = (
            false() if reader.institution is None else columns.department == reader.institution
        )
        match reach:
            case Reach.ALL:
                return true()
            case Reach.OWN:
                own = false() if reader.holder is None else columns.holder == reader.holder
                if (hidden := self._hidden()) is not None:
                    own = and_(own, not_(hidden))
                if reader.scope is None:
                    return own
                return and_(own, columns.certificate.like(f"{ROOT}.%.{reader.scope}.%"))
            case Reach.DEPARTMENT:
                return department
            case Reach.ASKED:
                return and_(department, columns.reason == Asked.DEPARTMENT)
            case Reach.NONE:
                return false()


def _is_of(certificate_id: str | None, department: str) -> bool:
    """Whether an entry names a certificate of this department, which its identifier tells."""
    return certificate_id is not None and issuer_in(certificate_id) == department


def _among(kinds: list[EventKind]) -> ColumnElement[bool]:
    return entries.c.kind.in_([kind.value for kind in kinds])


def as_table() -> str:
    """`REACH` in Markdown, as docs/formats.md shows it."""
    lines = [("", *(role.value for role in _ROLES)), ("---",) * (len(_ROLES) + 1)]
    lines += [(f"`{kind}`", *reaches) for kind, reaches in _ROWS.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
