"""What the service gives out, held against implementations that are not ours.

The SD-JWT reference library reads certificates and presentations, zxing reads the QR, pymerkle and
Go's own transparency log libraries read checkpoint and tiles. None of these tests uses our
verifying code.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pymerkle
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwcrypto.jwk import JWK
from PIL import Image
from sd_jwt.verifier import SDJWTVerifier

from ledger.proof.encoding import canonical_json

GO_PROGRAM = Path(__file__).parent / "go"


def issuer_key(town: Any) -> JWK:
    """The police's public key, as its own software would publish it."""
    return JWK(**town.police._key.as_dict(private=False))


def verified(sd_jwt: str, key: JWK) -> dict[str, Any]:
    """The payload as the reference library sees it once signature and digests are checked."""
    return SDJWTVerifier(sd_jwt, lambda _issuer, _header: key).get_verified_payload()


def test_an_issued_certificate_verifies_with_the_reference_library(city: Any) -> None:
    fields = city.fields()
    _, signed = city.issue(fields)
    payload = verified(signed, issuer_key(city))
    assert {name: payload[name] for name in fields} == fields
    assert payload["vct"].startswith("urn:certledger:type:")
    assert "_sd" not in payload


def test_a_lookup_gives_a_presentation_that_verifies_and_shows_two_fields(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "name", "of_age_18")
    answer = city.look(city.scanned(granted), "name", "of_age_18")
    payload = verified(answer.presentation, issuer_key(city))
    shown = {name: payload[name] for name in person.fields if name in payload}
    assert shown == {name: person.fields[name] for name in ("name", "of_age_18")}
    assert payload["certificate_id"] == person.card
    assert person.number not in answer.presentation


def test_a_presentation_of_another_key_or_with_a_changed_field_does_not_verify(city: Any) -> None:
    _, signed = city.issue(city.fields())
    with pytest.raises(Exception, match=r"(?i)signature|verif"):
        verified(signed, JWK.generate(kty="EC", crv="P-256"))
    token, first, *others = signed.split("~")
    salt = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))
    forged = base64.urlsafe_b64encode(salt.replace(b'["', b'["x', 1)).rstrip(b"=").decode()
    payload = verified("~".join([token, forged, *others]), issuer_key(city))
    # The library leaves out what no signed digest covers.
    whole = verified(signed, issuer_key(city))
    assert len(payload) == len(whole) - 1


def test_the_qr_decodes_with_zxing_to_the_code_shown(city: Any, tmp_path: Path) -> None:
    person = city.person()
    grant_id = city.grant(person)["grant_id"]
    for _ in range(3):
        # The code changes every 30 seconds, so that two questions may fall into two steps.
        before = person.device.code(grant_id)["code"]
        (tmp_path / "code.png").write_bytes(person.device.qr(grant_id, "png"))
        after = person.device.code(grant_id)["code"]
        if before == after:
            break
    with Image.open(tmp_path / "code.png") as image:
        found = zxingcpp.read_barcodes(image)
    assert [item.text for item in found] == [before]
    assert found[0].format == zxingcpp.BarcodeFormat.QRCode
    assert city.look({"code": found[0].text}).released


# --- the log ----------------------------------------------------------------------------------


def fetch(town: Any, path: str) -> httpx.Response:
    response = httpx.get(f"{town.url}{path}", trust_env=False, timeout=20)
    response.raise_for_status()
    return response


