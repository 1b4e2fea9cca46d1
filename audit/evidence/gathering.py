"""Gathering an evidence bundle: what one party may have of one event, with every proof of it.

Reads the database, the log and the chain that it is given, and changes nothing. Of a lookup, a
certificate, a grant or a dispute whoever may see its entry may ask (`audit.history.visibility`); an
auditor gets no field, and a certificate comes without anybody's lookups.

A statement that its sender may still send again for its answer is withheld from everybody else:
whoever had it could have the answer. A department that was refused does not get the grant that it
was refused under. Disclosed fields go to the holder, and to the very terminal that got them for as
long as sending its lookup again would answer them anyhow: later, a new lookup is the way, which is
recorded.

Not this module's job: the format (`audit.evidence.bundle`), what is proven by it
(`audit.evidence.verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, select

from audit.evidence.bundle import (
    EMBEDDED_SEAL,
    MAX_ENTRIES,
    UNKNOWN_SEAL,
    Bundle,
    Contract,
    Line,
    SealedBlock,
    Subject,
    Trust,
)
from audit.evidence.state_proofs import Nodes, ProofFault, account_at, read_header
from audit.evidence.verification import pruned
from audit.history.history import one
from audit.history.visibility import Reach, Sight
from authz.grant.scopes import speaks_for_grant
from authz.tables import dispute_questions, disputes, grants
from ledger.certificate.credential import unpack_disclosures
from ledger.chain import ChainClient, ChainError, layout
from ledger.database import tables
from ledger.database.row_macs import checked
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.directory.keys import Enrolled, Role
from ledger.enrolment.suspension import SUSPENDED
from ledger.log.committer import AnchorPending
from ledger.log.log import Log
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Decision, Entry, EventKind
from ledger.proof.notes import NoteKey
from ledger.proof.quorum import NO_POLICY, Policy
from ledger.proof.receipts import Published
from ledger.statement.kinds import Asked, GrantMode
from ledger.statement.statements import StatementError, payload_of

_HOLDERS = (EventKind.GRANT, EventKind.REVOCATION, EventKind.DISPUTE)


@dataclass(frozen=True, slots=True)
class Live:
    """How long after ``iat`` a statement sent again still has an answer worth having, seconds: a
    lookup its fields, a grant by scan its code."""

    lookup: int
    grant: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """``about``: the entry of the subject. ``withheld``: entries whose statement is left out, and
    until when, Unix seconds."""

    about: Entry
    bundle: Bundle
    withheld: dict[int, int]


class Gatherer:
    """What gathering needs of a running service."""

    def __init__(
        self,
        log: Log,
        chain: ChainClient,
        master: MasterKey,
        trust: Trust,
        live: Live,
        covering: Callable[[int], Published | None],
    ) -> None:
        """``covering``: the anchored checkpoint that a bundle is to rest on, by the newest entry
        that it must have."""
        self._log, self._chain, self._master, self._covering = log, chain, master, covering
        self._trust, self._live = trust, live

    def gather(
        self,
        connection: Connection,
        subject: Subject,
        asker: Enrolled,
        *,
        now: float,
        fields: bool = True,
    ) -> Gathered:
        """The bundle of ``subject`` for ``asker``.

        Raises StatementError for what is not there or not the asker's, AnchorPending for what is
        not on the chain yet, ChainError.
        """
        seqs = _SEQS[subject.kind](connection, subject.name, asker)
        published = self._covering(max(seqs))
        if published is None or max(seqs) >= published.checkpoint.size:
            raise AnchorPending
        found = _read(connection, seqs)
        found |= _enrolments_before(connection, max(seqs), found)
        _bounded(found)
        about = found[seqs[0]][0]
        blocks = self._blocks(connection, published, max(found))
        if subject.kind == "lookup":
            size, _ = blocks[-1]
            found |= _changes_until(connection, about, found, size)
            found |= _suspension_before(connection, about, found)
            found |= _revocation_before(connection, about, found)
            found |= _enrolments_before(connection, max(seqs), found)
            _bounded(found)
        proofs = self._proofs(found, blocks)
        before, nodes = self._before(blocks[-1][1])
        proofs |= nodes
        withheld = {
            entry.seq: until
            for entry, token in found.values()
            if (until := self._live_until(entry, token, asker)) >= now
        }
        bundle = Bundle(
            subject=subject,
            lines=self._lines(found, withheld, published),
            keys=tuple(_keys(connection, found, withheld)),
            disclosures=self._disclosures(connection, about, found, withheld, asker, now)
            if fields
            else (),
            checkpoint=published.note,
            blocks=tuple(block for _, block in blocks),
            before=before,
            nodes=tuple(proofs),
        )
        return Gathered(about, pruned(bundle, self._trust), withheld)

    # --- entries and statements ---------------------------------------------------------------

    def _lines(
        self,
        found: dict[int, tuple[Entry, str]],
        withheld: Collection[int],
        published: Published,
    ) -> tuple[Line, ...]:
        ordered = [found[seq] for seq in sorted(found)]
        receipts = self._log.receipts([entry for entry, _ in ordered], published)
        return tuple(
            Line(entry, None if entry.seq in withheld else token, tuple(receipt.proof))
            for (entry, token), receipt in zip(ordered, receipts, strict=True)
        )

    def _live_until(self, entry: Entry, token: str, asker: Enrolled) -> int:
        """Until when the statement is to be withheld, Unix seconds; -1 for not at all."""
        if asker.kid == entry.actor:
            return -1
        payload = payload_of(token)
        if entry.kind is EventKind.GRANT and payload["mode"] == GrantMode.SCAN:
            return int(payload["iat"]) + self._live.grant
        if entry.kind is EventKind.LOOKUP:
            coded = not {"code", "spoken"}.isdisjoint(payload["presented"])
            # A refusal has nothing in it, but the code that was shown is good for a while.
            if coded or entry.decision is Decision.RELEASED:
                return int(payload["iat"]) + self._live.lookup
        return -1

    def _disclosures(
        self,
        connection: Connection,
        about: Entry,
        found: dict[int, tuple[Entry, str]],
        withheld: Collection[int],
        asker: Enrolled,
        now: float,
    ) -> tuple[str, ...]:
        if about.kind is not EventKind.LOOKUP or about.decision is not Decision.RELEASED:
            return ()
        if asker.role is not Role.HOLDER:
            until = int(payload_of(found[about.seq][1])["iat"]) + self._live.lookup
            if asker.kid != about.actor or now > until:
                return ()
        row = _certificate(connection, about.certificate)
        if about.seq in withheld or row is None or row.content is None:
            return ()
        try:
            sealed = Sealed(row.wrapped_key, row.content)
            packed = self._master.open(sealed, row.certificate_id.encode("ascii"))
        except SealError:
            return ()
        known = unpack_disclosures(packed)
        asked = payload_of(found[about.seq][1])["fields"]
        return tuple(known[name] for name in dict.fromkeys(asked) if name in known)

    # --- chain --------------------------------------------------------------------------------

    def _blocks(
        self, connection: Connection, published: Published, newest: int
    ) -> list[tuple[int, SealedBlock]]:
        """The newest checkpoint's block, and the first that had all these entries when that is
        another; each with the size that was anchored in it."""
        checkpoints = tables.checkpoints
        query = (
            select(checkpoints.c.size, checkpoints.c.block_number)
            .where(checkpoints.c.size > newest)
            .order_by(checkpoints.c.size)
            .limit(1)
        )
        first = connection.execute(query).one_or_none()
        numbers = [(published.checkpoint.size, published.anchor.block_number)]
        if first is not None and first.block_number < published.anchor.block_number:
            numbers.append((first.size, first.block_number))
        return [(size, self._block(number)) for size, number in numbers]

    def _block(self, number: int) -> SealedBlock:
        found = self._chain.sealed_header(number)
        if found.seal is not None:
            return SealedBlock(found.header, EMBEDDED_SEAL, found.seal)
        return SealedBlock(
            found.header if self._is_readable(found.header, number) else b"", UNKNOWN_SEAL, b""
        )

    def _before(self, block: SealedBlock) -> tuple[bytes, dict[bytes, None]]:
        """The header of the block before, and what proves how long the log was by it."""
        if not block.header:
            return b"", {}
        number = read_header(block.header).number - 1
        address = "0x" + self._trust.checkpoint_log.address.hex()
        proof = self._chain.state_proof(address, [layout.head_slot(self._log.log_id)], number)
        return self._chain.sealed_header(number).header, dict.fromkeys(proof.nodes)

    def _is_readable(self, header: bytes, number: int) -> bool:
        """Whether the state of another engine's block is proven as Ethereum's is."""
        contract = self._trust.checkpoint_log
        try:
            proof = self._chain.state_proof("0x" + contract.address.hex(), [], number)
            state_root = read_header(header).state_root
            account = account_at(Nodes(proof.nodes), state_root, contract.address)
        except (ChainError, ProofFault):
            return False
        return account is not None and account.code_hash == contract.code_hash

    def _proofs(
        self, found: dict[int, tuple[Entry, str]], blocks: list[tuple[int, SealedBlock]]
    ) -> dict[bytes, None]:
        """Trie nodes, each once, for all that a verifier will ask the chain's state."""
        trust, log_id = self._trust, self._log.log_id
        actors = {entry.actor for entry, _ in found.values() if entry.kind not in _HOLDERS}
        keys = [slot for kid in actors for slot in layout.directory_slots(b64url_decode(kid))]
        issued = [entry for entry, _ in found.values() if entry.kind is EventKind.ISSUE]
        statuses = [
            slot for entry in issued for slot in layout.status_slots(entry.statement_digest)
        ]
        nodes: dict[bytes, None] = {}
        for index, (size, block) in enumerate(blocks):
            if not block.header:
                continue  # nothing that a verifier could walk
            number = read_header(block.header).number
            log = [layout.head_slot(log_id), layout.root_slot(log_id, size)]
            asked = [(trust.checkpoint_log, log), (trust.status_registry, statuses)]
            if index == 0:
                asked.append((trust.directory, keys))
            for contract, slots in asked:
                if slots:
                    address = "0x" + contract.address.hex()
                    proof = self._chain.state_proof(address, slots, number)
                    nodes.update(dict.fromkeys(proof.nodes))
        return nodes


