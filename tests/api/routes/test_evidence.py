"""Evidence from a running service, verified without it; and what the service will not hand out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose import verify_receipt
from typer.testing import CliRunner

from api.cli import app
from api.data.keyfiles import save_signing_key
from api.http.auth import RESEND_SECONDS
from api.sample.city import HALLS
from audit.evidence.bundle import load_json, read_bundle, read_trust
from audit.evidence.verification import verify_bundle
from tests.audit.witnessed_worlds import TWO_OF_THREE

#: Nothing listens here: what works with it needs no service.
NOWHERE = {"CERTLEDGER_URL": "http://127.0.0.1:9", "CERTLEDGER_CHAIN_URL": "http://127.0.0.1:9"}


def seq_of(answer: Any) -> int:
    return int(answer.receipt["entry"]["seq"])


@pytest.fixture(scope="module")
def used(city: Any) -> tuple[Any, dict[str, Any], Any]:
    """A person, a direct grant of theirs, and a released lookup under it."""
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=5)
    return person, granted, city.look({"grant_id": granted["grant_id"]}, "name", "of_age_18")


def verified(city: Any, answer: dict[str, Any]) -> dict[str, Any]:
    trust = read_trust(city.east.trust())
    text = json.dumps(answer["bundle"]).encode()
    return verify_bundle(read_bundle(load_json(text)), trust).to_json()


def test_counter_takes_evidence_of_its_lookup_away(city: Any, used: Any) -> None:
    person, _, looked = used
    answer = city.east.evidence("lookup", seq_of(looked))
    assert answer["withheld"] == []
    report = verified(city, answer)
    assert report["verdict"] == "verified"
    assert report["facts"]["fields"] == {
        name: person.fields[name] for name in ("name", "of_age_18")
    }
    assert city.east.examine_bundle(answer["bundle"]) == report
    assert len(json.dumps(answer["bundle"], separators=(",", ":"))) <= 40 * 1024
    bare = city.east.evidence("lookup", seq_of(looked), fields=False)
    assert bare["bundle"]["disclosures"] == []


def test_live_statement_goes_to_nobody_else(city: Any, used: Any) -> None:
    person, _, looked = used
    (sent,) = [
        line["statement"]
        for line in city.east.evidence("lookup", seq_of(looked))["bundle"]["entries"]
        if line["entry"]["seq"] == seq_of(looked)
    ]
    for client in (person.device, city.auditor):
        answer = client.evidence("lookup", seq_of(looked))
        assert [item["seq"] for item in answer["withheld"]] == [seq_of(looked)]
        assert answer["withheld"][0]["until"] >= looked.receipt["entry"]["time"] // 1000
        assert sent not in json.dumps(answer)
        assert verified(city, answer)["verdict"] == "incomplete"
    assert RESEND_SECONDS > 0


def test_holder_issuer_and_auditor_have_theirs(
    city: Any, used: Any, problem: Callable[..., Any]
) -> None:
    person, granted, looked = used
    for client in (person.device, city.police, city.auditor):
        report = verified(city, client.evidence("certificate", person.card))
        assert report["verdict"] == "verified"
        assert report["facts"]["status"]["state"] == "active"
    report = verified(city, person.device.evidence("grant", granted["grant_id"]))
    assert report["verdict"] == "verified"
    opened = person.device.open_dispute(seq_of(looked), "not_me", "不是我")
    answer = person.device.evidence("dispute", opened["dispute_id"])
    report = verified(city, answer)
    assert report["verdict"] == "incomplete"  # the lookup may still be sent again
    # Nor is it shown to be open still: a resolution may have been left out.
    assert "state" not in report["facts"]["dispute"]
    (check,) = [each for each in report["checks"] if each["name"] == "dispute"]
    assert check["code"] == "dispute.resolution_not_shown"
    stranger = city.person().device
    for client, kind, name in (
        (stranger, "lookup", seq_of(looked)),
        (city.police, "lookup", seq_of(looked)),
        (stranger, "certificate", person.card),
        (city.east, "certificate", person.card),
        (city.east, "grant", granted["grant_id"]),
        (city.east, "dispute", opened["dispute_id"]),
        (city.auditor, "lookup", 10**9),
    ):
        problem(lambda c=client, k=kind, n=name: c.evidence(k, n), "evidence.unknown", 404)


def test_evidence_wants_a_token_and_one_subject(city: Any, used: Any) -> None:
    def post(body: Any, **headers: str) -> int:
        url = f"{city.url}/v1/evidence"
        return httpx.post(url, json=body, headers=headers, trust_env=False).status_code

    about = {"kind": "lookup", "seq": seq_of(used[2])}
    bearer = {"Authorization": f"Bearer {city.east.access_token()}"}
    assert post({"subject": about}) == 401
    assert post({"subject": about}, **bearer) == 200
    for body in (
        {},
        {"subject": {"kind": "entry", "seq": 1}},
        {"subject": {"kind": "lookup"}},
        {"subject": {"kind": "lookup", "seq": -1}},
        {"subject": {**about, "grant_id": "X"}},
        {"subject": about, "more": 1},
    ):
        assert post(body, **bearer) == 422


def test_service_examines_bundles_of_anybody(
    city: Any, used: Any, problem: Callable[..., Any]
) -> None:
    bundle = city.east.evidence("lookup", seq_of(used[2]))["bundle"]
    node = bytearray(base64.b64decode(bundle["nodes"][0]))
    node[-1] ^= 1
    forged = {**bundle, "nodes": [base64.b64encode(node).decode(), *bundle["nodes"][1:]]}
    report = city.east.examine_bundle(forged)
    assert (report["verdict"], report["verified"], report["facts"]) == ("failed", False, {})
    problem(lambda: city.east.examine_bundle({"v": 1}), "bundle.malformed", 400)
    url = f"{city.url}/v1/verify"
    for body in ({}, {"bundle": bundle, "receipt": {}}):
        assert httpx.post(url, json=body, trust_env=False).status_code == 422


def test_commands_take_evidence_and_verify_it_offline(city: Any, used: Any, tmp_path: Path) -> None:
    def run(*words: str, code: int = 0, online: bool = True) -> str:
        there = {"CERTLEDGER_URL": city.url}
        done = CliRunner().invoke(app, list(words), env=there if online else NOWHERE)
        assert done.exit_code == code, (words, done.stdout, done.stderr)
        return str(done.stdout)

    key, bundle, trust = (tmp_path / name for name in ("east.jwk", "bundle.json", "trust.json"))
    save_signing_key(key, city.east.key)
    seq = str(seq_of(used[2]))
    told = run("evidence", "--key", str(key), "--entry", seq, "--out", str(bundle))
    assert str(bundle) in told
    run("trust", "--out", str(trust))
    offline: dict[str, Any] = {"online": False}
    shown = run("verify", str(bundle), "--trust", str(trust), **offline)
    assert "verdict: verified" in shown
    report = json.loads(run("verify", str(bundle), "--trust", str(trust), "--json", **offline))
    assert report["verified"] is True
    # Whoever verifies may ask for witnesses, and this bundle has none.
    policy, asking = tmp_path / "policy", tmp_path / "asking.json"
    policy.write_text(TWO_OF_THREE, "utf-8")
    run("trust", "--policy", str(policy), "--out", str(asking))
    told = run("verify", str(bundle), "--trust", str(asking), code=1, **offline)
    assert "fewer witnesses cosigned" in told
    policy.write_text("quorum nobody\n", "utf-8")
    run("trust", "--policy", str(policy), "--out", str(asking), code=2)
    # For other people's tools.
    text_form, cose = tmp_path / "e.tlog-proof", tmp_path / "e.cose"
    named = ("evidence", "--key", str(key), "--entry", seq)
    run(*named, "--form", "tlog-proof", "--out", str(text_form))
    run(*named, "--form", "cose-receipt", "--out", str(cose))
    proof = text_form.read_text("utf-8").split("\n")
    entry = base64.b64decode(proof[1].removeprefix("extra "))
    assert proof[0] == "c2sp.org/tlog-proof@v1"
    assert proof[2] == f"index {seq}"
    assert json.loads(entry) == used[2].receipt["entry"]
    public = Ed25519PublicKey.from_public_bytes(city.log_key.public).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    checked = verify_receipt(
        cose.read_bytes(), leaf_entry_hex=entry.hex(), log_public_key_pem=public
    )
    assert checked.ok, checked.errors
    run(*named, "--form", "cose-receipt", code=2)
    run("evidence", "--key", str(key), "--grant", "X", "--form", "tlog-proof", code=2)
    # Altered: the answer is no. Not a bundle, or two subjects: wrong input.
    text = bundle.read_text("utf-8")
    bundle.write_text(text.replace(HALLS, HALLS[:-1] + "X"), "utf-8")
    assert "FAILED" in run("verify", str(bundle), "--trust", str(trust), code=1, **offline)
    bundle.write_text(text[:-9], "utf-8")
    run("verify", str(bundle), "--trust", str(trust), code=2, **offline)
    run("verify", str(trust), "--trust", str(trust), code=2, **offline)
    run("verify", str(tmp_path / "none.json"), "--trust", str(trust), code=2, **offline)
    run("evidence", "--key", str(key), code=2)
    run("evidence", "--key", str(key), "--entry", seq, "--grant", "X", code=2)
    run("evidence", "--key", str(key), "--entry", "999999999", code=1)


def test_service_does_not_start_with_a_policy_that_is_none(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.policy"
    wrong.write_text("quorum nobody\n", "utf-8")
    words = ["serve", "--data", str(tmp_path / "data"), "--port", "0"]
    done = CliRunner().invoke(app, words, env={"CERTLEDGER_POLICY": str(wrong)})
    assert done.exit_code == 2
    assert "wrong.policy is no policy" in done.stderr
