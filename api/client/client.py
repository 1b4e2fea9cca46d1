"""The Python client: what a department's own system, a terminal or a holder's device uses.

Every write is signed here with the caller's key. A request that met a 503 or a lost connection is
sent again as it is: the service answers one request once, so this never doubles anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from api.bulk.importer import ImportOutcome, Progress, RowResult, Signer, import_export
from api.client.connection import ServiceError, json_of, new_identifier, service_error
from api.client.enrolment import EnrolmentCalls
from api.client.proof import ProofCalls
from authz.code.codes import CodeKind, make_code
from ledger.catalogue import Catalogue, load_catalogue
from ledger.directory.holders import salted_digest
from ledger.export import file_sha256
from ledger.proof.encoding import b64url, b64url_decode
from ledger.statement.statements import Kind


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """Released with the fields, or refused with the reason code; the receipt either way."""

    released: bool
    code: str | None
    fields: Mapping[str, Any]
    presentation: str | None
    receipt: Mapping[str, Any]
    body: Mapping[str, Any]


class Client(EnrolmentCalls, ProofCalls):
    """A connection to one service, acting with one key (none: public reads only); raises
    WrongAddress.

    ``ledger`` is the origin of the log that everything is signed for; give it where it is known.
    Without it the service is believed once, and ``learnt`` is told what it said. Who signs for the
    ledger that a lying service names can be repeated there (docs/threat-model.md).
    """

    # --- certificates -------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = load_catalogue()
        return self._catalogue

    def signer(self, type_name: str, issuer: str) -> Signer:
        """Signs certificates of one type with this client's key."""
        key = self.key
        return Signer(self.ledger, key, issuer, self.catalogue.type(type_name))

    def issue(self, certificate: str) -> dict[str, Any]:
        """Have one signed certificate recorded; raises ServiceError when it is refused."""
        return json_of(self.post("/v1/certificates", {"certificate": certificate}))

    def issue_many(self, certificates: Sequence[str]) -> list[RowResult]:
        """Up to 500 signed certificates, a result each."""
        body = {"certificates": list(certificates)}
        answer = json_of(self.post("/v1/certificates", body, token=True))
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
        job = json_of(self._checked(response))
        while job["state"] == "running":
            time.sleep(0.1)
            job = json_of(self.get(f"/v1/imports/{job['import_id']}"))
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
        return json_of(self.post(path, {"statement": statement}))

    def due_for_erasure(self) -> Iterator[dict[str, Any]]:
        """As an issuer: its certificates whose retention is over, page by page, by number."""
        after = None
        while True:
            page = json_of(self.get("/v1/retention", after=after, limit=500))
            yield from page["certificates"]
            after = page["next_after"]
            if after is None:
                return

    def certificate(self, certificate_id: str) -> dict[str, Any]:
        """Public state and receipts."""
        return json_of(self.get(f"/v1/certificates/{certificate_id}", token=False))

    def my_certificates(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json_of(self.get("/v1/certificates"))["certificates"]
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
        return json_of(self.post("/v1/grants", {"statement": self.statement(Kind.GRANT, payload)}))

    def grants(self) -> list[dict[str, Any]]:
        """The holder's own, newest first; all pages."""
        listed: list[dict[str, Any]] = []
        before = None
        while True:
            page = json_of(self.get("/v1/grants", before=before, limit=200))
            listed += page["grants"]
            before = page["next_before"]
            if before is None:
                return listed

    def code(self, grant_id: str) -> dict[str, Any]:
        """The code to show now."""
        return json_of(self.get(f"/v1/grants/{grant_id}/code"))

    def qr(self, grant_id: str, form: str = "svg") -> bytes:
        return self.get(f"/v1/grants/{grant_id}/code", format=form).content

    def spoken_code(self, grant_id: str, site: str) -> dict[str, Any]:
        return json_of(self.post(f"/v1/grants/{grant_id}/spoken-code", {"site": site}, token=True))

    def revoke_grant(self, grant_id: str) -> dict[str, Any]:
        statement = self.statement(Kind.REVOCATION, {"grant_id": grant_id})
        return json_of(self.post(f"/v1/grants/{grant_id}/revocation", {"statement": statement}))

    def revoke_grants_of(self, kid: str) -> dict[str, Any]:
        """Of everything that a device of the same holder granted; ``grants`` says how many."""
        statement = self.statement(Kind.REVOCATION, {"kid": kid})
        return json_of(self.post("/v1/statements", {"statement": statement}))

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
        return json_of(self.post("/v1/requests", {"statement": statement}))

    def request(
        self, request_id: str, *, wait: float | None = None, state: str | None = None
    ) -> dict[str, Any]:
        """A request as it stands; with ``wait``, once it is no longer in ``state`` (default:
        pending) or after that many seconds."""
        return json_of(self.get(f"/v1/requests/{request_id}", wait=wait, state=state))

    def find_request(self, code: str) -> dict[str, Any]:
        return json_of(self.post("/v1/requests/find", {"code": code}, token=True))

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
        return json_of(self.post(f"/v1/requests/{request_id}/refusal", {"statement": statement}))

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
        body = json_of(response) if response.content else {}
        if response.status_code >= 400 and body.get("decision") != "refused":
            raise service_error(response)
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
        return json_of(self.post("/v1/disputes", {"statement": statement}))

    def disputes(self, state: str | None = None) -> Iterator[dict[str, Any]]:
        """All that this key may see, newest first, page by page."""
        before = None
        while True:
            page = json_of(self.get("/v1/disputes", state=state, before=before, limit=200))
            yield from page["disputes"]
            before = page["next_before"]
            if before is None:
                return

    def dispute(self, dispute_id: str) -> dict[str, Any]:
        return json_of(self.get(f"/v1/disputes/{dispute_id}"))

    def resolve_dispute(
        self, dispute_id: str, outcome: str, text: str | None = None
    ) -> dict[str, Any]:
        """As an auditor: ``upheld`` or ``rejected``, with the grounds."""
        payload = {"dispute_id": dispute_id, "outcome": outcome}
        if text is not None:
            payload["text"] = text
        statement = self.statement(Kind.RESOLUTION, payload)
        return json_of(self.post(f"/v1/disputes/{dispute_id}/resolution", {"statement": statement}))

    def ask_dispute(self, dispute_id: str, to: str, text: str) -> dict[str, Any]:
        """As an auditor: ask the ``holder`` or the ``department``; answers with the question's
        number."""
        payload = {"dispute_id": dispute_id, "to": to, "text": text}
        statement = self.statement(Kind.QUESTION, payload)
        return json_of(self.post(f"/v1/disputes/{dispute_id}/questions", {"statement": statement}))

    def answer_dispute(self, dispute_id: str, seq: int, text: str) -> dict[str, Any]:
        """As whoever was asked, by the question's number."""
        payload = {"dispute_id": dispute_id, "seq": seq, "text": text}
        statement = self.statement(Kind.ANSWER, payload)
        return json_of(self.post(f"/v1/disputes/{dispute_id}/answers", {"statement": statement}))

    def withdraw_dispute(self, dispute_id: str, text: str | None = None) -> dict[str, Any]:
        """As the holder who disputed."""
        return self.resolve_dispute(dispute_id, "withdrawn", text)


def device_code(material: Mapping[str, Any], at_ms: int) -> str:
    """The code that a device makes by itself from what the grant's answer gave it."""
    return make_code(
        CodeKind.GRANT,
        b64url_decode(material["handle"]),
        b64url_decode(material["secret"]),
        at_ms,
    )
