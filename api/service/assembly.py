"""The service assembled: settings in, running parts out. No HTTP here."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import Connection, select

from api.bulk.check import BulkChecker, Checker
from api.bulk.uploads import clear_away
from api.data.belonging import (
    log_id_of,
    log_key_of,
    policy_of,
    read_deployment,
    require_belonging,
)
from api.data.keyfiles import (
    load_log_key,
    load_or_create_secret,
    load_signing_key,
    new_signing_key,
    save_signing_key,
    write_new,
)
from api.data.migrating import prepare
from api.data.settings import Settings
from api.operate.watch_process import Watcher
from api.process.node import EmbeddedNode
from api.service.cosigning import Cosigning
from api.service.health import Health, Trouble
from api.service.notices import Notices
from api.service.scrubbing import Scrubber
from audit.evidence.portable import cose_receipt
from authz.dispute.handler import (
    AnswerHandler,
    DisputeHandler,
    QuestionHandler,
    ResolutionHandler,
)
from authz.grant.handler import (
    GrantHandler,
    Grants,
    RefusalHandler,
    RequestHandler,
    RevocationHandler,
)
from authz.lookup.handler import LookupHandler
from authz.service_item.model import load_service_items
from ledger.catalogue import load_catalogue
from ledger.chain import (
    ChainClient,
    ChainError,
    ChainUnavailable,
    address_of,
    blocked,
)
from ledger.chain.outbox import DirectoryEntry
from ledger.database import tables
from ledger.database.row_macs import RowMacs, checked
from ledger.database.sealing import MasterKey, Sealed
from ledger.database.transactions import Database, Occupied
from ledger.directory.keys import CHAIN_ROLE, NEVER, Enrolled, KeyRing, Role, institution_id
from ledger.enrolment.handler import OPERATOR_INSTITUTION, EnrolmentHandler
from ledger.enrolment.invitations import (
    ClaimHandler,
    InvitationHandler,
    erase_lapsed,
    has_lapsed,
)
from ledger.issue.handler import ImportHandler, IssueHandler, StatusHandler
from ledger.log.batch import Handler, Request
from ledger.log.committer import (
    AnchorPending,
    Answer,
    Committer,
    CommitterSettings,
    NotServing,
)
from ledger.log.log import Log
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Entry
from ledger.proof.receipts import Published
from ledger.record.deferrals import DeferralHandler
from ledger.record.readings import ReadingHandler
from ledger.record.releases import ReleaseHandler
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind, verify

logger = logging.getLogger(__name__)

#: Seconds to wait for another process that serves the same file, or that is starting.
_SERVED_WAIT, _START_WAIT = 3.0, 120.0
#: Seconds to wait for a chain that is starting, too.
_CHAIN_WAIT = 5.0


def initialise(settings: Settings, schema: Callable[[Database], object] = prepare) -> None:
    """Create the data folder's keys and the database where they are missing; idempotent. Raises
    KeyFileError for a folder whose keys or settings are not those of the ledger in it, SchemaError
    for a database at another revision."""
    require_belonging(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    if not os.access(settings.data, os.W_OK | os.X_OK):
        told = (
            "this folder cannot be written to: mount it writable, give it to this user, or name "
            "another with CERTLEDGER_DATA"
        )
        raise OSError(errno.EROFS, told, str(settings.data))
    load_or_create_secret(settings.keys / "master.key")
    load_log_key(settings.keys / "log.key")
    load_or_create_secret(settings.keys / "chain.key")
    operator = settings.keys / "operator.jwk"
    if not operator.exists():
        save_signing_key(operator, new_signing_key())
    database = Database(settings.database_url)
    try:
        schema(database)
    finally:
        database.close()


class Service:
    """Database, chain and committer, started and stopped together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        initialise(settings)
        self.master = MasterKey(load_or_create_secret(settings.keys / "master.key"))
        self.catalogue = load_catalogue()
        self.items = load_service_items()
        self.log_verifier = log_key_of(settings)
        self.policy = policy_of(settings, self.log_verifier)
        #: The log's origin: what is signed for this ledger names it.
        self.ledger = self.log_verifier.name
        self.log_id = log_id_of(self.ledger)
        self.database = Database(settings.database_url, RowMacs(self.master, self.log_id))
        self.scrubber = Scrubber(self.database)
        self.ring = KeyRing(self.database)
        self.node: EmbeddedNode | None = None
        self.chain: ChainClient
        self.log: Log
        self.committer: Committer
        self.cosigning: Cosigning
        self.notices = Notices()
        #: Whether this process was told to stop: it takes no new work that would last.
        self.stopping = False
        self._started = False
        self._serving = ExitStack()
        self.watcher = Watcher(settings)
        self.health = Health(self.database, settings.uploads)
        log_key = load_log_key(settings.keys / "log.key")
        self._log_key = log_key
        self.grants = Grants()
        self.checker = Checker(self.ledger, self.catalogue, self.master)
        self.bulk_checker = BulkChecker(self.checker, settings.keys / "master.key")

    def cose_receipt(self, entry: Entry, path: Sequence[bytes], published: Published) -> bytes:
        """The log's key signs what is anchored, and nothing else."""
        return cose_receipt(entry, path, published.checkpoint, self._log_key)

    def start(self) -> None:
        """Raises ChainUnavailable, LedgerBehindChain, NodeDidNotStart, Occupied; nothing is served
        then."""
        with ExitStack() as undo:
            undo.callback(self.database.close)  # once no lock's session is in use any more
            if self.database.one_process:
                self._serve_alone(undo)
            # One process after the other: the first one deploys the contracts.
            with self.database.exclusively("start", wait=_START_WAIT):
                self._start()
            self._serving = undo.pop_all()
            self._started = True

    def _serve_alone(self, undo: ExitStack) -> None:
        try:
            undo.enter_context(self.database.exclusively("serve", wait=_SERVED_WAIT))
        except Occupied:
            raise Occupied(
                "another process serves this ledger: a SQLite file is for one process, PostgreSQL "
                "(CERTLEDGER_DATABASE) for any number"
            ) from None

    def _start(self) -> None:
        settings = self.settings
        self._clear_away()
        account_key = load_or_create_secret(settings.keys / "chain.key")
        account = address_of(account_key)
        url = settings.chain_url
        with ExitStack() as undo:
            if not url:
                self.node = EmbeddedNode(
                    settings.data / "node", chain_id=settings.chain_id, senders=[account]
                )
                undo.callback(self.node.stop)  # first: a signal may end the start at any point
                self.node.start()
                url = self.node.url
            self.chain = self._connect(url, account_key)
            undo.callback(self.chain.close)
            self.log = Log(
                self.database,
                self.chain,
                self._log_key,
                origin=self.ledger,
                log_id=self.log_id,
            )
            self.cosigning = Cosigning(self.database, self.log, self.policy, self.log_verifier)
            self.committer = Committer(
                self.database,
                self.chain,
                self.log,
                self._handlers(),
                CommitterSettings(
                    release_anchored=settings.release == "anchored",
                    max_batch=settings.max_batch,
                    max_queue=settings.max_queue,
                ),
                on_release=self.notices.released,
            )
            self.committer.start()
            undo.callback(self.committer.stop, 1.0)
            self._bootstrap()
            self.watcher.start(url)
            self.health.start()
            self.cosigning.start()
            undo.pop_all()

    @property
    def trouble(self) -> Trouble | None:
        """Why requests would not be served; None if they would."""
        if (storage := self.health.trouble) is not None:
            return storage
        status = self.committer.status
        if status.broken is not None:
            # It may name a record, which is not for everybody.
            return "not_ready", "the log cannot go on; the service's log says why"
        return None if status.chain_trouble is None else ("not_ready", status.chain_trouble)

    def leave(self) -> None:
        """Be on the way to `stop`: whoever waits for news is sent home, imports end with the chunk
        at hand. Requests are still answered. On the event loop."""
        self.stopping = True
        self.notices.close()

    def stop(self) -> None:
        """Finish what was accepted, and end; once."""
        if not self._started:
            return
        self._started = False
        self.health.stop()
        self.cosigning.stop()
        self.watcher.stop()
        self.bulk_checker.close()
        self.committer.stop()
        self.scrubber.stop()
        self.chain.close()
        if self.node is not None:
            self.node.stop()
        self._serving.close()
        self.database.close()

    def _clear_away(self) -> None:
        """What a process that was killed left of what is erased, or was only passing through."""
        now_ms = time.time_ns() // 1_000_000
        with self.database.read() as connection:
            lapsed = has_lapsed(connection, now_ms)
        if lapsed:
            with self.database.write() as connection:
                erase_lapsed(connection, now_ms)
        self.scrubber.erased()
        clear_away(self.settings.uploads)

    def _connect(self, url: str, account_key: bytes) -> ChainClient:
        """A client of the deployed contracts; deploys them once, at the first start."""
        path = self.settings.data / "deployment.json"
        deployment = read_deployment(self.settings)
        chain = ChainClient(
            url,
            account_key=account_key,
            deployment=deployment,
            timeout=self.settings.chain_timeout,
        )
        with ExitStack() as undo:
            undo.callback(chain.close)
            chain.require_ready(_CHAIN_WAIT)
            try:
                if deployment is None:
                    deployment = chain.deploy()
                    write_new(path, orjson.dumps(deployment.to_json(), option=orjson.OPT_INDENT_2))
                chain.check()
                chain.open_log(self.log_id)
            except ChainError as error:
                raise type(error)(blocked(error, account=chain.address)) from error
            undo.pop_all()
        return chain

    def _handlers(self) -> dict[str, Handler]:
        """In the order they run in a batch: what forbids comes before what it forbids."""
        forget, erased = self.ring.forget, self.scrubber.erased
        return {
            "enrolment": EnrolmentHandler(self.master, self.catalogue, forget, erased),
            "invitation": InvitationHandler(self.master, self.catalogue, erased),
            "claim": ClaimHandler(self.master, self.catalogue, forget, erased),
            "import": ImportHandler(self.master, forget),
            "status": StatusHandler(self.catalogue, self.scrubber.erased),
            "issue": IssueHandler(),
            "revocation": RevocationHandler(),
            "dispute": DisputeHandler(),
            "question": QuestionHandler(),
            "answer": AnswerHandler(),
            "resolution": ResolutionHandler(),
            "refusal": RefusalHandler(),
            "request": RequestHandler(self.master, self.items),
            "grant": GrantHandler(self.master, self.catalogue, self.items),
            "release": ReleaseHandler(),
            "deferral": DeferralHandler(),
            "lookup": LookupHandler(self.master, self.items, self.grants),
            "reading": ReadingHandler(),
        }

    def _bootstrap(self) -> None:
        """Enrol the operator's own institution and key, once, by the operator's signature. Raises
        ChainUnavailable."""
        try:
            asyncio.run(self._enrol_operator())
        except (AnchorPending, NotServing) as error:
            why = self.committer.status.broken or self.committer.status.chain_trouble or str(error)
            raise ChainUnavailable(
                f"nothing can be anchored: {why or 'the chain did not mine in time'}"
            ) from error

    async def _enrol_operator(self) -> None:
        key = load_signing_key(self.settings.keys / "operator.jwk")
        kid = key.thumbprint()
        if self.ring.find(kid) is not None:
            return
        actor = Enrolled(kid=kid, role=Role.OPERATOR, institution=OPERATOR_INSTITUTION)
        now = int(time.time())
        jwk = key.as_dict(private=False)
        for payload in (
            {
                "what": "institution",
                "code": OPERATOR_INSTITUTION,
                "name_zh": "运营方",
                "name_en": "Operator",
            },
            {
                "what": "key",
                "role": "operator",
                "institution": OPERATOR_INSTITUTION,
                "jwk": {name: jwk[name] for name in ("kty", "crv", "x", "y")},
            },
        ):
            common = {"ledger": self.ledger, "iat": now, "jti": uuid.uuid4().hex}
            token = signed(Kind.ENROLMENT, {**common, **payload}, key, kid)
            statement = verify(token, key, self.ledger)
            await self.record("enrolment", Request(statement, actor))

    async def record(self, handler: str, request: Request) -> Answer:
        """One request through the committer: its answer, once it may leave."""
        (answer,) = await self.record_all(handler, [request])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def record_all(
        self, handler: str, requests: Sequence[Request]
    ) -> list[Answer | Exception]:
        """Many requests; each gets an answer or its error. Raises Busy and NotServing."""
        return await self.committer.submit(handler, requests, wait=self.settings.anchor_wait)

    def kept_key(self, connection: Connection, department: str) -> Any:
        """The key the service keeps for a department: its thumbprint, and what to enrol if new."""
        keys = tables.keys
        kept = connection.execute(
            select(keys).where(
                keys.c.institution == department,
                keys.c.sealed.is_not(None),
                keys.c.revoked_ms.is_(None),
            )
        ).first()
        if kept is not None:
            return checked(connection, keys, kept).kid, None
        key = new_signing_key()
        kid = key.thumbprint()
        sealed = self.master.seal(orjson.dumps(key.as_dict(private=True)), kid.encode())
        row = {
            "kid": kid,
            "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
            "role": Role.ISSUER,
            "institution": department,
            "not_before": 0,
            "not_after": NEVER,
            "sealed": sealed.ciphertext,
            "wrapped_key": sealed.wrapped_key,
        }
        entry = DirectoryEntry(
            thumbprint=b64url_decode(kid),
            institution=institution_id(department),
            role=CHAIN_ROLE[Role.ISSUER],
            not_before=0,
            not_after=NEVER,
        )
        return kid, (row, entry)

    def open_kept_key(self, kid: str) -> ECKey:
        """The private key behind `kept_key`."""
        with self.database.read() as connection:
            row = connection.execute(select(tables.keys).where(tables.keys.c.kid == kid)).one()
        sealed = Sealed(row.wrapped_key, row.sealed)
        return ECKey.import_key(orjson.loads(self.master.open(sealed, kid.encode())))