def opened(note: str, vkey: str) -> tuple[int, bytes]:
    """Size and root of a signed note, its Ed25519 signature checked here."""
    name, key_id, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == 1
    text, signatures = note.split("\n\n")
    (line,) = [item for item in signatures.splitlines() if item.startswith(f"— {name} ")]
    signature = base64.b64decode(line.rsplit(" ", 1)[1])
    assert signature[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")[:3]
    assert origin == name
    return int(size), base64.b64decode(root)


def leaf_tiles(town: Any, size: int) -> list[bytes]:
    """All leaf hashes, fetched tile by tile as C2SP tlog-tiles names them."""
    leaves: list[bytes] = []
    for index in range(-(-size // 256)):
        width = min(256, size - index * 256)
        name = f"{index:03}" if index < 1000 else f"x{index // 1000:03}/{index % 1000:03}"
        path = f"/log/tile/0/{name}" + ("" if width == 256 else f".p/{width}")
        content = fetch(town, path).content
        assert len(content) == 32 * width
        leaves += [content[start : start + 32] for start in range(0, len(content), 32)]
    return leaves


class LeafHashes(pymerkle.InmemoryTree):
    """pymerkle's tree over leaf hashes as they are, since the entries are private."""

    @classmethod
    def of(cls, leaves: list[bytes]) -> LeafHashes:
        tree = cls(algorithm="sha256")
        for leaf in leaves:
            tree.append_entry(leaf)
        return tree

    def hash_buff(self, data: bytes) -> bytes:
        return data


def grow(town: Any, count: int) -> list[Mapping[str, Any]]:
    """Make entries and give their receipts."""
    person = town.person()
    granted = town.grant(person, max_uses=count, mode="direct")
    presented = {"grant_id": granted["grant_id"]}
    return [town.look(presented, business_number=f"B-{i}").receipt for i in range(count)]


def test_tiles_and_proofs_verify_with_pymerkle(city: Any) -> None:
    vkey = fetch(city, "/v1/catalogue").json()["log"]["verifier"]
    old_size, old_root = opened(fetch(city, "/log/checkpoint").text, vkey)
    receipts = grow(city, 5)
    size, root = opened(fetch(city, "/log/checkpoint").text, vkey)
    assert size > old_size
    leaves = leaf_tiles(city, size)
    tree = LeafHashes.of(leaves)
    assert tree.get_root() == root
    assert tree.get_root(old_size) == old_root
    for receipt in receipts:
        entry = receipt["entry"]
        leaf = hashlib.sha256(b"\x00" + canonical_json(entry)).digest()
        assert leaves[entry["seq"]] == leaf
        ours = fetch(city, f"/v1/proofs/inclusion?seq={entry['seq']}&size={size}").json()["proof"]
        proof = tree.prove_inclusion(entry["seq"] + 1, size)
        # pymerkle's path begins with the leaf itself, RFC 9162's with its sibling.
        proof.path = [leaf, *(base64.b64decode(item) for item in ours)]
        pymerkle.verify_inclusion(leaf, root, proof, entry["seq"] + 1, size)
        with pytest.raises(pymerkle.InvalidProof):
            pymerkle.verify_inclusion(bytes(32), root, proof)
    extension = tree.prove_consistency(old_size, size)
    pymerkle.verify_consistency(old_root, root, extension)
    with pytest.raises(pymerkle.InvalidProof):
        pymerkle.verify_consistency(bytes(32), root, extension)


def test_upper_tiles_are_the_roots_of_the_tiles_below(city: Any) -> None:
    vkey = fetch(city, "/v1/catalogue").json()["log"]["verifier"]
    size, _ = opened(fetch(city, "/log/checkpoint").text, vkey)
    if size < 256:
        person = city.person()
        granted = city.grant(person, mode="direct", max_uses=1)
        for number in range(256 - size):
            city.look({"grant_id": granted["grant_id"]}, business_number=f"B-{number}")
        size, _ = opened(fetch(city, "/log/checkpoint").text, vkey)
    leaves = leaf_tiles(city, size)
    width = size // 256
    above = fetch(city, f"/log/tile/1/000.p/{width}").content
    for index in range(width):
        below = LeafHashes.of(leaves[256 * index : 256 * (index + 1)])
        assert above[32 * index : 32 * (index + 1)] == below.get_root()


@pytest.mark.slow
def test_the_log_verifies_with_gos_own_libraries(go: str, city: Any, tmp_path: Path) -> None:
    (tmp_path / "older.txt").write_text(fetch(city, "/log/checkpoint").text, "utf-8")
    receipts = grow(city, 5)
    records = [
        f"{item['entry']['seq']} {base64.b64encode(canonical_json(item['entry'])).decode()}"
        for item in receipts
    ]
    (tmp_path / "records.txt").write_text("\n".join(records) + "\n", "ascii")
    vkey = fetch(city, "/v1/catalogue").json()["log"]["verifier"]
    arguments = [city.url, vkey, str(tmp_path / "older.txt"), str(tmp_path / "records.txt")]
    ran = subprocess.run(
        [go, "run", ".", *arguments],
        cwd=GO_PROGRAM,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "5 records" in ran.stdout
    (tmp_path / "records.txt").write_text(records[0].replace(" ", " AAAA", 1) + "\n", "ascii")
    forged = subprocess.run(
        [go, "run", ".", *arguments],
        cwd=GO_PROGRAM,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert forged.returncode == 1
    assert "record" in forged.stderr
