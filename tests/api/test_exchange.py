"""docs/guides/exchange.md: its bytes are true, and a run of today has the same shape."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.api import exchange

TOLD = exchange.blocks(exchange.PAGE.read_text("utf-8"))
#: What differs from run to run: everything but words of the protocol and of refusals.
FIXED = {
    "action", "alg", "code", "crv", "decision", "detail", "en", "fields", "kind", "kty", "role",
    "service_item", "state", "status", "title", "type", "typ", "v", "zh",
}  # fmt: skip


def shape(value: Any, name: str = "") -> Any:
    """JSON with names, types and the words that are fixed; a JWS by what is in it."""
    if isinstance(value, dict):
        return {key: shape(of, key) for key, of in value.items()}
    if isinstance(value, list):
        # As long as the log is deep, or the certificate wide.
        return [] if name in ("proof", "_sd") else [shape(one, name) for one in value]
    if isinstance(value, str) and value.startswith("eyJ") and value.count(".") >= 2:
        token = value.split("~")[0]
        parts = [json.loads(exchange.unb64url(part)) for part in token.split(".")[:2]]
        return [*(shape(part) for part in parts), value.count("~")]
    fixed = name in FIXED and not (isinstance(value, str) and value.startswith("EZ1"))
    return value if fixed else type(value).__name__


def message(text: str) -> Any:
    head, _, body = text.partition("\n\n")
    first, *lines = head.split("\n")
    names = [line.partition(":")[0] for line in lines]
    token = [line.partition("Bearer ")[2] for line in lines if "Bearer " in line]
    return first, names, [shape(one) for one in token], shape(json.loads(body)) if body else None


def shapes(told: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in told.items():
        if name.endswith(("_asked", "_answered")):
            found[name] = message(text)
        elif text.startswith("{"):
            found[name] = shape(json.loads(text))
        else:
            found[name] = len(text.split("\n")), len(text.split("\n")[0].split(" "))
    return found


def verified(jwk: dict[str, str], token: str) -> Any:
    given, _, signature = token.rpartition(".")
    raw = exchange.unb64url(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    exchange.private_key(jwk).public_key().verify(der, given.encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(exchange.unb64url(given.split(".")[1]))


def test_a_run_of_today_has_the_pages_shape(city: Any) -> None:
    assert shapes(exchange.record(city)) == shapes(TOLD), "run: make reference"


def test_what_the_page_says_of_its_bytes_holds() -> None:
    jwk = json.loads(TOLD["key"])
    assert exchange.thumbprint(jwk) == TOLD["kid"]
    assert verified(jwk, TOLD["statement"]) == json.loads(TOLD["payload"])
    assert TOLD["statement"].startswith(TOLD["input"] + ".")
    header, payload = map(exchange.unb64url, TOLD["input"].split("."))
    assert (header.decode(), payload.decode()) == (TOLD["header"], TOLD["payload"])
    assert exchange.canonical(json.loads(TOLD["payload"])) == TOLD["payload"]
    assert json.loads(TOLD["payload"])["presented"]["code"] == TOLD["code"]
    assert exchange.body_of(TOLD["lookup_asked"]) == {"statement": TOLD["statement"]}
    (token,) = [line[22:] for line in TOLD["whoami_asked"].split("\n") if "Bearer" in line]
    assert exchange.canonical(verified(jwk, token)) == TOLD["access"]
    for name in ("lookup", "refused", "late"):
        statement = exchange.body_of(TOLD[f"{name}_asked"])["statement"]
        assert verified(jwk, statement)["presented"] == {"code": TOLD["code"]}
        for text in (TOLD[f"{name}_asked"], TOLD[f"{name}_answered"]):
            head, _, body = text.partition("\n\n")
            assert f"content-length: {len(body.encode())}" in head.lower()
    released = exchange.body_of(TOLD["lookup_answered"])
    fields, digests = exchange.check_fields(released["presentation"], json.loads(TOLD["issuer"]))
    assert fields == released["fields"]
    assert "\n".join(digests) == TOLD["digests"]
    hashed, root = exchange.check_receipt(released["receipt"], TOLD["verifier"])
    note = base64.b64encode(root).decode()
    assert TOLD["proven"] == f"leaf {hashed.hex()}\nroot {root.hex()}\nnote {note}"
    assert f"\n{note}\n" in released["receipt"]["checkpoint"]
    assert exchange.canonical(released["receipt"]["entry"]) == TOLD["entry"]
    exchange.check_receipt(exchange.body_of(TOLD["refused_answered"])["receipt"], TOLD["verifier"])


@pytest.mark.parametrize("what", ["entry", "proof", "checkpoint"])
def test_the_terminal_refuses_a_receipt_that_was_altered(what: str) -> None:
    receipt = exchange.body_of(TOLD["lookup_answered"])["receipt"]
    altered = {
        "entry": {**receipt["entry"], "decision": "refused"},
        "proof": receipt["proof"][:-1],
        "checkpoint": receipt["checkpoint"].replace("\n", "1\n", 2).replace("1\n", "\n", 1),
    }
    with pytest.raises((ValueError, InvalidSignature)):
        exchange.check_receipt({**receipt, what: altered[what]}, TOLD["verifier"])


def test_the_terminal_refuses_a_field_that_was_altered() -> None:
    released = exchange.body_of(TOLD["lookup_answered"])
    token, *disclosures = released["presentation"].rstrip("~").split("~")
    salt, name, _ = json.loads(exchange.unb64url(disclosures[0]))
    other = exchange.b64url(exchange.canonical([salt, name, "样本他人"]).encode())
    with pytest.raises(ValueError, match="not of this certificate"):
        exchange.check_fields("~".join([token, other, ""]), json.loads(TOLD["issuer"]))
