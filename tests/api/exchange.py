"""A terminal's whole exchange in bytes, recorded from a real run: ``python -m tests.api.exchange``
writes the blocks of ``docs/guides/exchange.md``.

What is signed, sent and checked here is made with nothing of ours but the service: the standard
library, and `cryptography` for signatures. `test_exchange.py` holds the page against
a run of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from api.sample.city import HALLS

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "exchange.md"
_BLOCK = re.compile(r"(<!-- (\w+) -->\n```\w+\n)(.*?)(\n```)", re.DOTALL)
ITEM, FIELDS = "hotel-check-in", ["name", "of_age_18"]


def blocks(page: str) -> dict[str, str]:
    """The page's blocks by their names."""
    return {name: text for _, name, text, _ in _BLOCK.findall(page)}


def filled(page: str, recorded: Mapping[str, str]) -> str:
    """The page with every block as it was recorded."""
    return _BLOCK.sub(lambda found: found[1] + recorded[found[2]] + found[4], page)


# --- what a terminal does -------------------------------------------------------------------------


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value: Any) -> str:
    """RFC 8785 of what we sign: no fractions, and member names in ASCII."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638."""
    public = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return b64url(hashlib.sha256(canonical(public).encode()).digest())


def private_key(jwk: Mapping[str, str]) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64url(jwk["d"]), "big"), ec.SECP256R1())


