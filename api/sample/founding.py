"""The sample city behind ``make serve``: founded over HTTP as any city would be, once.

Every step can be repeated, so a start goes on where the last one was cut off: what is enrolled,
issued or granted already answers so. Keys of the actors that founding needs are in the data
folder's ``sample``, mode 0600; ``state`` beside them says that this folder is a sample city, and
whether it is complete. A folder that began as anything else never becomes one, because anybody may
sign in as anybody here.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

from joserfc.jwk import ECKey

from api.client import Client, ServiceError, ServiceUnreachable
from api.data.keyfiles import load_signing_key, new_signing_key, save_signing_key, write_new
from api.data.settings import Settings
from api.sample.city import MARKET, POLICE, TRAFFIC
from api.sample.exports import CARDS, DRIVERS, LICENCES, write_samples
from api.sample.life import KIOSK, KIOSK_BUSINESS, KIOSK_TERMINAL, SCENES, Scene
from api.sample.people import (
    AUDIT,
    SAMPLE_INSTITUTIONS,
    SAMPLE_KINDS,
    SAMPLE_SITES,
    SAMPLE_TERMINALS,
    issuer_of,
    people,
)
from api.sample.residents import Held, Resident, residents
from api.service.assembly import Service
from ledger.catalogue import Catalogue, load_catalogue
from ledger.catalogue.fields import derive, validity_of
from ledger.certificate.credential import city_date, compose_certificate
from ledger.certificate.identifiers import CertificateIdentifier, holder_kind
from ledger.directory.holders import subject_digest
from ledger.enrolment.invitation_codes import CODE_BYTES, code_digest, code_of, grouped
from ledger.log.batch import Request
from ledger.log.committer import NotServing
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind, StatementError, verify

EXPORTS: Final = (
    (CARDS, POLICE, "resident-identity-card"),
    (LICENCES, MARKET, "business-licence"),
    (DRIVERS, TRAFFIC, "driving-licence"),
)
ROWS: Final = {"cards": 200, "licences": 60, "drivers": 40}
SIGN_IN_SECONDS: Final = 600
PAGES: Final = (
    ("/", "首页", "home"),
    ("/wallet", "我的证照", "wallet"),
    ("/counter", "窗口", "counter"),
    ("/kiosk", "自助办理", "kiosk"),
    ("/issuer", "发证台", "issuer desk"),
    ("/auditor", "审计台", "auditor console"),
    ("/check", "证照核验", "check"),
    ("/explorer", "链上公开记录", "explorer"),
)
_BEGUN, _COMPLETE = b"founding\n", b"founded\n"


class NotASampleCity(Exception):
    """This data folder is no sample city and must not become one."""


# --- whether this folder is one ---------------------------------------------------------------


def _state(settings: Settings) -> Path:
    return settings.data / "sample" / "state"


def prepare(settings: Settings) -> None:
    """Make a fresh data folder a sample city's, before anything else is in it; raises
    NotASampleCity for any other folder."""
    if settings.database:
        raise NotASampleCity(
            "a sample city keeps its database in its data folder; unset CERTLEDGER_DATABASE"
        )
    if _state(settings).exists():
        return
    begun = [name for name in ("keys", "certledger.db", "node") if (settings.data / name).exists()]
    if begun:
        raise NotASampleCity(
            f"{settings.data} was not founded as a sample city (it has {', '.join(begun)}); "
            "choose another data folder for --sample, or serve this one without it"
        )
    _write(_state(settings), lambda path: write_new(path, _BEGUN))


def is_founded(settings: Settings) -> bool:
    try:
        return _state(settings).read_bytes() == _COMPLETE
    except FileNotFoundError:
        return False


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Whole or not at all: what was cut off would have to be told from what is good."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    write(beside)
    beside.replace(path)


def _today() -> date:
    return city_date(time.time_ns() // 1_000_000)


# --- signing in as somebody -------------------------------------------------------------------


def all_people() -> list[dict[str, Any]]:
    return people(_today())


async def invite(service: Service, person: str) -> str:
    """An ordinary invitation for somebody of the city: its code. Departments invite holders, the
    operator all others."""
    if not is_founded(service.settings):
        raise NotServing("the sample city is still being founded")
    about, extra = _who(person)
    code, now = code_of(os.urandom(CODE_BYTES)), int(time.time())
    key = load_signing_key(_inviter(service.settings, about, extra))
    kid = key.thumbprint()
    payload = {
        "ledger": service.ledger,
        **about,
        "code_sha256": code_digest(code),
        "not_after": now + SIGN_IN_SECONDS,
        "iat": now,
        "jti": uuid.uuid4().hex,
    }
    found = service.ring.find(kid)
    if found is None:
        raise NotServing("the inviter's key is not enrolled yet")
    statement = verify(signed(Kind.INVITATION, payload, key, kid), key, service.ledger)
    await service.record("invitation", Request(statement, found[0], extra))
    return grouped(code)


def _inviter(settings: Settings, about: Mapping[str, Any], extra: Any) -> Path:
    """The key of the authority for identity, or the operator's."""
    if about["what"] != "holder":
        return settings.keys / "operator.jwk"
    return settings.data / "sample" / f"issuer-{_authority(extra['identity_number'])}.jwk"


