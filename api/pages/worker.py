"""The wallet's service worker: ``worker.js`` with the list of what it keeps and a digest of that.

A browser installs a worker anew when a byte of it differs, so the digest covers everything that the
shell is made of: a new version of the software, or of the names in it, replaces the old one whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from api.pages.i18n import LANGUAGES, scripts_of

PATH = "/wallet-worker.js"
_HERE = Path(__file__).parent.resolve()
SOURCE = _HERE / "worker.js"
_STYLES = ("base", "wallet", "wallet-later")
_TEMPLATES = ("base.html", "wallet.html")


def worker_script(spoken: Mapping[str, Any]) -> str:
    """The script. ``spoken`` are the answers of messages and names by their address."""
    digest = hashlib.sha256(_digest_of_files())
    digest.update(json.dumps(spoken, sort_keys=True).encode())
    shell = {
        "VERSION": digest.hexdigest()[:32],
        "LANGUAGES": LANGUAGES,
        "PARTS": [*_files(), *spoken],
    }
    source = SOURCE.read_text("utf-8")
    return f"const SHELL = {json.dumps(shell)};\n{source}"


def _files() -> list[str]:
    scripts = [path.removeprefix("static/") for path in scripts_of("wallet", later=True)]
    styles = [f"css/{name}.css" for name in _STYLES]
    return [f"/assets/{path}" for path in sorted([*scripts, *styles, "icons.svg", "seal.svg"])]


@lru_cache(maxsize=1)
def _digest_of_files() -> bytes:
    digest = hashlib.sha256()
    for path in _files():
        digest.update((_HERE / "static" / path.removeprefix("/assets/")).read_bytes())
    for name in _TEMPLATES:
        digest.update((_HERE / "templates" / name).read_bytes())
    digest.update(SOURCE.read_bytes())
    return digest.digest()
