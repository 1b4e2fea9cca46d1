"""The HTTP application: routes, errors, limits, and the service's life around them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.admission.bodies import Bodies, Bound
from api.admission.callers import this_caller
from api.admission.paths import RefuseNul
from api.admission.places import SCANS_AT_ONCE, AllPlaces
from api.answer import errors
from api.data.settings import Settings
from api.http.auth import Authenticator
from api.http.chain_view import ChainView
from api.http.evidence import EvidenceDesk
from api.http.observing import Observed
from api.http.openapi import complete
from api.http.packed import PackedAnswer
from api.media import pictures, report_pdf
from api.pages import routes as pages
from api.pages.release import software
from api.pages.release_record import record_release
from api.process import logs
from api.process.server import ANSWER_SECONDS, GracefulServer
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
    releases,
    retention,
    scans,
    schemas,
    statements,
    verify,
)
from api.routes import sample as sample_routes
from api.sample import founding
from api.service.assembly import Service
from api.service.growth import Growth
from api.service.imports import ImportJobs
from ledger.log.committer import Busy
from ledger.network.addresses import from_here, http_url
from ledger.network.connections import KEEP_SECONDS, Connections, most_connections
from ledger.network.peers import Peers
from ledger.network.serving import configured
from ledger.network.sockets import bound, refusal
from ledger.process.confined import Children

logger = logging.getLogger(__name__)

DESCRIPTION = """A permissioned-blockchain ledger for a city's electronic certificates.

Writes are statements signed by enrolled keys; reads carry a short-lived signed token. Every lookup
is on the chain before its answer leaves."""


_ROOMS = (
    statements,
    enrolments,
    certificates,
    retention,
    grants,
    disputes,
    live,
    entries,
    evidence,
    log,
    releases,
    explorer,
    verify,
    scans,
    schemas,
)


def create_app(service: Service) -> FastAPI:
    """The application around a service that is started when the lifespan begins, and stopped when
    it ends."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pictures = Children("api.media.pictures:told", pictures.BOUNDS, SCANS_AT_ONCE)
        app.state.reports = Children("api.media.report_pdf:drawn", report_pdf.BOUNDS, 1)
        places = app.state.places = AllPlaces()
        app.state.authenticator = Authenticator(
            service.ring, service.database, places.keys, service.ledger
        )
        app.state.imports = ImportJobs(service.database)
        app.state.importing = set()
        app.state.growth = Growth(service.database)
        app.state.chain_view = ChainView(service.chain, service.log_id, places.chain)
        app.state.evidence = EvidenceDesk(service, places.evidence)
        try:
            app.state.software = await asyncio.to_thread(software, sample=settings.sample)
            await record_release(service, app.state.software)
            service.notices.open(service.committer.released)
            # What was loaded so far stays; without this, collections walk it under load and every
            # answer in flight waits for them.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 10, 10)
            yield
        finally:
            service.leave()
            if app.state.importing:
                # Each ends with the chunk at hand; it must still be written down how far it came.
                await asyncio.wait(app.state.importing, timeout=_IMPORTS_SECONDS)
            places.close()
            app.state.pictures.close()
            app.state.reports.close()
            await asyncio.to_thread(service.stop)

    app = Application(
        service,
        title="certledger",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,  # `described` instead
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # they would lead wherever the caller's Host says
    )
    peers = app.state.peers = Peers(settings.proxies)
    errors.install(app)
    app.add_exception_handler(Busy, _refused)
    rooms = [*_ROOMS, *([sample_routes] if settings.sample else [])]
    app.state.routers = [room.router for room in rooms]
    for router in app.state.routers:
        app.include_router(router)
    pages.install(app)
    app.add_route("/openapi.json", app.described)
    bounds = app.state.bounds = {
        **{taken.path: taken.bound for taken in statements.TABLE.values()},
        certificates.IMPORTS_PATH: Bound(0, settings.max_import, certificates.ISSUERS),
        scans.PATH: Bound(0, scans.MAX_IMAGE, scans.ROLES),
        verify.PATH: Bound(verify.MAX_BODY),
        verify.REPORT_PATH: Bound(verify.MAX_BODY),
    }
    app.add_middleware(Bodies, by_path=bounds, peers=peers)
    app.add_middleware(RefuseNul)
    return app


#: Seconds before whoever found no place is told so.
_REFUSED_AFTER = 0.25


