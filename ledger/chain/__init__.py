"""The chain as the ledger sees it: deploy, anchor, enrol keys, set statuses, read back.

Speaks standard Ethereum JSON-RPC (`ledger.ethereum`), whatever engine is behind it, and relies on
no engine's habits.

    setup         whether the chain can be used; deploying
    checkpoints, keys, statuses    the three contracts
    layout        where they keep what, for proofs of state
    outbox        what they must be told, in a form that survives a crash
    blocks        blocks, transactions, proofs

Not its job: what a checkpoint means (log and committer), or running a node (`ledger.node`).
Wire numbers (roles, states) are those of the contracts.
"""

from __future__ import annotations

from ledger.chain.blocks import Block, Blocks, MinedTransaction, SealedHeader, StateProof
from ledger.chain.checkpoints import Anchor, Checkpoints, Step
from ledger.chain.connection import LOG_WINDOW
from ledger.chain.deployment import Deployment
from ledger.chain.keys import Keys
from ledger.chain.setup import SetUp, blocked
from ledger.chain.statuses import Statuses
from ledger.ethereum.errors import (
    ChainError,
    ChainRefused,
    ChainUnavailable,
    ContractRefused,
    TooLarge,
)
from ledger.ethereum.sending import GasPolicy, address_of


class ChainClient(SetUp, Checkpoints, Keys, Statuses, Blocks):
    """All that the ledger asks of the chain, by one account.

    Safe to share between threads; transactions go one after another, but for anchors
    (`Checkpoints.anchor_on`).
    """


__all__ = [
    "LOG_WINDOW",
    "Anchor",
    "Block",
    "ChainClient",
    "ChainError",
    "ChainRefused",
    "ChainUnavailable",
    "ContractRefused",
    "Deployment",
    "GasPolicy",
    "MinedTransaction",
    "SealedHeader",
    "StateProof",
    "Step",
    "TooLarge",
    "address_of",
    "blocked",
]
