"""Any Ethereum chain through its nodes: JSON-RPC, an account's transactions, errors."""

import ledger.process.recursion  # noqa: F401
