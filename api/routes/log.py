"""The log to the outside: checkpoint, tiles, proofs, history; health and metrics."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Connection
from starlette.responses import PlainTextResponse

from api.admission.places import PlacedRoute, aside
from api.answer import log_shapes, service_shapes
from api.answer.errors import ProblemResponse, problem
from api.http.metrics import render
from api.http.readings import UNRECORDED, record_reading
from api.http.replies import (
    KnownReader,
    Reader,
    Reply,
    ServiceDep,
    receipt_json,
    reply,
    told,
)
from api.service.assembly import Service
from audit.history.history import MAX_PAGE, history
from audit.history.readings import of_history
from audit.history.visibility import READERS, TOLD_PSEUDONYMS, Sight, kept_back
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.log.committer import NotServing
from ledger.proof.entries import Decision, Entry
from ledger.proof.merkle import HASH_BYTES, ProofError, inclusion_proof
from ledger.proof.tiles import NodeReader, parse_tile_path
from ledger.record.readings import Reading
from ledger.statement.statements import StatementError

router = APIRouter(route_class=PlacedRoute, tags=["log"])

NOT_SAID = "the service does not take requests now; its log says why, and so does this with a token"

NOT_READY = ("stopping", "watch.trouble", "not_ready", "storage.unsupported")

Seq = Annotated[int, Query(ge=0, le=2**53)]
Name = Annotated[str | None, Query(max_length=200)]


@router.get(
    "/log/checkpoint",
    response_class=PlainTextResponse,
    openapi_extra=told("not_serving", public=True),
)
async def checkpoint(service: ServiceDep) -> Response:
    """The newest anchored checkpoint, a C2SP signed note; where witnesses are asked for, the newest
    that has their quorum, with their signature lines (docs/witness.md)."""
    published = service.cosigning.shown
    if published is None:
        raise NotServing("nothing is anchored yet")
    return PlainTextResponse(published.note, headers={"Cache-Control": "no-cache"})


@router.get(
    "/log/tile/{path:path}",
    responses={200: {"content": {"application/octet-stream": {}}}},
    openapi_extra=told("tile.unknown", public=True),
)
def tile(path: str, request: Request, service: ServiceDep) -> Response:
    """A hash tile (C2SP tlog-tiles); entries are private, so there are no entry bundles."""
    # Not ``path``: the router's pattern lets a line break at the end pass unseen.
    coordinate = parse_tile_path(request.scope["path"].removeprefix("/log/tile/"))
    published = service.log.published
    missing = problem(404, "tile.unknown", "no such tile in the anchored log")
    if coordinate is None or published is None:
        return missing
    at_level = published.checkpoint.size >> (8 * coordinate.level)
    if coordinate.index * 256 + coordinate.width > at_level:
        return missing
    with service.database.read() as connection:
        hashes = tables.read_tile(connection, coordinate.level, coordinate.index)
    if hashes is None or len(hashes) < coordinate.width * HASH_BYTES:
        return missing
    # Any width of a tile is final, because the log only grows.
    return Response(
        hashes[: coordinate.width * HASH_BYTES],
        media_type="application/octet-stream",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


@router.get("/v1/proofs/inclusion", openapi_extra=told("proof.range", "not_serving", public=True))
def inclusion(
    service: ServiceDep, seq: Seq, size: Seq | None = None
) -> Reply[log_shapes.Inclusion]:
    """The path from leaf ``seq`` to the root over ``size`` leaves (default: newest anchored)."""
    anchored = service.log.anchored
    size = anchored if size is None else size
    if size > anchored:
        raise ProofError(f"only {anchored} entries are anchored")
    with service.database.read() as connection:
        reader = NodeReader(lambda level, index: _tile(connection, level, index))
        proof = inclusion_proof(seq, size, reader)
    return reply({"seq": seq, "size": size, "proof": _base64(proof)})


@router.get("/v1/proofs/consistency", openapi_extra=told("proof.range", "not_serving", public=True))
def consistency(service: ServiceDep, first: Seq, second: Seq) -> Reply[log_shapes.Consistency]:
    """Proof that the log of ``second`` entries extends that of ``first``."""
    proof = service.log.consistency(first, second)
    return reply({"first": first, "second": second, "proof": _base64(proof)})


def _tile(connection: Any, level: int, index: int) -> bytes:
    hashes = tables.read_tile(connection, level, index)
    if hashes is None:
        raise NotServing(f"tile {level}/{index} is missing")
    return hashes


def _base64(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(item).decode("ascii") for item in hashes]


@router.get("/v1/history", openapi_extra=told("history.holder", *UNRECORDED))
async def read_history(
    request: Request,
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(*READERS))],
    certificate: Name = None,
    grant: Name = None,
    holder: Name = None,
    terminal: Name = None,
    site: Name = None,
    department: Name = None,
    service_item: Name = None,
    staff: Name = None,
    kind: Name = None,
    decision: Decision | None = None,
    since_ms: Seq | None = None,
    until_ms: Seq | None = None,
    before: Seq | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    receipts: bool = False,
) -> Reply[log_shapes.History]:
    """Every use and refusal that the reader may see (`audit.history.visibility`), newest first.
    ``receipts`` adds to each line what proves it."""
    if holder is not None and reader.role not in TOLD_PSEUDONYMS:
        raise StatementError("history.holder", "only auditors and holders may ask by holder")
    asked = {
        "certificate": certificate,
        "grant": grant,
        "holder": holder,
        "terminal": terminal,
        "site": site,
        "department": department,
        "service_item": service_item,
        "staff": staff,
    }
    filters = {name: value for name, value in asked.items() if value is not None}

    def read() -> tuple[Reading | None, log_shapes.History]:
        with service.database.read() as connection:
            now_ms = time.time_ns() // 1_000_000
            page = history(
                connection,
                filters,
                Sight.at(connection, reader, now_ms),
                before=before,
                limit=limit,
                kind=kind,
                decision=decision,
                since_ms=since_ms,
                until_ms=until_ms,
            )
            reading = of_history(connection, reader, filters)
            lines = show_lines(service, page.lines, receipts=receipts)
            if reader.role is Role.AUDITOR:
                say_kept_back(connection, page.lines, lines, now_ms)
        return reading, {
            "lines": lines,
            "next_before": page.next_before,
            "anchored_size": service.log.anchored,
            "as_of_ms": now_ms,
        }

    reading, shown = await aside(read)
    await record_reading(request, service, reader, reading)
    return reply(shown)


def show_lines(
    service: Service, entries: list[Entry], *, receipts: bool = False
) -> list[log_shapes.Line]:
    """Entries as a history shows them."""
    anchored = service.log.anchored
    lines = [
        cast(
            log_shapes.Line,
            {**entry.to_json(), "proof_state": "anchored" if entry.seq < anchored else "pending"},
        )
        for entry in entries
    ]
    if receipts:
        for line, receipt in zip(lines, service.log.receipts(entries), strict=True):
            line["receipt"] = receipt_json(receipt)
    return lines


def say_kept_back(
    connection: Connection, entries: list[Entry], lines: list[log_shapes.Line], now_ms: int
) -> None:
    """Add to each reading that is kept back from its person by which deferral, and until when."""
    deferrals = kept_back(connection, entries, now_ms)
    for line in lines:
        if (deferral := deferrals.get(line["seq"])) is not None:
            line["deferral"] = {"seq": deferral.seq, "until": deferral.until}


@router.get("/healthz", openapi_extra=told(public=True))
async def health() -> Reply[service_shapes.Alive]:
    """The process is alive."""
    return reply({"status": "ok"})


@router.get("/readyz", openapi_extra=told(*NOT_READY, public=True))
async def ready(
    service: ServiceDep,
    reader: Annotated[Enrolled | None, Depends(KnownReader(Role.OPERATOR, Role.AUDITOR))],
) -> Reply[service_shapes.Ready] | ProblemResponse:
    """Whether requests would be served now, and should be: database, chain and committer; and
    that the watch found nothing altered, which stays until the service is started again; and
    that it was not told to stop. Everybody is told the code. What it is about (a record, a folder,
    the node's host) is for the operator and auditors, with an access token; the service's log has
    it too. Without one nothing else is asked now, so that it answers whatever hangs."""
    if service.stopping:
        return problem(503, "stopping", "the service is stopping", retry_after=5)
    trusted = reader is not None
    if (found := service.watcher.trouble) is not None:
        return problem(503, "watch.trouble", found if trusted else NOT_SAID, retry_after=60)
    if (trouble := service.trouble) is not None:
        code, detail = trouble
        return problem(503, code, detail if trusted else NOT_SAID, retry_after=5)
    shown: service_shapes.Ready = {
        "status": "ready",
        "size": service.log.size,
        "anchored": service.log.anchored,
    }
    if trusted:
        shown["chain"] = service.chain.node
        if witnesses := service.cosigning.asked:
            shown["witnesses"] = [one.to_json() for one in witnesses]
    return reply(shown)


@router.get("/metrics", response_class=PlainTextResponse, openapi_extra=told(public=True))
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Prometheus text format."""
    text = render(service, importing=len(request.app.state.importing))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
