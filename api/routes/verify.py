"""Verification for everybody: what somebody was handed, held against the log and the chain."""

from __future__ import annotations

from time import time_ns
from typing import Any, Literal, cast

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import select

from api.admission.places import PlacedRoute, all_places
from api.answer import log_shapes
from api.http.chain_view import ChainView
from api.http.replies import (
    Reply,
    ServiceDep,
    parse_body,
    reply,
    require_few,
    told,
)
from api.media.report import Read, names_of, report_pdf
from api.media.report import read as read_file
from api.routes.evidence import DeskDep
from api.routes.explorer import ChainDep
from api.service.assembly import Service
from audit.evidence.bundle import BundleError, Trust, load_json, read_bundle
from audit.evidence.receipt_checks import (
    Anchoring,
    ChainSays,
    LogSays,
    Mined,
    Parts,
    examine,
    read_parts,
)
from audit.evidence.verification import verify_bundle
from ledger.chain import ChainError
from ledger.database import tables
from ledger.log.committer import Busy
from ledger.process.confined import Children, Exceeded
from ledger.proof.entries import Entry
from ledger.proof.merkle import HASH_BYTES
from ledger.proof.receipts import AnchorReference
from ledger.statement.statements import StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["verification"])

PATH = "/v1/verify"
REPORT_PATH = "/v1/verify/report"
MAX_BODY = 1 << 20
#: Members and items of a document; those of a bundle have some forty bytes each.
MAX_MEMBERS = MAX_BODY // 16


class Evidence(BaseModel):
    """What is to be verified, by its kind: exactly one."""

    model_config = ConfigDict(extra="forbid")

    receipt: dict[str, Any] | None = None
    bundle: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one(self) -> Evidence:
        if (self.receipt is None) is (self.bundle is None):
            raise ValueError("either a receipt or a bundle")
        return self


@router.post(
    "/verify",
    openapi_extra=told("bundle.malformed", "chain.unavailable", body=Evidence, public=True),
)
async def verify(
    request: Request, service: ServiceDep, chain: ChainDep, desk: DeskDep
) -> Reply[log_shapes.ReceiptReport] | Reply[log_shapes.BundleReport]:
    """What of a receipt or of an evidence bundle holds, check by check. The names of checks and
    details are in `audit.evidence.receipt_checks` and, for bundles, `audit.evidence.verification`,
    which needs neither the log nor the chain: here it is run with this service's own trust file."""
    content, documents = await request.body(), all_places().documents
    body = await documents.run(parse_body, content, Evidence, MAX_MEMBERS)
    if body.bundle is not None:
        trust = await desk.trust()
        examined = await documents.run(_examine, content, trust)
        return reply(cast(log_shapes.BundleReport, examined))
    parts, log_says, own = await documents.run(_read_and_ask_log, service, body.receipt or {})
    chain_says, time = await _ask_chain(chain, parts)
    key = service.log_verifier
    checks = await documents.run(examine, parts, key, log_says, chain_says, own)
    anchor: log_shapes.ExaminedAnchor | None = None
    if parts.anchor is not None and parts.checkpoint is not None:
        anchor = {
            **cast(log_shapes.Anchor, parts.anchor.to_json()),
            "size": parts.checkpoint.size,
            "root": "0x" + parts.checkpoint.root.hex(),
            "block_time": time,
        }
    report: log_shapes.ReceiptReport = {
        "kind": "receipt",
        "verified": all(check.ok for check in checks),
        "checks": checks,
        "entry": None if parts.entry is None else _public(parts.entry),
        "anchor": anchor,
    }
    return reply(report)


