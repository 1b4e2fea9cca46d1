"""Checking many signed certificates, in a process of its own.

A signature check holds the interpreter for a tenth of a millisecond, and everything else about a
certificate takes longer; next to the event loop and the committer that would be most of the
service's time. So batches go to a second process, started in the background by the first of them.
Until it is there, and should it ever die, the same code runs here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from joserfc.jwk import ECKey

from api.data.keyfiles import load_or_create_secret
from ledger.catalogue import Catalogue, load_catalogue
from ledger.certificate.credential import Certificate, open_certificate, split
from ledger.database.sealing import MasterKey, Sealed
from ledger.issue.preparation import Issuance, hold_to_type, seal, tells_nothing
from ledger.statement.statements import Kind, Statement, StatementError, load_public_key, verify

logger = logging.getLogger(__name__)

Checked = tuple[Statement, Issuance] | StatementError
Before = TypeVar("Before")
After = TypeVar("After")


class Checker:
    """Verifies and reads signed certificates of one ledger."""

    def __init__(self, ledger: str, catalogue: Catalogue, master: MasterKey) -> None:
        self.ledger, self._catalogue, self._master = ledger, catalogue, master

    def check(self, texts: Sequence[str], keys: Sequence[ECKey]) -> list[Checked]:
        """Check SD-JWTs, each with the key of its signer; results in the same order.

        Every step is taken with all of them before the next one. Step after step with each of them
        takes a third longer: a signature's check leaves nothing in the processor's caches of the
        code that everything else needs.
        """
        verified = _each(self._verify, zip(texts, keys, strict=True))
        opened = _each(lambda item: open_certificate(*item), verified)
        typed = _each(lambda item: hold_to_type(item, self._catalogue), opened)
        sealed = _each(lambda item: seal(item, self._master), _each(tells_nothing, typed))
        return [
            item if isinstance(item, StatementError) else (item.certificate.statement, item)
            for item in sealed
        ]

    def _verify(self, signed: tuple[str, ECKey]) -> tuple[Statement, list[str]]:
        text, key = signed
        token, disclosures = split(text)
        return verify(token, key, self.ledger), disclosures


def _each(
    step: Callable[[Before], After], items: Iterable[Before | StatementError]
) -> list[After | StatementError]:
    """What a step makes of each item; the error of one that it, or a step before, refused."""
    done: list[After | StatementError] = []
    for item in items:
        if isinstance(item, StatementError):
            done.append(item)
            continue
        try:
            done.append(step(item))
        except StatementError as error:
            done.append(error)
    return done


class BulkChecker:
    """`Checker` for many at a time. ``master_file`` is where the second process reads the key."""

    def __init__(self, checker: Checker, master_file: Path) -> None:
        self._checker = checker
        self._start = (checker.ledger, str(master_file))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._process: ProcessPoolExecutor | None = None
        self._ready = False

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.shutdown(wait=False, cancel_futures=True)

    async def check(self, texts: Sequence[str], keys: Sequence[ECKey]) -> list[Checked]:
        """Check SD-JWTs, each with the key of its signer; results in the same order."""
        loop = asyncio.get_running_loop()
        if self._ready and self._process is not None:
            names = [str(id(key)) for key in keys]  # one object a signer: the key ring's
            distinct = {
                name: dict(key.as_dict(private=False))
                for name, key in dict(zip(names, keys, strict=True)).items()
            }
            try:
                found = await loop.run_in_executor(
                    self._process, _check_there, list(texts), names, distinct
                )
                return [unpack(item, text) for item, text in zip(found, texts, strict=True)]
            except BrokenProcessPool:
                logger.warning("the checking process ended; going on without it until the next")
                self._process, self._ready = None, False
        self._thread.submit(self._warm)  # not here: starting a process takes its time
        return await loop.run_in_executor(self._thread, self._check_here, texts, keys)

    def _check_here(self, texts: Sequence[str], keys: Sequence[ECKey]) -> list[Checked]:
        return self._checker.check(texts, keys)

    def _warm(self) -> None:
        if self._process is not None:
            return
        self._process = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=self._start,
        )
        self._process.submit(os.getpid).add_done_callback(self._warmed)

    def _warmed(self, done: Future[int]) -> None:
        self._ready = not done.cancelled() and done.exception() is None


# --- in the second process ------------------------------------------------------------------------

_there: Checker


def _prepare(ledger: str, master_file: str) -> None:
    global _there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's to handle, in order
    end_with_parent()
    master = MasterKey(load_or_create_secret(Path(master_file)))
    _there = Checker(ledger, load_catalogue(), master)
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # it makes no cycles


def end_with_parent() -> None:
    """In a process of a pool, whose starter may be killed and then cannot tell it to end."""
    parent = multiprocessing.parent_process()
    if parent is not None:  # else it is a thread
        join = parent.join
        threading.Thread(target=lambda: (join(), os._exit(0)), daemon=True).start()


def _check_there(
    texts: list[str], names: list[str], jwks: dict[str, dict[str, Any]]
) -> list[Packed]:
    keys = {name: load_public_key(jwk) for name, jwk in jwks.items()}
    return [pack(checked) for checked in _there.check(texts, [keys[name] for name in names])]


# --- on the way back ------------------------------------------------------------------------------

#: Plain tuples: pickling the dataclasses themselves takes as long as checking a signature.
Packed = StatementError | tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]


def pack(checked: Checked) -> Packed:
    if isinstance(checked, StatementError):
        return checked
    statement, issuance = checked
    certificate, sealed = issuance.certificate, issuance.sealed
    return (
        (
            statement.kid,
            statement.payload["iat"],
            statement.payload["jti"],
            statement.digest,
            statement.request_key,
        ),
        (
            certificate.certificate_id,
            certificate.type_code,
            certificate.issuer,
            certificate.validity,
            certificate.valid_from_ms,
            certificate.valid_until_ms,
        ),
        (
            issuance.type,
            issuance.holder,
            issuance.uniqueness,
            issuance.source,
            sealed.wrapped_key,
            sealed.ciphertext,
        ),
    )


def unpack(packed: Packed, sd_jwt: str) -> Checked:
    """The inverse for an SD-JWT, but for the claims that nobody after the check reads."""
    if isinstance(packed, StatementError):
        return packed
    (kid, iat, jti, digest, request_key), named, of_content = packed
    kind, holder, unique, source, key, text = of_content
    certificate_id, type_code, issuer, validity, from_ms, until_ms = named
    payload = {"iat": iat, "jti": jti}
    token = sd_jwt.partition("~")[0]
    statement = Statement(Kind.CERTIFICATE, kid, payload, token, digest, request_key)
    certificate = Certificate(
        statement, certificate_id, type_code, issuer, validity, from_ms, until_ms, None, {}
    )
    return statement, Issuance(certificate, kind, holder, unique, source, Sealed(key, text))
