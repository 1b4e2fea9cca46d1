"""Any Ethereum chain through its nodes: JSON-RPC, an account's transactions, errors."""
