"""The evidence bundle, version 2, and the trust file, version 2: what is in them, and
reading them strictly.

Pure. Written down in docs/evidence.md for whoever writes another verifier. A bundle holds nothing
that no check covers: unknown members, second spellings of the same bytes and parts that nothing
needs are broken input, so that there is one bundle for one meaning.

Not this module's job: whether anything in it is true (`audit.evidence.verification`), or gathering
it (`audit.evidence.gathering`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from joserfc.jwk import ECKey

from ledger.proof.encoding import canonical_json
from ledger.proof.entries import Entry, EventKind
from ledger.proof.merkle import HASH_BYTES
from ledger.proof.notes import MAX_NOTE, NoteError, NoteKey
from ledger.proof.quorum import NO_POLICY, Policy, PolicyError, policy_for
from ledger.statement.statements import StatementError, load_public_key

VERSION, TRUST_VERSION = 2, 2
KIND = "certledger-evidence"
TRUST_KIND = "certledger-trust"
#: Bytes of a bundle that anybody may hand in.
MAX_BUNDLE = 1 << 20
MAX_ENTRIES, MAX_KEYS, MAX_NODES, MAX_DISCLOSURES, MAX_PROOF = 200, 100, 2_000, 64, 64
#: Bytes of a header (with validators in it) and of a trie node: decoding RLP and hashing take time
#: that grows with them.
MAX_HEADER, MAX_NODE = 16_384, 1_024

#: The seal of the embedded node; `ledger.node.engine.seal` says what is signed.
EMBEDDED_SEAL = "certledger-seal-1"
#: Named for a chain whose seals this version cannot read.
UNKNOWN_SEAL = "unknown"

#: What a bundle may be about, and the member that names it.
SUBJECTS = {
    "lookup": "seq",
    "certificate": "certificate_id",
    "grant": "grant_id",
    "dispute": "dispute_id",
}
#: Entries that a bundle may hold. Others say nothing that a check would use.
KINDS = frozenset(
    {
        EventKind.ISSUE,
        EventKind.STATUS,
        EventKind.GRANT,
        EventKind.REVOCATION,
        EventKind.LOOKUP,
        EventKind.DISPUTE,
        EventKind.QUESTION,
        EventKind.ANSWER,
        EventKind.RESOLUTION,
        EventKind.ENROLMENT,
        EventKind.INVITATION,
    }
)
#: Entries whose statement, sent again, may still have an answer worth having.
MAY_WITHHOLD = frozenset({EventKind.LOOKUP, EventKind.GRANT})
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_SCHEME = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class BundleError(ValueError):
    """Not a bundle, or not a trust file, of these versions: nothing was verified."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the bundle is about. ``name`` is a sequence number for a lookup, else an identifier."""

    kind: str
    name: str | int

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, SUBJECTS[self.kind]: self.name}


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, its statement (None: withheld) and its path to the checkpoint's root."""

    entry: Entry
    statement: str | None
    proof: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"entry": self.entry.to_json()}
        if self.statement is not None:
            value["statement"] = self.statement
        return {**value, "proof": [_base64(item) for item in self.proof]}


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A header in RLP, and who vouches for it, by a scheme."""

    header: bytes
    scheme: str
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        seal = {"scheme": self.scheme, "signature": _base64(self.signature)}
        return {"header": _base64(self.header), "seal": seal}


@dataclass(frozen=True, slots=True)
class Bundle:
    """``blocks``: the one at which everything is proven, and the first that had the newest of the
    entries, when that is another; ``before``: the header of the block before that one, in RLP."""

    subject: Subject
    lines: tuple[Line, ...]
    keys: tuple[Mapping[str, str], ...]
    disclosures: tuple[str, ...]
    checkpoint: str
    blocks: tuple[SealedBlock, ...]
    before: bytes
    nodes: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "kind": KIND,
            "subject": self.subject.to_json(),
            "entries": [line.to_json() for line in self.lines],
            "keys": [dict(key) for key in self.keys],
            "disclosures": list(self.disclosures),
            "checkpoint": self.checkpoint,
            "blocks": [block.to_json() for block in self.blocks],
            "before": _base64(self.before),
            "nodes": [_base64(node) for node in self.nodes],
        }


@dataclass(frozen=True, slots=True)
class Contract:
    """Where a contract is (20 bytes), and the hash of its code."""

    address: bytes
    code_hash: bytes

    def to_json(self) -> dict[str, str]:
        return {"address": _hex(self.address), "code_hash": _hex(self.code_hash)}


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a verifier takes on trust: which chain, who seals it, which contracts, whose log.

    ``genesis``: hash of the chain's first block (32 bytes), None where its nodes do not show it.
    ``seal``: the scheme; of one that a verifier does not know, `UNKNOWN_SEAL` above all, it checks
    all but the seals. ``policy``: which witnesses must have cosigned a checkpoint.
    """

    chain_id: int
    genesis: bytes | None
    seal: str
    sealers: frozenset[bytes]
    directory: Contract
    checkpoint_log: Contract
    status_registry: Contract
    log: NoteKey
    policy: Policy = NO_POLICY

    def to_json(self) -> dict[str, Any]:
        return {
            "v": TRUST_VERSION,
            "kind": TRUST_KIND,
            "chain": {
                "id": self.chain_id,
                "genesis": None if self.genesis is None else _hex(self.genesis),
                "seal": self.seal,
                "sealers": sorted(_hex(sealer) for sealer in self.sealers),
            },
            "contracts": {
                "directory": self.directory.to_json(),
                "checkpoint_log": self.checkpoint_log.to_json(),
                "status_registry": self.status_registry.to_json(),
            },
            "log": {"origin": self.log.name, "verifier": str(self.log)},
            "policy": self.policy.text,
        }


