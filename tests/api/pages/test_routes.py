"""What pages are made of is served whatever the database does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.admission.callers import Caller, asked
from api.admission.places import AllPlaces
from api.pages import routes


def test_words_do_not_wait_for_names_that_are_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, answered = threading.Event(), threading.Event()

    def read(*_: Any, **__: Any) -> dict[str, Any]:
        reading.set()
        assert answered.wait(20), "the event loop waits for this"
        return {"types": {}}

    monkeypatch.setattr(routes, "_version", lambda service: 1)
    monkeypatch.setattr(routes, "names_of", read)
    app = FastAPI()
    app.state.service = None
    app.state.places = AllPlaces()
    routes.install(app)

    async def served(scope: Any, receive: Any, send: Any) -> None:
        scope["caller"] = Caller(None)
        asked.set(scope)
        await app(scope, receive, send)

    async def both() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://pages") as client:
            names = asyncio.create_task(client.get("/assets/names.json?page=wallet"))
            await asyncio.to_thread(reading.wait, 60)
            words = await client.get("/assets/messages/wallet.json?lang=en")
            answered.set()
            return words, await names

    words, names = asyncio.run(both())
    app.state.places.close()
    assert words.status_code == 200
    assert names.json() == {"types": {}}
