"""Numbers that name certificates, people and bodies.

- certificate identifier, GB/T 36904-2018: ``1.2.156.3005.2.<type>.<issuer>.<serial>.<version>.<c>``
  with an ISO 7064 MOD 37,36 check character over the four parts
- resident identity number, GB 11643: region, birth date, sequence, ISO 7064 MOD 11-2 check; the
  residence permits of people from Hong Kong, Macau and Taiwan (81, 82, 83 …) have one too
- number of a foreigner's permanent residence identity card: since 2023 18 digits, 9, province,
  country, birth date, sequence and the same check; before, three letters and 12 digits
- numbers of other documents of people: travel permits of Hong Kong, Macau and Taiwan, passports.
  They have no check digit that everybody follows, so only their form is held to
- unified social credit code (USCC), GB 32100: registering department, category, region,
  organisation, weighted MOD 31 check. The organisation's own check character (GB 11714) is not
  held to: codes are in use in which it is wrong

Not this module's job: whether the person, the body or the certificate exists. No table of counties
either: published ones lag behind, and a county too new for the table is not a wrong number.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from operator import mul

from ledger.statement.texts import nfkc

ROOT = "1.2.156.3005.2"
MAX_IDENTIFIER = 128

# ISO 7064 MOD 37,36 as a table of states: bulk issue writes one identifier a certificate, and the
# general `stdnum.iso7064.mod_37_36` takes five times as long (a test holds the two together).
_ALPHABET_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STEP_36 = tuple(
    {char: ((state or 36) * 2 % 37 + value) % 36 for value, char in enumerate(_ALPHABET_36)}
    for state in range(36)
)
_CHECK_36 = tuple(_ALPHABET_36[(1 - (state or 36) * 2 % 37) % 36] for state in range(36))

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_PROVINCES = "1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-6]|71|8[1-3]"
# 10: bodies of the central state. Of the alphabet, I, O, S, V and Z are missing: they are misread.
_USCC = re.compile(rf"[1-9ANY][1-9](?:10|{_PROVINCES})[0-9]{{4}}[{_USCC_ALPHABET}]{{10}}", re.ASCII)
_USCC_VALUES = bytes(
    _USCC_ALPHABET.index(chr(byte)) if chr(byte) in _USCC_ALPHABET else 255 for byte in range(256)
)
_DECORATION = dict.fromkeys(map(ord, "-\u2010\u2011\u2013()"))
_TYPE = re.compile(r"[0-9A-Z]{18}[0-9]{3}", re.ASCII)
_REGION = re.compile(r"[1-9][0-9]{5}", re.ASCII)
_SERIAL = re.compile(r"[0-9A-Z]{7,32}", re.ASCII)
_VERSION = re.compile(r"[0-9]{3}", re.ASCII)

_IDENTITY = re.compile(r"[1-8][0-9]{16}[0-9X]", re.ASCII)
_PERMANENT_RESIDENT = re.compile(rf"9(?:{_PROVINCES})[0-9]{{14}}[0-9X]", re.ASCII)
_DOCUMENT = re.compile(
    "[A-Z]{3}[0-9]{12}"  # a foreigner's permanent residence card until 2023
    "|[HM][0-9]{10}"  # Hong Kong, Macau: of old, two digits count the issues
    "|(?!0+$)[0-9]{8,9}"  # Taiwan, and passports that are all digits: fewer have lost a zero
    # What is left: passports, travel permits (H or M and 8 digits), Hong Kong cards.
    "|(?=[0-9]*[A-Z])(?=(?:[A-Z]*[0-9]){4})[A-Z0-9]{7,9}",
    re.ASCII,
)
_WEIGHTS_17 = tuple(pow(2, 17 - index, 11) for index in range(17))
# The digits are read as ASCII bytes, 48 above their value; the surplus comes off in one go.
_SURPLUS_17 = 48 * sum(_WEIGHTS_17)
_CHECKS = "10X98765432"
# Numbers were first given out in 1984, to nobody born before this.
_EARLIEST_BIRTH = date(1850, 1, 1)


class IdentifierError(ValueError):
    """A number that is not what it claims. ``code`` is stable and never holds the number."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def normalise(text: str) -> str:
    """Upper-case NFKC without white space, hyphens and brackets: one spelling of a number, whoever
    typed it. A holder's pseudonym and digest are of this."""
    if text.isascii() and text.isalnum():
        return text.upper()
    plain = nfkc(text)
    # Spreadsheet users put an apostrophe before a number to keep it text; exports keep it.
    return "".join(plain.translate(_DECORATION).split()).removeprefix("'").upper()


def identity_check_digit(number: str) -> str:
    """Check digit for the first 17 digits of ``number``."""
    digits = number[:17].encode("ascii")
    return _CHECKS[(sum(map(mul, _WEIGHTS_17, digits)) - _SURPLUS_17) % 11]


def birth_date(number: str) -> date | None:
    """The birth date inside a person's normalised number, or None where it holds none."""
    if len(number) != 18:
        return None
    try:
        return date.fromisoformat(number[6:14])
    except ValueError:
        return None


def _fault(number: str, on: date) -> str | None:
    """Why a number of the right form cannot have been anybody's ``on`` that day, or None."""
    try:
        born = date.fromisoformat(number[6:14])
    except ValueError:
        return "identity_number.birth_date"
    if not _EARLIEST_BIRTH <= born <= on:
        return "identity_number.birth_date"
    return None if identity_check_digit(number) == number[17] else "identity_number.check_digit"


