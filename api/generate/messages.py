"""Keeps the gettext catalogues in step with the pages: ``python -m api.generate.messages``.

Finds every message in the templates and scripts, and writes it into the catalogue of its page:
what stands in ``base.html`` or ``js/core`` is ``common``, the rest belongs to the page it is named
after. Translations stay; messages that are gone are dropped; the untranslated are listed. Names of
domains limit it to these; with ``--check`` nothing is written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from api.pages.i18n import COMMON, LANGUAGES, SOURCE_LANGUAGE
from api.pages.routes import without_comments

HERE = Path(__file__).parents[1] / "pages"
_KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "t": None, "tn": (1, 2)}
_OPTIONS = {
    ".html": ("jinja2.ext:babel_extract", {"trimmed": "true", "silent": "false"}),
    ".js": ("javascript", {"parse_template_string": "true"}),
}
#: A call in a script, read plainly: with its message, where that is one whole string.
_CALL = re.compile(r'(?<![\w.$])tn?\((?:\s*"((?:[^"\\]|\\.)*)"\s*[,)])?')
_DEFINES = "i18n.js"


def sources() -> Iterator[tuple[str, Path]]:
    """Every template and script, with the domain its messages belong to."""
    for path in sorted((HERE / "templates").glob("*.html")):
        yield COMMON if path.stem == "base" else path.stem, path
    scripts = HERE / "static" / "js"
    for path in sorted(scripts.rglob("*.js")):
        top = path.relative_to(scripts).parts[0]
        yield COMMON if top == "core" else top.removesuffix(".js"), path


def templates() -> dict[str, Catalog]:
    """The messages of each domain, untranslated. What is common is in no other domain."""
    found: dict[str, Catalog] = {}
    for domain, path in sources():
        catalogue = found.setdefault(domain, _catalogue(None))
        for line, text in messages_in(path):
            catalogue.add(text, locations=[(path.relative_to(HERE).as_posix(), line)])
    common = found[COMMON]
    for domain, catalogue in found.items():
        if domain != COMMON:
            for message in [*catalogue]:
                known = common.get(message.id) if message.id else None
                if known is None:
                    continue
                # By its places a page knows that its scripts say it.
                known.locations += message.locations
                catalogue.delete(message.id)
    return found


def messages_in(path: Path) -> list[tuple[int, str | tuple[str, ...]]]:
    """Line and text of each message of a template or script. Refuses a script that says one where
    it is not found (put together, say): it would stay English without a word."""
    method, options = _OPTIONS[path.suffix]
    read = extract_from_file(method, path, keywords=_KEYWORDS, options=options)
    found = [(line, text) for line, text, _, _ in read]
    if path.suffix == ".js" and path.name != _DEFINES:
        known = {text if isinstance(text, str) else text[0] for _, text in found}
        script = without_comments(path.read_text("utf-8"))
        for call in _CALL.finditer(script):
            if call[1] is None or call[1].replace('\\"', '"') not in known:
                line = script.count("\n", 0, call.start()) + 1
                raise SystemExit(f'{path.name}:{line}: say the message as one string: t("...")')
    return found


def _catalogue(language: str | None) -> Catalog:
    locale = language.replace("-", "_") if language else None
    return Catalog(locale=locale, project="certledger", charset="utf-8", fuzzy=False)


def path_of(domain: str, language: str) -> Path:
    return HERE / "locale" / language.replace("-", "_") / f"{domain}.po"


def updated(domain: str, template: Catalog, language: str) -> Catalog:
    """The catalogue as it should be: exactly the template's messages, translated where known."""
    path = path_of(domain, language)
    known = None
    if path.exists():
        with path.open("rb") as file:
            known = read_po(file, locale=language.replace("-", "_"))
    fresh = _catalogue(language)
    for message in template:
        if message.id:
            old = known.get(message.id) if known is not None else None
            string = old.string if old is not None and not old.fuzzy else None
            fresh.add(message.id, string, locations=sorted(message.locations))
    return fresh


def as_po(catalogue: Catalog) -> bytes:
    """Without dates and line numbers, which change for no reason."""
    out = BytesIO()
    for message in catalogue:
        message.locations = sorted({(place, 0) for place, _ in message.locations})
    write_po(out, catalogue, omit_header=True, sort_output=True, width=100, include_lineno=False)
    header = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    return header + out.getvalue()


def _strings(message: Message) -> tuple[str, ...]:
    string = message.string
    return (string,) if isinstance(string, str) else tuple(string or ())


def main() -> int:
    """0 when everything is translated and in step."""
    arguments = set(sys.argv[1:])
    write = "--check" not in arguments
    only = arguments - {"--check"}
    trouble = 0
    for language in LANGUAGES:
        if language == SOURCE_LANGUAGE:
            continue
        for domain, template in sorted(templates().items()):
            if only and domain not in only:
                continue
            catalogue = updated(domain, template, language)
            for message in catalogue:
                if message.id and not any(_strings(message)):
                    trouble += 1
                    print(f"{language} {domain}: not translated: {message.id!r}")
            text, path = as_po(catalogue), path_of(domain, language)
            if not path.exists() or path.read_bytes() != text:
                if write:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(text)
                else:
                    trouble += 1
                    print(f"{path.name} is not in step: python -m api.generate.messages")
    return 1 if trouble else 0


if __name__ == "__main__":
    raise SystemExit(main())
