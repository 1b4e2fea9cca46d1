"""At its start a service records which software it serves, where that is not on record.

By the operator's key, which lies in the service's data folder, as it signed the founding: it takes
no act of a person. A start neither ends nor waits for long because this record could not be made:
the service says in its log why and what to do, serves what it has, and its pages tell that nothing
is recorded of it. What is nobody's fault but the code's is logged as such, with where it happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Final

from api.answer.errors import describe
from api.data.keyfiles import KeyFileError, load_signing_key
from api.pages.release import Software
from api.service.assembly import Service
from ledger.log.batch import Request
from ledger.log.committer import AnchorPending
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind, StatementError, verify

logger = logging.getLogger(__name__)

#: Seconds that a start waits for the anchor of the record, where the chain has trouble.
MOST_SECONDS: Final = 1.0
#: Seconds that it waits for all of it, where a disk or a database hangs.
ALL_SECONDS: Final = 5.0

_KEY = "put the private key of a good operator into keys/operator.jwk and start again"
#: What whoever runs the service does about it, by code; of what passes by itself, `_LATER`.
_REMEDIES: Final = {
    "key.unreadable": _KEY,
    "key.not_valid": _KEY,
    "key.unknown": _KEY,
    "actor.role": _KEY,
}
_LATER = "it is tried again at the next start"


async def record_release(service: Service, software: Software) -> None:
    """Raises nothing: whatever is wrong with the record, lookups go on."""
    try:
        async with asyncio.timeout(ALL_SECONDS):
            await _record(service, software)
    except TimeoutError:
        _say("storage.unavailable", f"nothing answered within {ALL_SECONDS:.0f} s")
    except AnchorPending:
        logger.info("the record of this release waits for its anchor")
    except KeyFileError as error:
        _say("key.unreadable", str(error))
    except Exception as error:
        status, code, detail, _ = describe(error)
        if status == 500:
            logger.exception("this release of the software is not recorded: a fault of ours")
        elif code != "release.recorded":
            _say(code, detail)


def _say(code: str, why: str) -> None:
    logger.warning(
        "this release of the software is not recorded (%s): %s; %s",
        code,
        why,
        _REMEDIES.get(code, _LATER),
    )


async def _record(service: Service, software: Software) -> None:
    request = await asyncio.to_thread(_signed, service, software)
    (answer,) = await service.committer.submit("release", [request], wait=MOST_SECONDS)
    if isinstance(answer, Exception):
        raise answer


def _signed(service: Service, software: Software) -> Request:
    key = load_signing_key(service.settings.keys / "operator.jwk")
    kid = key.thumbprint()
    known = service.ring.find(kid)
    now = time.time()
    if known is None or not known[0].valid_at(int(now * 1000)):
        raise StatementError("key.not_valid", "the operator's key is not good here")
    common = {"ledger": service.ledger, "iat": int(now), "jti": uuid.uuid4().hex}
    token = signed(Kind.RELEASE, {**common, **software.members()}, key, kid)
    return Request(verify(token, key, service.ledger), known[0])
