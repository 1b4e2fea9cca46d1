"""Whether key files, settings and database belong together, held before anything is written.

A key that is missing beside a ledger must come back from a backup: a new one in its place would
sign, seal and read nothing of what is there. One that was put in another's place is told by what it
signed or sealed. Not this module's job: the chain's side (`ledger.log.log`, `ledger.chain`), single
records that were altered (`audit.integrity`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
from sqlalchemy import ColumnElement, Connection, Table, inspect, select, true
from sqlalchemy.exc import SQLAlchemyError

from api.data.keyfiles import KeyFileError, load_log_key, load_or_create_secret, load_signing_key
from api.data.settings import Settings
from ledger.chain import Deployment
from ledger.database import tables
from ledger.database.engines import engine_of, engine_url
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.database.transactions import Database
from ledger.directory.keys import Role
from ledger.proof.encoding import sha256
from ledger.proof.entries import EventKind
from ledger.proof.notes import NoteError, NoteKey, default_origin, open_checkpoint
from ledger.proof.quorum import NO_POLICY, Policy, PolicyError, policy_for

#: How many newest records are tried: one that was altered must not speak for all.
_TRIED = 3
#: Among how many newest certificates those are looked for: the others may be erased.
_LOOKED_AT = 50
KEY_FILES = ("master.key", "log.key", "chain.key", "operator.jwk")


class Mismatch(KeyFileError):
    """What is in the database does not fit a key or a setting: one of them is another's, or the
    database was altered."""


class NoLedger(Exception):
    """The data folder is nobody's: mistyped, or not begun yet."""


def read_deployment(settings: Settings) -> Deployment | None:
    """Where the contracts are; None when the folder does not say. Raises KeyFileError."""
    path = settings.data / "deployment.json"
    if not path.exists():
        return None
    try:
        return Deployment.from_json(orjson.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError):
        raise KeyFileError(f"{path} does not name the contracts") from None


def log_id_of(origin: str) -> bytes:
    """How the log is named in the contract."""
    return sha256(b"certledger log\0" + origin.encode())


def log_key_of(settings: Settings) -> NoteKey:
    """The log's public key, whose name is the log's origin: everything that is signed for this
    ledger names it. Raises KeyFileError where there is no key."""
    path = settings.keys / "log.key"
    if not path.exists():
        raise KeyFileError(f"{path} is missing: this is no ledger's data folder, or it is damaged")
    public = load_log_key(path).public_key().public_bytes_raw()
    return NoteKey(settings.origin or default_origin(public), public)


def policy_of(settings: Settings, log: NoteKey) -> Policy:
    """Which witnesses the trust file asks for; raises PolicyError."""
    if settings.policy is None:
        return NO_POLICY
    try:
        policy = policy_for(log, settings.policy.read_text("utf-8"))
        for name, witness in policy.witnesses.items():
            parts = urlsplit(witness.url)
            if witness.url and (parts.scheme not in ("http", "https") or not parts.hostname):
                raise PolicyError(f"the address of {name} is no http(s) URL")
    except ValueError as error:
        raise PolicyError(f"CERTLEDGER_POLICY: {settings.policy} is no policy: {error}") from None
    return policy


def require_ledger(settings: Settings) -> None:
    """Raises NoLedger where there is no database: opening it would make an empty one."""
    url = engine_url(settings.database_url)
    if not engine_of(url).exists(url):
        raise NoLedger(
            f"there is no ledger in {settings.data} (no {url.database}): name its folder with "
            "--data or CERTLEDGER_DATA, or begin one with: certledger init"
        )


def require_belonging(settings: Settings) -> None:
    """Raises KeyFileError, naming the file or the setting, where what is there does not fit the
    ledger; a folder where nothing was recorded yet fits anything. Writes nothing."""
    deployed = settings.data / "deployment.json"
    if deployed.exists():
        _require_files(settings)
    url = engine_url(settings.database_url)
    if not engine_of(url).exists(url):
        return  # opening it would make an empty one
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not _recorded(connection):
                return
            _require_files(settings)
            _require_origin(connection, settings)
            if not deployed.exists():
                raise KeyFileError(
                    f"{deployed} is missing, but the database holds a ledger: bring it back "
                    "from a backup (a new one would be of contracts without any anchor)"
                )
            _require_log_key(connection, settings)
            _require_master_key(connection, settings)
            _require_operator(connection, settings)
    except SQLAlchemyError:
        return  # whoever uses it says what is wrong with it
    finally:
        database.close()


