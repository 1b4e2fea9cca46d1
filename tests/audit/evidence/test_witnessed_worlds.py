"""Witnesses under a checkpoint, and the policies that ask for them: three verifiers, one answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from audit.evidence.bundle import BundleError, load_json, read_bundle, read_trust
from audit.evidence.verification import verify_bundle
from tests.audit import independent_verifier
from tests.audit.browser_verifier import BrowserVerifier, outcome
from tests.audit.forged_worlds import written
from tests.audit.witnessed_worlds import POLICIES, STORIES, VECTORS

ALL = json.loads(VECTORS.read_text("utf-8"))
GOOD = {"checkpoint.signed", "checkpoint.witnessed"}


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserVerifier]:
    verifier = BrowserVerifier()
    yield verifier
    verifier.close()


@pytest.mark.parametrize("vector", ALL["stories"], ids=lambda vector: str(vector["name"]))
def test_checkpoint_is_witnessed_as_the_trust_file_asks(
    vector: dict[str, Any], browser: BrowserVerifier
) -> None:
    trust = {**ALL["trust"], "policy": vector["policy"]}
    text = written(vector["bundle"])
    report = verify_bundle(read_bundle(load_json(text)), read_trust(trust)).to_json()
    codes = {check["name"]: check["code"] for check in report["checks"]}
    assert codes["checkpoint"] == vector["code"]
    assert report["verdict"] == ("verified" if vector["code"] in GOOD else "failed")
    told = report["facts"].get("checkpoint", {}).get("witnesses", [])
    assert bool(told) == (vector["code"] == "checkpoint.witnessed")
    other, why = independent_verifier.verify(text, written(trust))
    assert other == report["verdict"], why
    if browser.start():
        answer = browser.ask(text, written(trust))
        assert outcome(answer) == outcome(report)
        assert answer["facts"] == json.loads(json.dumps(report["facts"]))


@pytest.mark.parametrize("vector", ALL["policies"], ids=lambda vector: str(vector["name"]))
def test_policy_is_read_or_refused(vector: dict[str, Any], browser: BrowserVerifier) -> None:
    trust, text = {**ALL["trust"], "policy": vector["policy"]}, written(ALL["stories"][0]["bundle"])
    read = True
    try:
        assert read_trust(trust).to_json() == trust
    except BundleError:
        read = False
    assert read == vector["read"]
    other, _ = independent_verifier.verify(text, written(trust))
    assert (other != "broken") == vector["read"]
    if browser.start():
        assert (browser.ask(text, written(trust)) != "broken") == vector["read"]


def test_vectors_are_those_of_the_stories() -> None:
    """`python -m tests.audit.witnessed_worlds` writes them anew."""
    told = [(name, policy, code) for name, (policy, _, code) in STORIES.items()]
    assert [(v["name"], v["policy"], v["code"]) for v in ALL["stories"]] == told
    policies = [(name, *policy) for name, policy in POLICIES.items()]
    assert [(v["name"], v["policy"], v["read"]) for v in ALL["policies"]] == policies
