"""The Python client: what a department's own system, a terminal or a holder's device uses.

Every write is signed here with the caller's key. A request that met a 503 or a lost connection is
sent again as it is: the service answers one request once, so this never doubles anything.
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
import orjson
from joserfc.jwk import ECKey

from api.importing import (
    ImportOutcome,
    Progress,
    RowResult,
    Signer,
    import_export,
)
from authz.codes import CodeKind, make_code
from ledger.catalogue import Catalogue, load_catalogue
from ledger.encoding import b64url, b64url_decode
from ledger.exports import file_sha256
from ledger.holders import subject_digest
from ledger.identifiers import normalise
from ledger.notes import NoteKey
from ledger.receipts import verify_receipt
from ledger.statements import Kind, sign

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ServiceError(Exception):
    """The service answered with a problem; ``code`` is stable."""

    def __init__(self, status: int, code: str, detail: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code, self.detail, self.body = status, code, detail, body


class ServiceUnreachable(Exception):
    """No answer after all tries; whether the request was recorded is unknown until it is sent
    again."""


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """Released with the fields, or refused with the reason code; the receipt either way."""

    released: bool
    code: str | None
    fields: Mapping[str, Any]
    presentation: str | None
    receipt: Mapping[str, Any]
    body: Mapping[str, Any]


def new_identifier() -> str:
    """26 characters of Crockford's base32 (130 bits), for grants and requests."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(26))


