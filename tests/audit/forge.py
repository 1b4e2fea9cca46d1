"""Worlds for verifiers: a small ledger with its chain, told by whoever writes the story.

What the service, its database and its node would make, without any of them, so that an operator can
be honest or not in one place at a time: entries, statements, the tree, the signed checkpoint, the
contracts' storage, blocks and their seals are all as good as real ones. One world takes a few
milliseconds.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import rlp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_hash.auto import keccak
from joserfc.jwk import ECKey
from trie import HexaryTrie

from audit.evidence.bundle import EMBEDDED_SEAL, Contract, Trust, read_bundle
from audit.evidence.verification import pruned
from ledger.certificate.lifecycle import CHAIN_STATE, State
from ledger.chain import layout
from ledger.node.engine import seal
from ledger.proof.encoding import b64url, b64url_decode, canonical_json, sha256
from ledger.proof.merkle import leaf_hash, node_hash
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint
from ledger.statement.statements import Kind

ORIGIN, CHAIN_ID, BEGIN = "test.example/log", 440300, 1_800_000_000
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
SEALER = b"\x05" * 32
DIRECTORY, LOG, REGISTRY = (Contract(bytes([n]) * 20, bytes([n]) * 32) for n in (1, 2, 3))
TRUST = Trust(
    chain_id=CHAIN_ID,
    genesis=None,
    seal=EMBEDDED_SEAL,
    sealers=frozenset({seal.address_of(SEALER)}),
    directory=DIRECTORY,
    checkpoint_log=LOG,
    status_registry=REGISTRY,
    log=NoteKey(ORIGIN, LOG_KEY.public_key().public_bytes_raw()),
)
DEPARTMENT, ISSUER, ITEM, SITE, TERMINAL = (
    "hotel-group",
    "11440300000000001R",
    "hotel-check-in",
    "hotel-1",
    "counter-1",
)
CARD = f"1.2.156.3005.2.11100000000013338W901.{ISSUER}.00000000000000000000.001.6"
GRANT, DISPUTE = "G" * 26, "D" * 26


def kind_of(name: str) -> Kind:
    """Of an entry's statement."""
    return Kind.CERTIFICATE if name == "issue" else Kind(f"certledger-{name}+jwt")


@cache
def key(who: str) -> ECKey:
    """The same one for the same name, in every run."""
    number = int.from_bytes(hashlib.sha256(who.encode()).digest(), "big") % 2**255 + 1
    return ECKey.import_key(ec.derive_private_key(number, ec.SECP256R1()))


def kid(who: str) -> str:
    return key(who).thumbprint()


def jwk(who: str) -> dict[str, str]:
    public = key(who).as_dict(private=False)
    return {name: str(public[name]) for name in ("kty", "crv", "x", "y")}


def signed(kind: Kind, who: str, payload: bytes, header: bytes | None = None) -> str:
    """A compact JWS of just these bytes, whatever they are."""
    usual = canonical_json({"alg": "ES256", "kid": kid(who), "typ": kind.value})
    text = f"{b64url(header or usual)}.{b64url(payload)}"
    private = key(who).private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@dataclass
class Block:
    header: bytes
    number: int
    time: int
    size: int
    nodes: dict[bytes, bytes]


