"""The Python client: what a department's own system, a terminal or a holder's device uses.

Every write is signed here with the caller's key. A request that met a 503 or a lost connection is
sent again as it is: the service answers one request once, so this never doubles anything.
"""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

import httpx
import orjson
from joserfc.jwk import ECKey

from api.bulk.importer import (
    ImportOutcome,
    Progress,
    RowResult,
    Signer,
    import_export,
)
from api.client.answers import Bounded, TooMuch
from audit.evidence.bundle import SUBJECTS
from authz.code.codes import CodeKind, make_code
from ledger.catalogue import Catalogue, load_catalogue
from ledger.certificate.credential import city_date
from ledger.certificate.identifiers import parse_holder_number
from ledger.directory.holders import salted_digest, subject_digest
from ledger.enrolment.invitation_codes import CODE_BYTES, code_digest, code_of, grouped, read_code
from ledger.export import file_sha256
from ledger.proof.encoding import b64url, b64url_decode
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import verify_receipt
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind

#: Bytes and seconds of the longest answer: every refused row of a very large export.
MAX_ANSWER, ANSWER_SECONDS = 256 << 20, 600.0

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ServiceError(Exception):
    """The service answered with a problem; ``code`` is stable."""

    def __init__(self, status: int, code: str, detail: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code, self.detail, self.body = status, code, detail, body


class ServiceUnreachable(Exception):
    """No answer after all tries; whether the request was recorded is unknown until it is sent
    again."""


class WrongService(ServiceUnreachable):
    """The address leads to no certledger."""


class WrongAddress(ValueError):
    """What was given is no address of a service; the message says how one is written."""


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
    """26 characters of Crockford's base32 (130 bits), for grants, requests and disputes."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(26))


class Client:
    """A connection to one service, acting with one key (none: public reads only); raises
    WrongAddress.

    ``ledger`` is the origin of the log that everything is signed for; give it where it is known.
    Without it the service is believed once, and ``learnt`` is told what it said. Who signs for the
    ledger that a lying service names can be repeated there (docs/threat-model.md).
    """

    def __init__(
        self,
        url: str,
        key: ECKey | None = None,
        *,
        ledger: str | None = None,
        learnt: Callable[[str], None] = lambda _ledger: None,
        timeout: float = 40.0,
        tries: int = 4,
        catalogue: Catalogue | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self._url = service_address(url)
        self._http = httpx.Client(
            base_url=self._url,
            timeout=timeout,
            trust_env=False,
            transport=Bounded(max_answer, ANSWER_SECONDS),
        )
        self._key = key
        self._kid = key.thumbprint() if key is not None else ""
        self._ledger, self._learnt = ledger, learnt
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

    @property
    def key(self) -> ECKey:
        """Raises ValueError for a client without one."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        return self._key

    # --- signing and sending ------------------------------------------------------------------

    @property
    def ledger(self) -> str:
        """The one that is signed for; asked from the service once, where it was not given."""
        if self._ledger is None:
            told = _json(self.get("/v1/time", token=False)).get("ledger")
            if not isinstance(told, str) or not told:
                raise WrongService(f"{self._url} names no ledger")
            self._learnt(told)
            self._ledger = told
        return self._ledger

    def statement(self, kind: Kind, payload: Mapping[str, Any]) -> str:
        """``payload`` with version, ledger, time and a fresh ``jti``, signed; raises PayloadError
        for what no service would take."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        common = {"ledger": self.ledger, "iat": int(time.time()), "jti": uuid.uuid4().hex}
        return signed(kind, {**common, **payload}, self._key, self._kid)

    def access_token(self) -> str:
        """A read token, renewed before it ends."""
        token, renew_at = self._token
        if time.time() >= renew_at:
            if self._key is None:
                raise ValueError("this needs a client with a key")
            now = int(time.time())
            token = self.statement(Kind.ACCESS, {"iat": now, "exp": now + 240})
            self._token = token, now + 180
        return token

    def authorization(self) -> dict[str, str]:
        """The header of reads, and of bodies that are too long for a stranger's."""
        return {"Authorization": f"Bearer {self.access_token()}"}

    def get(self, path: str, *, token: bool = True, **params: Any) -> httpx.Response:
        """GET; raises ServiceError or ServiceUnreachable."""
        headers = self.authorization() if token else {}
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
            headers |= self.authorization()
        return self._send(lambda: self._http.post(path, content=content, headers=headers))

    def _send(self, send: Callable[[], httpx.Response], tries: int | None = None) -> httpx.Response:
        tries = tries or self._tries
        for attempt in range(1, tries + 1):
            try:
                response = send()
            except httpx.RequestError as error:
                met = self._met(error)
                if attempt == tries or isinstance(met, WrongService):
                    raise met from error
                time.sleep(min(3.0, 0.2 * 2**attempt))
                continue
            if response.status_code != 503 or attempt == tries:
                return response
            time.sleep(_seconds(response.headers.get("Retry-After", "")))
        raise AssertionError

    def _met(self, error: BaseException) -> ServiceUnreachable:
        """What kept a request from being answered, by what lies under httpx's error."""
        if isinstance(error, TooMuch):
            return WrongService(f"{self._url} is no certledger: {error}")
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message
                return WrongService(f"the TLS certificate of {self._url} is not trusted: {why}")
            if isinstance(cause, ssl.SSLError):
                plain = self._url.replace("https://", "http://")
                return WrongService(f"{self._url} does not speak TLS (it may be {plain})")
            if isinstance(cause, socket.gaierror):
                return WrongService(f"no host of this name is known: {self._url}")
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx.TimeoutException):
            return ServiceUnreachable(f"no answer from {self._url} in time")
        return ServiceUnreachable(f"no answer from {self._url}: {error}")

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        if response.status_code >= 300:
            raise _service_error(response)
        return response

    # --- enrolment ----------------------------------------------------------------------------

    def enrol(self, what: str, **members: Any) -> dict[str, Any]:
        """Institution, site, key or key_revocation; see `ledger.enrolment.handler` for the
        members.
        """
        shown = {name: value for name, value in members.items() if value is not None}
        statement = self.statement(Kind.ENROLMENT, {"what": what, **shown})
        return _json(self.post("/v1/enrolments", {"statement": statement}))

    def enrol_key(self, key: ECKey, role: str, institution: str, **members: Any) -> dict[str, Any]:
        return self.enrol("key", jwk=public_jwk(key), role=role, institution=institution, **members)

    def whoami(self) -> dict[str, Any]:
        """What this client's key is enrolled as."""
        return _json(self.get("/v1/whoami"))

    def enrolled_keys(self) -> Iterator[dict[str, Any]]:
        """The enrolled keys that concern this one, newest first, page by page."""
        before = None
        while True:
            page = _json(self.get("/v1/keys", before=before, limit=500))
            yield from page["keys"]
            before = page["next_before"]
            if before is None:
                return

    def revoke_key(self, kid: str) -> dict[str, Any]:
        """From now on: the operator any key, an issuer those of its institution, a holder their
        own devices."""
        return self.enrol("key_revocation", kid=kid)

    def suspend_device(self, kid: str) -> dict[str, Any]:
        """Freeze a holder's device at once ('not mine', or lost): by another device of theirs, by
        the authority for identity, or by an auditor."""
        return self.enrol("key_suspension", kid=kid)

    def restore_device(self, kid: str) -> dict[str, Any]:
        """End a suspension: by the key that began it, or the authority for identity."""
        return self.enrol("key_restoration", kid=kid)

    def erase_proof(self, seq: int, ground: str) -> dict[str, Any]:
        """Destroy what is sealed with entry ``seq``: whose device it is, which file it was."""
        return self.enrol("proof_erasure", seq=seq, ground=ground)

    def enrol_holder(self, key: ECKey, identity_number: str) -> dict[str, Any]:
        """A holder's device, by a department's key; the number is checked and kept sealed. The
        answer has a ``scope`` where the device speaks for this department alone so far."""
        salt, number = os.urandom(32), _holder_number(identity_number)
        statement = self.statement(
            Kind.ENROLMENT,
            {"what": "holder", "jwk": public_jwk(key), "subject": subject_digest(number, salt)},
        )
        body = {"statement": statement, "identity_number": number, "salt": b64url(salt)}
        return _json(self.post("/v1/enrolments", body))

    def approve_device(self, key: ECKey) -> dict[str, Any]:
        """Another device of the holder whose device this client signs with: a new one, or one that
        a department let in, which speaks for all from now on."""
        return self.enrol("device", jwk=public_jwk(key))

    def invite_holder(self, identity_number: str, *, days: float = 1) -> dict[str, Any]:
        """A one-time code that enrols one device of this holder; it is in the answer alone."""
        salt, number = os.urandom(32), _holder_number(identity_number)
        return self._invite(
            {"what": "holder", "subject": subject_digest(number, salt)},
            days,
            {"identity_number": number, "salt": b64url(salt)},
        )

    def invite_key(
        self,
        role: str,
        institution: str,
        *,
        terminal: str | None = None,
        site: str | None = None,
        days: float = 1,
    ) -> dict[str, Any]:
        """A one-time code that enrols one key of an institution; it is in the answer alone."""
        members = {"role": role, "institution": institution, "terminal": terminal, "site": site}
        shown = {name: value for name, value in members.items() if value is not None}
        return self._invite({"what": "key", **shown}, days, {})

    def _invite(
        self, members: Mapping[str, Any], days: float, beside: Mapping[str, str]
    ) -> dict[str, Any]:
        code, now = code_of(secrets.token_bytes(CODE_BYTES)), int(time.time())
        times = {"iat": now, "not_after": now + int(days * 86_400)}
        statement = self.statement(
            Kind.INVITATION, {**members, **times, "code_sha256": code_digest(code)}
        )
        answer = _json(self.post("/v1/invitations", {"statement": statement, **beside}))
        return {"code": grouped(code), **answer}

    def claim(self, code: str) -> dict[str, Any]:
        """Enrol this client's own key with a one-time code; answers with what it is now."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        # What cannot be a code is the service's to refuse, in the same words as a wrong one.
        invitation = code_digest(read_code(code) or "")
        statement = self.statement(
            Kind.CLAIM, {"jwk": public_jwk(self._key), "invitation": invitation}
        )
        return _json(self.post("/v1/invitations/claim", {"statement": statement, "code": code}))

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
        return Signer(self.ledger, self._key, issuer, self.catalogue.type(type_name))

    def issue(self, certificate: str) -> dict[str, Any]:
        """Have one signed certificate recorded; raises ServiceError when it is refused."""
        return _json(self.post("/v1/certificates", {"certificate": certificate}))

    def issue_many(self, certificates: Sequence[str]) -> list[RowResult]:
        """Up to 500 signed certificates, a result each."""
        body = {"certificates": list(certificates)}
        answer = _json(self.post("/v1/certificates", body, token=True))
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
        progress: Callable[[Progress], None] = lambda _: None,
        refused_rows: IO[str] | None = None,
    ) -> ImportOutcome:
        """Issue an export, signing every certificate here. Run again, it goes on where it was."""
        return import_export(
            path,
            path.name,
            self.signer(type_name, issuer),
            self.issue_many,
            progress=progress,
            refused_rows=refused_rows,
        )

    def import_form(self, type_name: str, digest: bytes) -> dict[str, str]:
        """What is sent beside the file whose SHA-256 is ``digest``."""
        salt = os.urandom(32)
        members = {"type": type_name, "file_commitment": salted_digest(salt, digest)}
        return {"statement": self.statement(Kind.IMPORT, members), "salt": b64url(salt)}

    def upload_import(
        self,
        path: Path,
        type_name: str,
        *,
        progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Have the service issue an export with the key it keeps for the department."""
        kind = self.catalogue.type(type_name)
        form = self.import_form(kind.code, file_sha256(path))
        with path.open("rb") as file:
            parts = {"file": (path.name, file)}
            response = self._send(
                lambda: self._http.post(
                    "/v1/imports",
                    data=form,
                    files=parts,
                    headers=self.authorization(),
                ),
                tries=1,
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
        self,
        certificate_id: str,
        action: str,
        reason: str,
        successor: str | None = None,
        ground: str | None = None,
    ) -> dict[str, Any]:
        """``supersede`` names the ``successor``, ``erase`` its ``ground``
        (`ledger.issue.retention`).
        """
        payload: dict[str, Any] = {
            "certificate_id": certificate_id,
            "action": action,
            "reason": reason,
        }
        if successor is not None:
            payload["successor"] = successor
        if ground is not None:
            payload["ground"] = ground
        statement = self.statement(Kind.STATUS, payload)
        path = f"/v1/certificates/{certificate_id}/status"
        return _json(self.post(path, {"statement": statement}))

    def due_for_erasure(self) -> Iterator[dict[str, Any]]:
        """As an issuer: its certificates whose retention is over, page by page, by number."""
        after = None
        while True:
            page = _json(self.get("/v1/retention", after=after, limit=500))
            yield from page["certificates"]
            after = page["next_after"]
            if after is None:
                return

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

    def revoke_grants_of(self, kid: str) -> dict[str, Any]:
        """Of everything that a device of the same holder granted; ``grants`` says how many."""
        statement = self.statement(Kind.REVOCATION, {"kid": kid})
        return _json(self.post("/v1/statements", {"statement": statement}))

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

    def request(
        self, request_id: str, *, wait: float | None = None, state: str | None = None
    ) -> dict[str, Any]:
        """A request as it stands; with ``wait``, once it is no longer in ``state`` (default:
        pending) or after that many seconds."""
        return _json(self.get(f"/v1/requests/{request_id}", wait=wait, state=state))

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

    # --- disputes -----------------------------------------------------------------------------

    def open_dispute(
        self, seq: int, cause: str, text: str | None = None, dispute_id: str | None = None
    ) -> dict[str, Any]:
        """Dispute one line of the holder's history, by its number; its grant is frozen at once."""
        payload = {"dispute_id": dispute_id or new_identifier(), "seq": seq, "cause": cause}
        if text is not None:
            payload["text"] = text
        statement = self.statement(Kind.DISPUTE, payload)
        return _json(self.post("/v1/disputes", {"statement": statement}))

    def disputes(self, state: str | None = None) -> Iterator[dict[str, Any]]:
        """All that this key may see, newest first, page by page."""
        before = None
        while True:
            page = _json(self.get("/v1/disputes", state=state, before=before, limit=200))
            yield from page["disputes"]
            before = page["next_before"]
            if before is None:
                return

    def dispute(self, dispute_id: str) -> dict[str, Any]:
        return _json(self.get(f"/v1/disputes/{dispute_id}"))

    def resolve_dispute(
        self, dispute_id: str, outcome: str, text: str | None = None
    ) -> dict[str, Any]:
        """As an auditor: ``upheld`` or ``rejected``, with the grounds."""
        payload = {"dispute_id": dispute_id, "outcome": outcome}
        if text is not None:
            payload["text"] = text
        statement = self.statement(Kind.RESOLUTION, payload)
        return _json(self.post(f"/v1/disputes/{dispute_id}/resolution", {"statement": statement}))

    def ask_dispute(self, dispute_id: str, to: str, text: str) -> dict[str, Any]:
        """As an auditor: ask the ``holder`` or the ``department``; answers with the question's
        number."""
        payload = {"dispute_id": dispute_id, "to": to, "text": text}
        statement = self.statement(Kind.QUESTION, payload)
        return _json(self.post(f"/v1/disputes/{dispute_id}/questions", {"statement": statement}))

    def answer_dispute(self, dispute_id: str, seq: int, text: str) -> dict[str, Any]:
        """As whoever was asked, by the question's number."""
        payload = {"dispute_id": dispute_id, "seq": seq, "text": text}
        statement = self.statement(Kind.ANSWER, payload)
        return _json(self.post(f"/v1/disputes/{dispute_id}/answers", {"statement": statement}))

    def withdraw_dispute(self, dispute_id: str, text: str | None = None) -> dict[str, Any]:
        """As the holder who disputed."""
        return self.resolve_dispute(dispute_id, "withdrawn", text)

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

    def notices(
        self, after: int | None = None, *, wait: float | None = None, terminal: str | None = None
    ) -> dict[str, Any]:
        """Released entries above ``after`` that the caller may see (of one ``terminal``), oldest
        first, and ``next_after`` to go on from; with none, waits up to ``wait`` seconds. Without
        ``after``: where to begin."""
        return _json(self.get("/v1/notices", after=after, wait=wait, terminal=terminal))

    def entry(self, seq: int) -> dict[str, Any]:
        """One entry with its statement, signer and receipt."""
        return _json(self.get(f"/v1/entries/{seq}"))

    def proof_of_entry(self, seq: int, form: str) -> bytes:
        """That the entry is in the log, as ``tlog-proof`` (C2SP) or ``cose-receipt`` (RFC 9942)."""
        return self.get(f"/v1/entries/{seq}/proof", form=form).content

    def examine(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says of a receipt, check by check, the chain included. `verify` does
        without the service."""
        return _json(self.post("/v1/verify", {"receipt": receipt}))

    def evidence(self, kind: str, name: str | int, *, fields: bool = True) -> dict[str, Any]:
        """``{bundle, withheld}`` of a lookup (by sequence number), certificate, grant or dispute
        (by identifier)."""
        about = {"kind": kind, SUBJECTS[kind]: name}
        body = {"subject": about, "fields": fields}
        return _json(self.post("/v1/evidence", body, token=True))

    def examine_bundle(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says of an evidence bundle. `audit.evidence.verification` does without
        it.
        """
        return _json(self.post("/v1/verify", {"bundle": bundle}))

    def trust(self) -> dict[str, Any]:
        """The trust file as the service tells it; compare it where that matters."""
        return _json(self.get("/v1/trust", token=False))

    def record_release(self, version: str, assets: Mapping[str, str]) -> dict[str, Any]:
        """``assets``: base64url of SHA-256 by path."""
        listed = [{"path": path, "sha256": digest} for path, digest in assets.items()]
        statement = self.statement(Kind.RELEASE, {"version": version, "assets": listed})
        return _json(self.post("/v1/releases", {"statement": statement}))

    def begin_deferral(
        self, certificate: str, reader: str, order: str, not_after: int
    ) -> dict[str, Any]:
        """As an auditor: what the key ``reader`` reads about the certificate's holder is not shown
        to them before ``not_after``, Unix seconds; ``order`` is the court's reference."""
        payload = {
            "what": "reading",
            "deferral_id": new_identifier(),
            "certificate_id": certificate,
            "reader": reader,
            "order": order,
            "not_after": not_after,
        }
        statement = self.statement(Kind.DEFERRAL, payload)
        return _json(self.post("/v1/deferrals", {"statement": statement}))

    def end_deferral(self, deferral_id: str) -> dict[str, Any]:
        """As any auditor."""
        payload = {"what": "end", "deferral_id": deferral_id}
        statement = self.statement(Kind.DEFERRAL, payload)
        return _json(self.post("/v1/deferrals", {"statement": statement}))

    def releases(self) -> dict[str, Any]:
        """The releases of the software on record, and which of them is served."""
        return _json(self.get("/v1/releases", token=False))

    def release(self, seq: int) -> dict[str, Any]:
        """One of them: statement, receipt and signer."""
        return _json(self.get(f"/v1/releases/{seq}", token=False))

    def checkpoints(self, *, before: int | None = None, limit: int | None = None) -> dict[str, Any]:
        """Anchored checkpoints, newest first, and ``next_before``."""
        return _json(self.get("/v1/checkpoints", token=False, before=before, limit=limit))

    def checkpoint_of(self, size: int) -> dict[str, Any]:
        """The checkpoint of this size, and what the chain says of it now."""
        return _json(self.get(f"/v1/checkpoints/{size}", token=False))

    def blocks(
        self,
        *,
        before: int | None = None,
        limit: int | None = None,
        anchored: bool | None = None,
    ) -> dict[str, Any]:
        """Blocks of the chain (``anchored``: with an anchor in them), newest first, and
        ``next_before``."""
        asked = {"before": before, "limit": limit, "anchored": anchored}
        return _json(self.get("/v1/blocks", token=False, **asked))

    def block(self, number: int) -> dict[str, Any]:
        return _json(self.get(f"/v1/blocks/{number}", token=False))

    def growth(self, points: int | None = None) -> dict[str, Any]:
        """The log's size over time, and how its lookups ended."""
        return _json(self.get("/v1/growth", token=False, points=points))

    def scan(self, image: bytes, content_type: str = "image/jpeg") -> list[str]:
        """The texts of the QR codes on a picture (JPEG or PNG)."""
        headers = {
            "Authorization": f"Bearer {self.access_token()}",
            "Content-Type": content_type,
        }
        sent = self._send(lambda: self._http.post("/v1/scans", content=image, headers=headers))
        texts: list[str] = _json(self._checked(sent))["texts"]
        return texts

    def catalogue_public(self) -> dict[str, Any]:
        return _json(self.get("/v1/catalogue", token=False))

    def log_key(self) -> NoteKey:
        """The log's verifier key as the service tells it; pin it where that matters."""
        return NoteKey.parse(self.catalogue_public()["log"]["verifier"])

    def checkpoint(self) -> str:
        return self.get("/log/checkpoint", token=False).text

    def verify(self, receipt: Mapping[str, Any], log_key: NoteKey) -> None:
        """Raises `ledger.proof.receipts.ReceiptError` unless the receipt proves its entry."""
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


def _holder_number(text: str) -> str:
    """As a certificate would name the holder: another spelling would be another holder. Raises
    IdentifierError for a slip, which would otherwise be a device of nobody's."""
    return parse_holder_number(text, city_date(time.time_ns() // 1_000_000))


def _seconds(retry_after: str) -> float:
    """How long to wait, at most 5 s; the header may also be a date, or whatever a proxy says."""
    return min(5.0, float(retry_after)) if retry_after.isdecimal() else 1.0


def service_address(url: str) -> str:
    """Scheme, host and port of a service; raises WrongAddress."""
    try:
        parts = urlsplit(url.strip())
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise WrongAddress(
            f"{url!r} is not the address of a service; write it like http://127.0.0.1:8000"
        )
    if "@" in parts.netloc:
        raise WrongAddress("the address of a service has no name or password in it")
    address = f"{parts.scheme}://{parts.netloc}"
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise WrongAddress(f"the address of a service ends with its host or port; write {address}")
    return address


def _json(response: httpx.Response) -> dict[str, Any]:
    """The object that the service answered with; raises WrongService."""
    try:
        # Which stands in every answer of the service, and hardly in another's.
        if "X-Request-ID" not in response.headers:
            raise ValueError
        value: dict[str, Any] = orjson.loads(response.content)
        if not isinstance(value, dict):
            raise ValueError
    except ValueError:
        raise _not_the_service(response) from None
    return value


def _service_error(response: httpx.Response) -> ServiceError | ServiceUnreachable:
    try:
        body = _json(response)
        return ServiceError(response.status_code, body["code"], str(body.get("detail")), body)
    except (ServiceUnreachable, KeyError):
        return _not_the_service(response)


def _not_the_service(response: httpx.Response) -> ServiceUnreachable:
    """What an answer that is not the service's is taken for: a proxy's, or a stranger's."""
    asked, status = response.request.url, response.status_code
    url = f"{asked.scheme}://{asked.netloc.decode()}"
    if status >= 500:
        return ServiceUnreachable(f"what answers at {url} does not reach the service: {status}")
    if response.has_redirect_location:
        to = asked.join(response.headers["Location"])
        return WrongService(f"{url} sends on to {to.scheme}://{to.netloc.decode()}: use that")
    return WrongService(f"what answers at {url} is not certledger")
