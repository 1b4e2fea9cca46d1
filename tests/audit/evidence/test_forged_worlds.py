"""Every vector of evidence, in all three verifiers: what is honest comes out as it says, and what
is forged is found, by the very check that must find it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from audit.evidence.bundle import BundleError, load_json, read_bundle, read_trust
from audit.evidence.verification import FAILED, verify_bundle
from tests.audit import forged_worlds, independent_verifier
from tests.audit.browser_verifier import BrowserVerifier, outcome
from tests.audit.forged_worlds import VECTORS, written

ALL = json.loads(VECTORS.read_text("utf-8"))
TRUST = written(ALL["trust"])


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserVerifier]:
    verifier = BrowserVerifier()
    yield verifier
    verifier.close()


def verified(bundle: dict[str, Any], browser: BrowserVerifier) -> dict[str, Any]:
    """Our report, once the other two came to the same."""
    text = written(bundle)
    report = verify_bundle(read_bundle(load_json(text)), read_trust(ALL["trust"])).to_json()
    other, why = independent_verifier.verify(text, TRUST)
    assert other == report["verdict"], why
    if browser.start():
        answer = browser.ask(text, TRUST)
        assert outcome(answer) == outcome(report)
        assert answer["facts"] == json.loads(json.dumps(report["facts"]))
    return report


@pytest.mark.parametrize("vector", ALL["honest"], ids=lambda vector: str(vector["name"]))
def test_what_is_honest_is_proven(vector: dict[str, Any], browser: BrowserVerifier) -> None:
    report = verified(vector["bundle"], browser)
    assert report["verdict"] == vector["verdict"], report["checks"]
    codes = {check["name"]: check["code"] for check in report["checks"]}
    assert {name: codes[name] for name in vector["codes"]} == vector["codes"]


@pytest.mark.parametrize("vector", ALL["forged"], ids=lambda vector: str(vector["name"]))
def test_what_is_forged_is_found(vector: dict[str, Any], browser: BrowserVerifier) -> None:
    report = verified(vector["bundle"], browser)
    failed = [check["code"] for check in report["checks"] if check["outcome"] == FAILED]
    assert vector["fails"] in failed, report["checks"]
    assert report["facts"] == {}


@pytest.mark.parametrize("vector", ALL["broken"], ids=lambda vector: str(vector["name"]))
def test_what_is_no_bundle_is_refused(vector: dict[str, Any], browser: BrowserVerifier) -> None:
    text = base64.b64decode(vector["base64"])
    with pytest.raises(BundleError):
        read_bundle(load_json(text))
    assert independent_verifier.verify(text, TRUST)[0] == "broken"
    if browser.start():
        assert browser.ask(text, TRUST) == "broken"


def test_nothing_says_that_a_dispute_is_open(browser: BrowserVerifier) -> None:
    (vector,) = [item for item in ALL["honest"] if item["name"].startswith("case 08")]
    facts = verified(vector["bundle"], browser)["facts"]
    assert "open" not in json.dumps(facts)
    assert "resolution" not in facts["dispute"]


def test_vectors_are_those_of_the_stories() -> None:
    """As many as are told; `python -m tests.audit.forged_worlds` writes them anew."""
    for part, stories in (
        ("honest", forged_worlds.HONEST),
        ("forged", forged_worlds.FORGED),
        ("broken", forged_worlds.BROKEN),
    ):
        assert [vector["name"] for vector in ALL[part]] == list(stories)
    assert len(ALL["forged"]) >= 40
    told = {(name, code) for name, (_, code) in forged_worlds.FORGED.items()}
    assert {(vector["name"], vector["fails"]) for vector in ALL["forged"]} == told
