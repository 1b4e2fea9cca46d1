"""The lookup itself: a terminal's signed request, decided in a batch, with one entry each.

What is signed is `ledger.statement.kinds.Lookup`. Terminal, site and department come from the
enrolment of the key that signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from authz import tables
from authz.code.codes import (
    SPOKEN_LIFETIME_MS,
    SPOKEN_TRIES,
    STEP_MS,
    Code,
    CodeCheck,
    CodeError,
    CodeKind,
    check_code,
    parse_code,
    parse_spoken,
)
from authz.grant.handler import Grants, code_secret
from authz.lookup.policy import (
    CERTIFICATE_UNREADABLE,
    CertificateFacts,
    Facts,
    LookupRequest,
    Permit,
    Presented,
    Refusal,
    certificate_of,
    decide,
    names_certificate,
    names_grant,
)
from authz.request.model import RequestState
from authz.service_item.model import ServiceItems
from ledger.certificate.credential import FieldValue, disclosed_value, present, unpack_disclosures
from ledger.certificate.lifecycle import State
from ledger.database import tables as ledger_tables
from ledger.database.row_macs import MAC, RowForged, change, checked, with_mac
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.database.transactions import among, upsert
from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.entries import Decision, Draft, Entry, EventKind
from ledger.statement import kinds
from ledger.statement.kinds import Grant, GrantMode
from ledger.statement.statements import Statement, StatementError


@dataclass(frozen=True, slots=True)
class Lookup:
    """A lookup as read from its statement: what is asked, and what the holder showed."""

    request: LookupRequest
    shown: Code | str


@dataclass(frozen=True, slots=True)
class Release:
    """The granted fields, and the SD-JWT presentation that proves them."""

    certificate_id: str
    type: str
    issuer: str
    fields: Mapping[str, FieldValue]
    presentation: str


LookupResult = Release | Refusal


def read_lookup(payload: object, actor: Enrolled) -> Lookup:
    """Read a verified statement's payload strictly; raises PayloadError or StatementError
    (no entry then)."""
    if actor.role is not Role.TERMINAL or not (actor.terminal and actor.site and actor.institution):
        raise StatementError("actor.role", "only an enrolled terminal may look up")
    asked = kinds.Lookup.parse(payload)
    presented, what = _presented(asked.presented)
    return Lookup(
        LookupRequest(
            certificate_id=asked.certificate_id,
            fields=asked.fields,
            service_item=asked.service_item,
            business_number=asked.business_number,
            staff=asked.staff,
            presented=presented,
            terminal=actor.terminal,
            department=actor.institution,
            site=actor.site,
        ),
        what,
    )


def _presented(shown: kinds.Presented) -> tuple[Presented, Code | str]:
    """How, and what: a screen code as its parts."""
    try:
        if shown.code is not None:
            return Presented.SCREEN_CODE, parse_code(shown.code)
        if shown.spoken is not None:
            return Presented.SPOKEN_CODE, parse_spoken(shown.spoken)
    except CodeError:
        at = "code" if shown.code is not None else "spoken"
        raise kinds.Lookup.broken("code", f"presented.{at}") from None
    if shown.grant_id is not None:
        return Presented.NOTHING, shown.grant_id
    assert shown.request_id is not None
    return Presented.REQUEST, shown.request_id


_WITHOUT_CODE = (Presented.NOTHING, Presented.REQUEST)


class LookupHandler:
    """`Request.extra` is a `Lookup`."""

    def __init__(self, master: MasterKey, items: ServiceItems, grants: Grants) -> None:
        self._master, self._items, self._grants = master, items, grants

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        shelf = _Shelf(self._master, self._grants, batch, [request.extra for request in requests])
        outcomes = one_by_one(requests, lambda request: self._look_up(batch, request, shelf))
        shelf.save()
        return outcomes

    def _look_up(self, batch: Batch, request: Request, shelf: _Shelf) -> Recorded:
        lookup: Lookup = request.extra
        asked = lookup.request
        grant_id, code = shelf.resolve(lookup)
        grant = shelf.grant(grant_id) if grant_id else None
        facts = certificate = None
        if grant is not None:
            certificate = shelf.certificates.get(certificate_of(asked, grant) or "")
            checked(batch.connection, ledger_tables.certificates, certificate)
            row = shelf.grant_rows[grant.grant_id]
            facts = Facts(
                uses_left=shelf.uses_left[grant.grant_id],
                certificate=None if certificate is None else _facts(certificate),
                service_item=self._items.get(grant.purpose.service_item),
                code=code,
                grant_revoked=row.revoked_seq is not None,
                frozen=grant.grant_id in shelf.frozen,
                department_kinds=shelf.kinds.get(asked.department, frozenset()),
            )
        verdict = decide(asked, grant, facts, now_ms=batch.now_ms)
        result: LookupResult
        if isinstance(verdict, Permit):
            assert certificate is not None
            try:
                result = _release(self._master, certificate, asked.fields)
            except SealError:
                result = Refusal(CERTIFICATE_UNREADABLE)
        else:
            result = verdict
        released = isinstance(result, Release)
        code_of = result.code if isinstance(result, Refusal) else None
        if grant is not None and not names_certificate(asked, grant, code_of):
            certificate = None
        shelf.settle(lookup, grant_id, code, released=released)
        return batch.record(
            request,
            Draft(
                kind=EventKind.LOOKUP,
                certificate=None if certificate is None else certificate.certificate_id,
                grant=grant.grant_id if grant is not None and names_grant(asked, grant) else None,
                holder=None if grant is None else shelf.grant_rows[grant.grant_id].holder,
                terminal=asked.terminal,
                site=asked.site,
                department=asked.department,
                service_item=asked.service_item,
                staff=asked.staff,
                decision=Decision.RELEASED if released else Decision.REFUSED,
                reason=code_of,
            ),
            result,
        )

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> LookupResult:
        """A release again, as long as nothing was said since that refuses it: the grant withdrawn
        or disputed, the certificate's state changed, its content erased. Its entry stays what it
        is: the fields were released then."""
        if entry.decision is Decision.REFUSED:
            return Refusal(entry.reason or "")
        assert entry.grant is not None
        assert entry.certificate is not None
        terminal = Enrolled(
            kid=entry.actor,
            role=Role.TERMINAL,
            institution=entry.department,
            terminal=entry.terminal,
            site=entry.site,
        )
        asked = read_lookup(statement.payload, terminal).request
        row = ledger_tables.rows_by(connection, tables.grants, "grant_id", [entry.grant])[
            entry.grant
        ]
        grant = self._grants.load_one(connection, row)
        certificate = load_certificates(connection, [entry.certificate])[entry.certificate]
        checked(connection, ledger_tables.certificates, certificate)
        facts = Facts(
            # The use and the code are its own.
            uses_left=1,
            code=None if asked.presented in _WITHOUT_CODE else CodeCheck.OK,
            certificate=_facts(certificate),
            service_item=self._items.get(grant.purpose.service_item),
            grant_revoked=row.revoked_seq is not None,
            frozen=bool(tables.frozen_among(connection, [row])),
            department_kinds=ledger_tables.kinds_of(connection, [asked.department]).get(
                asked.department, frozenset()
            ),
        )
        verdict = decide(asked, grant, facts, now_ms=entry.time_ms)
        if isinstance(verdict, Refusal):
            return verdict
        try:
            return _release(self._master, certificate, asked.fields)
        except SealError:
            return Refusal(CERTIFICATE_UNREADABLE)


class _Shelf:
    """Everything the lookups of one batch may need, read at once, and what they change."""

    def __init__(
        self, master: MasterKey, grants: Grants, batch: Batch, lookups: Sequence[Lookup]
    ) -> None:
        self._master, self._batch = master, batch
        connection = self._connection = batch.connection
        codes = [item.shown for item in lookups if isinstance(item.shown, Code)]
        by = _by_presented(lookups)
        table = tables.grants
        self._by_handle = {
            handle: row.grant_id
            for handle, row in ledger_tables.rows_by(
                connection, table, "handle", [code.handle for code in codes]
            ).items()
        }
        self._spoken = tables.live_spoken_codes(
            connection,
            [
                (item.request.site, str(item.shown))
                for item in lookups
                if item.request.presented is Presented.SPOKEN_CODE
            ],
        )
        self._requests = ledger_tables.rows_by(
            connection, tables.access_requests, "request_id", by[Presented.REQUEST]
        )
        wanted = {
            *self._by_handle.values(),
            *(row.grant_id for row in self._spoken.values()),
            *(row.grant_id for row in self._requests.values() if row.grant_id),
            *by[Presented.NOTHING],
        }
        self.grant_rows = ledger_tables.rows_by(connection, table, "grant_id", wanted)
        self.grants = grants.load(connection, self.grant_rows, batch.tokens)
        self.frozen = tables.frozen_among(connection, self.grant_rows.values())
        self.uses_left = {id_: row.uses_left for id_, row in self.grant_rows.items()}
        self.certificates = load_certificates(
            connection,
            {item.certificate_id for grant in self.grants.values() for item in grant.certificates},
        )
        self.kinds = ledger_tables.kinds_of(
            connection, {item.request.department for item in lookups}
        )
        self._codes_used = tables.codes_used(
            connection, [(code.handle, code.step) for code in codes]
        )
        self._new_codes: set[tuple[bytes, int]] = set()
        self._touched: set[str] = set()

    def grant(self, grant_id: str) -> Grant | None:
        """None where there is none; raises RowForged."""
        found = self.grants.get(grant_id)
        if found is None and grant_id in self.grant_rows:
            raise RowForged(tables.grants.name)
        return found

    def resolve(self, lookup: Lookup) -> tuple[str | None, CodeCheck | None]:
        """The grant that was shown, and what is to be said of the code."""
        shown, presented = lookup.shown, lookup.request.presented
        if isinstance(shown, Code):
            return self._resolve_screen_code(shown)
        if presented is Presented.SPOKEN_CODE:
            return self._resolve_spoken(lookup)
        if presented is Presented.REQUEST:
            row = checked(self._connection, tables.access_requests, self._requests.get(shown))
            if row is None or row.state != RequestState.APPROVED:
                return None, None
            return row.grant_id, None
        grant = self.grant(shown)
        # A request's grant is shown by its request only, so that the kiosk which asked is the one.
        if grant is not None and grant.mode is GrantMode.REQUEST:
            return None, None
        return shown, None

    def _resolve_screen_code(self, code: Code) -> tuple[str | None, CodeCheck | None]:
        grant_id = self._by_handle.get(code.handle)
        if grant_id is None or code.kind is not CodeKind.GRANT:
            return None, None
        secret = code_secret(self._master, "grant", grant_id)
        check = check_code(code, secret, self._batch.now_ms)
        if check is CodeCheck.OK and (code.handle, code.step) in self._codes_used:
            check = CodeCheck.USED
        return grant_id, check

    def _resolve_spoken(self, lookup: Lookup) -> tuple[str | None, CodeCheck | None]:
        asked = lookup.request
        row = self._spoken.get((asked.site, str(lookup.shown)))
        checked(self._connection, tables.spoken_codes, row)
        terminal = (asked.department, asked.terminal)
        tries, since_ms = _spoken_tries(self._connection, terminal, self._batch.now_ms)
        granted = None if row is None else self.grants.get(row.grant_id)
        # Digits are good at one site, which may have become another department's meanwhile.
        foreign = granted is None or granted.grantee.department != asked.department
        if row is None or foreign or tries >= SPOKEN_TRIES:
            _count_wrong(self._connection, terminal, tries, since_ms)
            return None, None
        if row.tries >= SPOKEN_TRIES or self._batch.now_ms >= row.expires_ms:
            return row.grant_id, CodeCheck.STALE
        return row.grant_id, CodeCheck.USED if row.used else CodeCheck.OK

    def settle(
        self, lookup: Lookup, grant_id: str | None, code: CodeCheck | None, *, released: bool
    ) -> None:
        """Take what a release takes, and count a try on a spoken code."""
        if released:
            assert grant_id is not None
            self.uses_left[grant_id] -= 1
            self._touched.add(grant_id)
            if isinstance(lookup.shown, Code):
                used = (lookup.shown.handle, lookup.shown.step)
                self._codes_used.add(used)
                self._new_codes.add(used)
        if lookup.request.presented is Presented.SPOKEN_CODE and grant_id is not None:
            key = (lookup.request.site, str(lookup.shown))
            table = tables.spoken_codes
            where = (table.c.site == key[0]) & (table.c.digits == key[1])
            row = self._spoken[key]
            new = {"tries": row.tries + (not released), "used": row.used or released}
            change(self._connection, table, row, new)
            self._spoken[key] = self._connection.execute(select(table).where(where)).one()

    def save(self) -> None:
        if self._touched:
            tables.set_uses_left(
                self._connection,
                self.grant_rows,
                {id_: self.uses_left[id_] for id_ in self._touched},
            )
        if self._new_codes:
            tables.remember_codes(self._connection, self._new_codes)
            now_ms = self._batch.now_ms
            tables.forget_old_codes(self._connection, now_ms, now_ms // STEP_MS - 10)


def grant_shown(connection: Connection, presented: Mapping[str, str]) -> str | None:
    """The grant behind what was ``presented`` in a lookup whose entry does not name it: for its
    holder, and for auditors. None where there is none, and for digits, which are forgotten."""
    (kind, value), table = next(iter(presented.items())), tables.grants
    if kind == "code":
        rows = ledger_tables.rows_by(connection, table, "handle", [parse_code(value).handle])
    elif kind == "request_id":
        requests = ledger_tables.rows_by(connection, tables.access_requests, kind, [value])
        rows = {row.grant_id: row for row in requests.values() if row.grant_id}
    else:
        return None
    return next((str(row.grant_id) for row in rows.values()), None)


def _by_presented(lookups: Sequence[Lookup]) -> dict[Presented, list[str]]:
    by: dict[Presented, list[str]] = {kind: [] for kind in Presented}
    for item in lookups:
        if isinstance(item.shown, str):
            by[item.request.presented].append(item.shown)
    return by


def load_certificates(
    connection: Connection, certificate_ids: set[str] | list[str]
) -> dict[str, Row[Any]]:
    """Certificates with the issuer's token, by id."""
    table, tokens = ledger_tables.certificates, ledger_tables.statements
    found: dict[str, Row[Any]] = {}
    for chunk in ledger_tables.in_chunks(certificate_ids):
        query = (
            select(table, tokens.c.token)
            .join(tokens, tokens.c.seq == table.c.seq)
            .where(among(connection, table.c.certificate_id, chunk))
        )
        found.update((row.certificate_id, row) for row in connection.execute(query))
    return found


