"""Any Ethereum chain through its nodes: JSON-RPC, an account's transactions, errors."""

import sys

# py_ecc, which web3 and eth-account bring along, raises the recursion limit to 100,000 when it is
# imported. With that, a deeply nested JSON body overflows the C stack and ends the process. So it
# is imported here, before them, and the limit put back.
_limit = sys.getrecursionlimit()
import py_ecc as _py_ecc  # noqa: E402, F401

sys.setrecursionlimit(_limit)
