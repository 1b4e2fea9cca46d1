"""Statements: what verifies, and the many things that must not."""

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from ledger.proof.encoding import b64url, b64url_decode, canonical_json
from ledger.statement.statements import (
    Kind,
    StatementError,
    load_public_key,
    read_header,
    sign,
    verify,
)

KEY = ECKey.generate_key("P-256", private=True)
KID = KEY.thumbprint()
LEDGER = "test.example/log"
PAYLOAD = {
    "v": 2,
    "ledger": LEDGER,
    "iat": 1_700_000_000,
    "jti": "0123456789abcdef",
    "grant_id": "G",
}


def signed(**changes: Any) -> str:
    return sign(Kind.REVOCATION, {**PAYLOAD, **changes}, KEY, KID)


def with_header(**members: Any) -> str:
    """A token whose signature is right for a header of our choosing."""
    header = {"alg": "ES256", "typ": Kind.REVOCATION.value, "kid": KID, **members}
    shown = {name: value for name, value in header.items() if value is not None}
    head = b64url(canonical_json(shown))
    body = b64url(canonical_json(PAYLOAD))
    token = jws.serialize_compact({"alg": "ES256"}, b"x", KEY)
    assert token
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    private = KEY.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(f"{head}.{body}".encode(), ec.ECDSA(SHA256())))
    return f"{head}.{body}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def refused(token: str, code: str, key: ECKey = KEY) -> None:
    with pytest.raises(StatementError) as caught:
        verify(token, key, LEDGER)
    assert caught.value.code == code


def test_a_statement_verifies_here_and_with_a_jose_library() -> None:
    token = signed()
    statement = verify(token, KEY, LEDGER)
    assert (statement.kind, statement.kid, dict(statement.payload)) == (
        Kind.REVOCATION,
        KID,
        PAYLOAD,
    )
    assert json.loads(jws.deserialize_compact(token, KEY, ["ES256"]).payload) == PAYLOAD


def test_what_a_jose_library_signed_verifies_here() -> None:
    header = {"alg": "ES256", "kid": KID, "typ": Kind.REVOCATION.value}
    token = jws.serialize_compact(header, canonical_json(PAYLOAD), KEY)
    assert dict(verify(token, KEY, LEDGER).payload) == PAYLOAD


def test_every_changed_character_is_refused() -> None:
    token = signed()
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(StatementError):
            verify(token[:place] + other + token[place + 1 :], KEY, LEDGER)


def test_forged_headers_are_refused() -> None:
    assert verify(with_header(), KEY, LEDGER).kid == KID
    for members, code in (
        ({"alg": "none"}, "statement.algorithm"),
        ({"alg": "HS256"}, "statement.algorithm"),
        ({"crit": ["exp"]}, "statement.malformed"),
        ({"b64": False}, "statement.malformed"),
        ({"jwk": KEY.as_dict(private=False)}, "statement.malformed"),
        ({"kid": None}, "statement.malformed"),
        ({"kid": "short"}, "statement.malformed"),
        ({"typ": None}, "statement.malformed"),
        ({"typ": "JWT"}, "statement.kind"),
    ):
        refused(with_header(**members), code)


def test_a_mac_under_the_public_key_is_refused() -> None:
    public = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
    header = {"alg": "HS256", "kid": KID, "typ": Kind.REVOCATION.value}
    refused(jws.serialize_compact(header, b"{}", public), "statement.algorithm")


def test_another_key_is_refused() -> None:
    refused(signed(), "statement.signature", ECKey.generate_key("P-256", private=True))


def test_a_signature_of_another_length_is_refused() -> None:
    head, body, signature = signed().split(".")
    raw = b64url_decode(signature)
    for wrong in (b"", raw[:-1], raw + b"\0", bytes(64), raw[32:] + raw[:32]):
        refused(f"{head}.{body}.{b64url(wrong)}", "statement.signature")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"jti": "short"}, "statement.jti"),
        ({"jti": "x" * 65}, "statement.jti"),
        ({"jti": 5}, "statement.jti"),
        ({"jti": "0123456789abcde\n"}, "statement.jti"),
        ({"iat": "1700000000"}, "statement.iat"),
        ({"iat": True}, "statement.iat"),
        ({"iat": -1}, "statement.iat"),
        ({"iat": 2**52}, "statement.iat"),
    ],
)
def test_iat_and_jti_have_one_form(changes: dict[str, Any], code: str) -> None:
    refused(signed(**changes), code)


def test_the_replay_key_is_of_signer_and_jti() -> None:
    first, second = verify(signed(), KEY, LEDGER), verify(signed(grant_id="other"), KEY, LEDGER)
    assert first.request_key == second.request_key
    assert first.digest != second.digest
    assert verify(signed(jti="0123456789abcdeg"), KEY, LEDGER).request_key != first.request_key


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "é.b.c", "x" * 70_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(StatementError):
        read_header(token)


def test_a_padded_header_never_reaches_the_cache_of_headers() -> None:
    head, body, signature = signed().split(".")
    padded = b64url(b64url_decode(head) + b" " * 20_000)
    refused(f"{padded}.{body}.{signature}", "statement.malformed")


def test_only_points_on_the_curve_are_keys() -> None:
    jwk = KEY.as_dict(private=False)
    assert load_public_key(jwk).thumbprint() == KID
    for wrong in (
        {**jwk, "crv": "P-384"},
        {**jwk, "kty": "OKP"},
        {**jwk, "x": jwk["y"]},
        {**jwk, "x": b64url(b"\0" + b64url_decode(jwk["x"]))},  # the same point, another name
        {name: jwk[name] for name in ("kty", "crv", "x")},
        [],
        "key",
    ):
        with pytest.raises(StatementError):
            load_public_key(wrong)  # type: ignore[arg-type]