def trust_of(chain: ChainClient, log_key: NoteKey, policy: Policy = NO_POLICY) -> Trust:
    """What a running service would have others trust: to be compared out of band. Raises
    ChainError."""
    deployment = chain.deployment
    if deployment is None:
        raise ChainError("no contracts are known")
    head = chain.sealed_header(chain.head_number())

    def contract(address: str) -> Contract:
        return Contract(bytes.fromhex(address[2:]), chain.code_hash(address))

    return Trust(
        chain_id=deployment.chain_id,
        genesis=None if deployment.genesis is None else bytes.fromhex(deployment.genesis[2:]),
        seal=UNKNOWN_SEAL if head.seal is None else EMBEDDED_SEAL,
        sealers=frozenset() if head.seal is None else frozenset({head.sealer}),
        directory=contract(deployment.directory),
        checkpoint_log=contract(deployment.checkpoint_log),
        status_registry=contract(deployment.status_registry),
        log=log_key,
        policy=policy,
    )


def _bounded(found: Collection[int]) -> None:
    if len(found) > MAX_ENTRIES:
        raise StatementError("evidence.too_large", "there are too many entries for one bundle")


def _unknown() -> StatementError:
    # One answer for both: whether there is something of somebody else is not the asker's business.
    return StatementError("evidence.unknown", "there is nothing of this kind that concerns you")


