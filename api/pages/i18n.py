"""Languages of the pages: gettext catalogues, read from their ``.po`` files at start.

A message's identifier is its English text. ``common`` has what several pages say, every page a
domain of its own. A page's scripts get the messages that stand in them (by the catalogue's source
references): first those of the scripts that its first view imports, later the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.pofile import read_po

#: BCP 47 tags of what the pages speak; the first is what a browser gets that asks for neither.
LANGUAGES = ("zh-CN", "en")
SOURCE_LANGUAGE = "en"
COMMON = "common"


@dataclass(frozen=True, slots=True)
class Translated:
    text: str
    scripts: frozenset[str]
    """Where scripts say it; paths as in the catalogue."""


class Translations:
    """All catalogues. A missing message is shown in English; a test keeps them complete."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], dict[str, Translated]] = {}
        folder = resources.files(__package__).joinpath("locale")
        for language in LANGUAGES:
            if language == SOURCE_LANGUAGE:
                continue
            for source in folder.joinpath(language.replace("-", "_")).iterdir():
                if source.name.endswith(".po"):
                    domain = source.name.removesuffix(".po")
                    with source.open("rb") as file:
                        self._loaded[domain, language] = _read(list(read_po(file)))

    def _of(self, domain: str, language: str) -> dict[str, Translated]:
        """The page's own messages before the common ones."""
        own, common = self._loaded.get((domain, language)), self._loaded.get((COMMON, language))
        return {**(common or {}), **(own or {})}

    def gettext(self, domain: str, language: str) -> Callable[[str], str]:
        """The page's own message, or the common one, or the English text itself."""
        messages = self._of(domain, language)
        return lambda text: messages[text].text if text in messages else text

    def for_scripts(self, domain: str, language: str, *, later: bool = False) -> dict[str, str]:
        """What the scripts of a page's first view say, or what only the others do, by `key_of`
        their messages."""
        first = scripts_of(domain)
        shown = scripts_of(domain, later=True) if later else first
        return {
            key_of(source): message.text
            for source, message in self._of(domain, language).items()
            if message.scripts & shown and not (later and message.scripts & first)
        }


def _read(messages: list[Message]) -> dict[str, Translated]:
    found: dict[str, Translated] = {}
    for message in messages:
        # A plural is found by its singular; Chinese has one form for both.
        source = message.id if isinstance(message.id, str) else message.id[0]
        shown = message.string
        if shown and not isinstance(shown, str):
            shown = shown[0]
        if source and shown and not message.fuzzy:
            scripts = frozenset(place for place, _ in message.locations if place.endswith(".js"))
            found[source] = Translated(str(shown), scripts)
    return found


@lru_cache(maxsize=4096)
def key_of(message: str) -> str:
    """What a page gets a message under: FNV-1a (32 bits, hexadecimal) over its characters. The
    English text itself is in the script already, and is most of what would be sent."""
    key = 0x811C9DC5
    for character in message:
        key = (key ^ ord(character)) * 0x01000193 & 0xFFFFFFFF
    return f"{key:x}"


_SCRIPTS = Path(__file__).parent.resolve() / "static" / "js"
#: An import, also one by name at run time, unless of a script that is put off.
_IMPORT = re.compile(
    r'^(?:import|export)\b[^;"(]*"(\.[^"]+)"|\bimport\("(\./(?![^"]*later/)[^"]+)"\)', re.MULTILINE
)


@lru_cache(maxsize=64)
def scripts_of(page: str, *, later: bool = False) -> frozenset[str]:
    """The scripts that a page's own one imports, by way of others too, but for those that it puts
    off (``later`` folders); ``later``: and all in the page's folder with what they import."""
    found: set[Path] = set()
    waiting = [_SCRIPTS / f"{page}.js", *((_SCRIPTS / page).rglob("*.js") if later else ())]
    while waiting:
        script = waiting.pop()
        if script not in found and script.is_file():
            found.add(script)
            names = [a or b for a, b in _IMPORT.findall(script.read_text("utf-8"))]
            waiting += [(script.parent / name).resolve() for name in names]
    return frozenset(f"static/js/{path.relative_to(_SCRIPTS).as_posix()}" for path in found)


def negotiate(accept_language: str) -> str:
    """The best of `LANGUAGES` for an Accept-Language header (RFC 9110, 12.5.4); any Chinese is
    Chinese. Whoever asks for neither gets English, and who asks for nothing the first."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:500].split(",")):
        tag, _, parameters = part.strip().partition(";")
        name, _, value = parameters.strip().partition("=")
        try:
            quality = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if tag and 0 < quality <= 1:
            wanted.append((-quality, place, tag.lower()))
    for _, _, tag in sorted(wanted):
        for language in LANGUAGES:
            if tag == "*" or tag.split("-")[0] == language.split("-")[0].lower():
                return language
    return SOURCE_LANGUAGE if wanted else LANGUAGES[0]
