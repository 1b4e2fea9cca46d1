"""Writes workbooks byte by byte, as no library would: what spreadsheets of all makers leave."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

#: A cell: the element's attributes and content, ``{r}`` where its reference stands; None: blank.
Cell = str | None

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def text(value: str) -> Cell:
    return f'<c r="{{r}}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def number(value: str, style: int = 0) -> Cell:
    return f'<c r="{{r}}" s="{style}"><v>{value}</v></c>'


def raw(kind: str, value: str) -> Cell:
    return f'<c r="{{r}}" t="{kind}"><v>{value}</v></c>'


def formula(value: str | None, kind: str = "str") -> Cell:
    said = "" if value is None else f"<v>{escape(value)}</v>"
    return f'<c r="{{r}}" t="{kind}"><f>A1&amp;""</f>{said}</c>'


@dataclass
class Sheet:
    rows: Sequence[Sequence[Cell]]
    name: str = "Sheet1"
    state: str = "visible"
    before: str = ""
    """What stands before the rows, such as ``<cols>``."""
    after: str = ""
    hidden_rows: frozenset[int] = frozenset()
    prefix: str = ""

    def xml(self) -> str:
        rows = []
        for line, cells in enumerate(self.rows, 1):
            told = "".join(
                cell.replace("{r}", f"{letters(column)}{line}")
                for column, cell in enumerate(cells)
                if cell is not None
            )
            hidden = ' hidden="1"' if line in self.hidden_rows else ""
            rows.append(f'<row r="{line}"{hidden}>{told}</row>')
        return (
            f'<worksheet xmlns="{MAIN}">{self.before}<sheetData>{"".join(rows)}</sheetData>'
            f"{self.after}</worksheet>"
        )


@dataclass
class Book:
    sheets: Sequence[Sheet]
    formats: Sequence[int | str] = (0,)
    """What a style's number means: a built-in format, or a format's code."""
    since_1904: bool = False
    strings: Sequence[str] = ()
    """Shared strings, as XML within ``si``."""
    styles: str = field(default="")

    def bytes(self) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("[Content_Types].xml", "<Types/>")
            for name, content in self._parts().items():
                archive.writestr(f"xl/{name}", content)
        return out.getvalue()

    def _parts(self) -> dict[str, str]:
        sheets = relations = ""
        parts: dict[str, str] = {}
        for place, sheet in enumerate(self.sheets, 1):
            sheets += (
                f'<sheet name="{escape(sheet.name)}" sheetId="{place}" state="{sheet.state}" '
                f'r:id="s{place}"/>'
            )
            relations += _relation(f"s{place}", "worksheet", f"worksheets/sheet{place}.xml")
            parts[f"worksheets/sheet{place}.xml"] = sheet.xml()
        codes = forms = ""
        for place, form in enumerate(self.formats):
            known = form if isinstance(form, int) else 164 + place
            if isinstance(form, str):
                codes += f'<numFmt numFmtId="{known}" formatCode="{escape(form)}"/>'
            forms += f'<xf numFmtId="{known}"/>'
        parts["styles.xml"] = self.styles or (
            f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts><fills><fill/></fills>'
            f'<cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs>{forms}</cellXfs>'
            "</styleSheet>"
        )
        parts["sharedStrings.xml"] = (
            f'<sst xmlns="{MAIN}">{"".join(f"<si>{item}</si>" for item in self.strings)}</sst>'
        )
        relations += _relation("st", "styles", "styles.xml")
        relations += _relation("ss", "sharedStrings", "/xl/sharedStrings.xml")
        epoch = ' date1904="1"' if self.since_1904 else ""
        parts["workbook.xml"] = (
            f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><workbookPr{epoch}/>'
            f"<sheets>{sheets}</sheets></workbook>"
        )
        parts["_rels/workbook.xml.rels"] = f"<Relationships>{relations}</Relationships>"
        return parts


def _relation(key: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{key}" Type="{RELATIONS}/{kind}" Target="{target}"/>'


def letters(column: int) -> str:
    return chr(65 + column) if column < 26 else chr(64 + column // 26) + chr(65 + column % 26)
