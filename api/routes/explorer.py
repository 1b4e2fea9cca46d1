"""The log and the chain for everybody: checkpoints, blocks, growth. Nothing personal is in them.

What the chain says is asked of the chain itself at that moment (`api.http.chain_view`), beside what
the database keeps, so that a reader sees both and whether they agree.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Row, select

from api.admission.places import PlacedRoute, aside
from api.answer import log_shapes
from api.http.chain_view import ChainView
from api.http.replies import Reply, ServiceDep, reply, told
from api.service.assembly import Service
from api.service.growth import MAX_POINTS, Growth
from ledger.chain import Block
from ledger.database import tables
from ledger.statement.statements import StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["explorer"])

MAX_CHECKPOINTS = 200
MAX_BLOCKS = 50
#: Hashes of transactions that are listed of one block.
MAX_LISTED = 200
_FRESH = {"Cache-Control": "public, max-age=1"}


async def _chain_view(request: Request) -> ChainView:
    view: ChainView = request.app.state.chain_view
    return view


async def _growth(request: Request) -> Growth:
    growth: Growth = request.app.state.growth
    return growth


ChainDep = Annotated[ChainView, Depends(_chain_view)]
Number = Annotated[int, Path(ge=0, le=2**53)]
Before = Annotated[int | None, Query(ge=0, le=2**53)]


# --- checkpoints ------------------------------------------------------------------------------


@router.get("/checkpoints", openapi_extra=told(public=True))
def checkpoints(
    service: ServiceDep,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=MAX_CHECKPOINTS)] = 50,
) -> Reply[log_shapes.Checkpoints]:
    """Anchored checkpoints, newest first, of fewer than ``before`` entries."""
    table = tables.checkpoints
    query = select(table).order_by(table.c.size.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.size < before)
    with service.database.read() as connection:
        rows = connection.execute(query).all()
        times = tables.times_at(connection, [row.size - 1 for row in rows])
    shown = [_show_checkpoint(row, times.get(row.size - 1)) for row in rows]
    next_before = rows[-1].size if len(rows) == limit else None
    return reply({"checkpoints": shown, "next_before": next_before}, headers=_FRESH)


@router.get(
    "/checkpoints/{size}",
    openapi_extra=told("checkpoint.unknown", "chain.unavailable", public=True),
)
async def checkpoint(
    size: Number, service: ServiceDep, chain: ChainDep
) -> Reply[log_shapes.CheckpointInFull]:
    """One checkpoint: its note, and what the chain has at this size, in which block."""
    row, time_ms = await aside(_read_checkpoint, service, size)
    if row is None:
        raise StatementError("checkpoint.unknown", "no anchored checkpoint has this size")
    root, block, transaction = await asyncio.gather(
        chain.root_at(size), chain.block(row.block_number), chain.transaction(row.tx_hash)
    )
    return reply(
        {
            **_show_checkpoint(row, time_ms),
            "note": row.note,
            "chain_id": row.chain_id,
            "contract": row.contract,
            "chain": {
                "root": None if root is None else _hex(root),
                "agrees": root == row.root,
                "block": None if block is None else _show_block(block),
                "transaction": transaction,
            },
        },
        headers=_FRESH,
    )


def _read_checkpoint(service: Service, size: int) -> tuple[Row[Any] | None, int | None]:
    table = tables.checkpoints
    with service.database.read() as connection:
        row = connection.execute(select(table).where(table.c.size == size)).one_or_none()
        return row, tables.times_at(connection, [size - 1]).get(size - 1)


def _show_checkpoint(row: Row[Any], time_ms: int | None) -> log_shapes.Checkpoint:
    """``time_ms`` is when the last of its entries was recorded."""
    return {
        "size": row.size,
        "root": _hex(row.root),
        "block_number": row.block_number,
        "block_hash": _hex(row.block_hash),
        "tx_hash": _hex(row.tx_hash),
        "time_ms": time_ms,
    }


# --- blocks -----------------------------------------------------------------------------------


@router.get("/blocks", openapi_extra=told("chain.unavailable", public=True))
async def blocks(
    service: ServiceDep,
    chain: ChainDep,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=MAX_BLOCKS)] = 20,
    anchored: bool = False,
) -> Reply[log_shapes.Blocks]:
    """Blocks as the chain has them, newest first, with numbers below ``before``; where it is
    ``anchored``, those alone that hold an anchor of this log."""
    head = await chain.head_number()
    newest = head if before is None else min(head, before - 1)
    if anchored:
        numbers = await aside(_anchoring, service, newest, limit)
        more = len(numbers) == limit
    else:
        numbers = list(range(newest, max(-1, newest - limit), -1))
        more = bool(numbers) and numbers[-1] > 0
    shown = [_show_block(block) for block in await chain.blocks(numbers)]
    next_before = numbers[-1] if more else None
    return reply({"head": head, "blocks": shown, "next_before": next_before}, headers=_FRESH)


def _anchoring(service: Service, newest: int, limit: int) -> list[int]:
    """Numbers of blocks with our anchors, from ``newest`` down."""
    number = tables.checkpoints.c.block_number
    query = select(number).where(number <= newest).distinct().order_by(number.desc()).limit(limit)
    with service.database.read() as connection:
        return list(connection.execute(query).scalars())


@router.get(
    "/blocks/{number}", openapi_extra=told("block.unknown", "chain.unavailable", public=True)
)
async def block(number: Number, chain: ChainDep) -> Reply[log_shapes.BlockInFull]:
    """One block, with the hashes of its first transactions."""
    found = await chain.block(number)
    if found is None:
        raise StatementError("block.unknown", "the chain has no such block")
    shown: log_shapes.BlockInFull = {
        **_show_block(found),
        "transactions": list(found.transactions[:MAX_LISTED]),
    }
    return reply(shown, headers=_FRESH)


def _show_block(found: Block) -> log_shapes.ShownBlock:
    return {
        "number": found.number,
        "hash": found.hash,
        "parent_hash": found.parent_hash,
        "time": found.time,
        "state_root": found.state_root,
        "transactions_root": found.transactions_root,
        "gas_used": found.gas_used,
        "transaction_count": len(found.transactions),
    }


# --- growth -----------------------------------------------------------------------------------


@router.get("/growth", openapi_extra=told(public=True))
async def growth(
    service: ServiceDep,
    growth: Annotated[Growth, Depends(_growth)],
    points: Annotated[int, Query(ge=2, le=MAX_POINTS)] = 100,
) -> Reply[log_shapes.Growth]:
    """How long the anchored log was when, and how many lookups it holds; the latter is null while
    they are still being counted."""
    size = service.log.anchored
    return reply(await aside(growth.show, size, points), headers=_FRESH)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
