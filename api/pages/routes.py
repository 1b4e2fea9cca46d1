"""Serving the pages: which there are, in which language and looks, and what each may load."""

from __future__ import annotations

import mimetypes
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, FastAPI, Query, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, select
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.admission.places import PlacedRoute, aside
from api.answer.errors import problem
from api.http.packed import PackedAnswer
from api.http.replies import ServiceDep
from api.pages.i18n import LANGUAGES, Translations, negotiate
from api.pages.offline import offline_page
from api.pages.worker import PATH as WORKER
from api.pages.worker import worker_script
from api.service.assembly import Service
from audit.evidence.bundle import Trust
from authz.service_item.model import ServiceItem
from ledger.catalogue import CertificateType
from ledger.database import tables

HERE = Path(__file__).parent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """``name`` is its template, script, stylesheet and message domain."""

    path: str
    name: str


PAGES = (
    Page("/", "home"),
    Page("/wallet", "wallet"),
    Page("/counter", "counter"),
    Page("/kiosk", "kiosk"),
    Page("/issuer", "issuer"),
    Page("/auditor", "auditor"),
    Page("/check", "check"),
    Page("/explorer", "explorer"),
)
_PAGE_NAMES = frozenset(page.name for page in PAGES)
THEMES = ("auto", "light", "dark")
#: Pages that name no field: what fields are called is two thirds of all names.
WITHOUT_FIELDS = {"home", "check", "explorer", "auditor"}
#: Pages that name them only after their first view.
FIELDS_LATER = {"wallet"}
#: Pages of terminals, which meet only the fields that some service item may ask for.
ASKED_FIELDS = {"counter", "kiosk"}
TEXT_SIZES = ("normal", "large")
#: Cookies of a page's looks: what may be in them, the first is the default.
LOOKS = {"theme": THEMES, "text": TEXT_SIZES}
_YEAR = 366 * 86_400

#: Nothing from elsewhere, nothing inline; scripts make elements, never markup (Trusted Types).
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types wallet-worker",
    )
)
HTML_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), screen-wake-lock=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Language, Cookie",
}


#: It fetches from here, and loads nothing.
WORKER_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    "Cache-Control": "no-cache",
}