def _authority(number: str) -> str:
    """The institution that says who has this number."""
    kind = holder_kind(number)
    (identifying,) = (item for item in load_catalogue().types if item.identifies is kind)
    return issuer_of(identifying.code)


def _who(person: str) -> tuple[dict[str, Any], Any]:
    """An invitation's members for one of the city's people, and what travels beside it."""
    for resident in residents(_today()):
        if resident.id == person:
            salt = os.urandom(32)
            subject = subject_digest(resident.number, salt)
            beside = {"identity_number": resident.number, "salt": salt}
            return {"what": "holder", "subject": subject}, beside
    for known in all_people():
        if known["id"] == person:
            places = ("role", "institution", "terminal", "site")
            return {"what": "key", **{name: known[name] for name in places if name in known}}, None
    raise StatementError("person.unknown", "nobody in the sample city is called that")


# --- founding ---------------------------------------------------------------------------------


def found_in_background(settings: Settings, url: str) -> None:
    """Found what is missing, while the service that it happens on goes on serving; then say
    where the pages are."""

    def work() -> None:
        try:
            if not is_founded(settings):
                found(settings, url, lambda line: print(line, flush=True))
            print(_addresses(url), flush=True)
        except (ServiceError, ServiceUnreachable) as error:
            print(
                f"示例城市尚未建成，下次启动时继续 · the sample city is not complete, the next "
                f"start goes on with it: {error}",
                flush=True,
            )

    # Its requests' paths hold identifiers, which no log may.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # A daemon: whoever stops the service does not wait for it.
    threading.Thread(target=work, name="sample-city", daemon=True).start()


def _addresses(url: str) -> str:
    lines = ["示例城市已就绪，人和证照都是虚构的 · the sample city is ready, and all made up:"]
    lines += [f"  {url}{path:<12}{zh} · {en}" for path, zh, en in PAGES]
    return "\n".join(lines)


def found(settings: Settings, url: str, tell: Callable[[str], None]) -> None:
    """Everything that is not there yet; raises ServiceError and ServiceUnreachable."""
    began = time.monotonic()
    with ExitStack() as stack:
        founding = _Founding(settings, url, stack)
        for zh, en, step in (
            ("机构、站点和终端", "institutions, sites and terminals", founding.enrol),
            ("导入部门数据", "imports of departments' exports", founding.import_exports),
            ("居民证照", "residents' certificates", founding.issue),
            ("暂扣、吊销、换发", "suspended, revoked, issued anew", founding.change),
            ("授权与查阅", "grants and lookups", founding.live),
        ):
            tell(f"示例城市 · sample city: {zh} · {en}")
            step()
    _write(_state(settings), lambda path: write_new(path, _COMPLETE))
    tell(f"示例城市建成 · sample city founded ({time.monotonic() - began:.0f} s)")


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Signed:
    """A certificate of the plan; its identifier is the same in every try."""

    certificate_id: str
    issuer: str
    type: str
    fields: Mapping[str, Any]