def _root(connection: Connection, seq: int | None, kind: EventKind, asker: Enrolled) -> Entry:
    """The entry that the bundle is about; raises StatementError unless the asker may see it."""
    found = None if seq is None else one(connection, Sight(asker), seq)
    if found is None or found[0].kind is not kind:
        raise _unknown()
    entry = found[0]
    # What it needs shows the whole grant.
    if entry.grant is not None and not speaks_for_grant(connection, asker, entry.grant):
        raise _unknown()
    return entry


def _lookup(connection: Connection, name: str | int, asker: Enrolled) -> list[int]:
    entry = _root(connection, int(name), EventKind.LOOKUP, asker)
    party = Sight(asker).reach(EventKind.LOOKUP) in (Reach.ALL, Reach.OWN)
    if entry.decision is Decision.REFUSED and not party:
        return [entry.seq]
    return [entry.seq, *_under(connection, entry)]


def _under(connection: Connection, entry: Entry) -> list[int]:
    """Where the grant and the certificate of a lookup are recorded."""
    seqs = []
    if entry.grant is not None:
        row = connection.execute(select(grants.c.seq).where(grants.c.grant_id == entry.grant)).one()
        seqs.append(row.seq)
    certificate = _certificate(connection, entry.certificate)
    if certificate is not None:
        seqs.append(certificate.seq)
    return seqs


