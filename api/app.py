"""The HTTP application: routes, errors, limits, and the service's life around them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors, metrics, sample
from api.auth import Authenticator
from api.chain_view import ChainView
from api.evidence import EvidenceDesk
from api.growth import Growth
from api.imports import ImportJobs
from api.limits import LimitBodies, RefuseNul
from api.pages import routes as pages
from api.report_pdf import fonts_with
from api.routes import (
    certificates,
    disputes,
    enrolments,
    entries,
    evidence,
    explorer,
    grants,
    live,
    log,
    lookups,
    retention,
    scans,
    verify,
)
from api.routes import sample as sample_routes
from api.service import Service
from api.settings import Settings

DESCRIPTION = """A permissioned-blockchain ledger for a city's electronic certificates.

Writes are statements signed by enrolled keys; reads carry a short-lived signed token. Every lookup
is on the chain before its answer leaves."""


def create_app(service: Service) -> FastAPI:
    """The application around a started service; its lifespan ends with stopping it."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service
        app.state.authenticator = Authenticator(service.ring, service.database)
        app.state.imports = ImportJobs(service.database)
        app.state.importing = set()
        app.state.scans = set()
        app.state.verifications = set()
        app.state.growth = Growth(service.database)
        app.state.chain_view = ChainView(service.chain, service.log_id)
        app.state.evidence = EvidenceDesk(service)
        try:
            service.notices.open(service.committer.released)
            await service.bootstrap()
            # What was loaded so far stays; without this, collections walk it under load and every
            # answer in flight waits for them.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 10, 10)
            yield
        finally:
            service.notices.close()
            app.state.chain_view.close()
            await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="certledger",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    for module in (
        enrolments,
        certificates,
        retention,
        grants,
        lookups,
        disputes,
        live,
        entries,
        evidence,
        log,
        explorer,
        verify,
        scans,
    ):
        app.include_router(module.router)
    if settings.sample:
        app.include_router(sample_routes.router)
    pages.install(app)
    app.add_middleware(
        LimitBodies,
        limit=settings.max_body,
        by_path={
            "/v1/imports": settings.max_import,
            "/v1/certificates": 33 << 20,
            scans.PATH: scans.MAX_IMAGE,
            verify.PATH: verify.MAX_BODY,
            verify.REPORT_PATH: verify.MAX_BODY,
        },
    )
    # FastAPI's route of the lookup stays for its documentation; this one answers, at a tenth of
    # the cost a request.
    app.router.routes.insert(0, Route(lookups.PATH, lookups.look_up, methods=["POST"]))
    app.add_middleware(RefuseNul)
    app.add_middleware(CountResponses)
    return app


_STATIC = {lookups.PATH: lookups.PATH}


class CountResponses:
    """Notes when a request began, and counts answers by route template."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        scope["arrived"] = time.time()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = getattr(route, "path", None) or _STATIC.get(scope["path"], "unmatched")
                metrics.responses[scope["method"], path, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. One process: the committer's order is in it.

    Prints where it serves, once it does. Raises FontError and what `Service.start` raises, before
    anything listens.
    """
    import uvicorn

    if settings.report_font is not None:
        fonts_with(settings.report_font)  # or the first who asks for a report would hear of it

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                print(f"ready: http://{_in_url(settings.host)}:{port}", flush=True)
                if settings.sample:
                    sample.found_in_background(settings, _reachable(settings.host, port))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Or whoever waits for news would hold up the end for as long.
            service.notices.close()
            await super().shutdown(sockets)

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if settings.sample:
        sample.prepare(settings)
    service = Service(settings)
    service.start()
    config = uvicorn.Config(
        create_app(service),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        # Paths hold identifiers, so there is no access log.
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=20,
    )
    server = Announced(config)
    # Uvicorn ends with a code of its own when it cannot listen, having said why.
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run()
    if not server.started:
        raise SystemExit(1)


def _reachable(host: str, port: int) -> str:
    """The address for somebody on this machine."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared
    return f"http://{_in_url(everywhere.get(host, host))}:{port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
