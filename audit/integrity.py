"""The full integrity check: everything re-derived from what was signed, held against the chain.

What is believed, and why, from the strongest down:

1. the chain: its anchored roots were checked by the contract and cannot be rewritten here;
2. statements: signed by keys whose own enrolment is a signed statement earlier in the log;
3. entries: their hashes lead to the anchored roots;
4. every other table: derived, so it is derived again, in the order of the log, and compared.

One pass over the log in chunks. What is kept over the whole pass is small: keys, institutions and
sites, certificates whose state ever changed, one number a grant, one tuple a request. Signatures
of long logs are verified in other processes: `cryptography` holds the interpreter lock while it
verifies a P-256 signature, so threads would gain nothing.

Not re-derived, because what it depended on is gone or changes by design: tables of codes
(``code_uses``, ``spoken_codes``, ``spoken_tries``) hold nothing but what expires within minutes;
whether a spoken code was right; which fields a service item allowed at the time (items are edited
data); which person an enrolled device belongs to (the salt of that digest is not kept), though
every grant is held against the certificate's holder, which is re-derived.

Time may step back by up to a minute (clocks are set); more than that is a finding, because a
statement is taken within a minute of its time and windows of grants would lose their meaning.

Not this module's job: printing, settings, finding the database or the chain, mending anything.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any, Protocol, cast

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_utils.crypto import keccak
from sqlalchemy import Connection, Row, Table, and_, func, or_, select, tuple_, type_coerce
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import NULLTYPE
from web3.providers import BaseProvider
from web3.types import RPCEndpoint

from authz import store as authz_store
from authz.codes import STEP_MS, Code, CodeCheck, CodeKind, check_code, matching_number
from authz.granting import code_handle, code_secret, payload_of
from authz.grants import Grant, GrantMode
from authz.lookups import Lookup, read_lookup
from authz.policy import (
    CODES,
    CertificateFacts,
    Facts,
    Presented,
    Refusal,
    certificate_of,
    decide,
)
from authz.requests import AccessRequest, IllegalMove, OpenRequest, RequestState, covers
from authz.service_items import ServiceItem
from ledger import outbox, store
from ledger.catalogue import Catalogue, UnknownType
from ledger.certificates import (
    ISSUER_PREFIX,
    VCT_PREFIX,
    open_certificate,
    unpack_disclosures,
)
from ledger.chain import (
    Anchor,
    ChainClient,
    ChainError,
    ChainUnavailable,
    DirectoryEntry,
    StatusChange,
)
from ledger.chain_http import Unreachable
from ledger.database import Database
from ledger.directory import NEVER, Enrolled, Role, institution_id
from ledger.encoding import EncodingError, b64url, b64url_decode, sha256
from ledger.enrolment import CHAIN_ROLE
from ledger.entries import OPTIONAL, Decision, Draft, Entry, EventKind
from ledger.holders import holder_id
from ledger.identifiers import CertificateIdentifier, IdentifierError
from ledger.lifecycle import CHAIN_STATE, FINAL, Action, IllegalTransition, State, after
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, node_hash
from ledger.notes import NoteError, NoteKey, open_checkpoint
from ledger.outbox import ChainAction, KeyRevocation
from ledger.payloads import PayloadError
from ledger.sealing import MasterKey, Sealed, SealError
from ledger.statements import (
    Kind,
    Statement,
    StatementError,
    load_public_key,
    read_header,
    request_key,
)
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, tiles_of

KEPT_FINDINGS = 1_000
CHUNK = 4_096  # entries at a time; a multiple of a tile's width
CLOCK_STEP_MS = 60_000
#: From this many entries on, other processes verify signatures; below, starting them costs more.
PARALLEL_FROM = 20_000
_SIGNATURES_AT_ONCE = 512
_CACHED = 5_000  # parsed grants, requests


# --- the report -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One record that is not what it must be: ``where`` is table and key, ``code`` is stable."""

    where: str
    what: str
    code: str


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """``findings`` are the first; ``found`` counts all. Entries beyond ``anchored`` are in order,
    only not on the chain yet."""

    entries: int
    anchored: int
    findings: tuple[Finding, ...]
    found: int

    @property
    def clean(self) -> bool:
        return self.found == 0

    def to_json(self) -> dict[str, Any]:
        return {
            "clean": self.clean,
            "entries": self.entries,
            "anchored": self.anchored,
            "not_anchored": max(0, self.entries - self.anchored),
            "found": self.found,
            "findings": [
                {"where": item.where, "what": item.what, "code": item.code}
                for item in self.findings
            ],
        }


@dataclass(slots=True)
class _Findings:
    kept: list[Finding] = field(default_factory=list)
    count: int = 0
    muted: bool = False

    def add(self, where: str, what: str, code: str) -> None:
        if self.muted:
            return
        self.count += 1
        if len(self.kept) < KEPT_FINDINGS:
            # What was altered may hold anything; a report must print.
            self.kept.append(Finding(_printable(where), _printable(what), code))


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:300]


class _Wrong(Exception):
    """An entry that the rules would not have let into the log."""


# --- the chain ------------------------------------------------------------------------------------


class ChainReader(Protocol):
    """What is read from the chain: a few long answers rather than one call a record."""

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        """Size and root anchored last."""

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        """Every anchor of the log, oldest first."""

    def directory(self) -> Iterator[DirectoryEntry]:
        """Every key in the directory, as it stands."""

    def statuses(self) -> Iterator[StatusChange]:
        """The newest status of every certificate that ever had one."""


_KEY_ENROLLED = keccak(b"KeyEnrolled(bytes32,bytes32,uint8,uint64,uint64)")
_KEY_REVOKED = keccak(b"KeyRevoked(bytes32,bytes32,uint64)")
_STATUS_CHANGED = keccak(b"StatusChanged(bytes32,uint8,bytes32)")
_LOG_WINDOW = 5_000