def is_identity_number(number: str, on: date) -> bool:
    """Whether ``number`` is normalised and can have been a resident's ``on`` that day."""
    return _IDENTITY.fullmatch(number) is not None and _fault(number, on) is None


def is_person_number(number: str, on: date) -> bool:
    """Whether ``number`` is normalised and names a person: an identity number, or that of a
    permanent resident's card, a travel permit or a passport."""
    if _IDENTITY.fullmatch(number) or _PERMANENT_RESIDENT.fullmatch(number):
        return _fault(number, on) is None
    return _DOCUMENT.fullmatch(number) is not None


def is_holder_number(number: str, on: date) -> bool:
    """Whether ``number`` is normalised and names a person or a body."""
    return is_credit_code(number) or is_person_number(number, on)


class HolderKind(StrEnum):
    """Who can hold a certificate: each kind has an authority of its own for who is who."""

    PERSON = "person"
    ENTERPRISE = "enterprise"


def holder_kind(number: str) -> HolderKind:
    """Whose number it is. One that could be either is a person's: a person's authority is the one
    that a stranger must not get around."""
    return HolderKind.PERSON if is_person_number(number, date.max) else HolderKind.ENTERPRISE


def looks_like_credit_code(number: str) -> bool:
    """Form only: which of the two a number that names nobody was meant to be."""
    if _IDENTITY.fullmatch(number):
        return False
    resident = _PERMANENT_RESIDENT.fullmatch(number) and birth_date(number)
    return len(number) == 18 and not resident


def parse_holder_number(text: str, on: date) -> str:
    """Normalise and check the number of a person or body; raises IdentifierError."""
    number = normalise(text)
    if is_holder_number(number, on):
        return number
    if looks_like_credit_code(number):
        return parse_credit_code(number)
    fault = _fault(number, on) if len(number) == 18 else None
    raise IdentifierError(fault or "holder_number.form")


def credit_code_check(code: str) -> str:
    """Check character for the first 17 characters of a credit code."""
    values = code[:17].encode("ascii").translate(_USCC_VALUES)
    return _USCC_ALPHABET[-sum(map(mul, _USCC_WEIGHTS, values)) % 31]


def is_credit_code(code: str) -> bool:
    """Whether a normalised text is a USCC with the right check character."""
    return _USCC.fullmatch(code) is not None and credit_code_check(code) == code[17]


def parse_credit_code(text: str) -> str:
    """Normalise and check a USCC; raises IdentifierError."""
    code = normalise(text)
    if not _USCC.fullmatch(code):
        raise IdentifierError("credit_code.form")
    if credit_code_check(code) != code[17]:
        raise IdentifierError("credit_code.check_digit")
    return code


def is_issuer_code(code: str) -> bool:
    """Whether ``code`` can stand for the issuer in an identifier: a USCC or a 6-digit region."""
    return _REGION.fullmatch(code) is not None or is_credit_code(code)


@lru_cache(maxsize=4_096)
def _begun(type_code: str, issuer: str) -> int:
    """The check's state behind these two, of which there are few; raises IdentifierError."""
    if not _TYPE.fullmatch(type_code) or not is_credit_code(type_code[:18]):
        raise IdentifierError("identifier.type")
    if not is_issuer_code(issuer):
        raise IdentifierError("identifier.issuer")
    state = 18
    for char in type_code + issuer:
        state = _STEP_36[state][char]
    return state


SERIAL_BYTES = 13


def drawn_serial(random_bytes: bytes) -> str:
    """A serial that tells nothing: 20 symbols, of `SERIAL_BYTES` random bytes."""
    return base64.b32encode(random_bytes).decode("ascii")[:20]


def issuer_in(certificate_id: str) -> str | None:
    """The department that a certificate's identifier names; None for what is none."""
    parts = certificate_id.split(".")
    return parts[6] if len(parts) == 10 else None


@dataclass(frozen=True, slots=True)
class CertificateIdentifier:
    """A GB/T 36904 identifier, valid by construction; its text carries the check character."""

    type_code: str
    issuer: str
    serial: str
    version: str

    def __post_init__(self) -> None:
        _begun(self.type_code, self.issuer)
        if not _SERIAL.fullmatch(self.serial):
            raise IdentifierError("identifier.serial")
        if not _VERSION.fullmatch(self.version):
            raise IdentifierError("identifier.version")

    @property
    def check(self) -> str:
        state = _begun(self.type_code, self.issuer)
        for char in self.serial + self.version:
            state = _STEP_36[state][char]
        return _CHECK_36[state]

    def __str__(self) -> str:
        parts = (ROOT, self.type_code, self.issuer, self.serial, self.version, self.check)
        return ".".join(parts)

    @classmethod
    def parse(cls, text: str) -> CertificateIdentifier:
        """Read an identifier as a person may type it; raises IdentifierError."""
        if len(text) > MAX_IDENTIFIER:
            raise IdentifierError("identifier.form")
        parts = "".join(nfkc(text).split()).upper().split(".")
        if len(parts) != 10 or ".".join(parts[:5]) != ROOT:
            raise IdentifierError("identifier.form")
        identifier = cls(*parts[5:9])
        if identifier.check != parts[9]:
            raise IdentifierError("identifier.check_character")
        return identifier
