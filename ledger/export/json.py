"""Reads JSON lines, and one JSON array of objects. Work and memory grow with the file's length,
and with an element's, no faster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, NoReturn

from ledger.export.header import HEADER_SEARCH
from ledger.export.rows import (
    DIGITS_LOST,
    Cell,
    Doubt,
    ExportError,
    LeftOut,
    Record,
    Wanted,
)
from ledger.export.text import MAX_LINE, UNDECODABLE, TextLines
from ledger.statement.texts import normalise_column

_MAX_KEYS, _MAX_KEY = 1024, 200
_EXACT = 2**53


class JsonTable:
    """An opened export of JSON objects; keys stand for columns."""

    def __init__(self, lines: TextLines, wanted: Wanted, *, array: bool) -> None:
        self._wanted = wanted
        self.names = tuple(wanted.labels)
        self._places = {name: place for place, name in enumerate(self.names)}
        self._known: dict[str, int | None] = {}
        self._seen: set[str] = set()
        self._objects = 0
        elements = _array(lines) if array else _lines(lines)
        # Like a header, the first objects show whether the file can be the type's.
        self._head = list(islice(map(self._record, elements), HEADER_SEARCH))
        self._elements = elements
        missing = wanted.missing(self._seen)
        if self._objects and (len(self._seen) < 2 or (missing and self._objects == HEADER_SEARCH)):
            raise ExportError(
                "export.header_unknown",
                f"none of the first objects has a key for {missing} of {wanted.code}",
            )

    def left_out(self) -> list[LeftOut]:
        return [LeftOut.named("column", key) for key, place in self._known.items() if place is None]

    def __iter__(self) -> Iterator[Record]:
        yield from self._head
        yield from map(self._record, self._elements)

    def _record(self, element: tuple[int, Any]) -> Record:
        line, value = element
        if isinstance(value, _Fault):
            return line, str(value)
        if not isinstance(value, dict):
            return line, "not a JSON object"
        self._objects += 1
        cells: list[Cell | None] = [None] * len(self.names)
        taken: set[int] = set()
        for key, cell in value.items():
            try:
                place = self._known[key]
            except KeyError:
                name = self._wanted.columns.get(normalise_column(key))
                place = None if name is None else self._places[name]
                if len(self._known) < _MAX_KEYS:
                    self._known[key if place is not None else key[:_MAX_KEY]] = place
                if name is not None:
                    self._seen.add(name)
            if place is None:
                continue
            if place in taken:
                return line, "two keys mean the same field"
            taken.add(place)
            if cell is not None and type(cell) not in (str, bool, Doubt):
                return line, f"{self.names[place]} holds a list or an object"
            cells[place] = cell
        return line, cells


class _Fault(str):
    """Why an element cannot be read."""


def _lines(lines: TextLines) -> Iterator[tuple[int, Any]]:
    for number, text in lines:
        if text is None:
            yield number, _Fault(UNDECODABLE)
            continue
        text = text.strip()
        if not text:
            continue
        try:
            yield number, _JSON.decode(text)
        except (ValueError, RecursionError) as error:
            yield number, _Fault(_fault(error))


def _array(lines: TextLines) -> Iterator[tuple[int, Any]]:
    """Elements of one JSON array, decoded one at a time from a sliding buffer."""
    pieces = iter(lines)
    buffer, at, line = "", 0, 1

    def broken(detail: str) -> NoReturn:
        raise ExportError("export.unreadable", f"the JSON array is broken at line {line}: {detail}")

    def more() -> bool:
        """Twice as much as there is: an element is decoded anew a few times, however long."""
        nonlocal buffer, at
        rest = len(buffer) - at
        if rest > MAX_LINE:
            broken("an element is far too long")
        taken, size = [buffer[at:]], 0
        for number, text in pieces:
            if text is None:
                broken(f"line {number} is not text in the file's encoding")
            taken.append(text + "\n")
            size += len(text) + 1
            if size >= max(rest, 4096):
                break
        buffer, at = "".join(taken), 0
        return size > 0

    def skip_blank() -> str:
        nonlocal at, line
        while True:
            while at < len(buffer) and buffer[at] in " \t\r\n":
                line += buffer[at] == "\n"
                at += 1
            if at < len(buffer):
                return buffer[at]
            if not more():
                return ""

    skip_blank()
    at += 1  # the opening bracket, which chose this reader
    first = True
    while (char := skip_blank()) != "]":
        if not char:
            broken("it ends before its closing bracket")
        if not first:
            if char != ",":
                broken("a comma is missing")
            at += 1
            skip_blank()
        first = False
        while True:
            try:
                value, end = _JSON.raw_decode(buffer, at)
                break
            except json.JSONDecodeError as error:
                if not more():
                    broken(_fault(error))
            except (ValueError, RecursionError) as error:
                broken(_fault(error))
        yield line, value
        line += buffer.count("\n", at, end)
        at = end
    at += 1
    if skip_blank():
        broken("something follows its closing bracket")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _integer(text: str) -> str | Doubt:
    """As written, unless a program that keeps numbers as doubles may have rounded it: such ones
    write the shortest digits that mean the same double, and zeros after them."""
    if len(text) < 16 or len(text) > 40 or abs(number := int(text)) <= _EXACT:
        return text
    return DIGITS_LOST if int(Decimal(repr(float(text)))) == number else text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _fraction(text: str) -> str | Doubt:
    """As written, unless with an exponent: which digits it had, or whether it was none, is lost."""
    return DIGITS_LOST if "e" in text.lower() else text


# Numbers stay as written: 18 digits do not fit a float, and leading forms matter for nobody else.
_JSON = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_fraction, parse_constant=_no_constant
)


def _fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
