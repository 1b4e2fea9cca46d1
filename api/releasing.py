"""At its start a service records which software it serves, where that is not on record.

By the operator's key, which lies in the service's data folder, as it signed the founding: it takes
no act of a person. A service without that key, or with one that is no longer good, says so in its
log and serves what it has; then its pages tell that nothing is recorded of it.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from api.keyfiles import KeyFileError, load_signing_key
from api.pages.released import Software
from api.service import Service
from ledger.batch import Request
from ledger.committer import AnchorPending, Busy, NotServing
from ledger.statements import VERSION, Kind, StatementError, sign, verify

logger = logging.getLogger(__name__)

#: Seconds that a start waits for the anchor of the record, where the chain has trouble.
MOST_SECONDS: Final = 1.0


async def record_release(service: Service, software: Software) -> None:
    """Raises nothing: whatever is wrong with the record, lookups go on."""
    try:
        await _record(service, software)
    except AnchorPending:
        pass  # recorded, and anchored with whatever comes next
    except (OSError, KeyFileError, StatementError, Busy, NotServing) as error:
        if getattr(error, "code", None) != "release.recorded":
            logger.warning("this release of the software is not recorded: %s", error)


async def _record(service: Service, software: Software) -> None:
    key = load_signing_key(service.settings.keys / "operator.jwk")
    kid = key.thumbprint()
    known = service.ring.find(kid)
    now = time.time()
    if known is None or not known[0].valid_at(int(now * 1000)):
        raise StatementError("key.not_valid", "the operator's key is not good here")
    common = {"v": VERSION, "ledger": service.ledger, "iat": int(now), "jti": uuid.uuid4().hex}
    token = sign(Kind.RELEASE, {**common, **software.members()}, key, kid)
    statement = verify(token, key, service.ledger)
    (answer,) = await service.committer.submit(
        "release", [Request(statement, known[0])], wait=MOST_SECONDS
    )
    if isinstance(answer, Exception):
        raise answer
