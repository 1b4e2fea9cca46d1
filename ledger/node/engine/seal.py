"""The authority's signature over a block: secp256k1, recoverable, 65 bytes r ‖ s ‖ v (v 0 or 1).

Signed is keccak256("certledger seal 1" ‖ chain id (32 bytes) ‖ block hash), so that a seal can be
nothing else, neither a transaction nor a seal of another chain. Anyone recovers the authority's
address from it and compares it with the block's coinbase.
"""

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

DOMAIN = b"certledger seal 1"


def address_of(key: bytes) -> bytes:
    """The Ethereum address of a 32-byte secret."""
    return _address(PrivateKey(key).public_key)


def digest(chain_id: int, block_hash: bytes) -> bytes:
    return keccak(DOMAIN + chain_id.to_bytes(32, "big") + block_hash)


def sign(key: bytes, chain_id: int, block_hash: bytes) -> bytes:
    return PrivateKey(key).sign_recoverable(digest(chain_id, block_hash), hasher=None)


def signer(seal: bytes, chain_id: int, block_hash: bytes) -> bytes | None:
    """The address that sealed the block; None when the bytes are no signature."""
    try:
        public = PublicKey.from_signature_and_message(
            seal, digest(chain_id, block_hash), hasher=None
        )
    except ValueError:
        return None
    except Exception:  # noqa: BLE001  (coincurve raises bare Exception for points off the curve)
        return None
    return _address(public)


def _address(public: PublicKey) -> bytes:
    return keccak(public.format(compressed=False)[1:])[12:]
