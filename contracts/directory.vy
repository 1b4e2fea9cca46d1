# pragma version 0.4.3
"""
@title Directory of institutional keys
@notice Which P-256 key speaks for which institution, in which role, from when to when. A key is
        named by its RFC 7638 thumbprint (SHA-256). What is enrolled is never rewritten: a key can
        only be revoked, once, and keeps its history, so that an old signature can still be judged.
        Not its job: checking signatures, or anything about citizens (they have no keys on chain).
@dev    Storage, for `eth_getProof` (Vyper: keccak256(slot ‖ key), each 32 bytes big-endian):
        slot 0 owner, slot 1 heir, slot 2 entries: base = keccak256(2 ‖ thumbprint);
        base+0 institution, +1 role · 2¹⁹² + not_before · 2¹²⁸ + not_after · 2⁶⁴ + revoked_at.
        One word for all that is not a hash: every word that evidence has to prove costs it a
        path of some kilobytes.
"""

import ownership

initializes: ownership
exports: (
    ownership.owner,
    ownership.heir,
    ownership.offer_ownership,
    ownership.accept_ownership,
)

# The numbers are the wire format, here and in ledger/directory/keys.py: never renumbered.

ROLE_OPERATOR: constant(uint8) = 1
ROLE_SEQUENCER: constant(uint8) = 5
BATCH: constant(uint256) = 100
ROLE_SHIFT: constant(uint256) = 192
NOT_BEFORE_SHIFT: constant(uint256) = 128
NOT_AFTER_SHIFT: constant(uint256) = 64
SECONDS: constant(uint256) = 2**64 - 1

struct Entry:
    thumbprint: bytes32
    institution: bytes32
    role: uint8
    not_before: uint64
    not_after: uint64

struct Key:
    institution: bytes32
    role: uint8
    not_before: uint64
    not_after: uint64
    revoked_at: uint64

struct Packed:
    institution: bytes32
    terms: uint256

event KeyEnrolled:
    thumbprint: indexed(bytes32)
    institution: indexed(bytes32)
    role: uint8
    not_before: uint64
    not_after: uint64

event KeyRevoked:
    thumbprint: indexed(bytes32)
    institution: indexed(bytes32)
    at: uint64

entries: HashMap[bytes32, Packed]


@deploy
def __init__():
    ownership.__init__()


@external
@view
def key(thumbprint: bytes32) -> Key:
    """
    @return All zero for a key that was never enrolled; revoked_at is 0 while it is not revoked.
    """
    return self._key(thumbprint)


@external
@view
def valid_at(thumbprint: bytes32, role: uint8, when: uint64) -> bool:
    """
    @notice Whether the key speaks in this role at this moment: not_before <= when < not_after,
            and strictly before its revocation.
    """
    found: Key = self._key(thumbprint)
    if found.role != role or role == 0:
        return False
    if when < found.not_before or when >= found.not_after:
        return False
    return found.revoked_at == 0 or when < found.revoked_at


@external
def enrol(
    thumbprint: bytes32, institution: bytes32, role: uint8, not_before: uint64, not_after: uint64
):
    ownership._check_owner()
    self._enrol(
        Entry(
            thumbprint=thumbprint,
            institution=institution,
            role=role,
            not_before=not_before,
            not_after=not_after,
        )
    )


@external
def enrol_many(entries: DynArray[Entry, BATCH]):
    """
    @notice All or none.
    """
    ownership._check_owner()
    for entry: Entry in entries:
        self._enrol(entry)


@external
def revoke(thumbprint: bytes32, at: uint64):
    """
    @notice Final. `at` may lie in the past: a stolen key is revoked from when it was stolen.
    """
    ownership._check_owner()
    assert at > 0, "directory: revocation needs a time"
    found: Key = self._key(thumbprint)
    assert found.role != 0, "directory: key is not enrolled"
    assert found.revoked_at == 0, "directory: key is already revoked"
    self.entries[thumbprint].terms |= convert(at, uint256)
    log KeyRevoked(thumbprint=thumbprint, institution=found.institution, at=at)


@internal
@view
def _key(thumbprint: bytes32) -> Key:
    found: Packed = self.entries[thumbprint]
    return Key(
        institution=found.institution,
        role=convert(found.terms >> ROLE_SHIFT, uint8),
        not_before=convert((found.terms >> NOT_BEFORE_SHIFT) & SECONDS, uint64),
        not_after=convert((found.terms >> NOT_AFTER_SHIFT) & SECONDS, uint64),
        revoked_at=convert(found.terms & SECONDS, uint64),
    )


@internal
def _enrol(entry: Entry):
    assert entry.thumbprint != empty(bytes32), "directory: empty thumbprint"
    assert entry.institution != empty(bytes32), "directory: empty institution"
    assert entry.role >= ROLE_OPERATOR and entry.role <= ROLE_SEQUENCER, "directory: unknown role"
    assert entry.not_before < entry.not_after, "directory: validity is empty"
    assert self.entries[entry.thumbprint].terms == 0, "directory: key is already enrolled"
    self.entries[entry.thumbprint] = Packed(
        institution=entry.institution,
        terms=(convert(entry.role, uint256) << ROLE_SHIFT)
        | (convert(entry.not_before, uint256) << NOT_BEFORE_SHIFT)
        | (convert(entry.not_after, uint256) << NOT_AFTER_SHIFT),
    )
    log KeyEnrolled(
        thumbprint=entry.thumbprint,
        institution=entry.institution,
        role=entry.role,
        not_before=entry.not_before,
        not_after=entry.not_after,
    )
