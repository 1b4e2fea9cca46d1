"""What a report consists of, whoever draws it: plain texts in the order of reading.

Pure values without a thought of pages, fonts or PDF. `audit.report.composition` fills them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LANGUAGES = ("zh-CN", "en")


@dataclass(frozen=True, slots=True)
class Names:
    """What codes are called, in the report's language. Evidence holds codes only: what is not here
    stands as its code."""

    institutions: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    """By the type code that a certificate's identifier holds."""
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By type code, then by the field's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """``exact``: to be compared character by character, not read."""

    label: str
    lines: tuple[str, ...]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the timeline."""

    seq: int
    local: str
    utc: str
    what: str
    details: tuple[str, ...]
    who: str
    key: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check; ``outcome`` is the report's own word, ``result`` what people read."""

    number: int
    name: str
    outcome: str
    result: str
    words: str


@dataclass(frozen=True, slots=True)
class Timeline:
    title: str
    note: str
    heads: tuple[str, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Checks:
    title: str
    note: str
    heads: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and what to type, open or compare for it."""

    words: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """A whole report. Of a bundle that failed, ``said`` is empty, ``timeline`` is None and
    ``sections`` have nothing of the bundle. ``page`` has ``{page}`` and ``{pages}`` in it."""

    language: str
    title: str
    about: str
    made: str
    made_ms: int
    verdict: str
    verdict_word: str
    verdict_text: str
    gaps: tuple[str, ...]
    said: str
    sections: tuple[Section, ...]
    timeline: Timeline | None
    checks: Checks
    limits: Section
    proofs: tuple[Section, ...]
    steps: Steps
    check_url: str
    qr: str
    footer: str
    digest: str
    page: str
