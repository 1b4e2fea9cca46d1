"""One table from what can go wrong to HTTP: RFC 9457 problems with a stable ``code``."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.process.logs import request_id
from authz.code.codes import CodeError
from authz.request.model import IllegalMove, RequestState
from ledger.chain import ChainError
from ledger.export import ExportError
from ledger.log.committer import AnchorPending, Busy, NotServing, Replayed
from ledger.proof.merkle import ProofError
from ledger.statement.kinds import PayloadError
from ledger.statement.statements import StatementError

log = logging.getLogger(__name__)

#: HTTP status by code; what is not here is 400 (form).
STATUS = {
    "internal": 500,
    "busy": 503,
    "anchor.pending": 503,
    "chain.unavailable": 503,
    "not_ready": 503,
    "not_serving": 503,
    "stopping": 503,
    "watch.trouble": 503,
    "storage.altered": 503,
    "storage.unavailable": 503,
    "storage.unsupported": 503,
    "storage.unwritable": 503,
    "route.unknown": 404,
    "tile.unknown": 404,
    "method.not_allowed": 405,
    "body.too_large": 413,
    "request.invalid": 422,
    "statement.replayed": 409,
    "statement.signature": 401,
    "statement.stale": 401,
    "statement.too_large": 413,
    "statement.route": 422,
    "key.unknown": 401,
    "key.not_valid": 401,
    "key.suspended": 401,
    "token.missing": 401,
    "token.malformed": 401,
    "token.expired": 401,
    "actor.role": 403,
    "issuer.type": 403,
    "history.holder": 403,
    "device.scope": 403,
    "dispute.not_yours": 403,
    "certificate.unknown": 404,
    "grant.unknown": 404,
    "request.unknown": 404,
    "dispute.unknown": 404,
    "institution.unknown": 404,
    "site.unknown": 404,
    "import.running": 409,
    "release.recorded": 409,
    "deferral.own": 403,
    "deferral.reader": 409,
    "deferral.exists": 409,
    "deferral.too_many": 409,
    "deferral.unknown": 404,
    "deferral.over": 409,
    "release.unknown": 404,
    "import.unknown": 404,
    "person.unknown": 404,
    "proof.unknown": 404,
    "entry.unknown": 404,
    "evidence.unknown": 404,
    "evidence.too_large": 422,
    "checkpoint.unknown": 404,
    "block.unknown": 404,
    "duplicate": 409,
    "certificate.exists": 409,
    "certificate.transition": 409,
    "certificate.erased": 409,
    "certificate.retained": 409,
    "grant.exists": 409,
    "grant.revoked": 409,
    "request.exists": 409,
    **{f"request.{state}": 409 for state in RequestState},
    "request.refusals": 409,
    "dispute.exists": 409,
    "dispute.not_disputable": 409,
    "dispute.resolved": 409,
    "dispute.no_department": 409,
    "dispute.question_limit": 409,
    "dispute.question_unknown": 404,
    "dispute.answered": 409,
    "invitation.unknown": 404,
    "invitation.exists": 409,
    "invitation.expired": 409,
    "invitation.used": 409,
    "invitation.withdrawn": 409,
    "key.enrolled": 409,
    "key.revoked": 409,
    "key.own": 409,
    "key.suspension": 409,
}
#: Codes of what the framework itself refuses.
HTTP_CODES = {
    404: "route.unknown",
    405: "method.not_allowed",
    413: "body.too_large",
    503: "busy",
}
TITLES = {
    400: "The request is malformed",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    409: "In conflict with what is recorded",
    413: "Too large",
    422: "The request cannot be carried out",
    503: "Not available now",
}


class ProblemResponse(Response):
    """Leaves its code in the scope, for whoever notes what came of a request."""

    media_type = "application/problem+json"

    def __init__(
        self, code: str, body: bytes, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(body, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["problem"] = self._code
        await super().__call__(scope, receive, send)


def problem(
    status: int, code: str, detail: str, *, retry_after: int | None = None, **members: Any
) -> ProblemResponse:
    """``members`` are extensions, such as the receipt of a refusal. What is our fault says under
    which id the log has it."""
    if status >= 500 and (asked := request_id.get()):
        members["request_id"] = asked
    body = {
        "type": f"urn:certledger:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
        **members,
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return ProblemResponse(code, orjson.dumps(body), status, headers)


#: What to mend in a signed payload, by the rule that it breaks (`ledger.statement.kinds`); ``{at}``
#: is the member. A rule whose words differ by kind is named with its kind.
RULES = {
    "malformed": "{at} must be {form}",
    "version": "{at} must be 2: this service knows no other version",
    "member_missing": "{at} is missing; add it",
    "member_unknown": "{at} does not belong here; take it out",
    "text": "{at} must be readable text of one line, not empty, not too long, without spaces at "
    "its ends or hidden characters",
    "empty": "{at} is empty; name at least one",
    "too_many": "{at} names too many; send fewer",
    "duplicate": "{at} names the same one twice; name each once",
    "window": "{at} ends before it begins or is over already; choose a later end",
    "too_long": "{at} is longer than 366 days; choose an earlier end",
    "deferral.too_long": "{at} is more than 731 days after iat, or after the first deferral that "
    "this one goes on with; choose an earlier end",
    "invitation.too_long": "{at} is more than 7 days after iat; choose an earlier end",
    "claim.code": "{at} is not the code of this invitation; type it as it was handed out",
    "uses": "{at} must be a number from 1 to 10000",
    "ttl": "{at} must be 30 to 600 seconds",
    "code": "{at} is not a code of this service; scan it again or type it as it is shown",
    "request_id": "{at} belongs to mode request, and only there",
    "institution_code": "{at} must be the institution's unified social credit code (GB 32100: 18 "
    "characters, the last one right) or a region of 6 digits",
    "unknown_certificate": "{at} names no certificate of this holder",
    "unknown_field": "{at} names a field that this type of certificate does not have",
    "unknown_site": "{at} names a site that is not enrolled",
    "unknown_department": "{at} names an institution that is not enrolled",
    "unknown_service_item": "{at} names no service item of the catalogue",
    "department_kind": "{at}: a department of this kind does not handle the service item",
    "unknown_terminal": "{at} names a terminal that is not enrolled",
    "unknown_request": "{at} names no request",
    "request.other_request": "the grant answers another request",
    "request.department": "the department is not the one that asked",
    "request.site": "the site is not the one where it was asked",
    "request.service_item": "the service item is not the one that was asked for",
    "request.terminal": "the terminal is not the one that asked",
    "request.staff": "the member of staff is not the one who asked",
    "request.certificate_not_asked": "the grant has a certificate that was not asked for",
    "request.field_not_asked": "the grant has a field that was not asked for",
    "request.uses": "the grant allows more uses than it has certificates",
}
_NAME = "1 to 64 letters, digits, '.', '_', ':' or '-', beginning with a letter or digit"
#: What a malformed member should have been, by its name.
FORMS = {
    "what": "institution, site, key, key_revocation, key_suspension, key_restoration, "
    "proof_erasure, holder or device",
    "role": "issuer, terminal, auditor or operator",
    "mode": "direct, scan or request",
    "code": _NAME,
    "site": _NAME,
    "department": _NAME,
    "institution": _NAME,
    "terminal": _NAME,
    "grant_id": "an identifier: 26 digits and capital letters without I, L, O and U",
    "request_id": "an identifier: 26 digits and capital letters without I, L, O and U",
    "dispute_id": "an identifier: 26 digits and capital letters without I, L, O and U",
    "deferral_id": "an identifier: 26 digits and capital letters without I, L, O and U",
    "seq": "the number of an entry",
    "cause": "not_me, wrong_fields, wrong_purpose or other",
    "outcome": "upheld, rejected or withdrawn",
    "to": "holder or department",
    "ground": "retention_over, unlawful, court_order or issued_in_error",
    "certificate_id": "a certificate's identifier as it was issued",
    "fields": "a list of field names: small letters, digits and '_'",
    "types": "a list of type codes of the catalogue",
    "service_item": "a service item's code",
    "code_sha256": "the SHA-256 of the code in base64url, 43 characters",
    "invitation": "the SHA-256 of the code in base64url, 43 characters",
    "presented": "one of code, spoken, grant_id and request_id",
    "jti": "16 to 64 letters, digits, '_' or '-'",
    "iat": "a time in whole Unix seconds",
    "when": "two times in whole Unix seconds",
    "not_before": "a time in whole Unix seconds",
    "not_after": "a time in whole Unix seconds",
    "max_uses": "a whole number",
    "ttl": "a whole number",
    "v": "a whole number",
    "ledger": "the ledger's name: the origin of its log",
}


def payload_words(error: PayloadError) -> str:
    """What to mend. The names of members are ours or cut by `ledger.statement.kinds`; no values."""
    rule, at = error.code.rpartition(".")[2], error.field
    words = RULES.get(error.code) or RULES.get(rule, "{at} cannot be used as it is")
    form = FORMS.get(
        at.rpartition(".")[2], "of the type and form that /openapi.json and docs/formats.md give"
    )
    return words.replace("{form}", form).replace("{at}", at)


def status_of_code(code: str) -> int:
    return STATUS.get(code, 400)


def describe(error: Exception) -> tuple[int, str, str, int | None]:
    """Status, code, detail and Retry-After of any error that a request may meet."""
    code, detail, retry_after = _words(error)
    # What a payload breaks is form, whatever its name.
    status = 400 if isinstance(error, PayloadError) else status_of_code(code)
    return status, code, detail, retry_after


def _words(error: Exception) -> tuple[str, str, int | None]:
    match error:
        case PayloadError():
            return error.code, payload_words(error), None
        case StatementError() | IllegalMove() | ExportError():
            return error.code, str(error), None
        case CodeError():
            return "code.malformed", str(error), None
        case ProofError():
            return "proof.range", str(error), None
        case Replayed():
            return "statement.replayed", str(error), None
        case Busy():
            detail = "too many requests are waiting; send it again shortly"
            return "busy", detail, error.retry_after
        case AnchorPending():
            detail = "recorded, not yet anchored; send the same request again for its answer"
            return "anchor.pending", detail, 2
        case ChainError():
            return "chain.unavailable", "the chain does not answer", 5
        case NotServing():
            return "not_serving", str(error), 5
        case DataError():
            # Such as text with a NUL, for which PostgreSQL has no place.
            return "request.malformed", "a value that no record can have", None
        case OSError() if error.errno in _UNWRITABLE:
            log.error("a request met %s", errno.errorcode[error.errno])
            detail = (
                "there is no room for what is sent, or its place is read-only; send it again later"
            )
            return "storage.unwritable", detail, 30
        case SQLAlchemyError():
            log.error("a request met %s", type(error).__name__)
            return "storage.unavailable", "the database does not answer", 5
        case _:
            return "internal", "an unexpected error; it is in the service's log", None


#: A disk's own answers: nothing is wrong with the request.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)

HANDLED = (
    StatementError,
    IllegalMove,
    CodeError,
    ExportError,
    ProofError,
    Replayed,
    Busy,
    AnchorPending,
    NotServing,
    ChainError,
    SQLAlchemyError,
    OSError,
)


def answer(error: Exception) -> Response:
    """To whoever's request met it."""
    match error:
        case RequestValidationError():
            # Where, not what: the values may be personal.
            places = [
                {"at": "/".join(str(part) for part in item["loc"]), "expected": item["type"]}
                for item in error.errors()[:20]
            ]
            broken = any(item["expected"] == "json_invalid" for item in places)
            code = "request.malformed" if broken else "request.invalid"
            detail = "the request does not have the expected form"
            return problem(status_of_code(code), code, detail, errors=places)
        case HTTPException():
            code = HTTP_CODES.get(error.status_code, "http")
            response = problem(error.status_code, code, str(error.detail))
            for name, value in (error.headers or {}).items():
                response.headers[name] = value
            return response
    status, code, detail, retry_after = describe(error)
    if status == 500:
        log.error("unexpected error", exc_info=error)
    return problem(status, code, detail, retry_after=retry_after)


def install(app: FastAPI) -> None:
    async def answered(_: Request, error: Exception) -> Response:
        return answer(error)

    for kind in (*HANDLED, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answered)