def signed(jwk: Mapping[str, str], typ: str, payload: Mapping[str, Any]) -> tuple[str, str]:
    """The signing input, and the compact JWS."""
    header = {"alg": "ES256", "kid": thumbprint(jwk), "typ": typ}
    given = f"{b64url(canonical(header).encode())}.{b64url(canonical(payload).encode())}"
    r, s = decode_dss_signature(private_key(jwk).sign(given.encode(), ec.ECDSA(hashes.SHA256())))
    return given, f"{given}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def send(url: str, line: str, body: str = "", token: str = "") -> tuple[str, str]:
    """One request on a connection of its own; request and response as text, heads with LF."""
    lines = [f"{line} HTTP/1.1", "Host: ledger.example", "Connection: close"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    asked = "\r\n".join(lines) + "\r\n\r\n" + body
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.sendall(asked.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return asked.replace("\r\n", "\n").rstrip("\n"), answer.replace("\r\n", "\n").rstrip("\n")


def body_of(message: str) -> Any:
    return json.loads(message.partition("\n\n")[2])


def leaf(entry: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(b"\0" + canonical(entry).encode()).digest()


def root(hashed: bytes, seq: int, size: int, proof: list[str]) -> bytes:
    """RFC 9162, 2.1.3.2; ValueError for a proof of another length."""
    at, last = seq, size - 1
    for step in map(base64.b64decode, proof):
        if last == 0:
            raise ValueError("the proof is too long")
        if at % 2 or at == last:
            hashed = hashlib.sha256(b"\1" + step + hashed).digest()
            while not at % 2 and at:
                at, last = at // 2, last // 2
        else:
            hashed = hashlib.sha256(b"\1" + hashed + step).digest()
        at, last = at // 2, last // 2
    if last:
        raise ValueError("the proof is too short")
    return hashed


def check_receipt(receipt: Mapping[str, Any], verifier: str) -> tuple[bytes, bytes]:
    """Leaf and root of a receipt that holds under the log's verifier key; else an exception."""
    note, _, signatures = receipt["checkpoint"].partition("\n\n")
    name, hint, key = verifier.split("+", 2)
    origin, size, told = note.split("\n")
    if origin != name:
        raise ValueError("the checkpoint is another log's")
    raw = base64.b64decode(signatures.split(" ")[2])
    if raw[:4].hex() != hint:
        raise ValueError("the checkpoint is signed by another key")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
    public.verify(raw[4:], f"{note}\n".encode())
    hashed = leaf(receipt["entry"])
    reached = root(hashed, receipt["entry"]["seq"], int(size), receipt["proof"])
    if reached != base64.b64decode(told):
        raise ValueError("the proof does not lead to the checkpoint's root")
    return hashed, reached


def check_fields(presentation: str, jwk: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The fields that a presentation proves under the issuer's key, and their digests."""
    token, *disclosures = presentation.rstrip("~").split("~")
    given, _, signature = token.rpartition(".")
    x, y = (int.from_bytes(unb64url(jwk[name]), "big") for name in ("x", "y"))
    raw = unb64url(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(der, given.encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(unb64url(given.split(".")[1]))
    fields, digests = {}, []
    for disclosure in disclosures:
        digest = b64url(hashlib.sha256(disclosure.encode()).digest())
        if digest not in claims["_sd"]:
            raise ValueError("a disclosure is not of this certificate")
        _, name, value = json.loads(unb64url(disclosure))
        fields[name] = value
        digests.append(f"{name}: {digest}")
    return fields, digests


# --- one run of it --------------------------------------------------------------------------------


def record(town: Any) -> dict[str, str]:
    """The blocks, from a service with a sample city (`tests.api.conftest.Town`)."""
    key, _ = town.new_key(
        "terminal", HALLS, terminal=f"desk-{uuid.uuid4().hex[:6]}", site="hall-east"
    )
    jwk = {name: str(key.as_dict(private=True)[name]) for name in ("kty", "crv", "x", "y", "d")}
    person = town.person()
    granted = town.grant(person, *FIELDS, max_uses=1)
    code = town.scanned(granted)["code"]
    url, told = town.url, {"key": json.dumps(jwk, indent=1), "kid": thumbprint(jwk)}
    told["time_asked"], told["time_answered"] = send(url, "GET /v1/time")
    ledger = body_of(told["time_answered"])["ledger"]

    def common() -> dict[str, Any]:
        return {"ledger": ledger, "iat": int(time.time()), "jti": uuid.uuid4().hex}

    access = common()
    access["exp"] = access["iat"] + 240
    told["access"] = canonical(access)
    _, token = signed(jwk, "certledger-access+jwt", access)
    told["whoami_asked"], told["whoami_answered"] = send(url, "GET /v1/whoami", token=token)

    def asked(item: str, **changed: Any) -> tuple[str, str, str]:
        payload = {
            "v": 2, **common(), "presented": {"code": code}, "fields": FIELDS,
            "service_item": item, "business_number": "B-2026-0001", **changed,
        }  # fmt: skip
        given, statement = signed(jwk, "certledger-lookup+jwt", payload)
        return canonical(payload), given, statement

    told["code"] = code
    told["payload"], told["input"], statement = asked(ITEM)
    told["header"] = unb64url(told["input"].partition(".")[0]).decode()
    told["statement"] = statement
    body = canonical({"statement": statement})
    told["lookup_asked"], told["lookup_answered"] = send(url, "POST /v1/lookups", body)
    released = body_of(told["lookup_answered"])
    _, again = send(url, "POST /v1/lookups", body)
    if body_of(again)["fields"] != released["fields"]:
        raise ValueError("a lookup that was sent again got another answer")
    _, _, other = asked("notarisation", fields=["name"])
    told["refused_asked"], told["refused_answered"] = send(
        url, "POST /v1/lookups", canonical({"statement": other})
    )
    _, _, late = asked(ITEM, iat=int(time.time()) - 3600)
    told["late_asked"], told["late_answered"] = send(
        url, "POST /v1/lookups", canonical({"statement": late})
    )
    catalogue = town.east.get("/v1/catalogue", token=False).json()
    told["verifier"] = catalogue["log"]["verifier"]
    hashed, reached = check_receipt(released["receipt"], told["verifier"])
    told["entry"] = canonical(released["receipt"]["entry"])
    told["proven"] = (
        f"leaf {hashed.hex()}\nroot {reached.hex()}\nnote {base64.b64encode(reached).decode()}"
    )
    issuer = town.police.key.as_dict(private=False)
    told["issuer"] = json.dumps({name: issuer[name] for name in ("kty", "crv", "x", "y")}, indent=1)
    fields, digests = check_fields(released["presentation"], issuer)
    if fields != released["fields"]:
        raise ValueError("the presentation proves other fields than were answered")
    told["digests"] = "\n".join(digests)
    return told


def main() -> None:
    from api.process.serve import ServiceProcess
    from api.sample.city import found_city
    from tests.api.conftest import Town

    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess(Path(folder)).start()
        try:
            city = found_city(service.url, service.operator_key())
            town = Town(service, city, city.operator.log_key())
            PAGE.write_text(filled(PAGE.read_text("utf-8"), record(town)), "utf-8")
            town.close()
        finally:
            service.stop()


if __name__ == "__main__":
    main()
