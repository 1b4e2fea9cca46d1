"""Reading a signed payload strictly: what was signed is exactly what is understood.

A member that one reader skips and another obeys would make two readings of one signature, so
unknown members, wrong types and text that a screen would not show as it is are refused. Each kind
of payload has its own error class, whose codes are ``<kind>.<rule>``:
``malformed``, ``version``, ``member_unknown``, ``member_missing``, ``text``, ``empty``,
``too_many``, ``duplicate``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Final, Self, TypeVar

from ledger.statements import VERSION, StatementError
from ledger.texts import is_text

MAX_FIELDS: Final = 64
MAX_NAME: Final = 64
MAX_TEXT: Final = 200
# 9999-12-31T23:59:59Z: beyond it neither a date picker nor `datetime` can show the time.
MAX_UNIX_SECONDS: Final = 253_402_300_799

FIELD_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
#: How institutions, sites, terminals and the like are named.
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)

Choice = TypeVar("Choice", bound=StrEnum)


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

    def optional_text(self, name: str) -> str | None:
        # An explicit null is not the same as absence: it would not survive the round trip.
        return self.text(name) if name in self._value else None

    def name(self, name: str) -> str:
        """An identifier such as institutions, sites and terminals have."""
        value = self.text(name)
        check_pattern(value, self._at(name), NAME_PATTERN, self._error)
        return value

    def names(self, name: str, limit: int) -> tuple[str, ...]:
        """Different identifiers; the list may be empty."""
        value = self._value[name]
        if value == []:
            return ()
        names = self.texts(name, limit)
        for one in names:
            check_pattern(one, self._at(name), NAME_PATTERN, self._error)
        if len(set(names)) != len(names):
            raise self._error.of("duplicate", self._at(name))
        return names

    def shown(self, name: str, limit: int = MAX_TEXT) -> str:
        """Text for people to read."""
        value = self.text(name)
        check_text(value, self._at(name), limit, self._error)
        return value

    def one_of(self, name: str, kind: type[Choice]) -> Choice:
        try:
            return kind(self.text(name))
        except ValueError:
            raise self._error.of("malformed", self._at(name)) from None

    def seconds(self, name: str) -> int:
        """Unix seconds from 0 on."""
        value = self.integer(name)
        if not 0 <= value <= MAX_UNIX_SECONDS:
            raise self._error.of("malformed", self._at(name))
        return value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def integer(self, name: str) -> int:
        value = self._value[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._error.of("malformed", self._at(name))
        return value

    def seconds_as_ms(self, name: str) -> int:
        value = self.integer(name)
        if not 0 < value <= MAX_UNIX_SECONDS:
            raise self._error.of("malformed", self._at(name))
        return value * 1000

    def version(self) -> None:
        if self.integer("v") != VERSION:
            raise self._error.of("version", "v")

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

    def members(self, name: str, limit: int, *, required: Collection[str]) -> list[Members]:
        return [
            Members(item, self._error, required=required, path=self._at(name))
            for item in self.items(name, limit)
        ]


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
