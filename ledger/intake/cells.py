"""What the text of a cell says, once the marks of the programs that it went through are off.

Spreadsheets and databases leave marks in exports: ``="0123"`` and ``'0123`` keep a number as text,
``1.05581E+17`` is what is left of one, ``#REF!`` and ``NULL`` stand for nothing. Marks that are
certain are taken off, lost characters whose place in GB 18030 is known are brought back; all else
gives a `Doubt`, and the row is refused.

Not this module's job: what a field's format makes of the text (`ledger.intake.readers`).
"""

from __future__ import annotations

import re

from ledger.export.rows import CHARACTERS_LOST, DIGITS_LOST, ERROR, NOT_CALCULATED, Doubt
from ledger.statement.texts import nfkc

# Zero-width characters at the ends come with cells copied from web pages.
STRAY = " \t\r\n\u3000\xa0\u200b\ufeff"

_HAN = "\u4e00-\u5c6e\u5c70-\u70ea\u70ec-\u951e\u9520-\u9fa5"  # without those of 屯, 烫, 锟
#: Most cells are Chinese words or figures, and no mark is: it saves them all that follows. Words
#: are plain text (`ledger.catalogue.is_plain_text`) too.
WORDS = re.compile(f"[{_HAN}][{_HAN}0-9A-Za-z.\\-/（）()、，。·]*")
# Days and periods too, as they are mostly written.
_FIGURES = re.compile(r"[0-9.\-/][0-9.\-/年月日至长期]*")
_MARKS = frozenset("='’‘`＇＝#＃\"")
_KEPT_AS_TEXT = re.compile(r'="((?:[^"]|"")*)"')
# A program quoted it twice. Around words, marks may be part of a name.
_QUOTED = re.compile(r'"([0-9A-Za-z.-]*[0-9][0-9A-Za-z.-]*)"')
_FORMULA = re.compile(r"[=＝]")
# An apostrophe before a number, or before Chinese, is a spreadsheet's; before a name, who knows.
_APOSTROPHE = re.compile(
    r"['’‘`＇]((?=[^'’‘`＇]*[0-9])[0-9A-Za-z０-９][^'’‘`＇]*|[^\x00-\x7f'’‘`＇][^'’‘`＇]*)"
)
_ERROR = re.compile(r"#(?:[^\s#]{1,24}[!?]|N/?A|NV|#*|GETTING_DATA|ERR(?:OR)?:?\w*)", re.IGNORECASE)
_ERROR_NUMBER = re.compile(r"(?:Err|错误)[:：]\s?[0-9]{3}", re.IGNORECASE)
_NOTHING = frozenset({
    "null", "(null)", "[null]", "<null>", "nil", "none", "nan", "-nan", "nat", "<na>", "n/a", "na",
    "undefined", "\\n", "inf", "-inf", "infinity", "[object object]",
})  # fmt: skip
_LONGEST_NOTHING = max(map(len, _NOTHING))
# Codes have an E among their digits too, hence so much. What is shown is ×10^17 on paper.
_SCIENTIFIC = re.compile(
    r"[+-]?(?:(?:[0-9]+[.,][0-9]*|[.,][0-9]+)\s?E\s?[+-]?[0-9]{1,3}"
    r"|[0-9]+\s?E\s?\+[0-9]{1,3}|[0-9]{1,3}E-[0-9]{1,3}|[0-9]E[0-9]{2,3}"
    r"|[0-9.,]+\s?[×x*]\s?10\^[+-]?[0-9]{1,3})",
    re.IGNORECASE | re.ASCII,
)
_LINE_END = re.compile(r"(?:_x000[dDaA]_)+")
_ESCAPE = re.compile(r"_x[0-9A-Fa-f]{4}_")
# Characters as HTML, JSON and URLs write them.
_ESCAPED = re.compile(
    r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});|\\u[0-9a-f]{4}|(?:%[0-9a-f]{2}){2}",
    re.IGNORECASE,
)
# Private use, U+FFFD, and what people and conversions put for a character that they do not have:
# □, 〓, what it is made of (⿰), or, by the wrong table, its bytes one by one (ÕÔ°²).
_LOST = (
    "[¿□〓\u2ff0-\u2fff\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]|锟斤拷|烫烫烫|屯屯屯|？？"
    "|[\x80-\xff]{4}"
)
_DOUBTFUL = re.compile(rf"[?*]|{_LOST}")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_REPLACED = re.compile(
    rf"{_LOST}"
    r"|\?\?|^\?$|(?<=[^\x00-\x7f])\?|\?(?=[^\x00-\x7f])"
    r"|\*\*|^\*$|(?<=[^\x00-\x7f])\*|\*(?=[^\x00-\x7f])"
)