def _issued(connection: Connection, name: str | int, asker: Enrolled) -> list[int]:
    row = _certificate(connection, str(name))
    _root(connection, None if row is None else row.seq, EventKind.ISSUE, asker)
    assert row is not None
    return [row.seq, *_changes(connection, row.certificate_id)]


def _granted(connection: Connection, name: str | int, asker: Enrolled) -> list[int]:
    query = select(grants).where(grants.c.grant_id == name)
    row = checked(connection, grants, connection.execute(query).one_or_none())
    _root(connection, None if row is None else row.seq, EventKind.GRANT, asker)
    assert row is not None
    return [row.seq] if row.revoked_seq is None else [row.seq, row.revoked_seq]


def _disputed(connection: Connection, name: str | int, asker: Enrolled) -> list[int]:
    row = connection.execute(select(disputes).where(disputes.c.dispute_id == name)).one_or_none()
    _root(connection, None if row is None else row.seq, EventKind.DISPUTE, asker)
    assert row is not None
    seqs = [row.seq, row.disputed_seq]
    if row.resolved_seq is not None:
        seqs.append(row.resolved_seq)
    table = dispute_questions
    asked = select(table.c.seq, table.c.answer_seq).where(table.c.dispute_id == row.dispute_id)
    seqs += [seq for pair in connection.execute(asked) for seq in pair if seq is not None]
    found = tables.entry_at(connection, row.disputed_seq)
    if found is not None and found[0].kind is EventKind.LOOKUP:
        seqs += _under(connection, found[0])
    return seqs


_SEQS = {"lookup": _lookup, "certificate": _issued, "grant": _granted, "dispute": _disputed}


def _certificate(connection: Connection, certificate_id: str | None) -> Row[Any] | None:
    table = tables.certificates
    query = select(table).where(table.c.certificate_id == certificate_id)
    return connection.execute(query).one_or_none()


def _changes(connection: Connection, certificate_id: str | None) -> list[int]:
    entries = tables.entries
    query = select(entries.c.seq).where(
        entries.c.certificate == certificate_id, entries.c.kind == EventKind.STATUS
    )
    return sorted(connection.execute(query).scalars())


def _changes_until(
    connection: Connection, about: Entry, found: dict[int, tuple[Entry, str]], size: int
) -> dict[int, tuple[Entry, str]]:
    """The changes of status that were recorded with the lookup or before it: the first ``size``
    entries were. Where the certificate is not shown, none."""
    if not any(entry.kind is EventKind.ISSUE for entry, _ in found.values()):
        return {}
    changes = _changes(connection, about.certificate)
    return _read(connection, [seq for seq in changes if seq < size])


