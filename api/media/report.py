"""From a bundle's file to its report in PDF: what the command and the route share.

Not its job: verifying (`audit.evidence.verification`), what the report says
(`audit.report.composition`), how it looks (`api.media.report_pdf`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from api.media.report_pdf import draw
from audit.evidence.bundle import Bundle, Trust, load_json, read_bundle
from audit.evidence.verification import verify_bundle
from audit.report.composition import report_of
from audit.report.content import Names, ReportContent
from authz.service_item.model import load_service_items
from ledger.catalogue import load_catalogue

#: Where everybody may check a file, below the service's address. The digest stands in the fragment,
#: which no browser sends: the page tells whether a file is the one that was reported on.
CHECK_URL = "{base}/check#bundle={digest}"


@dataclass(frozen=True, slots=True)
class Read:
    """A bundle's file. ``digest`` is the SHA-256 of its bytes, hex."""

    bundle: Bundle
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Drawn:
    pdf: bytes
    verdict: str


def read(content: bytes) -> Read:
    """Raises BundleError."""
    bundle = read_bundle(load_json(content))
    return Read(bundle, hashlib.sha256(content).hexdigest(), len(content))


def report_pdf(
    file: Read,
    trust: Trust,
    names: Names,
    *,
    language: str,
    made_ms: int,
    base_url: str,
    font: Path | None,
    draw: Callable[[ReportContent, Path | None], bytes] = draw,
) -> Drawn:
    """Verified, told and drawn; raises FontError and what ``draw`` raises."""
    report = verify_bundle(file.bundle, trust)
    content = report_of(
        file.bundle,
        report,
        trust,
        language=language,
        digest=file.digest,
        size=file.size,
        made_ms=made_ms,
        check_url=CHECK_URL.format(base=base_url.rstrip("/"), digest=file.digest),
        names=names,
    )
    return Drawn(draw(content, font), report.verdict)


def names_of(
    language: str,
    institutions: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
) -> Names:
    """The catalogue's names of types, fields and items, with what a service knows besides."""
    return replace(_catalogue_names(language), institutions=institutions or {}, sites=sites or {})


@cache
def _catalogue_names(language: str) -> Names:
    english = language == "en"
    types, fields = {}, {}
    for kind in load_catalogue().types:
        types[kind.type_code] = kind.names.en if english else kind.names.zh
        labels = {item.name: item.label for item in kind.fields}
        labels |= {item.name: item.label for item in kind.derived}
        fields[kind.type_code] = {
            name: label.en if english else label.zh for name, label in labels.items()
        }
    items = {
        code: item.name_en if english else item.name_zh
        for code, item in load_service_items().items()
    }
    return Names(items=items, types=types, fields=fields)
