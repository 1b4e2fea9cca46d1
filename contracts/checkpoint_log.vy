# pragma version 0.4.3
"""
@title Checkpoint log
@notice The anchor of append-only Merkle logs (RFC 6962 hashing, SHA-256). For each log it keeps the
        newest size and root, and accepts a new pair only with an RFC 9162 §2.1.4.2 consistency
        proof from the old one, which it verifies itself: a root that rewrites or drops history
        never gets in, whoever signs it. Not its job: entries, or who may append to the log itself.
@dev    Storage, for an outside verifier with `eth_getProof` (Vyper hashes keccak256(slot ‖ key),
        each 32 bytes big-endian, the slot first):
          slot 0 owner, slot 1 heir,
          slot 2 sequencer_of:  keccak256(2 ‖ log_id) -> address
          slot 3 head_of:       keccak256(3 ‖ log_id) -> size * 2**64 + block number of the anchor
          slot 4 root_at:       keccak256(keccak256(4 ‖ log_id) ‖ size) -> root
        A root, once set for a size, is never changed: so one storage proof of the `root_at` slot,
        at any later block, proves that (size, root) was anchored.
"""

import ownership

initializes: ownership
exports: (
    ownership.owner,
    ownership.heir,
    ownership.offer_ownership,
    ownership.accept_ownership,
)

NODE: constant(bytes1) = 0x01
# A path between two sizes below 2**64 has at most 65 hashes; the bound leaves room.
MAX_PROOF: constant(uint256) = 128
MAX_SIZE: constant(uint256) = 2**63
BLOCK_MASK: constant(uint256) = 2**64 - 1

event LogOpened:
    log_id: indexed(bytes32)
    sequencer: indexed(address)

event SequencerAppointed:
    log_id: indexed(bytes32)
    sequencer: indexed(address)

event Checkpoint:
    log_id: indexed(bytes32)
    size: indexed(uint256)
    root: bytes32
    old_size: uint256

sequencer_of: public(HashMap[bytes32, address])
head_of: HashMap[bytes32, uint256]
root_at: public(HashMap[bytes32, HashMap[uint256, bytes32]])


@deploy
def __init__():
    ownership.__init__()


@external
@view
def latest(log_id: bytes32) -> (uint256, bytes32, uint256):
    """
    @return Size, root and the number of the block that anchored them; all zero before the first.
    """
    head: uint256 = self.head_of[log_id]
    size: uint256 = head >> 64
    return size, self.root_at[log_id][size], head & BLOCK_MASK


@external
def open_log(log_id: bytes32, sequencer: address):
    ownership._check_owner()
    assert self.sequencer_of[log_id] == empty(address), "checkpoint_log: log is already open"
    assert sequencer != empty(address), "checkpoint_log: empty sequencer"
    self.sequencer_of[log_id] = sequencer
    log LogOpened(log_id=log_id, sequencer=sequencer)


@external
def appoint(log_id: bytes32, sequencer: address):
    """
    @notice Another account goes on with the log where it stands (a sequencer's key was lost).
    """
    ownership._check_owner()
    assert self.sequencer_of[log_id] != empty(address), "checkpoint_log: log is not open"
    assert sequencer != empty(address), "checkpoint_log: empty sequencer"
    self.sequencer_of[log_id] = sequencer
    log SequencerAppointed(log_id=log_id, sequencer=sequencer)


@external
def append(
    log_id: bytes32,
    old_size: uint256,
    new_size: uint256,
    new_root: bytes32,
    proof: DynArray[bytes32, MAX_PROOF],
):
    """
    @notice Move the log's head from old_size (which must be where it stands) to new_size.
    @dev    The same pair sent again is refused like any other that does not grow: a client looks at
            `latest` before it sends again.
    """
    assert msg.sender == self.sequencer_of[log_id], "checkpoint_log: not the sequencer"
    size: uint256 = self.head_of[log_id] >> 64
    assert new_size > size, "checkpoint_log: size does not grow"
    assert old_size == size, "checkpoint_log: old size is not the head"
    assert new_size < MAX_SIZE, "checkpoint_log: size too large"
    if size == 0:
        assert len(proof) == 0, "checkpoint_log: proof without a head"
    else:
        assert self._consistent(
            size, self.root_at[log_id][size], new_size, new_root, proof
        ), "checkpoint_log: proof does not verify"
    self._append(log_id, size, new_size, new_root)


@internal
def _append(log_id: bytes32, old_size: uint256, new_size: uint256, new_root: bytes32):
    self.head_of[log_id] = (new_size << 64) | block.number
    self.root_at[log_id][new_size] = new_root
    log Checkpoint(log_id=log_id, size=new_size, root=new_root, old_size=old_size)


@internal
@pure
def _consistent(
    first: uint256,
    first_root: bytes32,
    second: uint256,
    second_root: bytes32,
    proof: DynArray[bytes32, MAX_PROOF],
) -> bool:
    """
    @notice RFC 9162 §2.1.4.2 for 0 < first < second; the numbers below are its steps.
    @dev    No arithmetic here can overflow (sizes are below 2**63 and first > 0), so it is
            unchecked. 'Shift right until a bit is set' is one division by the lowest such bit. While
            both chains are equal one hash serves both. All three only save gas.
    """
    # 1.
    if len(proof) == 0:
        return False
    # 3.
    fn: uint256 = unsafe_sub(first, 1)
    sn: uint256 = unsafe_sub(second, 1)
    # 2. and 5.: a power of two is a complete subtree, whose root the verifier already holds.
    fr: bytes32 = first_root
    start: uint256 = 0
    if first & fn != 0:
        fr = proof[0]
        start = 1
    sr: bytes32 = fr
    # 4.
    low: uint256 = ~fn & first
    fn = unsafe_div(fn, low)
    sn = unsafe_div(sn, low)
    # 6.
    for i: uint256 in range(start, len(proof), bound=MAX_PROOF):
        c: bytes32 = proof[i]
        # a.
        if sn == 0:
            return False
        # b.
        if fn & 1 == 1 or fn == sn:
            same: bool = fr == sr
            fr = sha256(concat(NODE, c, fr))
            if same:
                sr = fr
            else:
                sr = sha256(concat(NODE, c, sr))
            if fn != 0:
                low = fn & unsafe_sub(0, fn)
                fn = unsafe_div(fn, low)
                sn = unsafe_div(sn, low)
        # c.
        else:
            sr = sha256(concat(NODE, sr, c))
        # d.
        fn >>= 1
        sn >>= 1
    # 7.
    return fr == first_root and sr == second_root and sn == 0
