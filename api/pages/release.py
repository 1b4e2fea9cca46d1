"""The software of the pages: what a service answers under which path, the same for everybody.

All that a browser runs or shows as ours is in it: scripts, styles, pictures, the words, and the
pages' HTML as whoever asks for no language and has no cookie gets it. Of the wallet's worker it is
what follows the first line: that line lists what the worker keeps, with a digest in which
the names of institutions are.

Not in it: names of institutions and sites, which are data; the offline page, which is made of
scripts that are; headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import orjson

from api.pages.i18n import LANGUAGES
from api.pages.routes import HERE, PAGES, shells, without_comments, words_of
from api.pages.worker import PATH as WORKER
from api.pages.worker import SOURCE
from ledger.proof.encoding import b64url, sha256
from ledger.record.releases import digest_of


@dataclass(frozen=True, slots=True)
class Software:
    """``assets``: base64url of SHA-256 by path, in the order of the paths."""

    version: str
    assets: Mapping[str, str]

    @property
    def digest(self) -> str:
        return digest_of(self.version, list(self.assets.items()))

    def members(self) -> dict[str, Any]:
        """Of `ledger.statement.kinds.Release`."""
        listed = [{"path": path, "sha256": digest} for path, digest in self.assets.items()]
        return {"version": self.version, "assets": listed}


@lru_cache(maxsize=2)
def software(*, sample: bool) -> Software:
    """What is installed here; reads all of its files once. ``sample``: as a sample city shows it.
    A file that changes later is served changed, and is not as it says here."""
    bodies = {**_files(), **_pages(sample), WORKER: SOURCE.read_bytes()}
    return Software(
        version("certledger"),
        {path: b64url(sha256(bodies[path])) for path in sorted(bodies)},
    )


def _files() -> dict[str, bytes]:
    static = HERE / "static"
    return {
        f"/assets/{file.relative_to(static).as_posix()}": (
            without_comments(file.read_text("utf-8")).encode()
            if file.suffix == ".js"
            else file.read_bytes()
        )
        for file in static.rglob("*")
        if file.is_file()
    }


def _pages(sample: bool) -> dict[str, bytes]:
    pages = shells()
    found: dict[str, bytes] = {}
    for page in PAGES:
        found[page.path] = pages.html(page, LANGUAGES[0], sample=sample).encode()
        for language in LANGUAGES:
            for later in (False, True):
                path = f"/assets/messages/{page.name}.json?lang={language}"
                said = words_of(pages.translations, page.name, language, later=later)
                found[path + ("&later=true" if later else "")] = said
    return found


_KEPT: Final = re.compile(rb"const SHELL = ([^\n]*);\n")


def as_recorded(path: str, body: bytes) -> bytes | None:
    """What of an answer a release's digest is of; None where it begins with what no release
    does."""
    if path != WORKER:
        return body
    first = _KEPT.match(body)
    if first is None:
        return None
    try:
        orjson.loads(first[1])
    except orjson.JSONDecodeError:
        return None
    return body[first.end() :]
