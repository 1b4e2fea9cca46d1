"""Imported before web3, eth-account and py-evm, so that they leave the recursion limit sane.

py_ecc, which all three bring along, raises it to 100,000 when it is imported. With that, deeply
nested input overflows the C stack and ends the process, or keeps it for minutes. So it is imported
here, and the limit put back. (py-evm raises it by itself, to 12,288.)
"""

import sys

_limit = sys.getrecursionlimit()
import py_ecc as _py_ecc  # noqa: E402, F401

sys.setrecursionlimit(_limit)