class ChainRecords:
    """`ChainReader` over a client and its provider; directory and statuses from their events."""

    def __init__(self, client: ChainClient, provider: BaseProvider) -> None:
        self._client, self._provider = client, provider

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        return self._client.head(log_id)

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        return self._client.anchors(log_id)

    def directory(self) -> Iterator[DirectoryEntry]:
        found: dict[bytes, DirectoryEntry] = {}
        for topics, words in self._events("directory", [_KEY_ENROLLED, _KEY_REVOKED]):
            thumbprint = topics[1]
            if topics[0] == _KEY_ENROLLED:
                role, not_before, not_after = (int.from_bytes(word, "big") for word in words)
                found[thumbprint] = DirectoryEntry(
                    thumbprint, topics[2], role, not_before, not_after
                )
            else:
                at = int.from_bytes(words[0], "big")
                found[thumbprint] = replace(found[thumbprint], revoked_at=at)
        yield from found.values()

    def statuses(self) -> Iterator[StatusChange]:
        found: dict[bytes, tuple[int, bytes]] = {}
        for topics, words in self._events("status_registry", [_STATUS_CHANGED]):
            found[topics[1]] = int.from_bytes(words[0], "big"), words[1]
        for commitment, (state, digest) in found.items():
            yield StatusChange(commitment, state, digest)

    def _events(
        self, contract: str, names: Sequence[bytes]
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Topics and data words of a contract's events, oldest first."""
        address = getattr(self._client.deployment, contract)
        first, window = 0, _LOG_WINDOW
        last = int(self._ask("eth_blockNumber", []), 16)
        while first <= last:
            until = min(last, first + window - 1)
            query = {
                "address": address,
                "topics": [["0x" + name.hex() for name in names]],
                "fromBlock": hex(first),
                "toBlock": hex(until),
            }
            try:
                logs = self._ask("eth_getLogs", [query])
            except ChainUnavailable:
                raise
            except ChainError:
                if window == 1:
                    raise
                window //= 2  # engines bound how much they answer at once
                continue
            for log in logs:
                data = bytes.fromhex(log["data"][2:])
                yield (
                    [bytes.fromhex(topic[2:]) for topic in log["topics"]],
                    [data[start : start + 32] for start in range(0, len(data), 32)],
                )
            first = until + 1

    def _ask(self, method: str, params: list[Any]) -> Any:
        try:
            answer: Any = self._provider.make_request(RPCEndpoint(method), params)
        except (Unreachable, OSError) as error:
            raise ChainUnavailable(f"the chain does not answer {method}: {error}") from error
        if answer.get("error") is not None:
            raise ChainError(f"the chain refuses {method}: {answer['error']}")
        return answer["result"]


# --- the tree -------------------------------------------------------------------------------------


class _Frontier:
    """A Merkle tree grown leaf by leaf, keeping its right edge, and handing out full tiles."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []
        self.edge: list[list[bytes]] = [[]]  # hashes of the growing tile at each tile level
        self.full: list[tuple[int, int, bytes]] = []  # tiles above the leaves, to be compared

    def copy(self) -> _Frontier:
        twin = _Frontier()
        twin.size, twin._stack = self.size, list(self._stack)
        twin.edge, twin.full = [list(row) for row in self.edge], list(self.full)
        return twin

    def push(self, value: bytes) -> None:
        index, level = self.size, 0
        self.size += 1
        while index & 1:
            value = node_hash(self._stack.pop(), value)
            index >>= 1
            level += 1
            if level % TILE_HEIGHT == 0:
                self._tile_node(level // TILE_HEIGHT, index, value)
        self._stack.append(value)

    def _tile_node(self, level: int, index: int, value: bytes) -> None:
        if level == len(self.edge):
            self.edge.append([])
        row = self.edge[level]
        row.append(value)
        if len(row) == TILE_WIDTH:
            self.full.append((level, index // TILE_WIDTH, b"".join(row)))
            row.clear()

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        for level, row in enumerate(self.edge):
            if row:
                yield level, (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH, b"".join(row)

    def root(self) -> bytes:
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root


# --- signatures -----------------------------------------------------------------------------------

_ES256 = ec.ECDSA(SHA256())


@lru_cache(maxsize=4_096)
def _public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)


def _verifies(point: bytes, token: str) -> bool:
    signed, _, encoded = token.rpartition(".")
    try:
        raw = b64url_decode(encoded)
        if len(raw) != 64:
            return False
        signature = encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        _public_key(point).verify(signature, signed.encode("ascii"), _ES256)
    except (InvalidSignature, ValueError):
        return False
    return True


def _unverified(batch: list[tuple[int, bytes, str]]) -> list[int]:
    """Sequence numbers of the statements in ``batch`` whose signature does not verify."""
    return [seq for seq, point, token in batch if not _verifies(point, token)]


class _Signatures:
    """Verifies what it is handed, here or in other processes, with a bounded backlog."""

    def __init__(self, findings: _Findings, pool: ProcessPoolExecutor | None, backlog: int) -> None:
        self._findings, self._pool, self._backlog = findings, pool, backlog
        self._batch: list[tuple[int, bytes, str]] = []
        self._running: deque[Future[list[int]]] = deque()

    def check(self, seq: int, point: bytes, token: str) -> None:
        self._batch.append((seq, point, token))
        if len(self._batch) == _SIGNATURES_AT_ONCE:
            self._send()

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        if self._pool is None:
            self._report(_unverified(batch))
            return
        self._running.append(self._pool.submit(_unverified, batch))
        while len(self._running) > self._backlog:
            self._report(self._running.popleft().result())

    def finish(self) -> None:
        self._send()
        while self._running:
            self._report(self._running.popleft().result())

    def _report(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._findings.add(
                f"statements {seq}",
                "the signature does not verify with the key that its signer enrolled",
                "statement.signature",
            )


# --- reading --------------------------------------------------------------------------------------


@contextmanager
def _snapshot(database: Database) -> Iterator[Connection]:
    """One state of the database, whatever is committed meanwhile.

    Text that is not UTF-8 (an altered byte) arrives as surrogates, so that it is a finding and
    not an end of the check.
    """
    with database.read() as connection:
        if connection.dialect.name != "sqlite":
            connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            return
        driver: Any = connection.connection.driver_connection
        usual = driver.text_factory
        driver.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            yield connection
        finally:
            driver.text_factory = usual


def _plain(table: Table, *names: str) -> list[Any]:
    """Columns as the driver gives them: an altered value must not fail a type's conversion."""
    columns = [table.c[name] for name in names] if names else list(table.c)
    return [type_coerce(column, NULLTYPE).label(column.name) for column in columns]


def _rows_by(
    connection: Connection, table: Table, column: str, values: Collection[Any], *names: str
) -> dict[Any, Row[Any]]:
    found: dict[Any, Row[Any]] = {}
    for chunk in store.in_chunks(set(values)):
        query = select(*_plain(table, *names)).where(table.c[column].in_(chunk))
        found.update((getattr(row, column), row) for row in connection.execute(query))
    return found


def _differing(row: Any, expected: Mapping[str, Any]) -> str:
    """Names of the columns that are not as expected, or an empty text."""
    return ", ".join(name for name, value in expected.items() if getattr(row, name) != value)


# --- replay ---------------------------------------------------------------------------------------

_STATEMENT_OF = {
    EventKind.ENROLMENT: Kind.ENROLMENT,
    EventKind.ISSUE: Kind.CERTIFICATE,
    EventKind.STATUS: Kind.STATUS,
    EventKind.IMPORT: Kind.IMPORT,
    EventKind.GRANT: Kind.GRANT,
    EventKind.REVOCATION: Kind.REVOCATION,
    EventKind.REQUEST: Kind.REQUEST,
    EventKind.REFUSAL: Kind.REFUSAL,
    EventKind.LOOKUP: Kind.LOOKUP,
    EventKind.DISPUTE: Kind.DISPUTE,
}
#: An entry's members beside those that every kind has.
_DERIVED = (*OPTIONAL, "holder")
_BROKEN = (
    _Wrong,
    StatementError,
    PayloadError,
    IllegalMove,
    IllegalTransition,
    IdentifierError,
    UnknownType,
    EncodingError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
)


@dataclass(slots=True)
class _Record:
    """One entry on its way through the check; ``statement`` is None when it cannot be read."""

    seq: int
    row: Any
    entry: Entry
    statement: Statement | None
    trusted: bool  # the statement is the one that the entry was made of
    digest: bytes  # of the statement that the entry was made of, as far as that can be told


@dataclass(slots=True)
class _Key:
    enrolled: Enrolled
    point: bytes
    seq: int
    kept: bool  # by the service, for a department


@dataclass(slots=True)
class _Changed:
    """A certificate whose state was changed or content erased."""

    state: State
    state_seq: int
    successor: str | None = None
    erased: bool = False
    commitment: bytes = b""
    digest: bytes | None = None  # of the statement that made the state, as on chain


class _Replay:
    """What the log says the derived tables must hold, entry by entry."""

    def __init__(
        self,
        connection: Connection,
        findings: _Findings,
        signatures: _Signatures,
        master: MasterKey,
        catalogue: Catalogue,
    ) -> None:
        self._connection, self._findings, self._signatures = connection, findings, signatures
        self._master, self._catalogue = master, catalogue
        self.institutions: dict[str, dict[str, Any]] = {}
        self._types: dict[str, frozenset[str]] = {}
        self.sites: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, _Key] = {}
        self._terminals: set[str] = set()
        self._early: list[tuple[int, str, str]] = []  # signed before any key was enrolled
        self.changed: dict[str, _Changed] = {}
        self.looks_changed: set[str] = set()
        self._grant_seq: dict[str, int] = {}
        self._revoked: dict[str, int] = {}
        self._used: Counter[str] = Counter()
        # What the tables say at the end, to be reached by the replay; only what is not the default.
        self._shown_uses: dict[str, int] = {}
        self._shown_revoked: dict[str, int] = {}
        self._requests: dict[str, tuple[int, int, RequestState, str | None]] = {}
        self._shown_requests: dict[str, tuple[str, str | None]] = {}
        self._pairs = 0  # rows that grant_certificates must have
        self._pair_missing = False
        self._codes: dict[int, set[bytes]] = {}  # handles used, by time step
        self._parsed: OrderedDict[str, tuple[Grant, str]] = OrderedDict()  # grant and its holder
        self._time_ms = 0
        # Of the chunk at hand:
        self._actions: dict[int, ChainAction] = {}
        self._certificates: dict[str, Any] = {}
        self._issued: dict[str, Any] = {}
        self._grant_rows: dict[str, Any] = {}
        self._request_rows: dict[str, Any] = {}
        self._new_pairs: list[tuple[str, str]] = []

    # A chunk

    def chunk(self, start: int, end: int, records: Sequence[_Record]) -> None:
        self._prefetch(records)
        for record in records:
            self._replay(record)
        self._check_pairs()
        self._check_outbox(start, end)
        self._forget_codes()

    def _prefetch(self, records: Sequence[_Record]) -> None:
        """Rows that the chunk's entries name, set at a time."""
        connection = self._connection
        issued: set[str] = set()
        certificates: set[str] = set()
        grants: set[str] = set()
        requests: set[str] = set()
        for record in records:
            if record.statement is None:
                continue
            entry, payload = record.entry, record.statement.payload
            if entry.kind is EventKind.ISSUE:
                issued.add(str(payload.get("certificate_id")))
            elif entry.kind is EventKind.GRANT:
                grants.add(str(payload.get("grant_id")))
                certificates.update(_named_certificates(payload))
            elif entry.kind is EventKind.REQUEST:
                requests.add(str(payload.get("request_id")))
            elif entry.kind is EventKind.STATUS:
                certificates.add(str(payload.get("certificate_id")))
            elif entry.kind is EventKind.LOOKUP and entry.grant is not None:
                grants.add(entry.grant)
        self._issued = _rows_by(connection, store.certificates, "certificate_id", issued)
        self._grant_rows = _rows_by(connection, authz_store.grants, "grant_id", grants)
        self._request_rows = _rows_by(
            connection, authz_store.access_requests, "request_id", requests
        )
        self._load_grants([id_ for id_ in grants if id_ in self._grant_seq])
        for id_ in grants:
            if id_ in self._parsed:
                certificates.update(self._parsed[id_][0].fields_of)
        self._certificates = _rows_by(
            connection, store.certificates, "certificate_id", certificates, *_FACTS
        )

    def _replay(self, record: _Record) -> None:
        entry, statement, findings = record.entry, record.statement, self._findings
        here = f"entries {record.seq}"
        if isinstance(entry.time_ms, int):
            if entry.time_ms < self._time_ms - CLOCK_STEP_MS:
                findings.add(here, "its time is over a minute before an earlier entry's", "time")
            self._time_ms = max(self._time_ms, entry.time_ms)
        if statement is None:
            return
        # An altered statement is named already; what would follow from it names the innocent.
        findings.muted = not record.trusted
        try:
            key = self._signer(record, statement)
            if key is None:
                return
            if not key.valid_at(entry.time_ms):
                findings.add(here, "the signer's key was revoked or not valid then", "key.validity")
            draft = self._RULES[entry.kind](self, record, statement, key)
            wrong = [name for name in _DERIVED if getattr(draft, name) != getattr(entry, name)]
            if wrong:
                findings.add(
                    here, f"not what the statement says: {', '.join(wrong)}", "entry.differs"
                )
        except _BROKEN as error:
            findings.add(here, f"could not have entered the log: {_reason(error)}", "entry.rule")
        finally:
            findings.muted = False

    def _signer(self, record: _Record, statement: Statement) -> Enrolled | None:
        known = self.keys.get(statement.kid)
        if known is not None:
            self._signatures.check(record.seq, known.point, statement.token)
            return known.enrolled
        if not self.keys and record.entry.kind is EventKind.ENROLMENT:
            # The operator's first key vouches for itself: everything until it is enrolled must
            # be signed by that very key, and is verified once it is there.
            self._early.append((record.seq, statement.kid, statement.token))
            return Enrolled(kid=statement.kid, role=Role.OPERATOR)
        self._findings.add(
            f"statements {record.seq}", "its signer's key was never enrolled", "key.unknown"
        )
        return None

    # Enrolment

    def _enrolment(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        payload = statement.payload
        what = payload["what"]
        if actor.role is not Role.OPERATOR and not (what == "holder" and actor.role is Role.ISSUER):
            raise _Wrong(f"{actor.role} keys may not enrol this")
        if what == "institution":
            return self._institution(record, payload)
        if what == "site":
            return self._site(record, payload)
        if what in ("key", "holder"):
            return self._enrolled_key(record, payload)
        if what == "key_revocation":
            return self._key_revocation(record, payload)
        raise _Wrong("it enrols nothing known")

    def _institution(self, record: _Record, payload: Mapping[str, Any]) -> Draft:
        code, types = payload["code"], payload.get("types", [])
        self.institutions[code] = {
            "name_zh": payload["name_zh"],
            "name_en": payload.get("name_en", payload["name_zh"]),
            "types": orjson.dumps(types).decode(),
            "seq": record.seq,
        }
        self._types[code] = frozenset(types)
        return Draft(kind=EventKind.ENROLMENT, subject=code, department=code)

    def _site(self, record: _Record, payload: Mapping[str, Any]) -> Draft:
        site, department = payload["site"], payload["department"]
        self._require_institution(department)
        self.sites[site] = {
            "department": department,
            "name_zh": payload["name_zh"],
            "name_en": payload.get("name_en", payload["name_zh"]),
            "seq": record.seq,
        }
        return Draft(kind=EventKind.ENROLMENT, subject=site, site=site, department=department)

    def _enrolled_key(self, record: _Record, payload: Mapping[str, Any]) -> Draft:
        kid, point = _thumbprint(payload["jwk"])
        if kid in self.keys:
            raise _Wrong("the key was enrolled before")
        if payload["what"] == "holder":
            # Whose device it is cannot be derived again (see above): the entry's word is taken,
            # and the keys table held against it.
            holder = record.entry.holder
            if holder is None:
                raise _Wrong("a device without a holder")
            self._add_key(
                _Key(Enrolled(kid=kid, role=Role.HOLDER, holder=holder), point, record.seq, False)
            )
            return Draft(kind=EventKind.ENROLMENT, subject=kid, holder=holder)
        enrolled = Enrolled(
            kid=kid,
            role=Role(payload["role"]),
            institution=payload["institution"],
            terminal=payload.get("terminal"),
            site=payload.get("site"),
            not_before=payload.get("not_before", 0),
            not_after=payload.get("not_after", NEVER),
        )
        self._require_institution(enrolled.institution)
        if enrolled.role is Role.TERMINAL:
            site = self.sites.get(enrolled.site or "")
            if site is None or site["department"] != enrolled.institution:
                raise _Wrong("the terminal's site is not its department's")
        self._add_key(_Key(enrolled, point, record.seq, False))
        self._actions[record.seq] = _directory_entry(enrolled)
        return Draft(
            kind=EventKind.ENROLMENT,
            subject=kid,
            department=enrolled.institution,
            terminal=enrolled.terminal,
            site=enrolled.site,
        )

    def _add_key(self, key: _Key) -> None:
        first = not self.keys
        self.keys[key.enrolled.kid] = key
        if key.enrolled.terminal is not None:
            self._terminals.add(key.enrolled.terminal)
        if first:
            self._settle_early()

    def _settle_early(self) -> None:
        for seq, kid, token in self._early:
            known = self.keys.get(kid)
            if known is None or known.enrolled.role is not Role.OPERATOR:
                self._findings.add(
                    f"statements {seq}", "its signer's key was never enrolled", "key.unknown"
                )
            else:
                self._signatures.check(seq, known.point, token)
        self._early.clear()

    def _key_revocation(self, record: _Record, payload: Mapping[str, Any]) -> Draft:
        key = self.keys.get(payload["kid"])
        if key is None or key.enrolled.revoked_ms is not None:
            raise _Wrong("there was no such key to revoke")
        time_ms = record.entry.time_ms
        key.enrolled = replace(key.enrolled, revoked_ms=time_ms)
        kid = key.enrolled.kid
        if key.enrolled.role is not Role.HOLDER:
            self._actions[record.seq] = KeyRevocation(b64url_decode(kid), time_ms // 1000)
        return Draft(
            kind=EventKind.ENROLMENT, subject=kid, state="revoked", holder=key.enrolled.holder
        )

    def _import(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        department = _require(actor, Role.ISSUER).institution
        kid = record.entry.subject or ""
        known = self.keys.get(kid)
        if known is None:
            # The first import enrols the key that the service keeps. The entry commits to its
            # thumbprint, and the thumbprint to the key, so the table's key may be read.
            row = _rows_by(self._connection, store.keys, "kid", [kid], "kid", "jwk").get(kid)
            if row is None:
                self._findings.add(f"keys {kid}", "the kept key is missing", "missing")
                return Draft(kind=EventKind.IMPORT, department=department, subject=kid)
            thumbprint, point = _thumbprint(orjson.loads(row.jwk))
            if thumbprint != kid:
                self._findings.add(f"keys {kid}", "the kept key is another one", "key.differs")
                return Draft(kind=EventKind.IMPORT, department=department, subject=kid)
            enrolled = Enrolled(kid=kid, role=Role.ISSUER, institution=department)
            self._add_key(_Key(enrolled, point, record.seq, True))
            self._actions[record.seq] = _directory_entry(enrolled)
        elif not known.kept or known.enrolled.institution != department:
            raise _Wrong("the key is not one that the service keeps for the department")
        return Draft(kind=EventKind.IMPORT, department=department, subject=kid)

    def _require_institution(self, code: str | None) -> None:
        if code not in self.institutions:
            raise _Wrong("the institution was not enrolled")

    # Certificates

    def _issue(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        claims = statement.payload
        id_ = claims["certificate_id"]
        issuer = claims["iss"].removeprefix(ISSUER_PREFIX)
        type_code = claims["vct"].removeprefix(VCT_PREFIX)
        kind = self._catalogue.type(type_code)
        identifier = CertificateIdentifier.parse(id_)
        if (identifier.type_code, identifier.issuer) != (type_code, issuer):
            raise _Wrong("the identifier names another type or issuer")
        if _require(actor, Role.ISSUER).institution != issuer:
            raise _Wrong("signed for another department")
        if type_code not in self._types.get(issuer, ()):
            raise _Wrong("the department was not enrolled to issue this type")
        row, where = self._issued.get(id_), f"certificates {id_}"
        if row is None:
            self._findings.add(where, "missing", "missing")
            return _issue_draft(id_, record.entry.holder, issuer)
        opened = self._open_content(where, row, statement)
        expected: dict[str, Any] = {
            "type": kind.code,
            "issuer": issuer,
            "commitment": record.digest,
            "seq": record.seq,
            "valid_from_ms": _ms(claims.get("nbf")),
            "valid_until_ms": _ms(claims.get("exp")),
            "source": claims.get("source"),
        }
        if opened is not None:
            subject = str(opened[kind.subject.name])
            expected["holder"] = holder_id(self._master, subject)
            if row.uniqueness is not None:
                name = "\0".join([kind.type_code, issuer, subject, *kind.key_of(opened)])
                expected["uniqueness"] = self._master.derive(
                    b"certledger uniqueness v1", name.encode("utf-8")
                )[:16]
        if wrong := _differing(row, expected):
            self._findings.add(where, f"not what was issued: {wrong}", "certificate.differs")
        if (
            row.state != State.ACTIVE
            or row.state_seq != record.seq
            or row.successor is not None
            or None in (row.uniqueness, row.content, row.wrapped_key)
        ):
            self.looks_changed.add(id_)
        holder = expected.get("holder", row.holder)
        return _issue_draft(id_, holder, issuer)

    def _open_content(self, where: str, row: Any, statement: Statement) -> dict[str, Any] | None:
        """All fields; None when the content is erased or does not open."""
        if row.content is None or row.wrapped_key is None:
            return None  # whether it was rightly erased is seen at the end
        try:
            sealed = Sealed(row.wrapped_key, row.content)
            packed = unpack_disclosures(
                self._master.open(sealed, row.certificate_id.encode("ascii"))
            )
            certificate = open_certificate(statement, packed.values())
        except (SealError, StatementError, ValueError, TypeError, AttributeError) as error:
            self._findings.add(
                where, f"the content is not what was issued: {_reason(error)}", "content.differs"
            )
            return None
        if list(packed) != list(certificate.disclosures):
            self._findings.add(where, "the content names fields wrongly", "content.differs")
        return certificate.fields()

    def _status(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        payload = statement.payload
        id_, action = payload["certificate_id"], Action(payload["action"])
        row = self._certificate(id_, record.seq)
        if row is None:
            raise _Wrong("there was no such certificate")
        if _require(actor, Role.ISSUER).institution != row.issuer:
            raise _Wrong("signed by another department than the issuer")
        current = self.changed.get(id_) or _Changed(State.ACTIVE, row.seq)
        state = after(current.state, action)
        shown: str = state.value
        if action is Action.ERASE:
            if current.erased:
                raise _Wrong("the content was erased before")
            current.erased, shown = True, "erased"
        else:
            current.state, current.state_seq = state, record.seq
            current.successor = payload.get("successor") if action is Action.SUPERSEDE else None
            current.digest = record.digest
            self._actions[record.seq] = StatusChange(
                row.commitment, CHAIN_STATE[state], record.digest
            )
        current.commitment = row.commitment
        self.changed[id_] = current
        return Draft(
            kind=EventKind.STATUS,
            certificate=id_,
            holder=row.holder,
            department=row.issuer,
            state=shown,
            reason=action.value,
        )

    def _certificate(self, id_: str, before: int) -> Any:
        """The row of a certificate issued before entry ``before``, or None."""
        row = self._certificates.get(id_)
        if row is None:
            row = _rows_by(
                self._connection, store.certificates, "certificate_id", [id_], *_FACTS
            ).get(id_)
            if row is not None:
                self._certificates[id_] = row
        return row if row is not None and row.seq < before else None

    # Grants

    def _grant(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        holder = _require(actor, Role.HOLDER).holder or ""
        grant = Grant.parse(dict(statement.payload))
        id_ = grant.grant_id
        if id_ in self._grant_seq:
            raise _Wrong("the grant was made before")
        self._remember_grant(id_, grant, holder)
        self._grant_seq[id_] = record.seq
        types: dict[str, str] = {}
        for item in grant.certificates:
            row = self._certificate(item.certificate_id, record.seq)
            if row is None or row.holder != holder:
                raise _Wrong("it grants a certificate that is not the holder's")
            types[item.certificate_id] = row.type
        if grant.department not in self.institutions or not grant.site_set.issubset(self.sites):
            raise _Wrong("department or site was not enrolled")
        if grant.terminal is not None and grant.terminal not in self._terminals:
            raise _Wrong("the terminal was not enrolled")
        if grant.not_after_ms <= record.entry.time_ms:
            raise _Wrong("its time was over")
        if grant.mode is GrantMode.REQUEST:
            self._approve(grant, types, record.entry.time_ms)
        self._check_grant_row(grant, record.seq, holder)
        pairs = [(item.certificate_id, id_) for item in grant.certificates]
        self._new_pairs += pairs
        self._pairs += len(pairs)
        return Draft(
            kind=EventKind.GRANT,
            certificate=grant.certificates[0].certificate_id if len(pairs) == 1 else None,
            grant=id_,
            holder=holder,
            department=grant.department,
            service_item=grant.service_item,
        )

    def _check_grant_row(self, grant: Grant, seq: int, holder: str) -> None:
        id_, where = grant.grant_id, f"grants {grant.grant_id}"
        row = self._grant_rows.get(id_)
        if row is None:
            self._findings.add(where, "missing", "missing")
            return
        expected = {
            "seq": seq,
            "holder": holder,
            "handle": code_handle(self._master, "grant", id_),
            "frozen": False,  # disputes, which freeze, are not in this version of the log
        }
        if wrong := _differing(row, expected):
            self._findings.add(where, f"not what was granted: {wrong}", "grant.differs")
        if row.uses_left != grant.max_uses:
            shown = row.uses_left
            self._shown_uses[id_] = grant.max_uses - shown if isinstance(shown, int) else -1
        if row.revoked_ms is not None:
            self._shown_revoked[id_] = row.revoked_ms

    def _approve(self, grant: Grant, types: Mapping[str, str], now_ms: int) -> None:
        assert grant.request_id is not None
        opened = self._opened(grant.request_id)
        if code := covers(opened, grant, types):
            raise _Wrong(f"it does not answer its request: {code}")
        opened.approve(grant.grant_id, now_ms)
        seq, opened_ms, _, _ = self._requests[grant.request_id]
        self._requests[grant.request_id] = (
            seq,
            opened_ms,
            RequestState.APPROVED,
            grant.grant_id,
        )

    def _revocation(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        id_ = statement.payload["grant_id"]
        found = self._grant_of(id_)
        if found is None or found[1] != _require(actor, Role.HOLDER).holder:
            raise _Wrong("there was no such grant of this holder")
        if id_ in self._revoked:
            raise _Wrong("the grant was revoked before")
        self._revoked[id_] = record.entry.time_ms
        return Draft(kind=EventKind.REVOCATION, grant=id_, holder=found[1], state="revoked")

    def _remember_grant(self, id_: str, grant: Grant, holder: str) -> None:
        self._parsed[id_] = grant, holder
        if len(self._parsed) > _CACHED:
            self._parsed.popitem(last=False)

    def _load_grants(self, ids: Collection[str]) -> None:
        missing = {self._grant_seq[id_]: id_ for id_ in ids if id_ not in self._parsed}
        for seq, token in store.tokens_at(self._connection, missing).items():
            signer = self.keys.get(read_header(token).kid)
            holder = signer.enrolled.holder if signer is not None else None
            try:
                grant = Grant.parse(payload_of(token))
            except (PayloadError, ValueError):
                continue  # named where it stands
            self._remember_grant(missing[seq], grant, holder or "")

    def _grant_of(self, id_: str | None) -> tuple[Grant, str] | None:
        """The grant and its holder, if it was made before now."""
        if id_ is None or id_ not in self._grant_seq:
            return None
        if id_ not in self._parsed:
            self._load_grants([id_])
        return self._parsed.get(id_)

    # Requests

    def _request(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        _require(actor, Role.TERMINAL)
        asked = AccessRequest.parse(dict(statement.payload))
        id_, entry, where = asked.request_id, record.entry, f"access_requests {asked.request_id}"
        if id_ in self._requests:
            raise _Wrong("the request was made before")
        self._requests[id_] = record.seq, entry.time_ms, RequestState.PENDING, None
        row = self._request_rows.get(id_)
        if row is None:
            self._findings.add(where, "missing", "missing")
        else:
            expected = {
                "seq": record.seq,
                "terminal": actor.terminal,
                "department": actor.institution,
                "site": actor.site,
                "opened_ms": entry.time_ms,
                "handle": code_handle(self._master, "request", id_),
                "matching_number": matching_number(entry.salt),
            }
            if wrong := _differing(row, expected):
                self._findings.add(where, f"not what was asked: {wrong}", "request.differs")
            if (row.state, row.grant_id) != (RequestState.PENDING, None):
                self._shown_requests[id_] = row.state, row.grant_id
        return Draft(
            kind=EventKind.REQUEST,
            subject=id_,
            terminal=actor.terminal,
            site=actor.site,
            department=actor.institution,
            service_item=asked.service_item,
            staff=asked.staff,
        )

    def _refusal(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        holder = _require(actor, Role.HOLDER).holder
        id_ = statement.payload["request_id"]
        opened = self._opened(id_)
        opened.deny(record.entry.time_ms)
        seq, opened_ms, _, _ = self._requests[id_]
        self._requests[id_] = seq, opened_ms, RequestState.DENIED, None
        return Draft(
            kind=EventKind.REFUSAL,
            subject=id_,
            holder=holder,
            terminal=opened.terminal,
            site=opened.site,
            department=opened.department,
            service_item=opened.request.service_item,
            state=RequestState.DENIED,
        )

    def _opened(self, id_: str) -> OpenRequest:
        if id_ not in self._requests:
            raise _Wrong("there was no such request")
        seq, opened_ms, state, grant_id = self._requests[id_]
        token = store.tokens_at(self._connection, [seq])[seq]
        asker = self.keys[read_header(token).kid].enrolled
        return OpenRequest(
            request=AccessRequest.parse(payload_of(token)),
            terminal=asker.terminal or "",
            department=asker.institution or "",
            site=asker.site or "",
            opened_ms=opened_ms,
            state=state,
            grant_id=grant_id,
        )

    # Lookups

    def _lookup(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        entry = record.entry
        lookup = read_lookup(statement, actor)
        asked = lookup.request
        grant_id, code = self._shown(lookup, entry)
        found = self._grant_of(grant_id)
        grant = None if found is None else found[0]
        id_ = None if grant is None else certificate_of(asked, grant)
        row = None if id_ is None else self._certificate(id_, record.seq)
        if entry.decision is Decision.RELEASED:
            self._check_release(record, lookup, grant, row, code)
        elif entry.decision is not Decision.REFUSED or entry.reason not in CODES:
            raise _Wrong("it neither releases nor refuses with a known reason")
        return Draft(
            kind=EventKind.LOOKUP,
            certificate=None if row is None else id_,
            grant=None if grant is None else grant.grant_id,
            holder=None if found is None else found[1],
            terminal=asked.terminal,
            site=asked.site,
            department=asked.department,
            service_item=asked.service_item,
            staff=asked.staff,
            decision=entry.decision,
            reason=None if entry.decision is Decision.RELEASED else entry.reason,
        )

    def _shown(self, lookup: Lookup, entry: Entry) -> tuple[str | None, CodeCheck | None]:
        """The grant that the holder showed, and what is to be said of the code."""
        shown, presented = lookup.shown, lookup.request.presented
        if isinstance(shown, Code):
            grant_id = self._by_handle(shown, entry.grant)
            if grant_id is None:
                return None, None
            check = check_code(shown, code_secret(self._master, "grant", grant_id), entry.time_ms)
            if check is CodeCheck.OK and shown.handle in self._codes.get(shown.step, ()):
                check = CodeCheck.USED
            return grant_id, check
        if presented is Presented.SPOKEN_CODE:
            return entry.grant, CodeCheck.OK  # the digits are forgotten after three minutes
        if presented is Presented.REQUEST:
            known = self._requests.get(shown)
            approved = known is not None and known[2] is RequestState.APPROVED
            return (known[3] if known is not None and approved else None), None
        found = self._grant_of(shown)
        if found is not None and found[0].mode is GrantMode.REQUEST:
            return None, None
        return shown, None

    def _by_handle(self, code: Code, supposed: str | None) -> str | None:
        if code.kind is not CodeKind.GRANT:
            return None
        if supposed is not None and code_handle(self._master, "grant", supposed) == code.handle:
            return supposed
        table = authz_store.grants
        rows = _rows_by(self._connection, table, "handle", [code.handle], "handle", "grant_id")
        row = rows.get(code.handle)
        return row.grant_id if row is not None and row.grant_id in self._grant_seq else None

    def _check_release(
        self,
        record: _Record,
        lookup: Lookup,
        grant: Grant | None,
        row: Any,
        code: CodeCheck | None,
    ) -> None:
        """Decide again, with the facts as the log had them at this entry."""
        asked, facts = lookup.request, None
        if grant is not None:
            changed = None if row is None else self.changed.get(row.certificate_id)
            facts = Facts(
                uses_left=grant.max_uses - self._used[grant.grant_id],
                certificate=None
                if row is None
                else CertificateFacts(
                    type=row.type,
                    state=State.ACTIVE if changed is None else changed.state,
                    valid_from_ms=row.valid_from_ms or 0,
                    valid_until_ms=row.valid_until_ms,
                    successor=None if changed is None else changed.successor,
                    erased=changed is not None and changed.erased,
                ),
                service_item=None
                if row is None
                else _allowing(grant.service_item, row.type, asked.fields),
                code=code,
                grant_revoked_ms=self._revoked.get(grant.grant_id),
            )
            self._used[grant.grant_id] += 1
        verdict = decide(asked, grant, facts, now_ms=record.entry.time_ms)
        if isinstance(verdict, Refusal):
            self._findings.add(
                f"entries {record.seq}",
                f"released, although the rules refuse it: {verdict.code}",
                "lookup.not_allowed",
            )
        if isinstance(lookup.shown, Code):
            self._codes.setdefault(lookup.shown.step, set()).add(lookup.shown.handle)

    def _forget_codes(self) -> None:
        """A code is stale a minute after its step began, so older ones cannot come again."""
        oldest = (self._time_ms - CLOCK_STEP_MS) // STEP_MS - 4
        for step in [step for step in self._codes if step < oldest]:
            del self._codes[step]

    def _dispute(self, record: _Record, statement: Statement, actor: Enrolled) -> Draft:
        raise _Wrong("disputes are not in this version of the log")

    _RULES: Mapping[EventKind, Callable[[_Replay, _Record, Statement, Enrolled], Draft]] = {
        EventKind.ENROLMENT: _enrolment,
        EventKind.ISSUE: _issue,
        EventKind.STATUS: _status,
        EventKind.IMPORT: _import,
        EventKind.GRANT: _grant,
        EventKind.REVOCATION: _revocation,
        EventKind.REQUEST: _request,
        EventKind.REFUSAL: _refusal,
        EventKind.LOOKUP: _lookup,
        EventKind.DISPUTE: _dispute,
    }

    # Tables held against the replay

    def _check_pairs(self) -> None:
        table = authz_store.grant_certificates
        key = tuple_(table.c.certificate_id, table.c.grant_id)
        for chunk in store.in_chunks(self._new_pairs, 300):
            query = select(*_plain(table)).where(key.in_(chunk))
            present = {
                (row.certificate_id, row.grant_id) for row in self._connection.execute(query)
            }
            for certificate_id, grant_id in chunk:
                if (certificate_id, grant_id) not in present:
                    self._pair_missing = True
                    self._findings.add(
                        f"grant_certificates {grant_id} {certificate_id}", "missing", "missing"
                    )
        self._new_pairs = []

    def _check_outbox(self, start: int, end: int) -> None:
        table = store.chain_outbox
        query = select(*_plain(table)).where(table.c.seq >= start, table.c.seq < end)
        rows = {row.seq: row for row in self._connection.execute(query)}
        for seq in sorted(rows.keys() | self._actions.keys()):
            where, row, action = f"chain_outbox {seq}", rows.get(seq), self._actions.get(seq)
            if row is None:
                self._findings.add(where, "missing", "missing")
            elif action is None:
                self._findings.add(where, "its entry has nothing for the contracts", "added")
            else:
                expected = {"action": type(action).__name__, "payload": outbox.to_json(action)}
                if wrong := _differing(row, expected):
                    self._findings.add(
                        where, f"not what follows from the entry: {wrong}", "outbox.differs"
                    )
        self._actions = {}

    def finish(self) -> None:
        """After the last entry: every table that changed on the way."""
        for seq, _, _ in self._early:
            self._findings.add(
                f"statements {seq}", "its signer's key was never enrolled", "key.unknown"
            )
        self._compare(store.institutions, "code", self.institutions)
        self._compare(store.sites, "site", self.sites)
        self._check_keys()
        self._check_certificates()
        self._check_grants()
        self._check_requests()
        self._check_added()

    def _compare(self, table: Table, key: str, expected: Mapping[str, dict[str, Any]]) -> None:
        rows = {getattr(row, key): row for row in self._connection.execute(select(*_plain(table)))}
        for name in sorted(rows.keys() | expected.keys(), key=str):
            where = f"{table.name} {name}"
            if name not in rows:
                self._findings.add(where, "missing", "missing")
            elif name not in expected:
                self._findings.add(where, "no entry enrols it", "added")
            elif wrong := _differing(rows[name], expected[name]):
                self._findings.add(where, f"not what was enrolled: {wrong}", "enrolment.differs")

    def _check_keys(self) -> None:
        missing = set(self.keys)
        for row in self._connection.execute(select(*_plain(store.keys))):
            where, key = f"keys {row.kid}", self.keys.get(row.kid)
            if key is None:
                self._findings.add(where, "no entry enrols it", "added")
                continue
            missing.discard(row.kid)
            enrolled = key.enrolled
            expected = {
                "role": enrolled.role,
                "institution": enrolled.institution,
                "terminal": enrolled.terminal,
                "site": enrolled.site,
                "holder": enrolled.holder,
                "not_before": enrolled.not_before,
                "not_after": enrolled.not_after,
                "revoked_ms": enrolled.revoked_ms,
                "seq": key.seq,
            }
            wrong = [name for name in expected if getattr(row, name) != expected[name]]
            if not _same_jwk(row.jwk, key.point):
                wrong.append("jwk")
            if not self._same_private(row, key):
                wrong.append("sealed_private")
            if wrong:
                self._findings.add(
                    where, f"not what was enrolled: {', '.join(wrong)}", "key.differs"
                )
        for kid in sorted(missing):
            self._findings.add(f"keys {kid}", "missing", "missing")

    def _same_private(self, row: Any, key: _Key) -> bool:
        """Exactly kept keys have a private part; it opens, and belongs to the public one."""
        if not key.kept:
            return row.sealed_private is None and row.wrapped_key is None
        try:
            sealed = Sealed(row.wrapped_key, row.sealed_private)
            jwk = orjson.loads(self._master.open(sealed, row.kid.encode()))
            private = ec.derive_private_key(
                int.from_bytes(b64url_decode(jwk["d"]), "big"), ec.SECP256R1()
            )
        except (SealError, ValueError, TypeError, KeyError):
            return False
        numbers = private.public_key().public_numbers()
        return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big") == key.point

    def _check_certificates(self) -> None:
        names = ("certificate_id", "seq", "state", "state_seq", "successor", "uniqueness")
        table = store.certificates
        # Only whether there is content: it may be much, and what it is was checked on the way.
        content = [table.c[name].is_not(None).label(name) for name in ("content", "wrapped_key")]
        for chunk in store.in_chunks(sorted(self.looks_changed | self.changed.keys())):
            query = select(*_plain(table, *names), *content).where(
                table.c.certificate_id.in_(chunk)
            )
            for row in self._connection.execute(query):
                changed = self.changed.get(row.certificate_id) or _Changed(State.ACTIVE, row.seq)
                expected = {
                    "state": changed.state,
                    "state_seq": changed.state_seq,
                    "successor": changed.successor,
                    "content": not changed.erased,
                    "wrapped_key": not changed.erased,
                }
                wrong = [name for name in expected if getattr(row, name) != expected[name]]
                if (row.uniqueness is None) != (changed.state in FINAL):
                    wrong.append("uniqueness")
                if wrong:
                    self._findings.add(
                        f"certificates {row.certificate_id}",
                        f"not what became of it: {', '.join(wrong)}",
                        "certificate.state",
                    )

    def _check_grants(self) -> None:
        for id_ in sorted(self._shown_uses.keys() | self._used.keys()):
            if self._shown_uses.get(id_, 0) != self._used[id_]:
                self._findings.add(
                    f"grants {id_}",
                    f"uses_left is not max_uses less {self._used[id_]} releases",
                    "grant.uses",
                )
        for id_ in sorted(self._shown_revoked.keys() | self._revoked.keys()):
            if self._shown_revoked.get(id_) != self._revoked.get(id_):
                self._findings.add(
                    f"grants {id_}", "revoked_ms is not what the log says", "grant.revoked"
                )
        self._check_added_pairs()

    def _check_added_pairs(self) -> None:
        table = authz_store.grant_certificates
        if not self._pair_missing and store.count(self._connection, table) == self._pairs:
            return
        for row in self._connection.execute(select(*_plain(table))).all():
            found = self._grant_of(row.grant_id)
            if found is None or row.certificate_id not in found[0].fields_of:
                self._findings.add(
                    f"grant_certificates {row.grant_id} {row.certificate_id}",
                    "no grant says so",
                    "added",
                )

    def _check_requests(self) -> None:
        pending = (RequestState.PENDING, None)
        for id_, (_, _, state, grant_id) in self._requests.items():
            shown = self._shown_requests.get(id_, pending)
            if shown == (RequestState.EXPIRED, None):
                shown = pending  # by time alone, stored or not
            if shown != (state, grant_id):
                self._findings.add(
                    f"access_requests {id_}",
                    f"the log says {state}, not {shown[0]}",
                    "request.state",
                )

    def _check_added(self) -> None:
        """Rows that name no entry of their own."""
        entries = store.entries
        for table, key, member, kind in (
            (store.certificates, "certificate_id", "certificate", EventKind.ISSUE),
            (authz_store.grants, "grant_id", "grant", EventKind.GRANT),
            (authz_store.access_requests, "request_id", "subject", EventKind.REQUEST),
        ):
            entry = and_(
                entries.c.seq == table.c.seq,
                entries.c.kind == kind.value,
                entries.c[member] == table.c[key],
            )
            query = (
                select(*_plain(table, key))
                .select_from(table.outerjoin(entries, entry))
                .where(entries.c.seq.is_(None))
                .limit(KEPT_FINDINGS)
            )
            for (name,) in self._connection.execute(query):
                self._findings.add(f"{table.name} {name}", "its entry is not its own", "added")


_FACTS = (
    "certificate_id",
    "type",
    "issuer",
    "holder",
    "commitment",
    "seq",
    "valid_from_ms",
    "valid_until_ms",
)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__} {error}" if isinstance(error, LookupError) else str(error)


def _require(actor: Enrolled, role: Role) -> Enrolled:
    if actor.role is not role:
        raise _Wrong(f"a key of role {actor.role} may not sign this")
    return actor


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _issue_draft(id_: str, holder: str | None, issuer: str) -> Draft:
    return Draft(
        kind=EventKind.ISSUE,
        certificate=id_,
        holder=holder,
        department=issuer,
        state=State.ACTIVE,
    )


def _named_certificates(payload: Mapping[str, Any]) -> Iterator[str]:
    items = payload.get("certificates")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield str(item.get("certificate_id"))


def _directory_entry(enrolled: Enrolled) -> DirectoryEntry:
    return DirectoryEntry(
        thumbprint=b64url_decode(enrolled.kid),
        institution=institution_id(enrolled.institution or ""),
        role=CHAIN_ROLE[enrolled.role],
        not_before=enrolled.not_before,
        not_after=enrolled.not_after,
    )


def _thumbprint(jwk: Mapping[str, Any]) -> tuple[str, bytes]:
    """RFC 7638 thumbprint, and the point's 64 bytes."""
    key = load_public_key(jwk)
    point = b64url_decode(jwk["x"]).rjust(32, b"\0") + b64url_decode(jwk["y"]).rjust(32, b"\0")
    return key.thumbprint(), point


def _same_jwk(text: Any, point: bytes) -> bool:
    wanted = {"kty": "EC", "crv": "P-256", "x": b64url(point[:32]), "y": b64url(point[32:])}
    try:
        found = orjson.loads(text)
    except (ValueError, TypeError):
        return False
    return isinstance(found, dict) and all(found.get(name) == wanted[name] for name in wanted)


@lru_cache(maxsize=4_096)
def _allowing(code: str, type_: str, fields: tuple[str, ...]) -> ServiceItem:
    """An item that allows what was asked: what it allowed then is not in the log."""
    return ServiceItem(code, code, code, {type_: frozenset(fields)})


# --- the whole ------------------------------------------------------------------------------------


def check_ledger(
    database: Database,
    chain: ChainReader,
    *,
    log_id: bytes,
    origin: str,
    log_key: NoteKey,
    master: MasterKey,
    catalogue: Catalogue,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> IntegrityReport:
    """Check everything; raises ChainError when the chain cannot be read.

    Works beside a running service: the chain's head is read first and the database as one
    snapshot after it, so the chain can be ahead of the snapshot only if something is lost.
    """
    findings = _Findings()
    head = chain.head(log_id)
    check: _Check | None = None
    try:
        with _snapshot(database) as connection, ExitStack() as stack:
            check = _Check(connection, chain, head, log_id, origin, log_key, findings)
            signatures = _Signatures(findings, *_workers(stack, check.size))
            replay = _Replay(connection, findings, signatures, master, catalogue)
            check.run(replay, progress)
            signatures.finish()
            check.compare_directory(replay)
            check.compare_statuses(replay)
    except DatabaseError as error:
        findings.add(
            "database", f"cannot be read to its end: {error.orig or error}", "database.damaged"
        )
    size = 0 if check is None else check.size
    return IntegrityReport(size, min(head[0], size), tuple(findings.kept), findings.count)


def _workers(stack: ExitStack, size: int) -> tuple[ProcessPoolExecutor | None, int]:
    if size < PARALLEL_FROM:
        return None, 0
    count = max(1, min(8, os.cpu_count() or 1))
    # Spawned, not forked: the caller may have threads.
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    return stack.enter_context(pool), 4 * count


class _Check:
    """The log itself: entries, statements, tiles, checkpoints; and what the chain holds of it."""

    def __init__(
        self,
        connection: Connection,
        chain: ChainReader,
        head: tuple[int, bytes],
        log_id: bytes,
        origin: str,
        log_key: NoteKey,
        findings: _Findings,
    ) -> None:
        self._connection, self._chain, self._findings = connection, chain, findings
        self._head_size, self._head_root = head
        self._log_id, self._origin, self._log_key = log_id, origin, log_key
        self._anchors = chain.anchors(log_id)
        self._next_anchor = next(self._anchors, None)
        # The tree of the entries, and beside it that of the stored tiles once they disagree; the
        # next anchored root says which one is right.
        self._tree = _Frontier()
        self._stored: _Frontier | None = None
        self._disputed: list[int] = []
        self._right_until = 0
        self._diverged = False
        self.size = self._find_size()

    def run(self, replay: _Replay, progress: Callable[[int, int], None]) -> None:
        for start in range(0, self.size, CHUNK):
            end = min(start + CHUNK, self.size)
            tiles = self._leaf_tiles(start, end)
            records, leaves = self._read(start, end, tiles)
            replay.chunk(start, end, records)
            self._grow(start, end, leaves, tiles)
            progress(end, self.size)
        self._settle_disputed(None)
        for level, index, content in self._tree.partial():
            if level:
                self._compare_tile(level, index, {content})
        self._check_extra_rows()
        self._check_head()
        replay.finish()

    def _find_size(self) -> int:
        """How long the log is, by what most of head, entries and tiles say."""
        connection, findings = self._connection, self._findings
        heads = {
            row.log_id: row.size for row in connection.execute(select(*_plain(store.log_head)))
        }
        head = heads.pop(self._log_id, None)
        for other in heads:
            shown = other.hex() if isinstance(other, bytes) else str(other)
            findings.add(f"log_head {shown}", "the head of another log", "added")
        newest = connection.execute(select(func.max(store.entries.c.seq))).scalar()
        entries_end = 0 if newest is None else newest + 1
        tiles = store.tiles
        last = connection.execute(
            select(*_plain(tiles, "tile_index", "hashes"))
            .where(tiles.c.level == 0)
            .order_by(tiles.c.tile_index.desc())
            .limit(1)
        ).one_or_none()
        tiles_end = 0
        if last is not None and isinstance(last.hashes, bytes):
            tiles_end = last.tile_index * TILE_WIDTH + len(last.hashes) // HASH_BYTES
        said = [entries_end, tiles_end] if head is None else [head, entries_end, tiles_end]
        ((size, times),) = Counter(said).most_common(1)
        if times == 1 and self._head_size in said:
            size = self._head_size
        if head is None:
            if size:
                findings.add(f"log_head {self._log_id.hex()}", "missing", "missing")
        elif head != size:
            findings.add(
                f"log_head {self._log_id.hex()}",
                f"says {head} entries where there are {size}",
                "head.size",
            )
        if self._head_size > size:
            findings.add(
                f"log_head {self._log_id.hex()}",
                f"the chain holds {self._head_size} entries, the database {size}: an old backup, "
                "or another log's database",
                "behind_chain",
            )
        return int(size)

    # Entries and statements

    def _read(
        self, start: int, end: int, tiles: Mapping[int, bytes]
    ) -> tuple[list[_Record], list[bytes | None]]:
        entries, statements = store.entries, store.statements
        query = (
            select(*_plain(entries), type_coerce(statements.c.token, NULLTYPE).label("token"))
            .select_from(entries.outerjoin(statements, statements.c.seq == entries.c.seq))
            .where(entries.c.seq >= start, entries.c.seq < end)
        )
        rows = {row.seq: row for row in self._connection.execute(query)}
        records: list[_Record] = []
        leaves: list[bytes | None] = []
        for seq in range(start, end):
            row = rows.get(seq)
            if row is None:
                self._findings.add(f"entries {seq}", "missing", "missing")
                leaves.append(None)
                continue
            try:
                entry = store.entry_from_row(cast(Row[Any], row))
                leaf = entry.leaf_hash()
            except (ValueError, TypeError, AttributeError):
                self._findings.add(f"entries {seq}", "cannot be read", "entry.malformed")
                leaves.append(None)
                continue
            leaves.append(leaf)
            index, offset = divmod(seq, TILE_WIDTH)
            stored = tiles.get(index, b"")[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
            records.append(self._record(seq, row, entry, intact=stored in (b"", leaf)))
        return records, leaves

    def _record(self, seq: int, row: Any, entry: Entry, *, intact: bool) -> _Record:
        findings, here, token = self._findings, f"statements {seq}", row.token
        record = _Record(seq, row, entry, None, True, entry.statement_digest)
        if token is None:
            findings.add(here, "missing", "missing")
            return record
        try:
            header = read_header(token)
            payload = orjson.loads(b64url_decode(token.split(".")[1]))
            if not isinstance(payload, dict):
                raise ValueError("not an object")
            statement = Statement(
                kind=header.kind,
                kid=header.kid,
                payload=payload,
                token=token,
                digest=sha256(token.encode("ascii")),
                request_key=request_key(header.kid, str(payload["jti"])),
            )
        except (StatementError, KeyError, TypeError, ValueError, AttributeError):
            findings.add(here, "cannot be read", "statement.malformed")
            return record
        record.statement = statement
        if statement.digest != entry.statement_digest:
            record.trusted = False
            if intact:
                findings.add(here, "not the one that the entry was made of", "statement.digest")
            else:
                record.digest = statement.digest
            return record
        if (statement.kid, statement.kind) != (entry.actor, _STATEMENT_OF[entry.kind]):
            findings.add(f"entries {seq}", "actor or kind is not the statement's", "entry.differs")
        if row.request_key != statement.request_key:
            findings.add(
                f"entries {seq}", "request_key is not signer's and jti's", "entry.request_key"
            )
        return record

    # The tree

    def _leaf_tiles(self, start: int, end: int) -> dict[int, bytes]:
        table, findings = store.tiles, self._findings
        first, last = start // TILE_WIDTH, (end - 1) // TILE_WIDTH
        query = select(*_plain(table)).where(
            table.c.level == 0, table.c.tile_index >= first, table.c.tile_index <= last
        )
        found: dict[int, bytes] = {}
        for row in self._connection.execute(query):
            width = min(TILE_WIDTH, self.size - row.tile_index * TILE_WIDTH)
            if isinstance(row.hashes, bytes) and len(row.hashes) == width * HASH_BYTES:
                found[row.tile_index] = row.hashes
            else:
                findings.add(
                    f"tiles 0/{row.tile_index}", f"is not {width} hashes wide", "tile.width"
                )
                found[row.tile_index] = b""
        for index in range(first, last + 1):
            if index not in found:
                findings.add(f"tiles 0/{index}", "missing", "missing")
        return found

    def _grow(
        self,
        start: int,
        end: int,
        leaves: Sequence[bytes | None],
        tiles: Mapping[int, bytes],
    ) -> None:
        anchors, rows = self._anchors_until(end), self._checkpoints(start, end)
        stops = anchors.keys() | rows.keys()
        for first in range(start, end, TILE_WIDTH):
            stored = tiles.get(first // TILE_WIDTH, b"")
            known = [stored[i : i + HASH_BYTES] for i in range(0, len(stored), HASH_BYTES)]
            # An entry that is missing is named already; its tile still knows its hash.
            ours = [
                leaf or (known[offset] if known else bytes(HASH_BYTES))
                for offset, leaf in enumerate(leaves[first - start : first - start + TILE_WIDTH])
            ]
            differs = bool(known) and ours != known
            for offset, leaf in enumerate(ours):
                if differs and leaf != known[offset]:
                    self._disputed.append(first + offset)
                    if self._stored is None:
                        self._stored = self._tree.copy()
                self._tree.push(leaf)
                if self._stored is not None:
                    self._stored.push(known[offset] if known else leaf)
                size = first + offset + 1
                if size in stops:
                    self._at(size, anchors.get(size), rows.get(size))
        self._compare_full_tiles()

    def _compare_full_tiles(self) -> None:
        twin = {} if self._stored is None else {t[:2]: t[2] for t in self._stored.full}
        for level, index, content in self._tree.full:
            if level:
                self._compare_tile(level, index, {content, twin.get((level, index), content)})
        self._tree.full.clear()
        if self._stored is not None:
            self._stored.full.clear()

    def _compare_tile(self, level: int, index: int, right: set[bytes]) -> None:
        table = store.tiles
        query = select(*_plain(table, "hashes")).where(
            table.c.level == level, table.c.tile_index == index
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            self._findings.add(f"tiles {level}/{index}", "missing", "missing")
        elif row.hashes not in right:
            self._findings.add(
                f"tiles {level}/{index}", "not the hashes of the tree", "tile.differs"
            )

    # Checkpoints and anchors

    def _anchors_until(self, end: int) -> dict[int, Anchor]:
        found: dict[int, Anchor] = {}
        while self._next_anchor is not None and self._next_anchor.size <= end:
            found[self._next_anchor.size] = self._next_anchor
            self._next_anchor = next(self._anchors, None)
        return found

    def _checkpoints(self, start: int, end: int) -> dict[int, Any]:
        table = store.checkpoints
        query = select(*_plain(table)).where(table.c.size > start, table.c.size <= end)
        return {row.size: row for row in self._connection.execute(query)}

    def _at(self, size: int, anchor: Anchor | None, row: Any) -> None:
        """Hold tree, chain and checkpoint against each other at one size."""
        if anchor is not None:
            self._settle_disputed(anchor)
            if size == self._head_size and anchor.root != self._head_root:
                self._findings.add(
                    f"checkpoints {size}", "the contract's head has another root", "chain.head"
                )
        where = f"checkpoints {size}"
        if row is None:
            # The newest anchor's row may not be written yet; starting the service writes it.
            if size < self._head_size:
                self._findings.add(where, "missing", "missing")
            return
        if anchor is None:
            self._findings.add(where, "the chain has no anchor of this size", "checkpoint.unknown")
            expected: dict[str, Any] = {"root": self._tree.root()}
        else:
            expected = {
                "root": anchor.root,
                "chain_id": anchor.chain_id,
                "contract": anchor.contract,
                "tx_hash": anchor.tx_hash,
                "block_number": anchor.block_number,
                "block_hash": anchor.block_hash,
            }
        if wrong := _differing(row, expected):
            self._findings.add(where, f"not what the chain has: {wrong}", "checkpoint.differs")
        try:
            signed = open_checkpoint(row.note, self._log_key)
        except (NoteError, ValueError, TypeError, AttributeError) as error:
            self._findings.add(where, f"the note is not good: {error}", "checkpoint.note")
            return
        if (signed.origin, signed.size, signed.root) != (self._origin, size, expected["root"]):
            self._findings.add(where, "the note says something else", "checkpoint.note")

    def _settle_disputed(self, anchor: Anchor | None) -> None:
        """Where entries and tiles disagree, name the side that the anchored root does not lead to;
        both, when it leads to neither or there is none yet."""
        tree, stored, disputed = self._tree, self._stored, self._disputed
        if anchor is not None and anchor.root == tree.root():
            self._name_tiles(disputed)
        elif anchor is not None and stored is not None and anchor.root == stored.root():
            self._name_entries(disputed)
            self._tree = stored
        else:
            self._name_entries(disputed)
            self._name_tiles(disputed)
            self._disputed = []
            if anchor is not None and not self._diverged:
                self._diverged = True
                if not disputed:
                    last = anchor.size - 1
                    span = f"{self._right_until}" + (
                        "" if last == self._right_until else f"-{last}"
                    )
                    self._findings.add(
                        f"entries {span}",
                        f"with their tiles, not what was anchored at size {anchor.size}",
                        "root.differs",
                    )
            return
        self._stored, self._disputed = None, []
        if anchor is not None:
            self._right_until = anchor.size

    def _name_entries(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._findings.add(
                f"entries {seq}", "altered: its hash is not the one in the log", "entry.altered"
            )

    def _name_tiles(self, seqs: Sequence[int]) -> None:
        for index in sorted({seq // TILE_WIDTH for seq in seqs}):
            self._findings.add(
                f"tiles 0/{index}", "altered: not the hashes of its entries", "tile.differs"
            )

    # What should not be there

    def _check_extra_rows(self) -> None:
        entries, statements, tiles = store.entries, store.statements, store.tiles
        outside = or_(entries.c.seq < 0, entries.c.seq >= self.size)
        self._name_added(entries, ("seq",), outside)
        box, points = store.chain_outbox, store.checkpoints
        self._name_added(box, ("seq",), or_(box.c.seq < 0, box.c.seq >= self.size))
        self._name_added(points, ("size",), or_(points.c.size <= 0, points.c.size > self.size))
        orphans = (
            select(*_plain(statements, "seq"))
            .select_from(statements.outerjoin(entries, entries.c.seq == statements.c.seq))
            .where(entries.c.seq.is_(None))
            .limit(KEPT_FINDINGS)
        )
        for (seq,) in self._connection.execute(orphans):
            self._findings.add(f"statements {seq}", "belongs to no entry", "added")
        widths: Counter[int] = Counter(tile.level for tile in tiles_of(self.size))
        beyond = [
            and_(tiles.c.level == level, tiles.c.tile_index >= count)
            for level, count in widths.items()
        ]
        query = or_(
            tiles.c.level < 0, tiles.c.level >= len(widths), tiles.c.tile_index < 0, *beyond
        )
        self._name_added(tiles, ("level", "tile_index"), query)
        undone = select(*_plain(box, "seq")).where(
            box.c.seq < self._head_size, or_(box.c.done.is_(None), box.c.done.is_(False))
        )
        for (seq,) in self._connection.execute(undone.limit(KEPT_FINDINGS)):
            self._findings.add(
                f"chain_outbox {seq}", "not done, although its entry is anchored", "outbox.done"
            )

    def _name_added(self, table: Table, key: Sequence[str], where: Any) -> None:
        query = select(*_plain(table, *key)).where(where).limit(KEPT_FINDINGS)
        for row in self._connection.execute(query):
            name = "/".join(str(part) for part in row)
            self._findings.add(f"{table.name} {name}", "beyond the log", "added")

    def _check_head(self) -> None:
        shown = self._right_until >= self._head_size or self._diverged
        if self._head_size <= self.size and not shown:
            self._findings.add(
                f"checkpoints {self._head_size}",
                "the chain does not show where its head was anchored",
                "chain.head",
            )

    # Directory and status registry

    def compare_directory(self, replay: _Replay) -> None:
        expected = {
            key.enrolled.kid: key
            for key in replay.keys.values()
            if key.enrolled.role != Role.HOLDER
        }
        for found in self._chain.directory():
            kid = b64url(found.thumbprint)
            key = expected.pop(kid, None)
            if key is None:
                if not self._appended_since(kid):
                    self._findings.add(f"directory {kid}", "no entry enrols it", "chain.added")
                continue
            revoked_ms = key.enrolled.revoked_ms
            wanted = replace(_directory_entry(key.enrolled), revoked_at=(revoked_ms or 0) // 1000)
            if found != wanted and not self._unsettled(found, wanted, kid):
                self._findings.add(
                    f"directory {kid}", "the chain holds the key differently", "chain.differs"
                )
        for kid, key in expected.items():
            if key.seq < self._head_size:
                self._findings.add(f"directory {kid}", "not on the chain", "chain.missing")

    def _unsettled(self, found: DirectoryEntry, wanted: DirectoryEntry, kid: str) -> bool:
        """Differs only by a revocation that is on its way to the chain, or came after the
        snapshot."""
        if replace(found, revoked_at=0) != replace(wanted, revoked_at=0):
            return False
        if found.revoked_at == 0:
            table = store.entries
            query = select(table.c.seq).where(
                table.c.seq >= self._head_size, table.c.subject == kid
            )
            return self._connection.execute(query).first() is not None
        return self._appended_since(kid)

    def _appended_since(self, subject: str) -> bool:
        """Whether an entry after the snapshot is about this key."""
        table = store.entries
        with self._connection.engine.connect() as fresh:
            query = select(table.c.seq).where(table.c.seq >= self.size, table.c.subject == subject)
            return fresh.execute(query).first() is not None

    def compare_statuses(self, replay: _Replay) -> None:
        expected = {
            item.commitment: (id_, item)
            for id_, item in replay.changed.items()
            if item.digest is not None
        }
        for found in self._chain.statuses():
            id_, item = expected.pop(found.commitment, (None, None))
            if item is None:
                name = self._named(found.commitment)
                if not self._changed_since(found.digest):
                    self._findings.add(f"status_registry {name}", "no entry says so", "chain.added")
            elif (found.state, found.digest) != (CHAIN_STATE[item.state], item.digest) and (
                item.state_seq < self._head_size and not self._changed_since(found.digest)
            ):
                self._findings.add(
                    f"status_registry {id_}", "the chain holds another status", "chain.differs"
                )
        for id_, item in expected.values():
            if item.state_seq < self._head_size:
                self._findings.add(f"status_registry {id_}", "not on the chain", "chain.missing")

    def _named(self, commitment: bytes) -> str:
        table = store.certificates
        query = select(table.c.certificate_id).where(table.c.commitment == commitment)
        return self._connection.execute(query).scalar() or commitment.hex()

    def _changed_since(self, digest: bytes) -> bool:
        """Whether the statement behind a status was recorded after the snapshot."""
        table = store.entries
        with self._connection.engine.connect() as fresh:
            query = select(table.c.seq).where(
                table.c.seq >= self.size, table.c.statement_digest == digest
            )
            return fresh.execute(query).first() is not None


__all__ = ["ChainReader", "ChainRecords", "Finding", "IntegrityReport", "check_ledger"]
