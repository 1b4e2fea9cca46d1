"""From a department's export to issued certificates: read, sign, submit, report.

Used on both sides: the command line signs with the department's own key and submits over HTTP,
the service signs with the key it keeps for the department. Streams: what is in memory is a few
chunks, whatever the file's length.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joserfc.jwk import ECKey

from ledger.catalogue import CertificateType
from ledger.certificate.credential import Unsigned, city_date, compose_certificate
from ledger.certificate.identifiers import SERIAL_BYTES, CertificateIdentifier, drawn_serial
from ledger.export import file_sha256, open_export, source_ref
from ledger.intake.report import ImportReport
from ledger.intake.rows import Prepared, RowRefusal, prepare_rows
from ledger.proof.encoding import b64url

CHUNK = 400


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one submitted certificate: no code means it is issued."""

    certificate_id: str | None
    already: bool = False
    code: str | None = None


class KeyRefused(Exception):
    """No row can be issued with this key now, whatever the file holds; ``code`` is a row's."""

    def __init__(self, code: str, issued: int) -> None:
        before = f" after {issued} certificates were issued" if issued else ""
        if code == "statement.stale":
            why = (
                "the service's time is more than a minute from when the rows were signed ({code}). "
                "Is this machine's clock right? Then send the file again: it goes on from there"
            )
        else:
            why = (
                "the service takes no certificate of this type by this key ({code}). Is it the "
                "department's issuing key, and is the department enrolled for the type?"
            )
        super().__init__(f"stopped{before}: {why.format(code=code)}")
        self.code = code


#: Of the key and its department, not of the row: the next row would fare the same.
_OF_THE_KEY = ("actor.", "issuer.", "key.", "statement.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; ``bytes_total`` is None for a stream of unknown length."""

    bytes_read: int
    bytes_total: int | None
    accepted: int
    refused: int


#: Takes signed certificates, gives a result each; may be called from several threads.
Submit = Callable[[Sequence[str]], Sequence[RowResult]]


class Signer:
    """Signs prepared rows as certificates of one department and type."""

    def __init__(self, ledger: str, key: ECKey, issuer: str, kind: CertificateType) -> None:
        self._ledger = ledger
        self._key, self._kid = key, key.thumbprint()
        self._issuer, self.kind = issuer, kind

    def sign(self, row: Prepared, source: str | None) -> str:
        return self.sign_all([(row, source)])[0]

    def sign_all(self, rows: Iterable[tuple[Prepared, str | None]]) -> list[str]:
        """Rows, each with where it comes from."""
        # First all are made, then all are signed: as when they are checked
        # (`api.bulk.check.Checker`).
        made = [self._compose(row, source) for row, source in rows]
        return [certificate.sign(self._key, self._kid) for certificate in made]

    def _compose(self, row: Prepared, source: str | None) -> Unsigned:
        serial = drawn_serial(os.urandom(SERIAL_BYTES))
        identifier = CertificateIdentifier(self.kind.type_code, self._issuer, serial, "001")
        return compose_certificate(
            ledger=self._ledger,
            fields=row.fields,
            certificate_id=str(identifier),
            type_code=self.kind.type_code,
            issuer=self._issuer,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            public_dates=self.kind.validity.public,
            iat=int(time.time()),
            jti=os.urandom(16).hex(),
            source=source,
            salt=os.urandom,
        )


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """``issued`` now; ``already`` were issued by an earlier run of the same file. The report
    counts both as accepted."""

    report: ImportReport
    issued: int
    already: int

    def to_json(self) -> dict[str, object]:
        return {**self.report.to_json(), "issued": self.issued, "already_issued": self.already}


def import_export(
    path: Path,
    filename: str,
    signer: Signer,
    submit: Submit,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    refused_rows: IO[str] | None = None,
    in_flight: int = 4,
) -> ImportOutcome:
    """Issue every good row of an export; the report names every refused one.

    Raises ExportError for a file that cannot be read, KeyRefused when no row can be issued at all,
    and whatever ``submit`` raises: rows submitted before that stay issued, and running the file
    again goes on from there.
    """
    digest = file_sha256(path)
    waiting: deque[tuple[list[Prepared], Future[Sequence[RowResult]]]] = deque()
    with open_export(path, filename, signer.kind) as export, ThreadPoolExecutor(in_flight) as pool:
        today = city_date(time.time_ns() // 1_000_000)
        rows = prepare_rows(signer.kind, export, on=today)
        report = ImportReport(signer.kind.code, refused_rows)
        already = 0

        def settle() -> None:
            nonlocal already
            chunk, future = waiting.popleft()
            for row, result in zip(chunk, future.result(), strict=True):
                if result.code is None:
                    report.accept()
                    already += result.already
                elif result.code.startswith(_OF_THE_KEY):
                    raise KeyRefused(result.code, report.accepted)
                else:
                    report.refuse(RowRefusal(row.line, result.code, None))
            refused = sum(report.refused.values())
            progress(Progress(export.bytes_read, export.bytes_total, report.accepted, refused))

        for chunk in _chunks(rows, report):
            signed = signer.sign_all(
                (row, b64url(source_ref(digest, row.line, row.place))) for row in chunk
            )
            waiting.append((chunk, pool.submit(submit, signed)))
            while len(waiting) > in_flight:
                settle()
        while waiting:
            settle()
        report.left_out = export.left_out
    return ImportOutcome(report, report.accepted - already, already)


def _chunks(
    rows: Iterable[Prepared | RowRefusal], report: ImportReport
) -> Iterator[list[Prepared]]:
    """Good rows in chunks; refused ones go to the report on the way."""
    chunk: list[Prepared] = []
    for row in rows:
        if isinstance(row, RowRefusal):
            report.refuse(row)
            continue
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
