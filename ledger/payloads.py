"""Reading members out of a signed payload, with one way to say what is wrong with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from ledger.statements import StatementError

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def malformed(member: str, expected: str) -> StatementError:
    return StatementError("statement.member", f"{member} must be {expected}")


def expect_members(payload: Mapping[str, Any], required: set[str], optional: set[str]) -> None:
    """Refuse missing and unknown members: what was signed is what is understood."""
    present = set(payload)
    if missing := required - present:
        raise StatementError("statement.member", f"missing: {', '.join(sorted(missing))}")
    if unknown := present - required - optional:
        shown = ", ".join(sorted(name[:40] for name in unknown)[:5])
        raise StatementError("statement.member", f"unknown: {shown!a}")
    if "v" in required and payload["v"] != 1:
        raise StatementError("statement.version", "v must be 1")


def identifier(payload: Mapping[str, Any], member: str) -> str:
    """A short ASCII identifier."""
    value = payload.get(member)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise malformed(member, "an identifier of letters, digits and . _ : -")
    return value


def optional_identifier(payload: Mapping[str, Any], member: str) -> str | None:
    return identifier(payload, member) if member in payload else None


def text(payload: Mapping[str, Any], member: str, *, longest: int = 200) -> str:
    """A printable text: not blank, NFC, no control, format or surrogate characters."""
    value = payload.get(member)
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > longest
        or not unicodedata.is_normalized("NFC", value)
        or any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in value)
    ):
        raise malformed(member, f"a printable text of at most {longest} characters")
    return value


def seconds(payload: Mapping[str, Any], member: str) -> int:
    value = payload.get(member)
    if type(value) is not int or not 0 <= value <= 253_402_300_799:
        raise malformed(member, "a whole number of Unix seconds")
    return value


def one_of(payload: Mapping[str, Any], member: str, allowed: Collection[str]) -> str:
    value = payload.get(member)
    if not isinstance(value, str) or value not in allowed:
        raise malformed(member, "one of " + ", ".join(sorted(allowed)))
    return value


def identifiers(payload: Mapping[str, Any], member: str, *, most: int = 100) -> list[str]:
    """A list of different identifiers."""
    value = payload.get(member)
    if not isinstance(value, list) or len(value) > most or len(set(map(str, value))) != len(value):
        raise malformed(member, f"a list of at most {most} different identifiers")
    return [identifier({member: item}, member) for item in value]