@router.post(
    "/verify/report",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
    openapi_extra={
        **told("bundle.malformed", "report.too_costly", "chain.unavailable", public=True),
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
    },
)
async def report(
    request: Request, service: ServiceDep, desk: DeskDep, lang: Literal["zh-CN", "en"] = "zh-CN"
) -> Response:
    """A report in PDF to read and print of the evidence bundle that is the body, as its file is:
    the report names the SHA-256 of these very bytes. Of a bundle that fails it says only that."""
    content, trust = await request.body(), await desk.trust()
    # Behind a proxy only the setting is sure to be right. A host's name is never that long.
    base = service.settings.url or str(request.base_url)[:200]
    made_ms = time_ns() // 1_000_000
    children: Children = request.app.state.reports

    def work() -> tuple[Read, bytes]:
        require_few(content, MAX_MEMBERS)
        try:
            file = read_file(content)
        except BundleError as error:
            raise StatementError("bundle.malformed", str(error)) from None
        drawn = report_pdf(
            file,
            trust,
            names_of(lang, *_names(service, lang)),
            language=lang,
            made_ms=made_ms,
            base_url=base,
            font=service.settings.report_font,
            draw=lambda told, font: children.run(
                orjson.dumps(told), None if font is None else str(font)
            ),
        )
        return file, drawn.pdf

    try:
        file, pdf = await all_places().documents.run(work)
    except Exceeded:
        raise StatementError("report.too_costly", "drawing this report takes too much") from None
    name = f"certledger-report-{file.digest[:8]}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(pdf, headers=headers, media_type="application/pdf")


def _names(service: Service, language: str) -> tuple[dict[str, str], dict[str, str]]:
    """Of institutions and sites, all public, as this service calls them."""
    column = "name_en" if language == "en" else "name_zh"
    with service.database.read() as connection:
        institutions, sites = (
            {row[0]: row[1] for row in connection.execute(select(key, table.c[column]))}
            for key, table in (
                (tables.institutions.c.code, tables.institutions),
                (tables.sites.c.site, tables.sites),
            )
        )
        return institutions, sites


def _examine(content: bytes, trust: Trust) -> dict[str, Any]:
    try:
        # Read once more, and strictly: a member that stands twice is no bundle.
        return verify_bundle(read_bundle(load_json(content)["bundle"]), trust).to_json()
    except BundleError as error:
        raise StatementError("bundle.malformed", str(error)) from None


def _read_and_ask_log(
    service: Service, receipt: dict[str, Any]
) -> tuple[Parts, LogSays | None, Anchoring]:
    parts = read_parts(receipt)
    return parts, _ask_log(service, parts.entry), _anchoring(service, parts)


def _anchoring(service: Service, parts: Parts) -> Anchoring:
    """Where the log anchors, and where it anchored the receipt's checkpoint."""
    deployment = service.chain.deployment
    home = None if deployment is None else (deployment.chain_id, deployment.checkpoint_log)
    if parts.checkpoint is None or parts.checkpoint.size >= 2**63:
        return Anchoring(home, None)
    query = select(tables.checkpoints).where(tables.checkpoints.c.size == parts.checkpoint.size)
    with service.database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return Anchoring(home, None)
    recorded = AnchorReference(
        chain_id=row.chain_id,
        contract=row.contract,
        tx_hash="0x" + row.tx_hash.hex(),
        block_number=row.block_number,
        block_hash="0x" + row.block_hash.hex(),
    )
    return Anchoring(home, recorded)


def _ask_log(service: Service, entry: Entry | None) -> LogSays | None:
    if entry is None:
        return None
    if entry.seq >= service.log.anchored:
        return LogSays(None)
    with service.database.read() as connection:
        tile = tables.read_tile(connection, 0, entry.seq // 256) or b""
    at = entry.seq % 256 * HASH_BYTES
    return LogSays(tile[at : at + HASH_BYTES] or None)


async def _ask_chain(chain: ChainView, parts: Parts) -> tuple[ChainSays | None, int | None]:
    """What the chain has of the receipt's checkpoint, and the time of the block that is named."""
    if parts.checkpoint is None:
        return None, None
    try:
        root = await chain.root_at(parts.checkpoint.size)
        named = parts.anchor
        if named is None:
            return ChainSays(root, None), None
        found = await chain.transaction(bytes.fromhex(named.tx_hash[2:]))
        if found is None:
            return ChainSays(root, None), None
        block = await chain.block(found.block_number)
        mined = Mined(found.block_number, found.block_hash, found.to)
        return ChainSays(root, mined), None if block is None else block.time
    except (ChainError, Busy):
        return None, None


def _public(entry: Entry) -> dict[str, Any]:
    """What the receipt tells of what happened, without what only proves it."""
    members = entry.to_json()
    for name in ("v", "salt", "statement"):
        del members[name]
    return members