def _suspension_before(
    connection: Connection, about: Entry, found: dict[int, tuple[Entry, str]]
) -> dict[int, tuple[Entry, str]]:
    """Why a lookup was refused, or should have been: the suspension of the device that signed the
    grant which is shown. One that was lifted by then is nobody's business."""
    entries = tables.entries
    for entry, _ in list(found.values()):
        if entry.kind is EventKind.GRANT:
            query = (
                select(entries.c.seq, entries.c.state)
                .where(
                    entries.c.kind == EventKind.ENROLMENT,
                    entries.c.subject == entry.actor,
                    entries.c.reason.is_not(None),
                    entries.c.seq < about.seq,
                )
                .order_by(entries.c.seq.desc())
                .limit(1)
            )
            row = connection.execute(query).one_or_none()
            if row is not None and row.state == SUSPENDED:
                return _read(connection, [row.seq])
    return {}


def _revocation_before(
    connection: Connection, about: Entry, found: dict[int, tuple[Entry, str]]
) -> dict[int, tuple[Entry, str]]:
    """Why a lookup was refused, or should have been: the revocation of the grant that is shown."""
    if not any(entry.kind is EventKind.GRANT for entry, _ in found.values()):
        return {}
    query = select(grants).where(grants.c.grant_id == about.grant)
    row = checked(connection, grants, connection.execute(query).one_or_none())
    if row is None or row.revoked_seq is None or row.revoked_seq >= about.seq:
        return {}
    return _read(connection, [row.revoked_seq])


def _read(connection: Connection, seqs: Iterable[int]) -> dict[int, tuple[Entry, str]]:
    rows = tables.rows_by(connection, tables.entries, "seq", set(seqs))
    tokens = tables.tokens_at(connection, rows)
    return {seq: (tables.entry_from_row(row), tokens[seq]) for seq, row in rows.items()}


def _enrolments_before(
    connection: Connection, newest: int, found: dict[int, tuple[Entry, str]]
) -> dict[int, tuple[Entry, str]]:
    """By whom those who signed were let in, up to the entry ``newest``. A device that was completed
    later spoke for one department only, and no later block is to stand for when it was recorded."""
    seqs = _enrolments(connection, found.values())
    return _read(connection, [seq for seq in seqs if seq < newest])


def _enrolments(connection: Connection, found: Iterable[tuple[Entry, str]]) -> list[int]:
    """Where the devices and terminals that signed were enrolled, and invited; and the devices that
    approved of these."""
    kids = {
        entry.actor
        for entry, _ in found
        if entry.kind in (*_HOLDERS, EventKind.LOOKUP)
        or (entry.kind is EventKind.ENROLMENT and entry.reason == Role.HOLDER)
        or (entry.kind is EventKind.RESOLUTION and entry.state == "withdrawn")
        or (entry.kind is EventKind.ANSWER and entry.reason == Asked.HOLDER)
    }
    seqs: set[int] = set()
    known: set[str] = set()
    invitations = tables.invitations
    while kids:
        known |= kids
        rows = tables.rows_by(connection, tables.keys, "kid", kids).values()
        let_in = {seq for row in rows for seq in (row.seq, row.completed_seq) if seq is not None}
        query = select(invitations.c.seq).where(invitations.c.kid.in_(kids))
        seqs |= {*let_in, *connection.execute(query).scalars()}
        devices = {row.kid for row in rows if row.role == Role.HOLDER}
        entries = tables.rows_by(connection, tables.entries, "seq", let_in).values()
        signers = {row.actor for row in entries if row.subject in devices} - known
        rows = tables.rows_by(connection, tables.keys, "kid", signers).values()
        kids = {row.kid for row in rows if row.role == Role.HOLDER}
    return sorted(seqs)


def _keys(
    connection: Connection, found: dict[int, tuple[Entry, str]], withheld: Collection[int]
) -> list[dict[str, str]]:
    """The public keys of those whose statements are given."""
    kids = {entry.actor for seq, (entry, _) in found.items() if seq not in withheld}
    rows = tables.rows_by(connection, tables.keys, "kid", kids)
    return [
        {name: str(orjson.loads(rows[kid].jwk)[name]) for name in ("kty", "crv", "x", "y")}
        for kid in sorted(rows)
    ]