class Assets(StaticFiles):
    """Scripts and styles: kept by the browser, asked about each time (ETag). Scripts go without
    their lines of comment, a sixth of what a phone would load; their lines keep their numbers."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        response = super().file_response(*args, **more)
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        scope["route"] = _ASSETS  # so that metrics count them together
        response = await super().get_response(path, scope)
        if not (path.endswith(".js") and isinstance(response, FileResponse)):
            return response
        stat = response.stat_result
        script = await aside(lambda: _script(str(response.path), stat and stat.st_mtime_ns))
        return script.answer(Request(scope))


COMMENT = re.compile(r"^[ \t]*(?://.*|/\*\*(?s:.*?)\*/[ \t]*)$", re.MULTILINE)


INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)


def without_comments(source: str) -> str:
    """A script without the lines that are comment only, and without indentation. None of ours has
    a text that either would change; a line keeps its number."""
    bare = COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source)
    return INDENTATION.sub("", bare)


@lru_cache(maxsize=512)
def _script(path: str, _changed: int | None) -> PackedAnswer:
    source = without_comments(Path(path).read_text("utf-8"))
    return PackedAnswer.of(source.encode(), media_type="text/javascript")


class _Assets:
    path = "/assets"


_ASSETS = _Assets()


class Shells:
    """The pages' HTML: the same for everybody who has chosen the same."""

    def __init__(self) -> None:
        self.translations = Translations()
        self._templates = Environment(
            loader=PackageLoader("api.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        # Now, or whoever comes first would have the event loop read files.
        for name in self._templates.list_templates(["html"]):
            self._templates.get_template(name)

    def html(self, page: Page, language: str, *, sample: bool, **looks: str) -> str:
        """``looks`` that are not given are the usual ones."""
        usual = {name: allowed[0] for name, allowed in LOOKS.items()}
        return self._templates.get_template(f"{page.name}.html").render(
            _=self.translations.gettext(page.name, language),
            page=page,
            language=language,
            sample=sample,
            **usual | looks,
        )


@cache
def shells() -> Shells:
    """Those of this process."""
    return Shells()


def words_of(translations: Translations, name: str, language: str, *, later: bool) -> bytes:
    """What the page's scripts say, as it is sent."""
    return orjson.dumps(translations.for_scripts(name, language, later=later))


class Built:
    """What anybody may ask for: built once, by whoever comes first, and again when an institution
    or site is enrolled."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[object, Any]] = {}
        self._building = threading.Lock()

    def of(self, key: tuple[object, ...], version: object, make: Callable[[], T]) -> T:
        with self._building:
            kept = self._made.get(key)
            if kept is None or kept[0] != version:
                self._made[key] = kept = version, make()
            value: T = kept[1]
            return value


def install(app: FastAPI) -> None:
    """Add the pages to an application whose state has the service."""
    translations = shells().translations
    mimetypes.init()
    router = APIRouter(route_class=PlacedRoute, include_in_schema=False)
    built = Built()

    @cache
    def words(name: str, language: str, later: bool) -> PackedAnswer:
        # Not by `Built`: this is asked for on the event loop, and must not wait while names are
        # read from the database.
        return PackedAnswer.of(words_of(translations, name, language, later=later))

    for page in PAGES:
        router.add_api_route(page.path, _show(page), methods=["GET"])

    @router.get("/assets/messages/{name}.json")
    async def messages(
        request: Request,
        name: str,
        lang: Annotated[str, Query(max_length=10)] = "",
        later: bool = False,
    ) -> Response:
        if name not in _PAGE_NAMES:
            return problem(404, "route.unknown", "Not Found")
        language = lang if lang in LANGUAGES else language_of(request)
        return words(name, language, later).answer(request)

    @router.get("/assets/names.json")
    def names(
        request: Request,
        service: ServiceDep,
        page: Annotated[str, Query(max_length=20)] = "",
        lang: Annotated[str, Query(max_length=10)] = "",
        later: bool = False,
    ) -> Response:
        language = lang if lang in LANGUAGES else language_of(request)
        asked = page if page in _PAGE_NAMES else ""
        names = built.of(
            ("names", asked, language, later),
            _version(service),
            lambda: PackedAnswer.of(orjson.dumps(names_of(service, asked, language, later=later))),
        )
        return names.answer(request)

    @router.get(WORKER)
    def worker(service: ServiceDep) -> Response:
        script = built.of(("worker",), _version(service), lambda: _worker(service, translations))
        return Response(script, headers=WORKER_HEADERS, media_type="text/javascript")

    @router.get("/check/offline.html")
    async def offline(request: Request, service: ServiceDep) -> Response:
        """The check of evidence, to be kept as a file."""
        trust = await request.app.state.evidence.trust()
        language = language_of(request)

        def page() -> bytes:
            version = _version(service), trust
            return built.of(
                ("offline", language),
                version,
                lambda: _offline(service, translations, language, trust),
            )

        headers = {
            **HTML_HEADERS,
            "Content-Disposition": 'attachment; filename="certledger-check.html"',
        }
        return HTMLResponse(await aside(page), headers=headers)

    app.include_router(router)
    app.mount("/assets", GZipMiddleware(Assets(directory=HERE / "static"), minimum_size=1024))


def _show(page: Page) -> Any:
    async def shown(request: Request, service: ServiceDep) -> Response:
        chosen = request.query_params.get("lang")
        if chosen in LANGUAGES:
            rest = [pair for pair in request.query_params.multi_items() if pair[0] != "lang"]
            target = page.path + (f"?{urlencode(rest)}" if rest else "")
            response: Response = RedirectResponse(target, 303)
            response.set_cookie("lang", chosen, max_age=_YEAR, samesite="lax")
            return response
        language = language_of(request)
        looks = {
            name: value if (value := request.cookies.get(name)) in allowed else allowed[0]
            for name, allowed in LOOKS.items()
        }
        html = shells().html(page, language, sample=service.settings.sample, **looks)
        return HTMLResponse(html, headers=HTML_HEADERS)

    return shown


def _worker(service: Service, translations: Translations) -> bytes:
    spoken: dict[str, Any] = {}
    for lang in LANGUAGES:
        for more, later in (("", False), ("&later=true", True)):
            names = names_of(service, "wallet", lang, later=later)
            spoken[f"/assets/names.json?lang={lang}&page=wallet{more}"] = names
            said = translations.for_scripts("wallet", lang, later=later)
            spoken[f"/assets/messages/wallet.json?lang={lang}{more}"] = said
    return worker_script(spoken).encode()


def _offline(service: Service, translations: Translations, language: str, trust: Trust) -> bytes:
    kept: dict[str, Any] = {}
    for lang in LANGUAGES:
        names_now = names_in(service, lang, with_fields=True, only_asked=False)
        kept[f"/assets/names.json?lang={lang}&page=check"] = names_now
        for more, later in (("", False), ("&later=true", True)):
            said = translations.for_scripts("check", lang, later=later)
            kept[f"/assets/messages/check.json?lang={lang}{more}"] = said
    return offline_page(language, kept, trust.to_json()).encode()


def language_of(request: Request) -> str:
    """By choice (cookie), else by what the browser asks for."""
    chosen = request.cookies.get("lang")
    return chosen if chosen in LANGUAGES else negotiate(request.headers.get("Accept-Language", ""))


def _version(service: Service) -> object:
    """The newest entries of an institution and of a site."""
    query = select(
        select(func.max(tables.institutions.c.seq)).scalar_subquery(),
        select(func.max(tables.sites.c.seq)).scalar_subquery(),
    )
    with service.database.read() as connection:
        return tuple(connection.execute(query).one())


def names_of(service: Service, page: str, language: str, *, later: bool) -> dict[str, Any]:
    """The names that a page asks for, at first or later."""
    with_fields = later or page not in WITHOUT_FIELDS | FIELDS_LATER
    only_asked = page in ASKED_FIELDS
    return names_in(service, language, with_fields=with_fields, only_asked=only_asked)


def names_in(
    service: Service, language: str, *, with_fields: bool, only_asked: bool
) -> dict[str, Any]:
    """What codes are called in one language: less than half of ``GET /v1/catalogue``.

    ``{types: {code: {name, type_code, fields?: {name: label}, derived?: [name]}}, items: {code:
    {name, asks?: {type: [field]}}}, institutions: {code: {name, types: [type_code]}}, sites:
    {site: {name, department}}, log: {origin, verifier}}``
    """
    zh = language.startswith("zh")
    with service.database.read() as connection:
        institutions = connection.execute(select(tables.institutions)).all()
        sites = connection.execute(select(tables.sites)).all()
    asked = {
        (kind, field)
        for code in service.items
        for kind, fields in service.items[code].asks.items()
        for field in fields
    }
    return {
        "types": {
            kind.code: {
                "name": kind.names.zh if zh else kind.names.en,
                "type_code": kind.type_code,
                **(_fields_in(kind, zh, asked if only_asked else None) if with_fields else {}),
            }
            for kind in service.catalogue.types
        },
        "items": {
            item.code: {
                "name": item.name_zh if zh else item.name_en,
                **({"asks": _asks_of(item)} if with_fields else {}),
            }
            for item in map(service.items.__getitem__, service.items)
        },
        "institutions": {
            row.code: {
                "name": row.name_zh if zh else row.name_en,
                "types": orjson.loads(row.types),
            }
            for row in institutions
        },
        "sites": {
            row.site: {"name": row.name_zh if zh else row.name_en, "department": row.department}
            for row in sites
        },
        "log": {
            "origin": service.ledger,
            "verifier": str(service.log_verifier),
        },
    }


def _fields_in(
    kind: CertificateType, zh: bool, only: Collection[tuple[str, str]] | None
) -> dict[str, Any]:
    labels = [(item.name, item.label) for item in kind.fields]
    labels += [(item.name, item.label) for item in kind.derived]
    return {
        "fields": {
            name: label.zh if zh else label.en
            for name, label in labels
            if only is None or (kind.code, name) in only
        },
        "derived": [item.name for item in kind.derived],
    }


def _asks_of(item: ServiceItem) -> dict[str, list[str]]:
    return {kind: sorted(fields) for kind, fields in item.asks.items()}