def load_json(text: bytes) -> Any:
    """JSON with each member once and no number but whole ones; raises BundleError."""
    try:
        orjson.loads(text)  # which bounds the depth; the standard library's own reader may not
        return json.loads(text, object_pairs_hook=_once, parse_float=_no, parse_constant=_no)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not JSON as it must be: {error}") from None


def read_bundle(value: object) -> Bundle:
    """The bundle in parsed JSON; raises BundleError."""
    top = _members(
        value,
        "bundle",
        "v",
        "kind",
        "subject",
        "entries",
        "keys",
        "disclosures",
        "checkpoint",
        "blocks",
        "before",
        "nodes",
    )
    _require(top["v"] == VERSION and type(top["v"]) is int, f"v must be {VERSION}")
    _require(top["kind"] == KIND, f"kind must be {KIND}")
    lines = tuple(_line(item) for item in _list(top["entries"], "entries", MAX_ENTRIES))
    _require(bool(lines), "entries must not be empty")
    seqs = [line.entry.seq for line in lines]
    _require(seqs == sorted(set(seqs)), "entries must be in order, each once")
    keys = tuple(_key(item) for item in _list(top["keys"], "keys", MAX_KEYS))
    blocks = tuple(_block(item) for item in _list(top["blocks"], "blocks", 2))
    _require(bool(blocks), "blocks must not be empty")
    disclosures = _list(top["disclosures"], "disclosures", MAX_DISCLOSURES)
    nodes = _list(top["nodes"], "nodes", MAX_NODES)
    checkpoint = _text(top["checkpoint"], "checkpoint")
    _require(len(checkpoint) <= MAX_NOTE, "checkpoint is too long")
    return Bundle(
        subject=_subject(top["subject"]),
        lines=lines,
        keys=keys,
        disclosures=tuple(_text(item, "disclosures") for item in disclosures),
        checkpoint=checkpoint,
        blocks=blocks,
        before=_bytes(top["before"], "before", MAX_HEADER),
        nodes=tuple(_bytes(item, "nodes", MAX_NODE) for item in nodes),
    )


def read_trust(value: object) -> Trust:
    """The trust file in parsed JSON; raises BundleError."""
    top = _members(value, "trust", "v", "kind", "chain", "contracts", "log", "policy")
    _require(top["v"] == TRUST_VERSION and type(top["v"]) is int, f"v must be {TRUST_VERSION}")
    _require(top["kind"] == TRUST_KIND, f"kind must be {TRUST_KIND}")
    chain = _members(top["chain"], "chain", "id", "genesis", "seal", "sealers")
    _require(type(chain["id"]) is int and 0 < chain["id"] < 2**53, "chain.id must be a number")
    _require(bool(_SCHEME.fullmatch(_text(chain["seal"], "seal"))), "chain.seal must be a name")
    sealers = [_hexed(item, _ADDRESS, "sealers") for item in _list(chain["sealers"], "sealers", 99)]
    contracts = _members(
        top["contracts"], "contracts", "directory", "checkpoint_log", "status_registry"
    )
    log = _members(top["log"], "log", "origin", "verifier")
    try:
        verifier = NoteKey.parse(_text(log["verifier"], "log.verifier"))
    except NoteError as error:
        raise BundleError(f"log.verifier: {error}") from None
    _require(verifier.name == log["origin"], "log.origin must be the verifier key's name")
    return Trust(
        chain_id=chain["id"],
        genesis=None
        if chain["genesis"] is None
        else _hexed(chain["genesis"], _HASH, "chain.genesis"),
        seal=chain["seal"],
        sealers=frozenset(sealers),
        directory=_contract(contracts["directory"]),
        checkpoint_log=_contract(contracts["checkpoint_log"]),
        status_registry=_contract(contracts["status_registry"]),
        log=verifier,
        policy=_policy(_text(top["policy"], "policy"), verifier),
    )


