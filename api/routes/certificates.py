"""Certificates: issuing, importing exports, status, life cycle; the catalogue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Depends, Form, Response, UploadFile
from fastapi import Request as HttpRequest
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse

from api.admission.bodies import Bound
from api.admission.places import PlacedRoute, all_places, aside
from api.answer import service_shapes, shapes
from api.answer.errors import describe
from api.bulk.importer import KeyRefused, RowResult, Signer, import_export
from api.bulk.uploads import Upload
from api.http.auth import Authenticator
from api.http.replies import (
    AuthDep,
    KnownReader,
    Reader,
    Reply,
    ServiceDep,
    Signed,
    read_body,
    receipt_json,
    reply,
    status_of,
    told,
)
from api.http.statements import Taken, take
from api.service.assembly import Service
from api.service.imports import RUNNING, ImportJob, ImportJobs
from ledger.catalogue import UnknownType
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.export import ExportError, file_sha256
from ledger.issue.handler import Export
from ledger.log.batch import Request
from ledger.log.committer import Answer, NotServing
from ledger.proof.encoding import EncodingError, b64url_decode
from ledger.proof.entries import EventKind
from ledger.statement.kinds import Action
from ledger.statement.statements import Kind, StatementError

logger = logging.getLogger(__name__)

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["certificates"])

PATH = "/v1/certificates"
IMPORTS_PATH = "/v1/imports"
MAX_BULK = 500
#: Bytes of many at once; an identity card has four thousand.
MAX_BODY = 16 << 20
ISSUERS = frozenset({Role.ISSUER})
#: Imports run beside everything else that needs a thread, a few at a time.
_IMPORTING = ThreadPoolExecutor(2, thread_name_prefix="import")
#: One certificate as issued: JWT and all disclosures.
SdJwt = Annotated[str, Field(max_length=65_536)]


class Issue(BaseModel):
    """One certificate, or up to 500; each an SD-JWT signed by the issuing department."""

    model_config = ConfigDict(extra="forbid")

    certificate: SdJwt | None = None
    certificates: Annotated[list[SdJwt] | None, Field(min_length=1, max_length=MAX_BULK)] = None
    receipts: bool = False


@router.get("/catalogue", openapi_extra=told(public=True))
def catalogue(service: ServiceDep) -> Reply[service_shapes.Catalogue]:
    """Certificate types and service items, and the enrolled institutions and sites."""
    with service.database.read() as connection:
        institutions = connection.execute(select(tables.institutions)).all()
        sites = connection.execute(select(tables.sites)).all()
    return reply(
        {
            "types": service.catalogue.to_public()["types"],
            "service_items": cast(list[service_shapes.ServiceItem], service.items.to_public()),
            "institutions": [
                {
                    "code": row.code,
                    "name": {"zh-CN": row.name_zh, "en": row.name_en},
                    "types": (types := orjson.loads(row.types)),
                    "kinds": orjson.loads(row.kinds),
                    "identifies": sorted(service.catalogue.identified_by(types)),
                }
                for row in institutions
            ],
            "sites": [
                {
                    "site": row.site,
                    "department": row.department,
                    "name": {"zh-CN": row.name_zh, "en": row.name_en},
                }
                for row in sites
            ],
            "log": {"origin": service.ledger, "verifier": str(service.log_verifier)},
        }
    )


@router.post("/certificates", status_code=201, openapi_extra=told(body=Issue))
async def issue(
    request: HttpRequest, service: ServiceDep, auth: AuthDep
) -> Reply[shapes.ManyRecorded] | Response:
    """Issue. One certificate answers with its receipt, several with a result each."""
    body = await read_body(request, Issue, members=2 * MAX_BULK)
    if (body.certificate is None) == (body.certificates is None):
        raise StatementError("request.malformed", "give either certificate or certificates")
    if body.certificate is not None:
        return await take(request, ISSUE, Signed(statement=body.certificate))
    answers = await issue_all(service, auth, body.certificates or [])
    _raise_if_unavailable(answers)
    many: shapes.ManyRecorded = {"results": [_bulk_result(item, body.receipts) for item in answers]}
    return reply(many)


async def issue_all(
    service: Service, auth: Authenticator, certificates: Sequence[str]
) -> list[Answer | Exception]:
    """Check and record signed certificates; each gets an answer or its error."""
    admitted = await _admit_all(service, auth, certificates)
    requests = [item for item in admitted if isinstance(item, Request)]
    answers = iter(await service.record_all("issue", requests))
    return [next(answers) if isinstance(item, Request) else item for item in admitted]


async def _admit_all(
    service: Service, auth: Authenticator, certificates: Sequence[str]
) -> list[Request | StatementError]:
    """SD-JWTs, each with its issuance or with what is wrong with it."""
    results: list[Request | StatementError | None] = [None] * len(certificates)
    known: list[tuple[int, Enrolled, ECKey]] = []
    for index, text in enumerate(certificates):
        try:
            enrolled, key = await auth.signer(text.partition("~")[0], (Kind.CERTIFICATE,))
        except StatementError as error:
            results[index] = error
        else:
            known.append((index, enrolled, key))
    texts, keys = [certificates[index] for index, _, _ in known], [key for _, _, key in known]
    if len(certificates) == 1:
        checked = service.checker.check(texts, keys)
    else:
        checked = await service.bulk_checker.check(texts, keys)
    for (index, enrolled, _), outcome in zip(known, checked, strict=True):
        if isinstance(outcome, StatementError):
            results[index] = outcome
            continue
        statement, issuance = outcome
        try:
            await auth.require_fresh(statement)
            ISSUE.require_signer(enrolled)
        except StatementError as error:
            results[index] = error
        else:
            results[index] = Request(statement, enrolled, issuance)
    return [item for item in results if item is not None]


async def _admit_one(service: Service, auth: Authenticator, taken: Taken, body: Signed) -> Request:
    (admitted,) = await _admit_all(service, auth, [body.statement])
    if isinstance(admitted, StatementError):
        raise admitted
    return admitted


async def _issued(service: Service, request: Request, answer: Answer) -> dict[str, Any] | Response:
    issued, receipt = answer.result, answer.receipt
    shown = {"certificate_id": issued.certificate_id, "already_issued": issued.already}
    if not issued.already:
        return shown
    return reply({**shown, "receipt": receipt.to_json()}, status_of(receipt, 200))


def _raise_if_unavailable(answers: Sequence[Answer | Exception]) -> None:
    """A bulk request is answered as a whole or not: 503 when any of it is not done yet."""
    for answer in answers:
        if isinstance(answer, Exception) and describe(answer)[0] >= 500:
            raise answer


def _bulk_result(answer: Answer | Exception, receipts: bool) -> shapes.OneOfMany:
    if isinstance(answer, Exception):
        _, code, detail, _ = describe(answer)
        return {"status": "refused", "code": code, "detail": detail}
    issued = answer.result
    shown: shapes.OneOfMany = {
        "status": "already_issued" if issued.already else "issued",
        "certificate_id": issued.certificate_id,
        "seq": answer.receipt.entry.seq,
    }
    if receipts:
        shown["receipt"] = receipt_json(answer.receipt)
    return shown


@router.get("/certificates")
def own_certificates(
    service: ServiceDep, reader: Annotated[Enrolled, Depends(Reader(Role.HOLDER))]
) -> Reply[shapes.OwnCertificates]:
    """The holder's own certificates with their state; no field values."""
    table = tables.certificates
    query = select(table).where(table.c.holder == reader.holder).order_by(table.c.seq.desc())
    if reader.scope is not None:
        query = query.where(table.c.issuer == reader.scope)
    with service.database.read() as connection:
        rows = connection.execute(query.limit(500)).all()
        erased = _erased(connection, rows)
    return reply({"certificates": [{**_show_state(row, erased), **_dates(row)} for row in rows]})


