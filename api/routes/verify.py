"""Verification for everybody: what somebody was handed, held against the log and the chain."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator

from api.chain_view import ChainView
from api.replies import ServiceDep, body_schema, read_body, reply
from api.routes.evidence import DeskDep
from api.routes.explorer import ChainDep
from api.service import Service
from audit.bundle import BundleError, Trust, read_bundle
from audit.receipt_checks import ChainSays, LogSays, Mined, Parts, examine, read_parts
from audit.verification import verify_bundle
from ledger import store
from ledger.chain import ChainError
from ledger.committer import Busy
from ledger.entries import Entry
from ledger.merkle import HASH_BYTES
from ledger.statements import StatementError

router = APIRouter(prefix="/v1", tags=["verification"])

PATH = "/v1/verify"
MAX_BODY = 1 << 20


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


@router.post("/verify", openapi_extra=body_schema(Evidence))
async def verify(request: Request, service: ServiceDep, chain: ChainDep, desk: DeskDep) -> Response:
    """What of a receipt or of an evidence bundle holds, check by check. The names of checks and
    details are in `audit.receipt_checks` and, for bundles, `audit.verification`, which needs
    neither the log nor the chain: here it is run with this service's own trust file."""
    body = await read_body(request, Evidence)
    if body.bundle is not None:
        report = await _examine(body.bundle, await desk.trust())
        return reply(report, headers={"Cache-Control": "no-store"})
    parts = read_parts(body.receipt or {})
    log_says = await asyncio.to_thread(_ask_log, service, parts.entry)
    chain_says, time = await _ask_chain(chain, parts)
    checks = examine(parts, service.log_verifier, log_says, chain_says)
    anchor = None
    if parts.anchor is not None and parts.checkpoint is not None:
        anchor = {
            **parts.anchor.to_json(),
            "size": parts.checkpoint.size,
            "root": "0x" + parts.checkpoint.root.hex(),
            "block_time": time,
        }
    return reply(
        {
            "kind": "receipt",
            "verified": all(check.ok for check in checks),
            "checks": [asdict(check) for check in checks],
            "entry": None if parts.entry is None else _public(parts.entry),
            "anchor": anchor,
        },
        headers={"Cache-Control": "no-store"},
    )


async def _examine(bundle: dict[str, Any], trust: Trust) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(lambda: verify_bundle(read_bundle(bundle), trust).to_json())
    except BundleError as error:
        raise StatementError("bundle.malformed", str(error)) from None


def _ask_log(service: Service, entry: Entry | None) -> LogSays | None:
    if entry is None:
        return None
    if entry.seq >= service.log.anchored:
        return LogSays(None)
    with service.database.read() as connection:
        tile = store.read_tile(connection, 0, entry.seq // 256) or b""
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
