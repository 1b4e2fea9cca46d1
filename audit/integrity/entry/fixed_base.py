"""Verifying many ES256 signatures by one key, with a table of multiples of that key's point.

Most of the time of a verification goes into multiplying the key's point. Libraries have a table for
the curve's generator, with which that takes a seventh; OpenSSL makes one for the generator of any
group. So the point becomes the generator of a second group, OpenSSL multiplies and adds, and only
the numbers modulo the group's order are left to be done here (SEC 1 §4.1.4, FIPS 186-5 §6.4.2).
Nothing here is secret, so no step has to take the same time for every number.

The OpenSSL is the one that Python itself uses. Where it cannot be reached, or does not make such
tables any more, there are none.

Not this module's job: which keys are worth a table, and verifying without one
(`audit.integrity.entry.es256`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from weakref import finalize

_P256 = 415  # NID_X9_62_prime256v1
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_OCTETS = 32
_UNCOMPRESSED = b"\x04"  # SEC 1 §2.3.3

_POINTER, _INT, _BYTES = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
#: What each function gives, and what it takes.
_FUNCTIONS = {
    "BN_CTX_new": (_POINTER,),
    "BN_CTX_free": (None, _POINTER),
    "BN_new": (_POINTER,),
    "BN_free": (None, _POINTER),
    "BN_bin2bn": (_POINTER, _BYTES, _INT, _POINTER),
    "BN_bn2binpad": (_INT, _POINTER, _BYTES, _INT),
    "EC_GROUP_new_by_curve_name": (_POINTER, _INT),
    "EC_GROUP_free": (None, _POINTER),
    "EC_GROUP_get0_order": (_POINTER, _POINTER),
    "EC_GROUP_get0_cofactor": (_POINTER, _POINTER),
    "EC_GROUP_set_generator": (_INT, _POINTER, _POINTER, _POINTER, _POINTER),
    "EC_GROUP_precompute_mult": (_INT, _POINTER, _POINTER),
    "EC_POINT_new": (_POINTER, _POINTER),
    "EC_POINT_free": (None, _POINTER),
    "EC_POINT_oct2point": (_INT, _POINTER, _POINTER, _BYTES, ctypes.c_size_t, _POINTER),
    "EC_POINT_mul": (_INT, *[_POINTER] * 6),
    "EC_POINT_add": (_INT, *[_POINTER] * 5),
    "EC_POINT_get_affine_coordinates": (_INT, *[_POINTER] * 5),
    "ERR_clear_error": (None,),
}


@cache
def _openssl() -> ctypes.PyDLL | None:
    try:
        # Without letting go of the interpreter, which takes as long as the shorter ones of these.
        library = ctypes.PyDLL(str(import_module("_hashlib").__file__))
        for name, (gives, *takes) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = gives, takes
    except (ImportError, AttributeError, OSError):
        return None
    return library


class FixedBase:
    """A key's table: 150 kB, made in the time of 500 verifications without one.

    For one thread at a time: its numbers and points are scratch space that every call writes to.
    """

    def __init__(self, point: bytes) -> None:
        """``point`` is x and y, 64 bytes. Raises ValueError where no table can be made of it."""
        library = _openssl()
        if library is None:
            raise ValueError("Python's OpenSSL makes no tables, or cannot be reached")
        self._library = library
        self._context = context = self._made(library.BN_CTX_free, library.BN_CTX_new())
        self._number = self._made(library.BN_free, library.BN_new())
        self._curve, self._group = (
            self._made(library.EC_GROUP_free, library.EC_GROUP_new_by_curve_name(_P256))
            for _ in range(2)
        )
        self._points = a, _ = [
            self._made(library.EC_POINT_free, library.EC_POINT_new(self._curve)) for _ in range(2)
        ]
        encoded = _UNCOMPRESSED + point
        order = library.EC_GROUP_get0_order(self._curve)
        cofactor = library.EC_GROUP_get0_cofactor(self._curve)
        if not (
            library.EC_POINT_oct2point(self._curve, a, encoded, len(encoded), context)
            and library.EC_GROUP_set_generator(self._group, a, order, cofactor)
            and library.EC_GROUP_precompute_mult(self._group, context)
        ):
            library.ERR_clear_error()
            raise ValueError("not a point on P-256")

    def _made(self, free: Callable[[int], None], pointer: int | None) -> int:
        """To be given back with this object."""
        if not pointer:
            self._library.ERR_clear_error()
            raise ValueError("OpenSSL lacks memory, or this curve")
        finalize(self, free, pointer)
        return pointer

    def verified(self, signatures: Sequence[tuple[bytes, bytes]]) -> list[bool]:
        """Of each SHA-256 digest of what was signed and its signature (r and s, 64 bytes) whether
        the key signed it.

        False also where the library failed: who refuses for it asks another first.
        """
        found = [False] * len(signatures)
        numbers = []
        for at, (digest, signature) in enumerate(signatures):
            r = int.from_bytes(signature[:_OCTETS], "big")
            s = int.from_bytes(signature[_OCTETS:], "big")
            if len(signature) == 2 * _OCTETS and 0 < r < _ORDER and 0 < s < _ORDER:
                numbers.append((at, int.from_bytes(digest, "big"), r, s))
        inverses = _inverses([s for *_, s in numbers])
        factors = [
            (e * w % _ORDER, r * w % _ORDER)
            for (_, e, r, _), w in zip(numbers, inverses, strict=True)
        ]
        for (at, _, r, _), x in zip(numbers, self._sums(factors), strict=True):
            found[at] = x % _ORDER == r
        return found

    def _sums(self, factors: Iterable[tuple[int, int]]) -> Iterator[int]:
        """Of each point u1·G + u2·Q its x; 0, which is none in a signature, if there is no such."""
        library, context, number = self._library, self._context, self._number
        curve, group, (a, b) = self._curve, self._group, self._points
        buffer = ctypes.create_string_buffer(_OCTETS)
        bin2bn, bn2binpad = library.BN_bin2bn, library.BN_bn2binpad
        mul, add = library.EC_POINT_mul, library.EC_POINT_add
        x_and_y = library.EC_POINT_get_affine_coordinates
        for u1, u2 in factors:
            if (
                bin2bn(u1.to_bytes(_OCTETS, "big"), _OCTETS, number)
                and mul(curve, a, number, None, None, context)
                and bin2bn(u2.to_bytes(_OCTETS, "big"), _OCTETS, number)
                and mul(group, b, number, None, None, context)
                and add(curve, a, a, b, context)
                and x_and_y(curve, a, number, None, context)
                and bn2binpad(number, buffer, _OCTETS) == _OCTETS
            ):
                yield int.from_bytes(buffer.raw, "big")
            else:
                library.ERR_clear_error()
                yield 0


def _inverses(numbers: Sequence[int]) -> list[int]:
    """Modulo the order, all at once: one inversion takes as long as sixty multiplications."""
    before, product = [], 1
    for number in numbers:
        before.append(product)
        product = product * number % _ORDER
    inverse = pow(product, -1, _ORDER)
    found = []
    for number, others in zip(reversed(numbers), reversed(before), strict=True):
        found.append(inverse * others % _ORDER)
        inverse = inverse * number % _ORDER
    return found[::-1]