@router.get(
    "/certificates/{certificate_id}", openapi_extra=told("certificate.unknown", public=True)
)
def status(
    certificate_id: str,
    service: ServiceDep,
    reader: Annotated[Enrolled | None, Depends(KnownReader(*Role))],
) -> Reply[shapes.CertificateShown]:
    """State and receipts, no fields: what anybody who has the identifier may check. With a token,
    its issuer is told its dates too; to anybody else they would tell what was not granted."""
    table = tables.certificates
    issuer = reader.institution if reader is not None and reader.role is Role.ISSUER else None
    with service.database.read() as connection:
        row = connection.execute(
            select(table).where(table.c.certificate_id == certificate_id)
        ).one_or_none()
        if row is None:
            raise StatementError("certificate.unknown", "no such certificate")
        issued = tables.entry_at(connection, row.seq)
        changed = tables.entry_at(connection, row.state_seq)
        erased = _erased(connection, [row])
    assert issued is not None
    assert changed is not None
    issued_receipt, changed_receipt = service.log.receipts([issued[0], changed[0]])
    value = {
        **_show_state(row, erased),
        **(_dates(row) if issuer == row.issuer else {}),
        "as_of_ms": time.time_ns() // 1_000_000,
        "receipt": receipt_json(issued_receipt),
    }
    if row.state_seq != row.seq:
        value["status_receipt"] = receipt_json(changed_receipt)
    return reply(cast(shapes.CertificateShown, value))


