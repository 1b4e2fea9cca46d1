"""Who is asking: statements and read tokens, checked against the enrolled keys.

On the event loop, where nothing may wait for the database: keys that were not met a moment ago are
read aside, a few at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy.exc import SQLAlchemyError

from api.admission.callers import known
from api.admission.places import Places
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.directory.keys import Enrolled, KeyRing, Role, not_valid
from ledger.log.committer import Busy
from ledger.statement.kinds import MAX_TOKEN_SECONDS, Access, PayloadError
from ledger.statement.statements import (
    Kind,
    Statement,
    StatementError,
    load_public_key,
    read_header,
    read_payload,
    segments,
    verify,
)

FRESH_SECONDS = 60
#: How long a recorded statement may be sent again for its answer. Not for ever: whoever finds the
#: statement later, in a file of evidence say, must not get what its sender got.
RESEND_SECONDS = 900


class Authenticator:
    def __init__(self, ring: KeyRing, database: Database, places: Places, ledger: str) -> None:
        self._ring, self._database, self._places = ring, database, places
        self._ledger = ledger
        self._looking: asyncio.Task[None] | None = None
        # Keys that are being read, and since which change of any key.
        self._reading: dict[tuple[str, int], asyncio.Task[tuple[Enrolled, ECKey] | None]] = {}

    async def statement(
        self, token: str, kinds: Collection[Kind], *, arrived: float | None = None
    ) -> tuple[Statement, Enrolled]:
        """A verified, fresh statement and its signer; raises StatementError.

        ``arrived`` (Unix seconds) is when its request began, where that took long to come in.

        Freshness is waived for a quarter of an hour for a statement that is recorded already: sent
        again, it gets its one answer. Whether the key is valid now, the committer decides.
        """
        enrolled, key = await self.signer(token, kinds)
        statement = verify(token, key, self._ledger)
        await self.require_fresh(statement, arrived)
        return statement, enrolled

    async def own_statement(self, token: str, kind: Kind) -> Statement:
        """A verified, fresh statement of a key that is in it (``jwk``) and need not be enrolled;
        raises StatementError."""
        header = read_header(token)
        if header.kind is not kind:
            raise StatementError("statement.kind", f"expected typ {kind}")
        jwk: Any = read_payload(segments(token)[1]).get("jwk")
        key = load_public_key(jwk)
        if key.thumbprint() != header.kid:
            raise StatementError("statement.signature", "kid is not the thumbprint of jwk")
        statement = verify(token, key, self._ledger)
        await self.require_fresh(statement)
        return statement

    async def signer(self, token: str, kinds: Collection[Kind]) -> tuple[Enrolled, ECKey]:
        """The enrolled key that the token names; raises StatementError. Nothing is verified."""
        header = read_header(token)
        if header.kind not in kinds:
            raise StatementError("statement.kind", f"expected typ {' or '.join(sorted(kinds))}")
        found = await self._find(header.kid)
        if found is None:
            raise StatementError("key.unknown", "the key is not enrolled")
        return found

    async def _find(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        kept = self._ring.kept(kid)
        if kept is None:
            return await self._read(kid)
        if self._ring.wants_look and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        return kept

    async def _read(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        """Once for all who wait for this key: after any change of a key a whole hall's next
        lookups ask for a few keys, behind one address. Who comes after a change hears of it."""
        asked = kid, self._ring.generation
        reading = self._reading.get(asked)
        if reading is not None:
            # That who asked first has no place must not refuse those who may have one.
            with contextlib.suppress(Busy):
                return await asyncio.shield(reading)
            reading = self._reading.get(asked)
        if reading is None:
            reading = asyncio.create_task(self._places.run(self._ring.find, kid))
            self._reading[asked] = reading
            reading.add_done_callback(lambda done: self._settle(asked, done))
        # One who goes away must not take the key from the others.
        return await asyncio.shield(reading)

    def _settle(
        self, asked: tuple[str, int], done: asyncio.Task[tuple[Enrolled, ECKey] | None]
    ) -> None:
        del self._reading[asked]
        if not done.cancelled():
            done.exception()  # seen, even when nobody waits for it any more

    async def _look(self) -> None:
        # What hinders it, whoever needs it next is told.
        with contextlib.suppress(Busy, SQLAlchemyError):
            await self._places.run(self._ring.look)

    async def require_fresh(self, statement: Statement, arrived: float | None = None) -> None:
        """Raises StatementError unless the statement is fresh, or recorded already."""
        age = abs((time.time() if arrived is None else arrived) - statement.issued_at)
        if age <= FRESH_SECONDS:
            return
        if age > RESEND_SECONDS or not await self._places.run(self._recorded, statement):
            raise StatementError(
                "statement.stale", f"iat must be within {FRESH_SECONDS} s of the server's time"
            )

    def _recorded(self, statement: Statement) -> bool:
        key = statement.request_key
        with self._database.read() as connection:
            known = tables.recorded(connection, [key]).get(key)
        return known is not None and known.statement_digest == statement.digest

    async def reader(self, authorization: str | None, roles: Collection[Role]) -> Enrolled:
        """The enrolled key behind ``Authorization: Bearer <access token>``: see `access`."""
        return (await self.access(authorization, roles))[0]

    async def access(
        self, authorization: str | None, roles: Collection[Role]
    ) -> tuple[Enrolled, Statement]:
        """The enrolled key behind ``Authorization: Bearer <access token>``, and the token.

        The token's payload is `ledger.statement.kinds.Access`. Raises StatementError.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise StatementError("token.missing", "this needs a signed access token (Bearer)")
        header = read_header(token.strip())
        if header.kind is not Kind.ACCESS:
            raise StatementError("token.malformed", "the bearer is not an access token")
        found = await self._find(header.kid)
        if found is None:
            raise StatementError("key.unknown", "the key is not enrolled")
        enrolled, key = found
        statement = verify(token.strip(), key, self._ledger)
        try:
            expires, now = Access.parse(statement.payload).exp, time.time()
        except PayloadError as error:
            raise StatementError(
                "token.malformed",
                "an access token has ledger, iat, exp and jti, and exp is within "
                f"{MAX_TOKEN_SECONDS} s after iat: {error.field}",
            ) from None
        if not statement.issued_at - FRESH_SECONDS <= now < expires:
            raise StatementError("token.expired", "the access token is not valid now")
        if not enrolled.valid_at(int(now * 1000)):
            raise not_valid(enrolled)
        if enrolled.role not in roles:
            raise StatementError(
                "actor.role",
                f"a key of role {enrolled.role} may not read this; these may: "
                + ", ".join(sorted(roles)),
            )
        known(enrolled)
        return enrolled, statement