@dataclass
class World:
    """Entries are told in order; `block` seals what there is. ``clock`` is Unix seconds."""

    clock: int = BEGIN
    leaves: list[bytes] = field(default_factory=list)
    lines: dict[int, tuple[dict[str, Any], str, str]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    directory: dict[str, tuple[str, int, int, int, int]] = field(default_factory=dict)
    registry: dict[bytes, tuple[State, bytes]] = field(default_factory=dict)
    heads: tuple[int, int] = (0, 0)
    roots: dict[int, bytes] = field(default_factory=dict)

    def fill(self, count: int) -> None:
        """Entries of others: nobody here sees more of them than a hash."""
        first = len(self.leaves)
        self.leaves += [sha256(b"entry %d" % seq) for seq in range(first, first + count)]

    def enter(
        self,
        kind: str,
        who: str,
        said: Mapping[str, Any],
        entry: Mapping[str, Any],
        *,
        raw: Callable[[bytes], bytes] | None = None,
        header: bytes | None = None,
        typ: str | None = None,
        at_ms: int | None = None,
    ) -> int:
        """One more entry of a statement by ``who``; members that are None are left out. ``raw``
        changes the payload's bytes before they are signed. The number of the entry."""
        self.clock += 1
        seq = len(self.leaves)
        common: dict[str, Any] = {"ledger": ORIGIN, "iat": self.clock, "jti": f"jti-{seq:016}"}
        if kind != "issue":
            common["v"] = 2
        payload = canonical_json(without_none({**common, **said}))
        token = signed(kind_of(typ or kind), who, raw(payload) if raw else payload, header)
        members = without_none(
            {
                "v": 2,
                "seq": seq,
                "time": 1000 * self.clock,
                "kind": kind,
                "actor": kid(who),
                "statement": b64url(sha256(token.encode())),
                "salt": b64url(sha256(f"salt {seq}".encode())[:16]),
                **entry,
            }
        )
        if at_ms is not None:
            members["time"] = at_ms
        self.leaves.append(leaf_hash(canonical_json(members)))
        self.lines[seq] = (members, token, who)
        return seq

    def enrol(self, who: str, institution: str, role: int, *, revoked: int = 0) -> None:
        """In the directory on chain."""
        self.directory[kid(who)] = (institution, role, 0, 2**62, revoked)

    def change(self, certificate_seq: int, state: State, by: int) -> None:
        """In the registry on chain, by the statement of entry ``by``."""
        commitment = b64url_decode(self.lines[certificate_seq][0]["statement"])
        self.registry[commitment] = state, b64url_decode(self.lines[by][0]["statement"])

    def block(self, *, anchor: bool = True, wait: int = 1) -> Block:
        """The next block, ``wait`` seconds later; with ``anchor`` it records all entries."""
        self.clock += wait
        number = len(self.blocks) + 1
        if anchor:
            size = len(self.leaves)
            self.roots[size], self.heads = root_of(self.leaves), (size, number)
        state, nodes = self._state()
        parent = keccak(self.blocks[-1].header) if self.blocks else bytes(32)
        fields = [parent, bytes(32), seal.address_of(SEALER), state, bytes(32), bytes(32)]
        fields += [bytes(256), b"", _number(number), b"\1", b"", _number(self.clock), b""]
        header: bytes = rlp.encode([*fields, bytes(32), bytes(8), b"\7"])
        made = Block(header, number, self.clock, self.heads[0], nodes)
        self.blocks.append(made)
        return made

    def _state(self) -> tuple[bytes, dict[bytes, bytes]]:
        log_id, nodes = layout.log_id(ORIGIN), dict[bytes, bytes]()
        slots: dict[Contract, dict[int, int]] = {DIRECTORY: {}, LOG: {}, REGISTRY: {}}
        for name, (institution, role, since, until, revoked) in self.directory.items():
            whose, terms = layout.directory_slots(b64url_decode(name))
            slots[DIRECTORY][whose] = int.from_bytes(layout.institution_id(institution), "big")
            slots[DIRECTORY][terms] = role << 192 | since << 128 | until << 64 | revoked
        size, number = self.heads
        slots[LOG][layout.head_slot(log_id)] = size << 64 | number
        for at, root in self.roots.items():
            slots[LOG][layout.root_slot(log_id, at)] = int.from_bytes(root, "big")
        for commitment, (state, digest) in self.registry.items():
            at_state, at_digest = layout.status_slots(commitment)
            slots[REGISTRY][at_state] = CHAIN_STATE[state]
            slots[REGISTRY][at_digest] = int.from_bytes(digest, "big")
        accounts = HexaryTrie(nodes)
        for contract, words in slots.items():
            storage = HexaryTrie(nodes)
            for slot, word in words.items():
                if word:
                    storage[keccak(slot.to_bytes(32, "big"))] = rlp.encode(_number(word))
            account = [b"\1", b"", storage.root_hash, contract.code_hash]
            accounts[keccak(contract.address)] = rlp.encode(account)
        return accounts.root_hash, {
            digest: node for digest, node in nodes.items() if keccak(node) == digest
        }

    def bundle(
        self,
        subject: Mapping[str, Any],
        seqs: Sequence[int],
        *,
        then: int | None = None,
        now: int = -1,
        disclosures: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Of these entries, as of ``blocks[now]``; ``blocks[then]`` is to have recorded them."""
        newest = self.blocks[now]
        first = newest if then is None else self.blocks[then]
        blocks = [newest] if first is newest else [newest, first]
        before = self.blocks[first.number - 2]
        checkpoint = Checkpoint(ORIGIN, newest.size, root_of(self.leaves[: newest.size]))
        nodes: dict[bytes, bytes] = {}
        for block in (*blocks, before):
            nodes |= block.nodes
        signers = sorted({self.lines[seq][2] for seq in seqs}, key=kid)
        value = {
            "v": 2,
            "kind": "certledger-evidence",
            "subject": dict(subject),
            "entries": [
                {
                    "entry": self.lines[seq][0],
                    "statement": self.lines[seq][1],
                    "proof": [_base64(x) for x in path(seq, self.leaves[: newest.size])],
                }
                for seq in sorted(seqs)
            ],
            "keys": [jwk(who) for who in signers],
            "disclosures": list(disclosures),
            "checkpoint": sign_checkpoint(checkpoint, ORIGIN, LOG_KEY),
            "blocks": [_sealed(block.header) for block in blocks],
            "before": _base64(before.header),
            "nodes": [],
        }
        # Of all nodes those that are needed, in an order that does not depend on anything.
        nodes_given = {**value, "nodes": [_base64(node) for _, node in sorted(nodes.items())]}
        if len(json.dumps(nodes_given)) < 1 << 20:
            needed = pruned(read_bundle(nodes_given), TRUST).to_json()["nodes"]
            value["nodes"] = sorted(needed)
        return value


def _sealed(header: bytes) -> dict[str, Any]:
    signature = seal.sign(SEALER, CHAIN_ID, keccak(header))
    return {
        "header": _base64(header),
        "seal": {"scheme": EMBEDDED_SEAL, "signature": _base64(signature)},
    }


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, as written there."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:half]), root_of(leaves[half:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 2.1.3.1."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*path(index, leaves[:half]), root_of(leaves[half:])]
    return [*path(index - half, leaves[half:]), root_of(leaves[:half])]