async def _refused(request: Request, error: Exception) -> Response:
    """To whoever found no place. At once, a loop of them would take as much of the processor as
    what it is refused; a terminal has a queue before it."""
    if not this_caller().terminal:
        request.scope["refused"] = True  # the connection may give way to another's meanwhile
        await asyncio.sleep(_REFUSED_AFTER)
    return errors.answer(error)


#: Of a stop, seconds in which imports end. Whoever stops the process must leave it these, those of
#: `api.process.server`, `stop_delay`, and half a minute for the committer and the node.
_IMPORTS_SECONDS = 15.0


class Application(FastAPI):
    """FastAPI with `Observed` around all of it: the answer to an unexpected error is made outside
    of every middleware that can be added to it.

    A lookup that has come in whole, as they do, needs nothing of the framework, which costs several
    times what is left: it goes to its route from here. Any other goes there the long way.
    """

    def __init__(self, service: Service, **given: Any) -> None:
        super().__init__(**given)
        self._describing: asyncio.Task[PackedAnswer] | None = None
        self.state.service = service
        self._observed = Observed(
            self._answered,
            stopping=lambda: service.stopping,
            access=service.settings.log_format == "json",
        )

    def openapi(self) -> dict[str, Any]:
        """Completed: see `api.http.openapi`."""
        if self.openapi_schema is None:
            complete(super().openapi(), self.state.routers, statements.TABLE, self.state.bounds)
        return super().openapi()

    async def described(self, request: Request) -> Response:
        """``/openapi.json``, made once: making it takes as long as many lookups."""
        made = self._describing
        if made is None or (made.done() and (made.cancelled() or made.exception() is not None)):
            made = self._describing = asyncio.create_task(asyncio.to_thread(self._describe))
        return (await asyncio.shield(made)).answer(request)

    def _describe(self) -> PackedAnswer:
        self.openapi_schema = None  # what an earlier try that failed may have left half made
        return PackedAnswer.of(orjson.dumps(self.openapi()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._observed(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = scope.get("whole", lookups.MAX_BODY + 1)  # the server's word: bytes of the body
        if whole > lookups.MAX_BODY or scope["path"] != lookups.PATH or scope["method"] != "POST":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await lookups.look_up(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  (all of them have their answer there)
            response = errors.answer(error)
        await response(scope, receive, send)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Prints where it serves, once it does. Raises CannotListen and FontError before anything is made
    or started, and what `Service.start` raises before anything listens.
    """
    with contextlib.ExitStack() as taken:
        sockets = bound(settings.host, settings.port)
        for each in sockets:
            taken.enter_context(each)
        _serve(settings, sockets)


def _serve(settings: Settings, sockets: list[socket.socket]) -> None:
    logs.configure(settings.log_format)
    logs.say(settings.log_format, f"starting, data in {settings.data}", sys.stderr)
    if settings.report_font is not None:  # or the first who asks for a report would hear of it
        report_pdf.fonts_with(settings.report_font)

    if settings.sample:
        founding.prepare(settings)
    connections = Connections(Peers(settings.proxies), most_connections())
    service = Service(settings)
    config = configured(
        create_app(service),
        connections,
        log_config=None,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=ANSWER_SECONDS,
    )

    def ready() -> None:
        port = sockets[0].getsockname()[1]
        logs.say(settings.log_format, f"ready: {http_url(settings.host, port)}")
        if settings.sample:
            founding.found_in_background(settings, http_url(from_here(settings.host), port))

    def told() -> None:
        service.stopping = True

    server = GracefulServer(
        config, connections, ready, told=told, leave=service.leave, delay=settings.stop_delay
    )
    try:
        # Last of all: from here on, whatever ends this must stop what was started.
        service.start()
        if signal.getsignal(signal.SIGHUP) is signal.default_int_handler:
            # As by SIGTERM, and uvicorn knows only that.
            signal.signal(signal.SIGHUP, lambda *_: server.handle_exit(signal.SIGTERM, None))
        # Once all is done, uvicorn raises the signal again: that is what the process ends by.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Uvicorn ends with a code of its own when it cannot start, having said why.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            try:
                server.run(sockets=sockets)
            except OSError as error:
                if server.started:
                    raise
                # Two may have taken it, until one of them listened.
                raise refusal(settings.host, settings.port, error) from error
    finally:
        service.stop()  # where the server never got as far as to do it
    if not server.started:
        raise SystemExit(1)
