"""The authority's signature over a block: secp256k1, recoverable, 65 bytes r ‖ s ‖ v (v 0 or 1).

Signed is keccak256("certledger seal 1" ‖ chain id (32 bytes) ‖ block hash), so that a seal can be
nothing else, neither a transaction nor a seal of another chain. Anyone recovers the authority's
address from it and compares it with the block's coinbase.
"""

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

DOMAIN = b"certledger seal 1"


def address_of(key: bytes) -> bytes:
    """The Ethereum address of a 32-byte secret."""
    address: bytes = PrivateKey(key).public_key.to_canonical_address()
    return address


def digest(chain_id: int, block_hash: bytes) -> bytes:
    return keccak(DOMAIN + chain_id.to_bytes(32, "big") + block_hash)


def sign(key: bytes, chain_id: int, block_hash: bytes) -> bytes:
    signed: bytes = PrivateKey(key).sign_msg_hash(digest(chain_id, block_hash)).to_bytes()
    return signed


def signer(seal: bytes, chain_id: int, block_hash: bytes) -> bytes | None:
    """The address that sealed the block; None when the bytes are no signature."""
    try:
        signature = Signature(seal)
        public = signature.recover_public_key_from_msg_hash(digest(chain_id, block_hash))
    except (BadSignature, ValidationError, TypeError):  # the last of no bytes
        return None
    address: bytes = public.to_canonical_address()
    return address
