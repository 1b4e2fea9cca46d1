"""Reading a signed payload strictly: what was signed is exactly what is understood.

A member that one reader skips and another obeys would make two readings of one signature, so
unknown members, wrong types and text that a screen would not show as it is are refused. Each kind
of payload has its own error class, whose codes are ``<kind>.<rule>``:
``malformed``, ``version``, ``member_unknown``, ``member_missing``, ``text``, ``empty``,
``too_many``, ``duplicate``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import ClassVar, Final, Self

from ledger.statements import StatementError
from ledger.texts import is_text

MAX_FIELDS: Final = 64
MAX_TEXT: Final = 200
# 9999-12-31T23:59:59Z: beyond it neither a date picker nor `datetime` can show the time.
MAX_UNIX_SECONDS: Final = 253_402_300_799

FIELD_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class PayloadError(StatementError, ValueError):
    """A signed payload breaks its format. `code` is stable, `field` is a dotted path."""

    kind: ClassVar[str] = "payload"

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code, f"{code}: {field}")
        self.field = field

    @classmethod
    def of(cls, rule: str, field: str) -> Self:
        return cls(f"{cls.kind}.{rule}", field)


class Members:
    """One JSON object read member by member: types here, values where the object is built."""

    __slots__ = ("_error", "_path", "_value")

    def __init__(
        self,
        value: object,
        error: type[PayloadError],
        *,
        required: Collection[str],
        optional: Collection[str] = (),
        path: str = "",
    ) -> None:
        if not isinstance(value, dict):
            raise error.of("malformed", path or "payload")
        self._value: dict[str, object] = value
        self._error = error
        self._path = path
        for name in required:
            if name not in value:
                raise error.of("member_missing", self._at(name))
        if len(value) > len(required):
            for name in value:
                if name not in required and name not in optional:
                    # The name is the sender's; echoing it whole would let it into logs.
                    raise error.of("member_unknown", self._at(ascii(name)[1:33]))

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        value = self._value[name]
        if not isinstance(value, str):
            raise self._error.of("malformed", self._at(name))
        return value

    def items(self, name: str, limit: int) -> list[object]:
        value = self._value[name]
        if not isinstance(value, list):
            raise self._error.of("malformed", self._at(name))
        # Before anything walks it: the bound is what keeps a hostile list cheap.
        check_length(value, self._at(name), limit, self._error)
        return value

    def texts(self, name: str, limit: int) -> tuple[str, ...]:
        texts: list[str] = []
        for item in self.items(name, limit):
            if not isinstance(item, str):
                raise self._error.of("malformed", self._at(name))
            texts.append(item)
        return tuple(texts)

    def fields(self, name: str) -> tuple[str, ...]:
        fields = self.texts(name, MAX_FIELDS)
        check_fields(fields, self._at(name), self._error)
        return fields

    def member(
        self, name: str, *, required: Collection[str], optional: Collection[str] = ()
    ) -> Members:
        return Members(
            self._value[name],
            self._error,
            required=required,
            optional=optional,
            path=self._at(name),
        )


def check_text(value: str, at: str, limit: int, error: type[PayloadError]) -> None:
    """Refuse text that a person would not see as it is: the holder signs what the screen shows."""
    if len(value) > limit or not is_text(value):
        raise error.of("text", at)


def check_pattern(value: str, at: str, pattern: re.Pattern[str], error: type[PayloadError]) -> None:
    if not pattern.fullmatch(value):
        raise error.of("malformed", at)


def check_length(
    values: Collection[object], at: str, limit: int, error: type[PayloadError]
) -> None:
    if not values:
        raise error.of("empty", at)
    if len(values) > limit:
        raise error.of("too_many", at)


def check_fields(values: tuple[str, ...], at: str, error: type[PayloadError]) -> None:
    """Field names: 1..64, snake case, each once."""
    check_length(values, at, MAX_FIELDS, error)
    if rule := _rule_broken(values):
        raise error.of(rule, at)


@lru_cache(maxsize=128)  # the same few lists come again and again
def _rule_broken(values: tuple[str, ...]) -> str | None:
    if not all(map(FIELD_PATTERN.fullmatch, values)):
        return "malformed"
    return "duplicate" if len(set(values)) != len(values) else None
