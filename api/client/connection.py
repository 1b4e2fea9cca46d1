"""A connection to one service: whose it is, what is signed and sent, and what comes back.

A request that met a 503 or a lost connection is sent again as it is: the service answers one
request once, so this never doubles anything. Not this module's job: what can be asked.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import orjson
from joserfc.jwk import ECKey

from api.client.answers import Bounded, TooMuch
from ledger.catalogue import Catalogue
from ledger.statement.statements import VERSION, Kind, sign

#: Bytes and seconds of the longest answer: every refused row of a very large export.
MAX_ANSWER, ANSWER_SECONDS = 256 << 20, 600.0

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ServiceError(Exception):
    """The service answered with a problem; ``code`` is stable."""

    def __init__(self, status: int, code: str, detail: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code, self.detail, self.body = status, code, detail, body


class ServiceUnreachable(Exception):
    """No answer after all tries; whether the request was recorded is unknown until it is sent
    again."""


class WrongService(ServiceUnreachable):
    """The address leads to no certledger."""


class WrongAddress(ValueError):
    """What was given is no address of a service; the message says how one is written."""


def new_identifier() -> str:
    """26 characters of Crockford's base32 (130 bits), for grants, requests and disputes."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(26))


class Connection:
    """What every call goes through: address, key, signing, sending again. `Client` says how it is
    made."""

    def __init__(
        self,
        url: str,
        key: ECKey | None = None,
        *,
        ledger: str | None = None,
        learnt: Callable[[str], None] = lambda _ledger: None,
        timeout: float = 40.0,
        tries: int = 4,
        catalogue: Catalogue | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self._url = service_address(url)
        self._http = httpx.Client(
            base_url=self._url,
            timeout=timeout,
            trust_env=False,
            transport=Bounded(max_answer, ANSWER_SECONDS),
        )
        self._key = key
        self._kid = key.thumbprint() if key is not None else ""
        self._ledger, self._learnt = ledger, learnt
        self._tries = tries
        self._token: tuple[str, float] = ("", 0.0)
        self._catalogue = catalogue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def key(self) -> ECKey:
        """Raises ValueError for a client without one."""
        if self._key is None:
            raise ValueError("this needs a client with a key")
        return self._key

    # --- signing and sending ------------------------------------------------------------------

    @property
    def ledger(self) -> str:
        """The one that is signed for; asked from the service once, where it was not given."""
        if self._ledger is None:
            told = json_of(self.get("/v1/time", token=False)).get("ledger")
            if not isinstance(told, str) or not told:
                raise WrongService(f"{self._url} names no ledger")
            self._learnt(told)
            self._ledger = told
        return self._ledger

    def statement(self, kind: Kind, payload: Mapping[str, Any]) -> str:
        """``payload`` with version, ledger, time and a fresh ``jti``, signed. Its form is judged by
        the service, in the words that say what to mend."""
        return sign(kind, {"v": VERSION, **self._common(), **payload}, self.key, self._kid)

    def _common(self) -> dict[str, Any]:
        return {"ledger": self.ledger, "iat": int(time.time()), "jti": uuid.uuid4().hex}

    def access_token(self) -> str:
        """A read token, renewed before it ends."""
        token, renew_at = self._token
        if time.time() >= renew_at:
            common = self._common()
            members = {**common, "exp": common["iat"] + 240}
            token = sign(Kind.ACCESS, members, self.key, self._kid)
            self._token = token, common["iat"] + 180
        return token

    def authorization(self) -> dict[str, str]:
        """The header of reads, and of bodies that are too long for a stranger's."""
        return {"Authorization": f"Bearer {self.access_token()}"}

    def get(self, path: str, *, token: bool = True, **params: Any) -> httpx.Response:
        """GET; raises ServiceError or ServiceUnreachable."""
        headers = self.authorization() if token else {}
        shown = {name: value for name, value in params.items() if value is not None}
        return self._checked(
            self._send(lambda: self._http.get(path, params=shown, headers=headers))
        )

    def post(self, path: str, body: Mapping[str, Any], *, token: bool = False) -> httpx.Response:
        return self._checked(self.post_raw(path, body, token=token))

    def post_raw(
        self, path: str, body: Mapping[str, Any], *, token: bool = False
    ) -> httpx.Response:
        """POST without judging the status; 503 and lost connections are tried again."""
        content = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        if token:
            headers |= self.authorization()
        return self._send(lambda: self._http.post(path, content=content, headers=headers))

    def _send(self, send: Callable[[], httpx.Response], tries: int | None = None) -> httpx.Response:
        tries = tries or self._tries
        for attempt in range(1, tries + 1):
            try:
                response = send()
            except httpx.RequestError as error:
                met = self._met(error)
                if attempt == tries or isinstance(met, WrongService):
                    raise met from error
                time.sleep(min(3.0, 0.2 * 2**attempt))
                continue
            if response.status_code != 503 or attempt == tries:
                return response
            time.sleep(_seconds(response.headers.get("Retry-After", "")))
        raise AssertionError

    def _met(self, error: BaseException) -> ServiceUnreachable:
        """What kept a request from being answered, by what lies under httpx's error."""
        if isinstance(error, TooMuch):
            return WrongService(f"{self._url} is no certledger: {error}")
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message
                return WrongService(f"the TLS certificate of {self._url} is not trusted: {why}")
            if isinstance(cause, ssl.SSLError):
                plain = self._url.replace("https://", "http://")
                return WrongService(f"{self._url} does not speak TLS (it may be {plain})")
            if isinstance(cause, socket.gaierror):
                return WrongService(f"no host of this name is known: {self._url}")
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx.TimeoutException):
            return ServiceUnreachable(f"no answer from {self._url} in time")
        return ServiceUnreachable(f"no answer from {self._url}: {error}")

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        if response.status_code >= 300:
            raise service_error(response)
        return response


