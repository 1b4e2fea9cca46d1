"""JSON-RPC 2.0 as bytes: requests and batches of them read, answers and errors written. Pure.

No JSON is -32700, not a request -32600, more than a bound -32005. What a request asks for is
`ledger.node.rpc.methods`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
)
SERVER_ERROR = -32000
LIMIT_EXCEEDED = -32005
REVERTED = 3

MAX_BATCH = 1000


class RpcError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass(frozen=True)
class Request:
    """One well-formed request of a body. `id` None with `notification` wants no answer."""

    id: Any
    method: str
    params: list[Any]
    notification: bool


@dataclass(frozen=True)
class Body:
    """A parsed body: its requests, or the answers to what was no request, in their order."""

    items: list[Request | dict[str, Any]]
    batch: bool


def parse(raw: bytes) -> Body:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Body([error_of(None, RpcError(PARSE_ERROR, f"parse error: {error}"))], False)
    if not isinstance(content, list):
        return Body([_request(content)], False)
    if not content:
        return Body([error_of(None, RpcError(INVALID_REQUEST, "empty batch"))], False)
    if len(content) > MAX_BATCH:
        fault = RpcError(LIMIT_EXCEEDED, f"batch of {len(content)}, at most {MAX_BATCH}")
        return Body([error_of(None, fault)], False)
    return Body([_request(item) for item in content], True)


def _request(content: Any) -> Request | dict[str, Any]:
    if not isinstance(content, dict):
        return error_of(None, RpcError(INVALID_REQUEST, "a request is an object"))
    request_id = content.get("id")
    if not isinstance(request_id, str | int | float | None) or isinstance(request_id, bool):
        return error_of(None, RpcError(INVALID_REQUEST, "id must be a string or a number"))
    method = content.get("method")
    if not isinstance(method, str):
        return error_of(request_id, RpcError(INVALID_REQUEST, "method must be a string"))
    params = content.get("params")
    if params is None:
        params = []
    if not isinstance(params, list):
        return error_of(request_id, RpcError(INVALID_PARAMS, "params must be an array"))
    return Request(request_id, method, params, "id" not in content)


def render(answers: list[dict[str, Any] | None], batch: bool) -> bytes:
    """Bytes to send; empty when nothing but notifications was asked."""
    given = [answer for answer in answers if answer is not None]
    if not given:
        return b""
    return orjson.dumps(given if batch else given[0])


def result_of(request: Request, result: Any) -> dict[str, Any] | None:
    if request.notification:
        return None
    return {"jsonrpc": "2.0", "id": request.id, "result": result}


def error_of(request_id: Any, error: RpcError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": request_id, "error": body}