def _facts(row: Row[Any]) -> CertificateFacts:
    return CertificateFacts(
        type=row.type,
        state=State(row.state),
        valid_from_ms=row.valid_from_ms if row.valid_from_ms is not None else 0,
        valid_until_ms=row.valid_until_ms,
        successor=row.successor,
        erased=row.content is None,
    )


def _release(master: MasterKey, row: Row[Any], fields: Sequence[str]) -> Release:
    sealed = Sealed(row.wrapped_key, row.content)
    disclosures = unpack_disclosures(master.open(sealed, row.certificate_id.encode("ascii")))
    chosen = {name: disclosures[name] for name in fields if name in disclosures}
    return Release(
        certificate_id=row.certificate_id,
        type=row.type,
        issuer=row.issuer,
        fields={name: disclosed_value(encoded) for name, encoded in chosen.items()},
        presentation=present(row.token, chosen.values()),
    )


def _spoken_tries(
    connection: Connection, terminal: tuple[str, str], now_ms: int
) -> tuple[int, int]:
    """How often a terminal, by its department and its name there, was wrong, and since when."""
    table = tables.spoken_tries
    where = and_(table.c.department == terminal[0], table.c.terminal == terminal[1])
    row = connection.execute(select(table).where(where)).one_or_none()
    checked(connection, table, row)
    if row is None or now_ms - row.since_ms >= SPOKEN_LIFETIME_MS:
        return 0, now_ms
    return row.wrong, row.since_ms


def _count_wrong(
    connection: Connection, terminal: tuple[str, str], wrong: int, since_ms: int
) -> None:
    """Eight digits can be guessed, so a terminal may be wrong only so often."""
    table = tables.spoken_tries
    keys = {"department": terminal[0], "terminal": terminal[1]}
    values = {**keys, "wrong": wrong + 1, "since_ms": since_ms}
    changed = ["wrong", "since_ms", MAC]
    connection.execute(
        upsert(connection, table, keys=list(keys), values=changed),
        with_mac(connection, table, values),
    )