def _seconds(retry_after: str) -> float:
    """How long to wait, at most 5 s; the header may also be a date, or whatever a proxy says."""
    return min(5.0, float(retry_after)) if retry_after.isdecimal() else 1.0


def service_address(url: str) -> str:
    """Scheme, host and port of a service; raises WrongAddress."""
    try:
        parts = urlsplit(url.strip())
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise WrongAddress(
            f"{url!r} is not the address of a service; write it like http://127.0.0.1:8000"
        )
    if "@" in parts.netloc:
        raise WrongAddress("the address of a service has no name or password in it")
    address = f"{parts.scheme}://{parts.netloc}"
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise WrongAddress(f"the address of a service ends with its host or port; write {address}")
    return address


def json_of(response: httpx.Response) -> dict[str, Any]:
    """The object that the service answered with; raises WrongService."""
    try:
        # Which stands in every answer of the service, and hardly in another's.
        if "X-Request-ID" not in response.headers:
            raise ValueError
        value: dict[str, Any] = orjson.loads(response.content)
        if not isinstance(value, dict):
            raise ValueError
    except ValueError:
        raise _not_the_service(response) from None
    return value


def service_error(response: httpx.Response) -> ServiceError | ServiceUnreachable:
    try:
        body = json_of(response)
        return ServiceError(response.status_code, body["code"], str(body.get("detail")), body)
    except (ServiceUnreachable, KeyError):
        return _not_the_service(response)


def _not_the_service(response: httpx.Response) -> ServiceUnreachable:
    """What an answer that is not the service's is taken for: a proxy's, or a stranger's."""
    asked, status = response.request.url, response.status_code
    url = f"{asked.scheme}://{asked.netloc.decode()}"
    if status >= 500:
        return ServiceUnreachable(f"what answers at {url} does not reach the service: {status}")
    if response.has_redirect_location:
        to = asked.join(response.headers["Location"])
        return WrongService(f"{url} sends on to {to.scheme}://{to.netloc.decode()}: use that")
    return WrongService(f"what answers at {url} is not certledger")