def said(text: str) -> str | Doubt:
    """The cell's text, trimmed; empty for a blank one."""
    text = text.strip(STRAY)
    if not text or WORDS.fullmatch(text) or _FIGURES.fullmatch(text):
        return text
    if text[0] in _MARKS:
        unmarked = _without_marks(text)
        if isinstance(unmarked, Doubt) or not unmarked:
            return unmarked
        text = unmarked
    if len(text) <= _LONGEST_NOTHING and text.casefold() in _NOTHING:
        return ERROR
    if text[0] in "0123456789+-.," or "０" <= text[0] <= "９":
        if _SCIENTIFIC.fullmatch(nfkc(text)):
            return DIGITS_LOST
    elif text[0] in "eE错" and _ERROR_NUMBER.fullmatch(text):
        return ERROR
    if "_x" in text:
        text = _LINE_END.sub("\n", text)
        if _ESCAPE.search(text):
            return CHARACTERS_LOST
    if ("&" in text or "\\" in text or "%" in text) and _ESCAPED.search(text):
        return CHARACTERS_LOST
    if _DOUBTFUL.search(text):
        text = _PRIVATE.sub(lambda match: _STANDARD.get(match[0], match[0]), text)
        if _REPLACED.search(text):
            return CHARACTERS_LOST
    return text


def _without_marks(text: str) -> str | Doubt:
    if match := _KEPT_AS_TEXT.fullmatch(text):
        return match[1].replace('""', '"').strip(STRAY)
    if _FORMULA.match(text):
        return NOT_CALCULATED
    if text[0] == '"':
        return match[1] if (match := _QUOTED.fullmatch(text)) else text
    if text[0] in "#＃":
        return ERROR if _ERROR.fullmatch(nfkc(text)) else text
    if match := _APOSTROPHE.fullmatch(text):
        return match[1].strip(STRAY)
    return ERROR


def _standard_characters() -> dict[str, str]:
    """Private-use characters that stood for characters of GBK and GB 18030-2000 which Unicode did
    not have yet, and what they are since GB 18030-2022 (its annex; WHATWG's index of the same).

    Each stood for a two-byte code; most codes Python's codec maps to today's character.
    """
    found: dict[str, str] = {}
    for lead, trails, first in (
        (0xFE, [*range(0x50, 0x7F), *range(0x80, 0xA1)], 0xE815),
        (0xA9, [*range(0x89, 0x96)], 0xE7E7),
        (0xA8, [0xBF], 0xE7C8),
    ):
        for offset, trail in enumerate(trails):
            now = bytes((lead, trail)).decode("gb18030")
            if not _PRIVATE.match(now):
                found[chr(first + offset)] = now
    later = {
        0xE7C7: 0x1E3F, 0xE78D: 0xFE10, 0xE78E: 0xFE12, 0xE78F: 0xFE11, 0xE790: 0xFE13,
        0xE791: 0xFE14, 0xE792: 0xFE15, 0xE793: 0xFE16, 0xE794: 0xFE17, 0xE795: 0xFE18,
        0xE796: 0xFE19, 0xE816: 0x20087, 0xE817: 0x20089, 0xE818: 0x200CC, 0xE81E: 0x9FB4,
        0xE826: 0x9FB5, 0xE82B: 0x9FB6, 0xE82C: 0x9FB7, 0xE831: 0x215D7, 0xE832: 0x9FB8,
        0xE83B: 0x2298F, 0xE843: 0x9FB9, 0xE854: 0x9FBA, 0xE855: 0x241FE, 0xE864: 0x9FBB,
    }  # fmt: skip
    return found | {chr(old): chr(now) for old, now in later.items()}


_STANDARD = _standard_characters()