def thumbprint(jwk: Mapping[str, str]) -> tuple[str, ECKey]:
    """The name of a public key, and the key; raises StatementError."""
    key = load_public_key(jwk)
    return key.thumbprint(), key


def _policy(text: str, log: NoteKey) -> Policy:
    try:
        return policy_for(log, text)
    except PolicyError as error:
        raise BundleError(f"policy: {error}") from None


def _subject(value: object) -> Subject:
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in SUBJECTS:
        raise BundleError("subject.kind must be one of " + ", ".join(SUBJECTS))
    name = _members(value, "subject", "kind", SUBJECTS[kind])[SUBJECTS[kind]]
    if kind == "lookup":
        _require(type(name) is int and 0 <= name < 2**53, "subject.seq must be a number")
    else:
        _text(name, "subject")
    return Subject(kind, name)


def _line(value: object) -> Line:
    top = _members(value, "entries", "entry", "proof", optional=("statement",))
    try:
        entry = Entry.from_json(_object(top["entry"], "entry"))
        # Equal is not the same: in Python true equals 1.
        one_form = canonical_json(top["entry"]) == entry.canonical()
    except ValueError as error:
        raise BundleError(f"entry: {error}") from None
    _require(one_form, "entry: not in its one form")
    _require(entry.kind in KINDS, f"an entry of kind {entry.kind} proves nothing here")
    _require(entry.seq < 2**53 and entry.time_ms < 2**53, "entry: a number is too large")
    _require(len(entry.statement_digest) == HASH_BYTES, "entry: a digest has 32 bytes")
    proof = tuple(_bytes(item, "proof") for item in _list(top["proof"], "proof", MAX_PROOF))
    _require(all(len(item) == HASH_BYTES for item in proof), "a hash has 32 bytes")
    statement = _text(top["statement"], "statement") if "statement" in top else None
    _require(
        statement is not None or entry.kind in MAY_WITHHOLD,
        f"the statement of an entry of kind {entry.kind} is never withheld",
    )
    return Line(entry, statement, proof)


def _key(value: object) -> Mapping[str, str]:
    jwk = _members(value, "keys", "kty", "crv", "x", "y")
    try:
        load_public_key({name: _text(item, "keys") for name, item in jwk.items()})
    except StatementError as error:
        raise BundleError(f"keys: {error}") from None
    return jwk


def _block(value: object) -> SealedBlock:
    top = _members(value, "blocks", "header", "seal")
    seal = _members(top["seal"], "seal", "scheme", "signature")
    scheme = _text(seal["scheme"], "seal.scheme")
    signature = _bytes(seal["signature"], "seal.signature")
    if scheme == UNKNOWN_SEAL and signature:
        raise BundleError("seal.signature: of an unknown scheme there is none")
    return SealedBlock(_bytes(top["header"], "header", MAX_HEADER), scheme, signature)


def _contract(value: object) -> Contract:
    top = _members(value, "contracts", "address", "code_hash")
    return Contract(
        _hexed(top["address"], _ADDRESS, "address"), _hexed(top["code_hash"], _HASH, "code_hash")
    )


def _members(
    value: object, at: str, *required: str, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    found = _object(value, at)
    for name in required:
        _require(name in found, f"{at}: {name} is missing")
    for name in found:
        _require(name in required or name in optional, f"{at}: {name[:40]!r} does not belong here")
    return found


def _object(value: object, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{at} must be an object")
    return value


def _list(value: object, at: str, limit: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise BundleError(f"{at} must be a list of at most {limit}")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{at} must be a text")
    return value


def _bytes(value: object, at: str, limit: int = MAX_BUNDLE) -> bytes:
    """Base64 with padding, in its one form; at most so many bytes."""
    text = _text(value, at)
    _require(len(text) <= (limit + 2) // 3 * 4, f"{at} is too long")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BundleError(f"{at} must be base64") from None
    _require(_base64(data) == text, f"{at} must be base64 in its one form")
    _require(len(data) <= limit, f"{at} is too long")
    return data


def _hexed(value: object, pattern: re.Pattern[str], at: str) -> bytes:
    text = _text(value, at)
    _require(bool(pattern.fullmatch(text)), f"{at} must be hex in small letters, with 0x")
    return bytes.fromhex(text[2:])


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BundleError(message)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BundleError("a member stands twice")
    return found


def _no(text: str) -> NoReturn:
    raise BundleError(f"the number {text[:20]} is not a whole one")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
