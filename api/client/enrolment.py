"""Calls about keys, people and places: enrolling, inviting, freezing, revoking."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from joserfc.jwk import ECKey

from api.client.connection import Connection, json_of
from ledger.certificate.credential import city_date
from ledger.certificate.identifiers import parse_holder_number
from ledger.directory.holders import subject_digest
from ledger.enrolment.invitation_codes import CODE_BYTES, code_digest, code_of, grouped, read_code
from ledger.proof.encoding import b64url
from ledger.statement.statements import Kind


class EnrolmentCalls(Connection):
    """Keys, people and places: how they get in, and how they are taken out."""

    def enrol(self, what: str, **members: Any) -> dict[str, Any]:
        """Institution, site, key or key_revocation; see `ledger.enrolment.handler` for the
        members.
        """
        shown = {name: value for name, value in members.items() if value is not None}
        statement = self.statement(Kind.ENROLMENT, {"what": what, **shown})
        return json_of(self.post("/v1/enrolments", {"statement": statement}))

    def enrol_key(self, key: ECKey, role: str, institution: str, **members: Any) -> dict[str, Any]:
        return self.enrol("key", jwk=public_jwk(key), role=role, institution=institution, **members)

    def whoami(self) -> dict[str, Any]:
        """What this client's key is enrolled as."""
        return json_of(self.get("/v1/whoami"))

    def enrolled_keys(self) -> Iterator[dict[str, Any]]:
        """The enrolled keys that concern this one, newest first, page by page."""
        before = None
        while True:
            page = json_of(self.get("/v1/keys", before=before, limit=500))
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
        return json_of(self.post("/v1/enrolments", body))

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
        answer = json_of(self.post("/v1/invitations", {"statement": statement, **beside}))
        return {"code": grouped(code), **answer}

    def claim(self, code: str) -> dict[str, Any]:
        """Enrol this client's own key with a one-time code; answers with what it is now."""
        # What cannot be a code is the service's to refuse, in the same words as a wrong one.
        invitation = code_digest(read_code(code) or "")
        statement = self.statement(
            Kind.CLAIM, {"jwk": public_jwk(self.key), "invitation": invitation}
        )
        return json_of(self.post("/v1/invitations/claim", {"statement": statement, "code": code}))


def public_jwk(key: ECKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}


def _holder_number(text: str) -> str:
    """As a certificate would name the holder: another spelling would be another holder. Raises
    IdentifierError for a slip, which would otherwise be a device of nobody's."""
    return parse_holder_number(text, city_date(time.time_ns() // 1_000_000))