def _recorded(connection: Connection) -> bool:
    if not inspect(connection).has_table(tables.entries.name):
        return False
    return connection.execute(select(tables.entries.c.seq).limit(1)).first() is not None


def _require_files(settings: Settings) -> None:
    for name in KEY_FILES:
        path = settings.keys / name
        if not path.exists():
            raise KeyFileError(
                f"{path} is missing, but there is a ledger that was made with it: bring it back "
                "from a backup (a new one would not fit)"
            )


def _require_origin(connection: Connection, settings: Settings) -> None:
    heads = set(connection.execute(select(tables.log_head.c.log_id)).scalars())
    origin = log_key_of(settings).name
    if heads and log_id_of(origin) not in heads:
        shown = engine_url(settings.database_url).render_as_string(hide_password=True)
        if not settings.origin:
            raise Mismatch(
                f"{settings.keys / 'log.key'} is not the key of the log in the database {shown}, "
                "or that log has a name of its own: bring the right key back from a backup, or set "
                "CERTLEDGER_ORIGIN as it was"
            )
        raise Mismatch(
            f"the database {shown} holds the log of another origin than {origin!r}: set "
            "CERTLEDGER_ORIGIN or CERTLEDGER_DATABASE as they were"
        )


def _require_log_key(connection: Connection, settings: Settings) -> None:
    path, key = settings.keys / "log.key", log_key_of(settings)
    table = tables.checkpoints
    query = select(table.c.note).order_by(table.c.size.desc()).limit(_TRIED)
    notes = list(connection.execute(query).scalars())
    if notes and not any(_opens(note, key) for note in notes):
        raise Mismatch(
            f"{path} is not the key that signed this ledger's checkpoints under the origin "
            f"{key.name!r}: bring the right one back from a backup"
        )


def _opens(note: str, key: NoteKey) -> bool:
    try:
        open_checkpoint(note, key)
    except (NoteError, ValueError, TypeError, AttributeError):
        return False
    return True


def _require_master_key(connection: Connection, settings: Settings) -> None:
    path = settings.keys / "master.key"
    master = MasterKey(load_or_create_secret(path))
    sealed: list[bool] = []
    for table, name, content, newest in (
        (tables.keys, "kid", "sealed", true()),
        (tables.invitations, "invitation", "sealed", true()),
        (tables.certificates, "certificate_id", "content", _issued_last()),
    ):
        sealed += _unsealed(connection, master, table, name, content, newest)
    if sealed and not any(sealed):
        raise Mismatch(
            f"{path} is not the key that sealed this ledger's contents: bring the right one back "
            "from a backup"
        )


def _issued_last() -> ColumnElement[bool]:
    """By the log: to find the newest in their own table, all of a city's would be read."""
    entries = tables.entries
    issued = select(entries.c.certificate).where(entries.c.kind == EventKind.ISSUE.value)
    last = issued.order_by(entries.c.seq.desc()).limit(_LOOKED_AT)
    return tables.certificates.c.certificate_id.in_(last)


def _unsealed(
    connection: Connection,
    master: MasterKey,
    table: Table,
    name: str,
    content: str,
    newest: ColumnElement[bool],
) -> list[bool]:
    """Of the newest sealed rows, whether each opens."""
    query = (
        select(table.c[name], table.c.wrapped_key, table.c[content])
        .where(table.c[content].is_not(None), table.c.wrapped_key.is_not(None), newest)
        .order_by(table.c.seq.desc())
        .limit(_TRIED)
    )
    opened = []
    for key, wrapped, ciphertext in connection.execute(query):
        try:
            master.open(Sealed(wrapped, ciphertext), key.encode())
            opened.append(True)
        except (SealError, TypeError, AttributeError):
            opened.append(False)
    return opened


def _require_operator(connection: Connection, settings: Settings) -> None:
    path = settings.keys / "operator.jwk"
    kid, keys = load_signing_key(path).thumbprint(), tables.keys
    operators = connection.execute(select(keys.c.kid).where(keys.c.role == Role.OPERATOR.value))
    enrolled = set(operators.scalars())
    if enrolled and kid not in enrolled:
        raise Mismatch(
            f"{path} is not a key that this ledger knows as an operator's: bring the right one "
            "back from a backup"
        )
