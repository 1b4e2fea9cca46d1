"""Answers that are the same for everybody and sent again and again: packed once."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """A body, as it is and by gzip (RFC 1952), and its entity tag."""

    body: bytes
    packed: bytes
    etag: str
    media_type: str = "application/json"

    @classmethod
    def of(cls, body: bytes, **more: str) -> PackedAnswer:
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(body, gzip.compress(body, compresslevel=6, mtime=0), etag, **more)

    def answer(self, request: Request) -> Response:
        """All of it, or that it is what the caller has (RFC 9110, 13.1.2)."""
        body = self.body
        headers = {"ETag": self.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == self.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self.packed
            headers |= {"Content-Encoding": "gzip"}
        headers |= {"Vary": "Accept-Encoding"}
        return Response(body, headers=headers, media_type=self.media_type)
