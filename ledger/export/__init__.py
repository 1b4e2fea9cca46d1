"""Reads a department's export, row by row, as departments really write them.

CSV (UTF-8 or GB18030; comma, semicolon or tab), JSON lines, a JSON array, XLSX. A row that cannot
be read is reported with the line an editor shows and the rest goes on; only a file that cannot be
read at all raises, always `ExportError`. The reader is a process with bounds on memory and time
(`ledger.process.confined`): a file made to cost more ends as ``export.too_costly``.

Not this package's job: what a cell means (`ledger.intake.readers`).
"""

from ledger.export.export import Export, file_sha256, open_export, source_ref
from ledger.export.rows import Cell, Doubt, ExportError, LeftOut, Row, Unreadable

__all__ = [
    "Cell",
    "Doubt",
    "Export",
    "ExportError",
    "LeftOut",
    "Row",
    "Unreadable",
    "file_sha256",
    "open_export",
    "source_ref",
]
