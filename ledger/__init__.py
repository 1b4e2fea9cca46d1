"""The ledger: statements, certificates, the Merkle log, checkpoints and their anchor."""

import sys

# py_ecc, which web3 and py-evm bring along, raises the recursion limit to 100,000 when it is
# imported. With that, a deeply nested JSON body overflows the C stack and ends the process. So it
# is imported here, before anything else of the project, and the limit put back.
_limit = sys.getrecursionlimit()
import py_ecc as _py_ecc  # noqa: E402, F401

sys.setrecursionlimit(_limit)