class _Founding:
    def __init__(self, settings: Settings, url: str, stack: ExitStack) -> None:
        self._folder, self._url, self._stack = settings.data / "sample", url, stack
        self._catalogue: Catalogue = load_catalogue()
        self._residents = residents(_today())
        self._operator = self._client(load_signing_key(settings.keys / "operator.jwk"))
        self._actors: dict[str, Client] = {}
        self._pool = stack.enter_context(ThreadPoolExecutor(8))

    def enrol(self) -> None:
        public = self._operator.catalogue_public()
        known = {item["code"] for item in public["institutions"]}
        self._each(SAMPLE_INSTITUTIONS.keys() - known, self._institution)
        known = {item["site"] for item in public["sites"]}
        self._each(SAMPLE_SITES.keys() - known, self._site)
        issuers = [code for code, (_, _, types) in SAMPLE_INSTITUTIONS.items() if types]
        self._each(issuers, lambda code: self._key(f"issuer-{code}", "issuer", code))
        self._each(SAMPLE_TERMINALS, self._terminal)
        self._key("auditor", "auditor", AUDIT)
        self._each({scene.holder for scene in (*SCENES, KIOSK)}, self._device)

    def import_exports(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_samples(Path(folder), **ROWS)
            for name, issuer, kind in EXPORTS:
                self._actor(f"issuer-{issuer}").import_file(Path(folder) / name, kind, issuer)

    def issue(self) -> None:
        self._issue(
            self._planned(index, at)
            for index, resident in enumerate(self._residents)
            for at in range(len(resident.held))
        )

    def change(self) -> None:
        for index, resident in enumerate(self._residents):
            for at, held in enumerate(resident.held):
                if held.then is not None:
                    self._change(index, at, held)

    def live(self) -> None:
        for scene in SCENES:
            self._play(scene)
        self._play_kiosk()

    # Who takes part

    def _client(self, key: ECKey) -> Client:
        return self._stack.enter_context(Client(self._url, key, catalogue=self._catalogue))

    def _actor(self, name: str) -> Client:
        """A client with the actor's key, which is made where there is none yet."""
        if name not in self._actors:
            path = self._folder / f"{name}.jwk"
            if not path.exists():
                _write(path, lambda beside: save_signing_key(beside, new_signing_key()))
            self._actors[name] = self._client(load_signing_key(path))
        return self._actors[name]

    def _each(self, items: Iterable[Item], do: Callable[[Item], Any]) -> None:
        """At the same time, so that they share their anchors."""
        list(self._pool.map(do, items))

    def _institution(self, code: str) -> None:
        zh, en, types = SAMPLE_INSTITUTIONS[code]
        codes = [self._catalogue.type(name).type_code for name in types]
        self._operator.enrol(
            "institution",
            code=code,
            name_zh=zh,
            name_en=en,
            types=codes,
            kinds=SAMPLE_KINDS[code],
        )

    def _site(self, site: str) -> None:
        department, zh, en = SAMPLE_SITES[site]
        self._operator.enrol("site", site=site, department=department, name_zh=zh, name_en=en)

    def _terminal(self, terminal: str) -> None:
        site = SAMPLE_TERMINALS[terminal][0]
        self._key(terminal, "terminal", SAMPLE_SITES[site][0], terminal=terminal, site=site)

    def _key(self, name: str, role: str, institution: str, **place: str) -> None:
        key = self._actor(name).key
        _unless("key.enrolled", lambda: self._operator.enrol_key(key, role, institution, **place))

    def _device(self, id_: str) -> None:
        number = next(item.number for item in self._residents if item.id == id_)
        key = self._actor(id_).key
        authority = self._actor(f"issuer-{_authority(number)}")
        _unless("key.enrolled", lambda: authority.enrol_holder(key, number))

    # What they hold

    def _planned(self, index: int, at: int, version: int = 1) -> _Signed:
        resident, held = self._residents[index], self._residents[index].held[at]
        kind, issuer = self._catalogue.type(held.type), issuer_of(held.type)
        own = {name: value for name, value in resident.own.items() if name in kind.field_by_name}
        fields = {**own, **held.fields, **(held.succeeded_by if version > 1 else {})}
        fields |= derive(kind, fields, _today())
        serial = f"{index:06}{at:04}"
        id_ = str(CertificateIdentifier(kind.type_code, issuer, serial, f"{version:03}"))
        return _Signed(id_, issuer, held.type, fields)

    def _issue(self, planned: Iterable[_Signed]) -> None:
        by_issuer: dict[str, list[str]] = {}
        for item in planned:
            kind = self._catalogue.type(item.type)
            valid_from, valid_until = validity_of(kind, item.fields)
            key = self._actor(f"issuer-{item.issuer}").key
            signed = compose_certificate(
                ledger=self._operator.ledger,
                fields=item.fields,
                certificate_id=item.certificate_id,
                type_code=kind.type_code,
                issuer=item.issuer,
                valid_from=valid_from,
                valid_until=valid_until,
                public_dates=kind.validity.public,
                iat=int(time.time()),
                jti=uuid.uuid4().hex,
                source=None,
                salt=os.urandom,
            ).sign(key, key.thumbprint())
            by_issuer.setdefault(item.issuer, []).append(signed)

        def send(issuer: str) -> None:
            for result in self._actor(f"issuer-{issuer}").issue_many(by_issuer[issuer]):
                if result.code not in (None, "certificate.exists"):
                    raise ServiceError(400, result.code, "a sample certificate was refused", {})

        self._each(by_issuer, send)

    def _change(self, index: int, at: int, held: Held) -> None:
        old = self._planned(index, at)
        issuer = self._actor(f"issuer-{old.issuer}")
        new = self._planned(index, at, 2) if held.then == "supersede" else None
        successor = None if new is None else new.certificate_id
        action = held.then or ""
        _unless(
            "certificate.transition",
            lambda: issuer.change_status(old.certificate_id, action, held.reason, successor),
        )
        if new is not None:
            self._issue([new])

    # What they do

    def _play(self, scene: Scene) -> None:
        device = self._actor(scene.holder)
        _unless(
            "grant.exists",
            lambda: device.grant(
                self._certificates(scene),
                mode=scene.mode,
                department=scene.department,
                sites=scene.sites,
                service_item=scene.service_item,
                seconds=scene.days * 86_400,
                max_uses=scene.max_uses,
                text=scene.text,
                grant_id=scene.grant_id,
            ),
        )
        if scene.revoked:
            _unless("grant.revoked", lambda: device.revoke_grant(scene.grant_id))
        for look in scene.looks[_lookups_under(device, scene.grant_id) :]:
            presented = {"grant_id": scene.grant_id}
            if scene.mode == "scan":
                presented = {"code": device.code(scene.grant_id)["code"]}
            self._actor(look.terminal).lookup(
                presented,
                fields=look.fields,
                service_item=look.service_item or scene.service_item,
                business_number=look.business_number,
                staff=look.staff,
            )

    def _play_kiosk(self) -> None:
        device, kiosk = self._actor(KIOSK.holder), self._actor(KIOSK_TERMINAL)
        wanted = self._certificates(KIOSK)
        answered = [item for item in device.grants() if item["mode"] == "request"]
        if not answered:
            asked = {self._resident(KIOSK.holder).held[at].type: f for at, f in KIOSK.shown.items()}
            opened = kiosk.open_request(KIOSK.service_item, KIOSK_BUSINESS, asked, text=KIOSK.text)
            device.approve_request(device.find_request(opened["code"]), wanted)
            answered = [item for item in device.grants() if item["mode"] == "request"]
        grant = answered[0]
        if not _lookups_under(device, grant["grant_id"]):
            for id_, fields in wanted.items():
                kiosk.lookup(
                    {"request_id": grant["request_id"]},
                    fields=fields,
                    certificate_id=id_,
                    service_item=KIOSK.service_item,
                    business_number=KIOSK_BUSINESS,
                )

    def _resident(self, id_: str) -> Resident:
        return next(item for item in self._residents if item.id == id_)

    def _certificates(self, scene: Scene) -> dict[str, tuple[str, ...]]:
        index = next(i for i, item in enumerate(self._residents) if item.id == scene.holder)
        return {
            self._planned(index, at).certificate_id: fields for at, fields in scene.shown.items()
        }


def _lookups_under(device: Client, grant_id: str) -> int:
    """How many lookups under a grant of the device's holder are recorded."""
    return sum(1 for _ in device.history(grant=grant_id, kind="lookup"))


def _unless(code: str, call: Callable[[], Any]) -> None:
    """What an earlier start did already is done."""
    try:
        call()
    except ServiceError as error:
        if error.code != code:
            raise
