"""The check of evidence as one file that needs no server: ``/check/offline.html``.

The very modules of the public check, with their words, styles and the trust file in it. A module
cannot import its neighbour by a relative name without an address, so each becomes a ``data:`` URL
under a name of an import map. The file's own policy lets it load nothing and send nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from api.pages.i18n import scripts_of

_STATIC = Path(__file__).parent.resolve() / "static"
_STYLES = ("base", "check", "check-later")
_ENTRY = "check/later/offline"
#: The name that a static import ends with.
_IMPORTED = re.compile(r'^((?:import|export)\b[^;"(]*)"(\.[^"]+)"', re.MULTILINE)


def offline_page(language: str, kept: Mapping[str, Any], trust: Mapping[str, Any]) -> str:
    """The file. ``kept`` is what the scripts would otherwise ask the server for, by address."""
    imports, entry, styles = _import_map(), f'import "{_ENTRY}.js";', _styles()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src data: {_hash(imports)} {_hash(entry)}",
            f"style-src {_hash(styles)}",
            "form-action 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        )
    )
    icons = (_STATIC / "icons.svg").read_text("utf-8")
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="{language}" data-page="check" data-theme="auto" data-text="normal">',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><title>certledger</title>',
            f"<style>{styles}</style>",
            *(_data(name, value) for name, value in {**kept, "trust": trust}.items()),
            f'<script type="importmap">{imports}</script>',
            f'<script type="module">{entry}</script>',
            f'</head><body><div id="icons" hidden>{icons}</div>',
            '<main id="main" tabindex="-1"></main></body></html>',
            "",
        )
    )


@lru_cache(maxsize=1)
def _import_map() -> str:
    addresses = {}
    for path in sorted(scripts_of(_ENTRY)):
        name = path.removeprefix("static/js/")
        source = (_STATIC / "js" / name).read_text("utf-8")
        encoded = base64.b64encode(_named(source, name).encode()).decode()
        addresses[name] = f"data:text/javascript;base64,{encoded}"
    return json.dumps({"imports": addresses})


def _named(source: str, module: str) -> str:
    """The module with its neighbours imported by their names in the map."""
    folder = posixpath.dirname(module)

    def name(found: re.Match[str]) -> str:
        return f'{found[1]}"{posixpath.normpath(posixpath.join(folder, found[2]))}"'

    # Icons are those in the file itself.
    return _IMPORTED.sub(name, source).replace("/assets/icons.svg#", "#")


@lru_cache(maxsize=1)
def _styles() -> str:
    return "\n".join((_STATIC / "css" / f"{name}.css").read_text("utf-8") for name in _STYLES)


def _data(name: str, value: Any) -> str:
    # Nothing in it can end the element.
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name.replace("&", "&amp;")}">{text}</script>'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