def _erased(connection: Connection, rows: Sequence[Any]) -> dict[str, int]:
    """When the content of those without any was erased, Unix ms."""
    gone, table = [row.certificate_id for row in rows if row.content is None], tables.entries
    query = select(table.c.certificate, table.c.time_ms).where(
        table.c.certificate.in_(gone),
        table.c.kind == EventKind.STATUS,
        table.c.reason == Action.ERASE,
    )
    return dict(connection.execute(query).tuples().all()) if gone else {}


def _show_state(row: Any, erased: Mapping[str, int]) -> shapes.CertificateState:
    now = time.time_ns() // 1_000_000
    expired = row.valid_until_ms is not None and now >= row.valid_until_ms
    early = row.valid_from_ms is not None and now < row.valid_from_ms
    shown = row.state
    if shown == "active" and (expired or early):
        shown = "expired" if expired else "not_yet_valid"
    value: shapes.CertificateState = {
        "certificate_id": row.certificate_id,
        "type": row.type,
        "issuer": row.issuer,
        "state": shown,
        "successor": row.successor,
        "content": "erased" if row.content is None else "sealed",
    }
    at = erased.get(row.certificate_id)
    if at is not None:
        value["erased_ms"] = at
    return value


def _dates(row: Any) -> shapes.Dates:
    """For its holder and its issuer."""
    return {"valid_from_ms": row.valid_from_ms, "valid_until_ms": row.valid_until_ms}


# --- imports ----------------------------------------------------------------------------------


@router.post(
    "/imports", status_code=202, openapi_extra=told("certificate.type", "import.digest", "http")
)
async def start_import(
    request: HttpRequest,
    service: ServiceDep,
    auth: AuthDep,
    statement: Annotated[str, Form(max_length=65_536)],
    salt: Annotated[str, Form(max_length=64)],
    file: UploadFile,
) -> Reply[shapes.ImportStarted]:
    """Issue an export's rows with the key that the service keeps for the department.

    ``statement`` is the department's ``{v, type, file_commitment, iat, jti}``, ``salt`` what the
    commitment to the file's SHA-256 is under; the answer names the job, whose progress and report
    are at ``GET /v1/imports/{import_id}``.
    """
    # A large file may take minutes to come in: what counts is when it set out.
    arrived = request.scope["arrived"]
    signed, actor = await IMPORT.authenticate(auth, statement, arrived=arrived)
    try:
        kind = service.catalogue.type(str(signed.payload.get("type")))
    except UnknownType:
        raise StatementError("certificate.type", "the type is not in the catalogue") from None
    try:
        salt_bytes = b64url_decode(salt)
    except EncodingError:
        raise StatementError("import.digest", "salt must be base64url") from None
    jobs: ImportJobs = request.app.state.imports
    department = actor.institution
    assert department is not None
    with ExitStack() as undo:
        undo.enter_context(all_places().imports.hold(department))
        uploads = all_places().uploads
        upload = await uploads.run(Upload, service.settings.uploads)
        undo.callback(upload.remove)
        await uploads.run(upload.receive, file.file)
        digest = await uploads.run(file_sha256, upload.path)
        export = Export(digest, salt_bytes, service.kept_key)
        answer = await service.record(IMPORT.handler, Request(signed, actor, export))
        key = await aside(service.open_kept_key, answer.result["kid"])
        job = await aside(jobs.start, department)
        held = undo.pop_all()
    signer = Signer(service.ledger, key, department, kind)
    name = Path(file.filename or "export").name
    tasks: set[asyncio.Task[None]] = request.app.state.importing
    turn = jobs.turns[department]
    task = asyncio.create_task(
        _run_import(service, auth, job, upload.path, name, signer, turn, held)
    )
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    shown = await aside(jobs.find, job.import_id, department)
    return reply(
        {**shown, "receipt": receipt_json(answer.receipt)},
        202,
        {"Location": f"/v1/imports/{job.import_id}"},
    )


