# pragma version 0.4.3
"""
@title Status registry
@notice What became of a certificate after it was issued, for anyone who holds its commitment
        (SHA-256 of the issuer-signed JWT): nothing (active), suspended, revoked or superseded, and
        the digest of the statement that said so. Revoked and superseded are final. Not its job:
        who may order a change; that is the statement, which the digest pins.
@dev    Storage, for `eth_getProof` (Vyper: keccak256(slot ‖ key), each 32 bytes big-endian):
        slot 0 owner, slot 1 heir, slot 2 writer, slot 3 statuses: base = keccak256(3 ‖ commitment);
        base+0 state, base+1 digest.
"""

import ownership

initializes: ownership
exports: (
    ownership.owner,
    ownership.heir,
    ownership.offer_ownership,
    ownership.accept_ownership,
)

# The numbers are the wire format, here and in ledger/certificate/lifecycle.py: never renumbered.
ACTIVE: constant(uint8) = 0
SUSPENDED: constant(uint8) = 1
REVOKED: constant(uint8) = 2
SUPERSEDED: constant(uint8) = 3
BATCH: constant(uint256) = 200

struct Change:
    commitment: bytes32
    state: uint8
    digest: bytes32

struct Status:
    state: uint8
    digest: bytes32

event WriterAppointed:
    writer: indexed(address)

event StatusChanged:
    commitment: indexed(bytes32)
    state: uint8
    digest: bytes32

writer: public(address)
statuses: HashMap[bytes32, Status]


@deploy
def __init__():
    ownership.__init__()
    self._appoint(msg.sender)


@external
@view
def status(commitment: bytes32) -> Status:
    return self.statuses[commitment]


@external
def appoint_writer(writer: address):
    ownership._check_owner()
    assert writer != empty(address), "status_registry: empty writer"
    self._appoint(writer)


@external
def set_many(changes: DynArray[Change, BATCH]):
    """
    @notice All or none.
    """
    assert msg.sender == self.writer, "status_registry: not the writer"
    for change: Change in changes:
        assert change.commitment != empty(bytes32), "status_registry: empty commitment"
        assert change.digest != empty(bytes32), "status_registry: empty digest"
        assert change.state <= SUPERSEDED, "status_registry: unknown state"
        before: uint8 = self.statuses[change.commitment].state
        assert before != REVOKED and before != SUPERSEDED, "status_registry: state is final"
        # `active → superseded` only: a suspended certificate is restored or revoked first.
        assert (
            change.state != SUPERSEDED or before == ACTIVE
        ), "status_registry: superseded from suspended"
        assert change.state != before, "status_registry: state does not change"
        self._set(change)


@internal
def _set(change: Change):
    self.statuses[change.commitment] = Status(state=change.state, digest=change.digest)
    log StatusChanged(commitment=change.commitment, state=change.state, digest=change.digest)


@internal
def _appoint(writer: address):
    self.writer = writer
    log WriterAppointed(writer=writer)