class Client:
    """A connection to one service, acting with one key (none: public reads only)."""

    def __init__(
        self,
        url: str,
        key: ECKey | None = None,
        *,
        timeout: float = 40.0,
        tries: int = 4,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._key = key
        self._kid = key.thumbprint() if key is not None else ""
        self._tries = tries
        self._token: tuple[str, float] = ("", 0.0)
        self._catalogue = catalogue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- signing and sending ------------------------------------------------------------------

    def statement(self, kind: Kind, payload: Mapping[str, Any]) -> str:
        """``payload`` with version, time and a fresh ``jti``, signed."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        members = {"v": 1, **payload}
        members.setdefault("iat", int(time.time()))
        members.setdefault("jti", uuid.uuid4().hex)
        return sign(kind, members, self._key, self._kid)

    def access_token(self) -> str:
        """A read token, renewed before it ends."""
        token, renew_at = self._token
        if time.time() >= renew_at:
            if self._key is None:
                raise ValueError("this needs a client with a key")
            now = int(time.time())
            payload = {"iat": now, "exp": now + 240, "jti": uuid.uuid4().hex}
            token = sign(Kind.ACCESS, payload, self._key, self._kid)
            self._token = token, now + 180
        return token

    def get(self, path: str, *, token: bool = True, **params: Any) -> httpx.Response:
        """GET; raises ServiceError or ServiceUnreachable."""
        headers = {"Authorization": f"Bearer {self.access_token()}"} if token else {}
        shown = {name: value for name, value in params.items() if value is not None}
        return self._checked(
            self._send(lambda: self._http.get(path, params=shown, headers=headers))
        )

    def post(self, path: str, body: Mapping[str, Any], *, token: bool = False) -> httpx.Response:
        return self._checked(self.post_raw(path, body, token=token))

    def post_raw(
        self, path: str, body: Mapping[str, Any], *, token: bool = False
    ) -> httpx.Response:
        """POST without judging the status; 503 and lost connections are tried again."""
        content = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {self.access_token()}"
        return self._send(lambda: self._http.post(path, content=content, headers=headers))

    def _send(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        for attempt in range(1, self._tries + 1):
            try:
                response = send()
            except httpx.TransportError as error:
                if attempt == self._tries:
                    raise ServiceUnreachable(f"no answer from the service: {error}") from error
                time.sleep(min(3.0, 0.2 * 2**attempt))
                continue
            if response.status_code != 503 or attempt == self._tries:
                return response
            time.sleep(min(5.0, float(response.headers.get("Retry-After", "1"))))
        raise AssertionError

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        if response.status_code >= 400:
            raise _service_error(response)
        return response

    # --- enrolment ----------------------------------------------------------------------------

    def enrol(self, what: str, **members: Any) -> dict[str, Any]:
        """Institution, site, key or key_revocation; see `ledger.enrolment` for the members."""
        shown = {name: value for name, value in members.items() if value is not None}
        statement = self.statement(Kind.ENROLMENT, {"what": what, **shown})
        return _json(self.post("/v1/enrolments", {"statement": statement}))

    def enrol_key(self, key: ECKey, role: str, institution: str, **members: Any) -> dict[str, Any]:
        return self.enrol("key", jwk=public_jwk(key), role=role, institution=institution, **members)

    def whoami(self) -> dict[str, Any]:
        """What this client's key is enrolled as."""
        return _json(self.get("/v1/whoami"))

    def enrol_holder(self, key: ECKey, identity_number: str) -> dict[str, Any]:
        """A holder's device; the number is checked and kept sealed."""
        salt, number = os.urandom(32), normalise(identity_number)
        statement = self.statement(
            Kind.ENROLMENT,
            {"what": "holder", "jwk": public_jwk(key), "subject": subject_digest(number, salt)},
        )
        body = {"statement": statement, "identity_number": number, "salt": b64url(salt)}
        return _json(self.post("/v1/enrolments", body))

    # --- certificates -------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = load_catalogue()
        return self._catalogue

    def signer(self, type_name: str, issuer: str) -> Signer:
        """Signs certificates of one type with this client's key."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        return Signer(self._key, issuer, self.catalogue.type(type_name))

    def issue(self, certificate: str) -> dict[str, Any]:
        """Have one signed certificate recorded; raises ServiceError when it is refused."""
        return _json(self.post("/v1/certificates", {"certificate": certificate}))

    def issue_many(self, certificates: Sequence[str]) -> list[RowResult]:
        """Up to 500 signed certificates, a result each."""
        answer = _json(self.post("/v1/certificates", {"certificates": list(certificates)}))
        return [
            RowResult(
                item.get("certificate_id"),
                already=item["status"] == "already_issued",
                code=item.get("code"),
            )
            for item in answer["results"]
        ]

    def import_file(
        self,
        path: Path,
        type_name: str,
        issuer: str,
        *,
        synthetic_allowed: bool = True,
        progress: Callable[[Progress], None] = lambda _: None,
        refused_rows: IO[str] | None = None,
    ) -> ImportOutcome:
        """Issue an export, signing every certificate here. Run again, it goes on where it was."""
        return import_export(
            path,
            path.name,
            self.signer(type_name, issuer),
            self.issue_many,
            synthetic_allowed=synthetic_allowed,
            progress=progress,
            refused_rows=refused_rows,
        )

    def upload_import(
        self,
        path: Path,
        type_name: str,
        *,
        progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Have the service issue an export with the key it keeps for the department."""
        kind = self.catalogue.type(type_name)
        statement = self.statement(
            Kind.IMPORT, {"type": kind.code, "file_sha256": file_sha256(path).hex()}
        )
        with path.open("rb") as file:
            response = self._http.post(
                "/v1/imports", data={"statement": statement}, files={"file": (path.name, file)}
            )
        job = _json(self._checked(response))
        while job["state"] == "running":
            time.sleep(0.1)
            job = _json(self.get(f"/v1/imports/{job['import_id']}"))
            progress(job["progress"])
        if job["state"] == "failed":
            raise ServiceError(400, job["problem"]["code"], job["problem"]["detail"], job)
        report: dict[str, Any] = job["report"]
        return report

    def change_status(
        self, certificate_id: str, action: str, reason: str, successor: str | None = None
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "certificate_id": certificate_id,
            "action": action,
            "reason": reason,
        }
        if successor is not None:
            payload["successor"] = successor
        statement = self.statement(Kind.STATUS, payload)
        path = f"/v1/certificates/{certificate_id}/status"
        return _json(self.post(path, {"statement": statement}))

    def certificate(self, certificate_id: str) -> dict[str, Any]:
        """Public state and receipts."""
        return _json(self.get(f"/v1/certificates/{certificate_id}", token=False))

    def my_certificates(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = _json(self.get("/v1/certificates"))["certificates"]
        return listed

    # --- grants -------------------------------------------------------------------------------

    def grant(
        self,
        certificates: Mapping[str, Sequence[str]],
        *,
        department: str,
        service_item: str,
        sites: Sequence[str],
        mode: str = "scan",
        seconds: int = 3600,
        max_uses: int = 1,
        terminal: str | None = None,
        staff: str | None = None,
        text: str | None = None,
        not_before: int | None = None,
        request_id: str | None = None,
        grant_id: str | None = None,
    ) -> dict[str, Any]:
        """Grant lookups of ``certificates`` (identifier to fields); answers with the grant_id."""
        start = int(time.time()) - 1 if not_before is None else not_before
        grantee = {"department": department}
        if terminal is not None:
            grantee["terminal"] = terminal
        if staff is not None:
            grantee["staff"] = staff
        purpose = {"service_item": service_item}
        if text is not None:
            purpose["text"] = text
        payload: dict[str, Any] = {
            "grant_id": grant_id or new_identifier(),
            "mode": mode,
            "certificates": [
                {"certificate_id": identifier, "fields": list(fields)}
                for identifier, fields in certificates.items()
            ],
            "grantee": grantee,
            "purpose": purpose,
            "when": {"not_before": start, "not_after": start + seconds},
            "where": {"sites": list(sites)},
            "limits": {"max_uses": max_uses},
        }
        if request_id is not None:
            payload["request_id"] = request_id
        return _json(self.post("/v1/grants", {"statement": self.statement(Kind.GRANT, payload)}))

    def grants(self) -> list[dict[str, Any]]:
        """The holder's own, newest first; all pages."""
        listed: list[dict[str, Any]] = []
        before = None
        while True:
            page = _json(self.get("/v1/grants", before=before, limit=200))
            listed += page["grants"]
            before = page["next_before"]
            if before is None:
                return listed

    def code(self, grant_id: str) -> dict[str, Any]:
        """The code to show now."""
        return _json(self.get(f"/v1/grants/{grant_id}/code"))

    def qr(self, grant_id: str, form: str = "svg") -> bytes:
        return self.get(f"/v1/grants/{grant_id}/code", format=form).content

    def spoken_code(self, grant_id: str, site: str) -> dict[str, Any]:
        return _json(self.post(f"/v1/grants/{grant_id}/spoken-code", {"site": site}, token=True))

    def revoke_grant(self, grant_id: str) -> dict[str, Any]:
        statement = self.statement(Kind.REVOCATION, {"grant_id": grant_id})
        return _json(self.post(f"/v1/grants/{grant_id}/revocation", {"statement": statement}))

    # --- requests -----------------------------------------------------------------------------

    def open_request(
        self,
        service_item: str,
        business_number: str,
        certificates: Mapping[str, Sequence[str]],
        *,
        ttl: int = 300,
        text: str | None = None,
        staff: str | None = None,
    ) -> dict[str, Any]:
        """Ask a holder for ``certificates`` (type to fields); answers with code and number."""
        payload: dict[str, Any] = {
            "request_id": new_identifier(),
            "service_item": service_item,
            "business_number": business_number,
            "certificates": [
                {"type": kind, "fields": list(fields)} for kind, fields in certificates.items()
            ],
            "ttl": ttl,
        }
        if text is not None:
            payload["text"] = text
        if staff is not None:
            payload["staff"] = staff
        statement = self.statement(Kind.REQUEST, payload)
        return _json(self.post("/v1/requests", {"statement": statement}))

    def request(self, request_id: str) -> dict[str, Any]:
        return _json(self.get(f"/v1/requests/{request_id}"))

    def find_request(self, code: str) -> dict[str, Any]:
        return _json(self.post("/v1/requests/find", {"code": code}, token=True))

    def approve_request(
        self, request: Mapping[str, Any], certificates: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        """Grant what a request asked for, to its terminal only, for five minutes."""
        return self.grant(
            certificates,
            mode="request",
            request_id=request["request_id"],
            department=request["department"],
            terminal=request["terminal"],
            staff=request["staff"],
            sites=[request["site"]],
            service_item=request["service_item"],
            max_uses=len(certificates),
            seconds=300,
        )

    def refuse_request(self, request_id: str) -> dict[str, Any]:
        statement = self.statement(Kind.REFUSAL, {"request_id": request_id})
        return _json(self.post(f"/v1/requests/{request_id}/refusal", {"statement": statement}))

    # --- lookups ------------------------------------------------------------------------------

    def lookup_statement(
        self,
        presented: Mapping[str, str],
        *,
        fields: Sequence[str],
        service_item: str,
        business_number: str,
        certificate_id: str | None = None,
        staff: str | None = None,
        jti: str | None = None,
    ) -> str:
        payload: dict[str, Any] = {
            "presented": dict(presented),
            "fields": list(fields),
            "service_item": service_item,
            "business_number": business_number,
        }
        if certificate_id is not None:
            payload["certificate_id"] = certificate_id
        if staff is not None:
            payload["staff"] = staff
        if jti is not None:
            payload["jti"] = jti
        return self.statement(Kind.LOOKUP, payload)

    def lookup(self, presented: Mapping[str, str], **asked: Any) -> LookupAnswer:
        """Look up; ``presented`` is one of ``{code}``, ``{spoken}``, ``{grant_id}`` or
        ``{request_id}``. A refusal is an answer; only a broken request raises ServiceError."""
        return self.send_lookup(self.lookup_statement(presented, **asked))

    def send_lookup(self, statement: str) -> LookupAnswer:
        """Send a signed lookup, or send it again: it has one answer."""
        response = self.post_raw("/v1/lookups", {"statement": statement})
        body = _json(response) if response.content else {}
        if response.status_code >= 400 and body.get("decision") != "refused":
            raise _service_error(response)
        released = body["decision"] == "released"
        return LookupAnswer(
            released=released,
            code=None if released else body["code"],
            fields=body.get("fields", {}),
            presentation=body.get("presentation"),
            receipt=body["receipt"],
            body=body,
        )

    # --- history and proof --------------------------------------------------------------------

    def history(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """All matching lines, newest first, page by page."""
        before = None
        while True:
            page = _json(self.get("/v1/history", before=before, **filters))
            yield from page["lines"]
            before = page["next_before"]
            if before is None:
                return

    def catalogue_public(self) -> dict[str, Any]:
        return _json(self.get("/v1/catalogue", token=False))

    def log_key(self) -> NoteKey:
        """The log's verifier key as the service tells it; pin it where that matters."""
        return NoteKey.parse(self.catalogue_public()["log"]["verifier"])

    def checkpoint(self) -> str:
        return self.get("/log/checkpoint", token=False).text

    def verify(self, receipt: Mapping[str, Any], log_key: NoteKey) -> None:
        """Raises `ledger.receipts.ReceiptError` unless the receipt proves its entry."""
        verify_receipt(receipt, log_key)


def device_code(material: Mapping[str, Any], at_ms: int) -> str:
    """The code that a device makes by itself from what the grant's answer gave it."""
    return make_code(
        CodeKind.GRANT,
        b64url_decode(material["handle"]),
        b64url_decode(material["secret"]),
        at_ms,
    )


def public_jwk(key: ECKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}


def _json(response: httpx.Response) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(response.content)
    return value


def _service_error(response: httpx.Response) -> ServiceError:
    try:
        body = _json(response)
        return ServiceError(response.status_code, body["code"], str(body.get("detail")), body)
    except (ValueError, KeyError, TypeError):
        return ServiceError(response.status_code, "http", response.text[:200], {})
