"""Grants made, used and revoked again, and the tables of grants held against that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from audit.integrity.entry.chunk import AgainstRules, Premises, Signed
from audit.integrity.entry.records import Record, require, said
from audit.integrity.entry.values import all_rows, plain, rows_by, rows_of
from audit.integrity.findings.report import Findings
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.enrolments import Enrolments
from audit.integrity.replay.requests import Requests
from authz import tables as authz_tables
from authz.grant.handler import code_handle
from authz.grant.scopes import speaks_for_device
from authz.request.model import covers
from ledger.database import tables
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Grant, GrantMode, PayloadError, Revocation
from ledger.statement.statements import payload_of, read_header

_CACHED = 5_000  # parsed grants


class Grants:
    """Keeps little of a grant; the grant itself is read from its statement when it is needed."""

    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        master: MasterKey,
        enrolments: Enrolments,
        certificates: Certificates,
        requests: Requests,
    ) -> None:
        self._connection, self._findings, self._master = connection, findings, master
        self._enrolments, self._certificates = enrolments, certificates
        self._requests = requests
        self._seqs: dict[str, int] = {}
        self._replayed: set[str] = set()  # with which not all was as presumed
        self.revoked: dict[str, int] = {}
        """By grant, the entry that revoked it."""
        self.disputed: set[str] = set()  # disputes add and take out
        self._of_frozen_devices: set[str] = set()  # each grant is of one device
        self.left: dict[str, int] = {}
        """Uses that releases have left of every grant that was made."""
        self._pairs = 0  # rows that grant_certificates must have
        self._pair_missing = False
        self._parsed: OrderedDict[str, tuple[Grant, str]] = OrderedDict()  # grant and its holder
        # Of the chunk at hand:
        self._rows: dict[str, Any] = {}
        self._new_pairs: list[tuple[str, str]] = []

    def prefetch(self, records: Iterable[Record]) -> set[str]:
        """Rows and statements of the grants that are made or used; returns their certificates."""
        made: set[str] = set()
        used: set[str] = set()
        certificates: set[str] = set()
        for record in records:
            entry, statement = record.entry, record.statement
            if entry.kind is EventKind.GRANT and statement is not None:
                if isinstance(statement.says, Grant):
                    made.add(statement.says.grant_id)
                    certificates.update(statement.says.fields_of)
            elif entry.kind is EventKind.LOOKUP and entry.grant in self._seqs:
                used.add(entry.grant)
        self._rows = rows_by(self._connection, authz_tables.grants, "grant_id", made)
        self._load(used)
        for id_ in used & self._parsed.keys():
            certificates.update(self._parsed[id_][0].fields_of)
        return certificates

    def find(self, id_: str | None) -> tuple[Grant, str] | None:
        """The grant and its holder, if it was made before now."""
        if id_ is None or id_ not in self._seqs:
            return None
        if id_ not in self._parsed:
            self._load([id_])
        return self._parsed.get(id_)

    def by_handle(self, handle: bytes, supposed: str | None) -> str | None:
        """The grant that a code shows; most often the one ``supposed`` by the entry."""
        if supposed is not None and code_handle(self._master, "grant", supposed) == handle:
            return supposed
        table = authz_tables.grants
        row = rows_by(self._connection, table, "handle", [handle], "handle", "grant_id").get(handle)
        return row.grant_id if row is not None and row.grant_id in self._seqs else None

    # Rules

    def confirm(self, premises: Premises) -> bool:
        """Whether it is with a grant as was presumed (`audit.integrity.parallel.premises`); if so,
        it is made."""
        _, seq, time_ms, kid, id_, holder, department, terminal, sites, pairs, max_uses = premises
        enrolments = self._enrolments
        actor = enrolments.valid(kid, Role.HOLDER, time_ms)
        if (
            actor is None
            or actor.holder != holder
            or actor.scope is not None
            or id_ in self._seqs
            or department not in enrolments.institutions
            or not all(site in enrolments.sites for site in sites)
            or (terminal is not None and terminal not in enrolments.terminals)
        ):
            return False
        self._seqs[id_] = seq
        self._pairs += pairs
        self.left[id_] = max_uses
        return True

    def is_as_presumed(self, id_: str) -> bool:
        """Whether the grant was made, and may be used as it was made."""
        return (
            id_ in self._seqs
            and id_ not in self._replayed
            and id_ not in self.revoked
            and not self.is_frozen(id_)
        )

    def is_frozen(self, id_: str) -> bool:
        """Whether a dispute holds it, or the device that gave it is frozen."""
        return id_ in self.disputed or id_ in self._of_frozen_devices

    def hold_those_of(self, kid: str, seq: int, *, frozen: bool) -> None:
        """What the suspension of a device in entry ``seq``, or its end, comes to."""
        held = self._given_by(kid, seq)
        if frozen:
            self._of_frozen_devices |= held
        else:
            self._of_frozen_devices -= held

    def _given_by(self, kid: str, seq: int) -> set[str]:
        """The grants that a device had given. Their table's column is held against each grant."""
        device = self._enrolments.keys[kid].enrolled
        table = authz_tables.grants
        query = select(*plain(table, "grant_id")).where(
            table.c.holder == device.holder, table.c.kid == kid
        )
        ids = {id_ for (id_,) in self._connection.execute(query)}
        return {id_ for id_ in ids if self._seqs.get(id_, seq) < seq}

    def grant(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        holder = require(actor, Role.HOLDER).holder or ""
        grant = said(statement, Grant)
        id_, enrolments = grant.grant_id, self._enrolments
        if id_ in self._seqs:
            raise AgainstRules("the grant was made before")
        self._remember(id_, grant, holder)
        self._seqs[id_] = record.seq
        self._replayed.add(id_)
        self.left[id_] = grant.limits.max_uses
        types: dict[str, str] = {}
        for item in grant.certificates:
            row = self._certificates.row(item.certificate_id, record.seq)
            if row is None or row.holder != holder:
                raise AgainstRules("it grants a certificate that is not the holder's")
            if not actor.speaks_for(row.issuer):
                raise AgainstRules("the device does not speak for this certificate")
            types[item.certificate_id] = row.type
        if grant.grantee.department not in enrolments.institutions or not grant.site_set.issubset(
            enrolments.sites
        ):
            raise AgainstRules("department or site was not enrolled")
        if (
            grant.grantee.terminal is not None
            and grant.grantee.terminal not in enrolments.terminals
        ):
            raise AgainstRules("the terminal was not enrolled")
        if grant.not_after_ms <= record.entry.time_ms:
            raise AgainstRules("its time was over")
        if grant.mode is GrantMode.REQUEST:
            self._approve(grant, types, record.entry.time_ms)
        self._check_row(grant, record.seq, actor, record.digest)
        self._new_pairs += [(item.certificate_id, id_) for item in grant.certificates]
        single = len(grant.certificates) == 1
        return Draft(
            kind=EventKind.GRANT,
            certificate=grant.certificates[0].certificate_id if single else None,
            grant=id_,
            holder=holder,
            department=grant.grantee.department,
            service_item=grant.purpose.service_item,
        )

    def revocation(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        revocation = Revocation.parse(statement.payload)
        if revocation.kid is not None:
            return self._revocation_of_all(record, actor, revocation.kid)
        id_ = revocation.grant_id or ""
        found = self.find(id_)
        if found is None or found[1] != require(actor, Role.HOLDER).holder:
            raise AgainstRules("there was no such grant of this holder")
        self.require_scope(actor, id_, record.seq)
        if id_ in self.revoked:
            raise AgainstRules("the grant was revoked before")
        self.revoked[id_] = record.seq
        return Draft(kind=EventKind.REVOCATION, grant=id_, holder=found[1], state="revoked")

    def _revocation_of_all(self, record: Record, actor: Enrolled, kid: str) -> Draft:
        key = self._enrolments.keys.get(kid)
        if key is None or not speaks_for_device(require(actor, Role.HOLDER), key.enrolled):
            raise AgainstRules("there was no such device of this holder")
        standing = self._given_by(kid, record.seq) - self.revoked.keys()
        if not standing:
            raise AgainstRules("all that the device gave was revoked before")
        self.revoked |= dict.fromkeys(standing, record.seq)
        return Draft(
            kind=EventKind.REVOCATION, subject=kid, holder=key.enrolled.holder, state="revoked"
        )

    def require_scope(self, actor: Enrolled, id_: str, seq: int) -> None:
        """That who signed speaks for the whole of a grant."""
        found = None if actor.scope is None else self.find(id_)
        for certificate_id in () if found is None else found[0].fields_of:
            row = self._certificates.row(certificate_id, seq)
            if row is None or not actor.speaks_for(row.issuer):
                raise AgainstRules("the device does not speak for all of the grant")

    def _approve(self, grant: Grant, types: Mapping[str, str], now_ms: int) -> None:
        assert grant.request_id is not None
        opened = self._requests.opened(grant.request_id)
        if code := covers(opened, grant, types):
            raise AgainstRules(f"it does not answer its request: {code}")
        opened.approve(grant.grant_id, now_ms)
        self._requests.approved(grant.request_id, grant.grant_id)

    def _check_row(self, grant: Grant, seq: int, actor: Enrolled, digest: bytes) -> None:
        id_, where = grant.grant_id, f"grants {grant.grant_id}"
        row = self._row(id_)
        if row is None:
            self._findings.missing(where)
            return
        expected = {
            "seq": seq,
            "holder": actor.holder,
            "kid": actor.kid,
            "digest": digest,
            "handle": code_handle(self._master, "grant", id_),
        }
        self._findings.compare(where, row, expected, "granted", "grant.differs")

    def _row(self, id_: str) -> Any:
        if id_ not in self._rows:
            self._rows |= rows_by(self._connection, authz_tables.grants, "grant_id", [id_])
        return self._rows.get(id_)

    def _remember(self, id_: str, grant: Grant, holder: str) -> None:
        self._parsed[id_] = grant, holder
        if len(self._parsed) > _CACHED:
            self._parsed.popitem(last=False)

    def _load(self, ids: Collection[str]) -> None:
        missing = {self._seqs[id_]: id_ for id_ in ids if id_ not in self._parsed}
        for seq, token in tables.tokens_at(self._connection, missing).items():
            signer = self._enrolments.keys.get(read_header(token).kid)
            holder = signer.enrolled.holder if signer is not None else None
            try:
                grant = Grant.parse(payload_of(token))
            except (PayloadError, ValueError):
                continue  # named where it stands
            self._remember(missing[seq], grant, holder or "")

    # The tables

    def check_pairs(self) -> None:
        """The rows that find a new grant by its certificates."""
        table = authz_tables.grant_certificates
        self._pairs += len(self._new_pairs)
        present: set[tuple[str, str]] = set()
        # By certificate, which the table is in the order of; asked for pairs, SQLite reads it all.
        for chunk in tables.in_chunks({certificate_id for certificate_id, _ in self._new_pairs}):
            query = select(*plain(table)).where(table.c.certificate_id.in_(chunk))
            present.update(map(tuple, all_rows(self._connection, query)))
        for certificate_id, grant_id in self._new_pairs:
            if (certificate_id, grant_id) not in present:
                self._pair_missing = True
                self._findings.missing(f"grant_certificates {grant_id} {certificate_id}")
        self._new_pairs = []

    def finish(self) -> None:
        self._check_state()
        table = authz_tables.grant_certificates
        if not self._pair_missing and tables.count(self._connection, table) == self._pairs:
            return
        for row in list(rows_of(self._connection, table)):
            found = self.find(row.grant_id)
            if found is None or row.certificate_id not in found[0].fields_of:
                self._findings.added(
                    f"grant_certificates {row.grant_id} {row.certificate_id}", "no grant says so"
                )

    def _check_state(self) -> None:
        """What becomes of grants: uses, revocation, freezing."""
        uses: list[str] = []
        revoked: list[str] = []
        frozen: list[str] = []
        query = select(
            *plain(authz_tables.grants, "grant_id", "uses_left", "revoked_seq", "frozen")
        ).execution_options(yield_per=1_000)
        for id_, left, revoked_seq, is_frozen in self._connection.execute(query):
            if id_ not in self.left:
                continue  # no entry makes it: named elsewhere
            if left != self.left[id_]:
                uses.append(id_)
            if revoked_seq != self.revoked.get(id_):
                revoked.append(id_)
            # The driver's own 0 or 1, or whatever it was altered to.
            if is_frozen != (id_ in self.disputed):
                frozen.append(id_)
        for id_ in sorted(uses):
            what = f"uses_left not as the log says: {self.left[id_]}"
            self._findings.altered(f"grants {id_}", what, "grant.uses")
        for id_ in sorted(revoked):
            self._findings.altered(
                f"grants {id_}", "revoked_seq not as the log says", "grant.revoked"
            )
        for id_ in sorted(frozen):
            self._findings.altered(f"grants {id_}", "frozen not as disputes say", "grant.frozen")