@router.get("/imports/{import_id}", openapi_extra=told("import.unknown"))
def read_import(
    import_id: str,
    request: HttpRequest,
    reader: Annotated[Enrolled, Depends(Reader(Role.ISSUER))],
) -> Reply[shapes.ImportJob]:
    """Progress and, at the end, the report with the first refused rows by line and reason."""
    jobs: ImportJobs = request.app.state.imports
    return reply(jobs.find(import_id, reader.institution))


@router.get(
    "/imports/{import_id}/report",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
    openapi_extra=told("import.unknown", "import.running"),
)
def read_refused_rows(
    import_id: str,
    request: HttpRequest,
    reader: Annotated[Enrolled, Depends(Reader(Role.ISSUER))],
) -> Response:
    """All refused rows of a finished import as CSV: ``line,code,field``."""
    jobs: ImportJobs = request.app.state.imports
    if jobs.find(import_id, reader.institution)["state"] == RUNNING:
        raise StatementError("import.running", "the import is not over yet; ask again when it is")
    return StreamingResponse(jobs.refused_rows(import_id), media_type="text/csv")


async def _run_import(
    service: Service,
    auth: Authenticator,
    job: ImportJob,
    path: Path,
    name: str,
    signer: Signer,
    turn: asyncio.Lock,
    held: ExitStack,
) -> None:
    """``held`` is given back at the end: the file, and the import's place."""
    loop = asyncio.get_running_loop()

    def submit(signed: Sequence[str]) -> list[RowResult]:
        if service.stopping:
            raise NotServing("the service is stopping: send the file again, it goes on from there")
        future = asyncio.run_coroutine_threadsafe(issue_all(service, auth, signed), loop)
        answers = future.result()
        _raise_if_unavailable(answers)
        return [_row_result(answer) for answer in answers]

    def run() -> None:
        try:
            outcome = import_export(
                path,
                name,
                signer,
                submit,
                progress=job.show,
                refused_rows=job.refused_rows,
            )
        except (ExportError, KeyRefused) as error:
            job.failed(error.code, str(error))
        except Exception as error:
            status, code, detail, _ = describe(error)
            if status == 500:
                logger.error("an import met an unexpected error", exc_info=error)
            job.failed(code, detail)
        else:
            job.done(outcome)

    try:
        async with turn:
            await loop.run_in_executor(_IMPORTING, run)
    except SQLAlchemyError as error:
        # What came of it is not written down, so it will be told as cut off: the same file sent
        # again tells the rest.
        logger.error("an import's end was not recorded: %s", type(error).__name__)
    finally:
        held.close()


def _row_result(answer: Answer | Exception) -> RowResult:
    if isinstance(answer, Exception):
        return RowResult(None, code=describe(answer)[1])
    return RowResult(answer.result.certificate_id, already=answer.result.already)


#: First parts of the codes of numbers that are wrong.
_NUMBERS = ("identity_number", "credit_code", "holder_number")

ISSUE = Taken(
    kind=Kind.CERTIFICATE,
    path=PATH,
    told="Issue a certificate: the SD-JWT with all its disclosures is the statement.",
    handler="issue",
    again=200,
    answers=shapes.CertificateRecorded,
    subjects=("issuer", "duplicate", "field", "date", *_NUMBERS),
    signers=ISSUERS,
    bound=Bound(signed=MAX_BODY, roles=ISSUERS),
    admit=_admit_one,
    answer=_issued,
)
IMPORT = Taken(
    kind=Kind.IMPORT,
    path=IMPORTS_PATH,
    told="Issue an export's rows with the key that the service keeps for the department.",
    handler="import",
    subjects=("issuer", "certificate", "key"),
    signers=ISSUERS,
    done=202,
    beside="the file, and the salt of the commitment to it",
)
STATUS = Taken(
    kind=Kind.STATUS,
    path="/v1/certificates/{certificate_id}/status",
    told="Suspend, restore, revoke, supersede, or erase the content; signed by the issuer.",
    handler="status",
    answers=shapes.StatusRecorded,
    subjects=("certificate", "issuer"),
    signers=ISSUERS,
    done=200,
)
TAKEN = (ISSUE, IMPORT, STATUS)
