"""Evidence bundles: a party gets what it may have, a stranger verifies it, no forgery passes.

Two verifiers that share no code, and the pages' own, must agree on every bundle, good and bad.
"""

from __future__ import annotations

import base64
import copy
import importlib.util
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from sqlalchemy import select

from audit.evidence.bundle import (
    UNKNOWN_SEAL,
    Bundle,
    BundleError,
    Subject,
    Trust,
    load_json,
    read_bundle,
    read_trust,
)
from audit.evidence.gathering import Gathered, Gatherer, Live, trust_of
from audit.evidence.verification import Report, pruned, verify_bundle
from audit.evidence.words import LIMITS, WORDS
from authz.tables import dispute_questions, disputes
from ledger.chain import StateProof, layout
from ledger.database import row_macs, tables
from ledger.directory.keys import CHAIN_ROLE, Enrolled, Role
from ledger.log.batch import Batch, Outcome, Request
from ledger.log.committer import AnchorPending
from ledger.node.engine import seal
from ledger.proof.encoding import b64url, b64url_decode, canonical_json, sha256
from ledger.proof.entries import Decision, Draft, EventKind
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint
from ledger.statement.statements import Kind, StatementError, sign

HERE = Path(__file__).parents[1]
PROJECT = HERE.parents[1]
VECTOR = HERE.parent / "vectors" / "evidence.json"
LIVE = Live(lookup=960, grant=120)
LATER = 2_000


def load_beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INDEPENDENT = load_beside("independent_verifier")
BROWSER = load_beside("browser_verifier").BrowserVerifier()


@pytest.fixture(scope="module", autouse=True)
def _close_browser_verifier() -> Iterator[None]:
    yield
    BROWSER.close()


@dataclass
class Scene:
    """A ledger with one story in it, and what its service would gather from it."""

    builder: Any
    trust: Trust
    seqs: dict[str, int] = field(default_factory=dict)
    told: float = field(default_factory=time.time)

    def who(self, name: str) -> Enrolled:
        found = self.builder.ring.find(self.builder.built.names[name])
        assert found is not None
        enrolled: Enrolled = found[0]
        return enrolled

    def ask(
        self,
        kind: str,
        name: str | int,
        who: str,
        *,
        after: float = LATER,
        fields: bool = True,
        by: type[Gatherer] = Gatherer,
    ) -> Gathered:
        """``after``: seconds after the story was told."""
        built = self.builder.built
        log = self.builder.log
        covering = lambda _seq: log.published  # noqa: E731
        gatherer = by(log, built.chain, built.master, self.trust, LIVE, covering)
        with self.builder.database.read() as connection:
            return gatherer.gather(
                connection,
                Subject(kind, name),
                self.who(who),
                now=self.told + after,
                fields=fields,
            )

    def bundle(self, kind: str, name: str | int, who: str, **options: Any) -> dict[str, Any]:
        return self.ask(kind, name, who, **options).bundle.to_json()

    def lookup(self, name: str, who: str, **options: Any) -> dict[str, Any]:
        return self.bundle("lookup", self.seqs[name], who, **options)


def written(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def examined(bundle: dict[str, Any], trust: Trust) -> Report | None:
    """The report, None for broken input, once all verifiers agree: the independent one on the
    verdict, the pages' own on every check."""
    text = written(bundle)
    try:
        report = verify_bundle(read_bundle(load_json(text)), trust)
        verdict = report.verdict
    except BundleError:
        report, verdict = None, "broken"
    other, why = INDEPENDENT.verify(text, written(trust.to_json()))
    if "broken" in (verdict, other):
        # Where form ends and meaning begins is each verifier's own; that it is refused is not.
        assert {verdict, other} <= {"broken", "failed"}, (verdict, other, why)
    else:
        assert other == verdict, (verdict, other, why, report and report.to_json())
    BROWSER.agrees(text, written(trust.to_json()), report)
    return report


def checks(report: Report | None) -> dict[str, tuple[str, str]]:
    assert report is not None
    return {check.name: (check.outcome, check.code) for check in report.checks}


def failed(report: Report | None) -> set[str]:
    return {code for outcome, code in checks(report).values() if outcome == "failed"}


class Evil:
    """What a dishonest operator would record: whatever it is told, decided by nobody."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return [batch.place(request, request.extra, None) for request in requests]

    def recall(self, *_: Any) -> None:
        return None


def tell(builder: Any) -> dict[str, int]:
    """Sequence numbers of the lookups in the story, by what is special about them."""
    builder.start_city()
    module = sys.modules[type(builder).__module__]
    names, seqs = builder.built.names, dict[str, int]()
    numbers = [module.identity_number(index) for index in range(6)]
    builder.enrol_holder("holder", numbers[0])
    issues = [builder.certificate(i, number, f"row-{i}") for i, number in enumerate(numbers)]
    ids = [issued.certificate_id for issued in builder.send_all("issue", issues)]
    names.update(zip(("card", "revoked", "erased", "restored", "spare"), ids, strict=False))
    for who, number in (("second", 1), ("third", 2), ("fourth", 3)):
        builder.enrol_holder(who, numbers[number])

    def looked(name: str, presented: dict[str, str], **options: Any) -> None:
        result = builder.look_up(presented, **options)
        assert hasattr(result, "fields") is not hasattr(result, "code"), result
        seqs[name] = builder.log.size - 1

    names["direct"] = builder.grant("holder", [names["card"]], "direct", uses=9)
    looked("direct", {"grant_id": names["direct"]}, fields=["name", "of_age_18"])
    looked("wrong_site", {"grant_id": names["direct"]}, who="terminal-2")
    looked("not_granted", {"grant_id": names["direct"]}, fields=["sex"])
    looked("unknown", {"grant_id": module.new_id()})
    names["scan"] = builder.grant("holder", [names["card"]], "scan")
    looked("scan", builder.screen_code(names["scan"]))
    names["asked"] = builder.ask()
    names["answer"] = builder.grant(
        "holder",
        [names["card"]],
        "request",
        request_id=names["asked"],
        grantee={"terminal": "terminal"},
    )
    looked("request", {"request_id": names["asked"]})

    # A device and a terminal that enrolled themselves by an invitation.
    builder.send("claim", builder.claim_request("browser", builder.invite(1, numbers[0])))
    code = builder.invite(
        2, role="terminal", institution=module.HOTEL, terminal="t3", site="hotel-1"
    )
    builder.send("claim", builder.claim_request("web-terminal", code))
    names["by-browser"] = builder.grant("browser", [names["card"]], "direct")
    looked("invited", {"grant_id": names["by-browser"]}, who="web-terminal")

    # Certificates to which something happened afterwards.
    for who, card in (("second", "revoked"), ("third", "erased"), ("fourth", "restored")):
        names[f"grant-{card}"] = builder.grant(who, [names[card]], "direct", uses=3)
        looked(card, {"grant_id": names[f"grant-{card}"]}, fields=["name"])
    builder.status(names["restored"], "suspend")
    builder.status(names["restored"], "restore")
    looked("after_restoring", {"grant_id": names["grant-restored"]})
    builder.status(names["revoked"], "revoke")
    looked("refused_revoked", {"grant_id": names["grant-revoked"]})
    builder.status(names["erased"], "erase", ground="court_order")
    names["withdrawn"] = builder.grant("holder", [names["card"]], "direct")
    builder.send(
        "revocation", builder.statement("holder", Kind.REVOCATION, grant_id=names["withdrawn"])
    )
    names["dispute"] = builder.dispute("second", seqs["revoked"])
    for to, who in (("department", "terminal"), ("holder", "second"), ("department", "")):
        question = builder.question(names["dispute"], to)
        if who:
            builder.answer(who, names["dispute"], question)
    builder.resolve("auditor", names["dispute"], "upheld")
    names["dispute-grant"] = builder.dispute("second", seqs["revoked"] - 1)
    builder.resolve("second", names["dispute-grant"], "withdrawn")
    builder.enrol("operator", what="key_revocation", kid=names["terminal-2"])
    return seqs


@pytest.fixture(scope="module")
def scene(own_ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with own_ledger(tmp_path_factory.mktemp("evidence")) as builder:
        built = builder.built
        builder.committer._handlers["evil"] = Evil()
        seqs = tell(builder)
        key = NoteKey(built.origin, built.log_key.public_key().public_bytes_raw())
        yield Scene(builder, trust_of(built.chain, key), seqs)


# --- what is proven -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["direct", "scan", "request", "invited", "revoked", "erased"])
def test_released_lookup_is_verified(scene: Scene, name: str) -> None:
    report = examined(scene.lookup(name, "auditor"), scene.trust)
    assert report is not None
    assert report.verdict == "verified"
    assert {outcome for outcome, _ in checks(report).values()} == {"proven"}
    assert checks(report)["grant"] == ("proven", "grant.covers")
    assert report.facts["entry"]["decision"] == "released"


@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("wrong_site", "proven", "grant.refused_rightly"),
        ("not_granted", "proven", "grant.refused_rightly"),
        ("unknown", "not_proven", "grant.none_named"),
        ("refused_revoked", "not_proven", "grant.refused"),
    ],
)
def test_refused_lookup_is_verified(scene: Scene, name: str, outcome: str, code: str) -> None:
    report = examined(scene.lookup(name, "auditor"), scene.trust)
    assert report is not None
    assert report.verdict == "verified"
    assert checks(report)["grant"] == (outcome, code)


@pytest.mark.parametrize(
    ("name", "code", "state"),
    [
        ("card", "status.never_changed", "active"),
        ("revoked", "status.as_shown", "revoked"),
        ("restored", "status.as_shown", "active"),
        ("erased", "status.erased", "active"),
    ],
)
def test_certificate_is_proven_with_its_state(
    scene: Scene, name: str, code: str, state: str
) -> None:
    names = scene.builder.built.names
    for who in ("issuer", "auditor"):
        report = examined(scene.bundle("certificate", names[name], who), scene.trust)
        assert report is not None
        assert report.verdict == "verified"
        assert checks(report)["status"] == ("proven", code)
        assert report.facts["status"]["state"] == state


def test_erased_content_still_proves_that_and_when(scene: Scene) -> None:
    names = scene.builder.built.names
    report = examined(scene.bundle("certificate", names["erased"], "issuer"), scene.trust)
    assert report is not None
    at = report.facts["erased"]["time_ms"] // 1000
    assert at <= report.facts["recorded_by"]["time"] + 60
    # The lookup before it too, without its fields.
    bundle = scene.lookup("erased", "third")
    assert bundle["disclosures"] == []
    report = examined(bundle, scene.trust)
    assert report is not None
    assert report.verdict == "verified"
    assert scene.lookup("restored", "fourth")["disclosures"]


def test_state_is_told_as_of_the_block_that_recorded_the_lookup(scene: Scene) -> None:
    """Revoked since: what counts is what the registry held then."""
    report = examined(scene.lookup("revoked", "auditor"), scene.trust)
    assert report is not None
    assert checks(report)["status"] == ("proven", "status.as_of")
    assert report.facts["status"]["state"] == "active"
    assert report.facts["status"]["number"] == report.facts["recorded_by"]["number"]
    assert report.facts["block"]["number"] > report.facts["recorded_by"]["number"]


def test_grant_and_its_withdrawal_are_proven(scene: Scene) -> None:
    names = scene.builder.built.names
    for name, entries in (("direct", 2), ("withdrawn", 3), ("by-browser", 3)):
        bundle = scene.bundle("grant", names[name], "holder")
        report = examined(bundle, scene.trust)
        assert report is not None
        assert report.verdict == "verified"
        assert len(bundle["entries"]) == entries


def test_dispute_is_proven_with_what_is_disputed(scene: Scene) -> None:
    names = scene.builder.built.names
    for name, kind, state in (
        ("dispute", "lookup", "upheld"),
        ("dispute-grant", "grant", "withdrawn"),
    ):
        report = examined(scene.bundle("dispute", names[name], "second"), scene.trust)
        assert report is not None
        assert report.verdict == "verified"
        told = report.facts["dispute"]
        assert (told["disputed"]["kind"], told["resolution"]["outcome"]) == (kind, state)
        assert "state" not in report.facts["entry"]
        asked = [(question["to"], "answer" in question) for question in told["questions"]]
        expected = [("department", True), ("holder", True), ("department", False)]
        assert asked == (expected if kind == "lookup" else [])


def test_key_that_was_revoked_afterwards_still_signed(scene: Scene) -> None:
    report = examined(scene.lookup("wrong_site", "auditor"), scene.trust)
    assert checks(report)["keys"] == ("proven", "key.trusted")


def test_report_names_what_no_bundle_shows(scene: Scene) -> None:
    report = examined(scene.lookup("direct", "auditor"), scene.trust)
    assert report is not None
    shown = report.to_json()
    assert {limit["name"] for limit in shown["limits"]} == {
        "holder",
        "absence",
        "allowance",
        "validity",
        "time",
    }
    assert [check["number"] for check in shown["checks"]] == [*range(1, 14), 16]
    assert all(check["words"] for check in shown["checks"])


# --- who may have what ----------------------------------------------------------------------------


def test_fields_go_to_the_holder_and_to_the_terminal_that_got_them(scene: Scene) -> None:
    for who, after in (("holder", LATER), ("terminal", 0)):
        bundle = scene.lookup("direct", who, after=after)
        report = examined(bundle, scene.trust)
        assert report is not None
        assert report.verdict == "verified"
        assert set(report.facts["fields"]) == {"name", "of_age_18"}
        assert scene.lookup("direct", who, after=after, fields=False)["disclosures"] == []
    # Once the terminal could no longer send its lookup again, a new one is the way.
    assert scene.lookup("direct", "terminal")["disclosures"] == []
    # Another terminal of the same department has a part in the lookup, but did not get them.
    for who in ("auditor", "web-terminal"):
        assert scene.lookup("direct", who)["disclosures"] == []
    assert scene.lookup("wrong_site", "holder")["disclosures"] == []


@pytest.mark.parametrize(
    ("kind", "name", "who"),
    [
        ("lookup", "direct", "second"),
        ("lookup", "direct", "issuer"),
        ("lookup", "unknown", "holder"),
        ("certificate", "card", "terminal"),
        ("certificate", "card", "second"),
        ("grant", "direct", "terminal"),
        ("grant", "direct", "second"),
        ("grant", "direct", "issuer"),
        ("dispute", "dispute", "holder"),
        ("dispute", "dispute", "terminal"),
    ],
)
def test_what_is_not_theirs_is_not_told_from_nothing(
    scene: Scene, kind: str, name: str, who: str
) -> None:
    about: str | int = scene.seqs[name] if kind == "lookup" else scene.builder.built.names[name]
    nothing: str | int = 0 if kind == "lookup" else "NOTHING"
    said = []
    for asked in (about, nothing):
        with pytest.raises(StatementError) as caught:
            scene.ask(kind, asked, who)
        said.append((caught.value.code, str(caught.value)))
    assert said[0] == said[1]
    assert said[0][0] == "evidence.unknown"


def test_live_statement_is_withheld_from_all_but_its_signer(scene: Scene) -> None:
    seq = scene.seqs["direct"]
    whole = scene.ask("lookup", seq, "terminal", after=0)
    assert not whole.withheld
    for who in ("holder", "auditor", "web-terminal"):
        gathered = scene.ask("lookup", seq, who, after=0)
        assert list(gathered.withheld) == [seq]
        (line,) = [x for x in gathered.bundle.lines if x.entry.seq == seq]
        assert line.statement is None
        assert gathered.bundle.disclosures == ()
        report = examined(gathered.bundle.to_json(), scene.trust)
        assert report is not None
        assert report.verdict == "incomplete"
        assert checks(report)["signatures"] == ("not_proven", "statement.withheld")
    # Its code is good for two minutes to whoever sends the grant.
    granted = scene.ask("lookup", scene.seqs["scan"], "terminal", after=0)
    assert len(granted.withheld) == 1
    assert not scene.ask("lookup", scene.seqs["scan"], "terminal", after=130).withheld
    # A refusal that showed no code answers nothing.
    assert not scene.ask("lookup", scene.seqs["wrong_site"], "holder", after=0).withheld


def test_refused_department_is_not_shown_the_grant(scene: Scene) -> None:
    bundle = scene.lookup("wrong_site", "terminal-2")
    kinds = [line["entry"]["kind"] for line in bundle["entries"]]
    assert sorted(kinds) == ["enrolment", "lookup"]
    report = examined(bundle, scene.trust)
    assert checks(report)["grant"] == ("not_proven", "grant.not_shown")


def test_what_is_not_on_the_chain_yet_is_no_evidence(scene: Scene) -> None:
    log = scene.builder.log
    published, log._published = log._published, None
    try:
        with pytest.raises(AnchorPending):
            scene.lookup("direct", "auditor")
    finally:
        log._published = published


# --- forgeries ------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key)


def changed(bundle: dict[str, Any], path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    other = copy.deepcopy(bundle)
    target = other
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = change(target[path[-1]])
    return other


def flipped(value: Any, at: int) -> Any:
    """Another meaning: bytes with one bit changed where it is base64, else a character."""
    if isinstance(value, int):
        return value ^ 1
    for decode, encode in (
        (lambda text: base64.b64decode(text, validate=True), base64.b64encode),
        (b64url_decode, lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")),
    ):
        try:
            data = bytearray(decode(value))
        except ValueError:
            continue
        if data and encode(bytes(data)).decode() == value:
            data[at % len(data)] ^= 1 << (at % 8)
            return encode(bytes(data)).decode()
    at %= max(1, len(value))
    return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] if value else "x"


def kinds(scene: Scene) -> dict[str, dict[str, Any]]:
    names = scene.builder.built.names
    return {
        "lookup": scene.lookup("invited", "web-terminal", after=0),
        "changed": scene.lookup("revoked", "auditor"),
        "refused": scene.lookup("wrong_site", "auditor"),
        "certificate": scene.bundle("certificate", names["restored"], "issuer"),
        "grant": scene.bundle("grant", names["withdrawn"], "holder"),
        "dispute": scene.bundle("dispute", names["dispute"], "second"),
    }


@pytest.mark.parametrize(
    "kind", ["lookup", "changed", "refused", "certificate", "grant", "dispute"]
)
def test_no_part_of_a_bundle_can_be_changed(scene: Scene, kind: str) -> None:
    """Every member, at its beginning, middle and end: whatever no check covers is not in it."""
    bundle = kinds(scene)[kind]
    report = examined(bundle, scene.trust)
    assert report is not None
    assert report.verdict == "verified"
    for path in leaves(bundle):
        value = bundle
        for step in path:
            value = value[step]
        size = len(value) if isinstance(value, str) else 1
        for at in {0, size // 2, size - 1}:
            forged = changed(bundle, path, lambda item, at=at: flipped(item, at))
            found = examined(forged, scene.trust)
            assert found is None or found.verdict == "failed", (path, at)


#: What became of a dispute: a bundle from before it had happened looks the same.
_LATER = ("question", "answer", "resolution")


@pytest.mark.parametrize("kind", ["lookup", "certificate", "dispute"])
def test_no_part_of_a_bundle_can_be_left_out_or_doubled(scene: Scene, kind: str) -> None:
    bundle = kinds(scene)[kind]
    for part in ("entries", "keys", "blocks", "nodes", "disclosures"):
        for index in range(len(bundle[part])):
            less, more = copy.deepcopy(bundle), copy.deepcopy(bundle)
            del less[part][index]
            more[part].append(more[part][index])
            found = examined(more, scene.trust)
            assert found is None or found.verdict == "failed", (part, index)
            found = examined(less, scene.trust)
            # Fewer fields are disclosed by whoever has the bundle, and nothing else changes.
            allowed = {"verified"} if part == "disclosures" else {"failed"}
            if part == "entries" and bundle[part][index]["entry"]["kind"] in _LATER:
                allowed = {"verified", "failed"}  # *absence*, as the report says
            assert found is None or found.verdict in allowed, (part, index)
    for line in bundle["entries"]:
        without = copy.deepcopy(bundle)
        (other,) = [x for x in without["entries"] if x["entry"]["seq"] == line["entry"]["seq"]]
        del other["statement"]
        found = examined(without, scene.trust)
        assert found is None or found.verdict in ("failed", "incomplete")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "step"), [("grant", 1), ("lookup", 8)])
def test_no_byte_of_a_bundle_can_be_changed(scene: Scene, kind: str, step: int) -> None:
    text = written(kinds(scene)[kind])
    assert verify_bundle(read_bundle(load_json(text)), scene.trust).verdict == "verified"
    for at in range(0, len(text), step):
        forged = text[:at] + bytes([text[at] ^ 1 << at // step % 7]) + text[at + 1 :]
        try:
            verdict = verify_bundle(read_bundle(load_json(forged)), scene.trust).verdict
        except BundleError:
            continue
        assert verdict == "failed", at


def test_parts_of_two_bundles_do_not_mix(scene: Scene) -> None:
    one, two = scene.lookup("direct", "auditor"), scene.lookup("request", "auditor")
    older = scene.lookup("wrong_site", "auditor")
    for part in ("subject", "entries", "keys", "nodes"):
        for other in (two, older):
            if one[part] != other[part]:
                found = examined({**one, part: other[part]}, scene.trust)
                assert found is None or found.verdict == "failed", part


def resealed(scene: Scene, bundle: dict[str, Any], key: bytes) -> dict[str, Any]:
    forged = copy.deepcopy(bundle)
    for block in forged["blocks"]:
        digest = seal.keccak(base64.b64decode(block["header"]))
        signature = seal.sign(key, scene.trust.chain_id, digest)
        block["seal"]["signature"] = base64.b64encode(signature).decode()
    return forged


def test_only_trusted_sealers_seal(scene: Scene) -> None:
    bundle, key = scene.lookup("direct", "auditor"), b"\x05" * 32
    forged = resealed(scene, bundle, key)
    assert failed(examined(forged, scene.trust)) == {"seal.invalid"}
    # Nor does a trusted sealer seal in another's name, or for another chain.
    trust = replace(scene.trust, sealers=scene.trust.sealers | {seal.address_of(key)})
    assert failed(examined(forged, trust)) == {"seal.invalid"}
    assert failed(examined(bundle, replace(scene.trust, chain_id=1))) == {"seal.invalid"}


def test_second_signature_that_says_the_same_is_refused(scene: Scene) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    bundle = scene.lookup("direct", "auditor")
    raw = base64.b64decode(bundle["blocks"][0]["seal"]["signature"])
    other = order - int.from_bytes(raw[32:64], "big")
    twin = raw[:32] + other.to_bytes(32, "big") + bytes([raw[64] ^ 1])
    bundle["blocks"][0]["seal"]["signature"] = base64.b64encode(twin).decode()
    assert failed(examined(bundle, scene.trust)) == {"seal.invalid"}


def test_checkpoint_of_another_log_is_refused(scene: Scene) -> None:
    bundle = scene.lookup("direct", "auditor")
    origin, size, root = bundle["checkpoint"].split("\n")[:3]
    checkpoint = Checkpoint(origin, int(size), base64.b64decode(root))
    bundle["checkpoint"] = sign_checkpoint(checkpoint, origin, Ed25519PrivateKey.generate())
    assert "checkpoint.invalid" in failed(examined(bundle, scene.trust))


def test_another_line_under_the_checkpoint_is_ignored_as_long_as_it_is_one(scene: Scene) -> None:
    bundle = scene.lookup("direct", "auditor")
    bundle["checkpoint"] += bundle["checkpoint"].split("\n\n")[1]
    assert failed(examined(bundle, scene.trust)) == set()
    bundle["checkpoint"] += "\n"
    assert "checkpoint.invalid" in failed(examined(bundle, scene.trust))


@pytest.mark.parametrize("name", ["directory", "checkpoint_log", "status_registry"])
def test_contracts_are_those_that_are_trusted(scene: Scene, name: str) -> None:
    bundle, contract = scene.lookup("direct", "auditor"), getattr(scene.trust, name)
    changes: list[Any] = [
        replace(contract, code_hash=bytes(32)),
        replace(contract, address=b"\x01" * 20),
    ]
    for change in changes:
        report = examined(bundle, replace(scene.trust, **{name: change}))
        assert report is not None
        assert report.verdict == "failed"


def test_unknown_kind_of_seal_is_said_and_not_accepted(scene: Scene) -> None:
    bundle = scene.lookup("direct", "auditor")
    for block in bundle["blocks"]:
        block["seal"] = {"scheme": "qbft", "signature": ""}
    report = examined(bundle, replace(scene.trust, seal="qbft"))
    assert report is not None
    assert report.verdict == "incomplete"
    assert checks(report)["seal"] == ("not_proven", "seal.unknown_scheme")
    assert failed(examined(bundle, scene.trust)) >= {"seal.other_scheme"}


#: What rests on a block that is of the chain only by its seal.
ON_BLOCKS = {"anchor", "recorded", "keys", "status"}


def test_all_but_the_seal_is_checked_where_its_kind_is_unknown(scene: Scene) -> None:
    """As on another engine: what agrees with a block is not proven, what does not is found."""
    trust = replace(scene.trust, seal=UNKNOWN_SEAL, sealers=frozenset())
    bundle = scene.lookup("direct", "auditor")
    for block in bundle["blocks"]:
        block["seal"] = {"scheme": UNKNOWN_SEAL, "signature": ""}
    report = examined(bundle, trust)
    assert report is not None
    assert report.verdict == "incomplete"
    for check in report.checks:
        expected = ("proven", check.code)
        if check.name in ON_BLOCKS or check.code == "block.unsealed":
            expected = ("not_proven", "block.unsealed")
        elif check.name == "seal":
            expected = ("not_proven", "seal.unknown_scheme")
        assert (check.outcome, check.code) == expected
    assert not {"block", "recorded_by", "status"} & set(report.facts)
    other = replace(trust.checkpoint_log, code_hash=bytes(32))
    assert failed(examined(bundle, replace(trust, checkpoint_log=other))) >= {"contract.other_code"}
    for block in bundle["blocks"]:
        block["header"] = ""
    bundle["nodes"] = []
    report = examined(bundle, trust)
    assert report is not None
    assert report.verdict == "incomplete"
    assert {checks(report)[name] for name in ON_BLOCKS} == {("not_proven", "earlier.failed")}


def resigned(bundle: dict[str, Any], kind: str, **changes: Any) -> dict[str, Any]:
    """The bundle with a statement that a stranger signed in place of a party's."""
    forged, key = copy.deepcopy(bundle), ECKey.generate_key("P-256", private=True)
    (line,) = [line for line in forged["entries"] if line["entry"]["kind"] == kind]
    payload = json.loads(b64url_decode(line["statement"].split(".")[1]))
    token = sign(
        {"lookup": Kind.LOOKUP, "grant": Kind.GRANT}[kind],
        {**payload, **changes},
        key,
        key.thumbprint(),
    )
    line["statement"] = token
    jwk = key.as_dict(private=False)
    forged["keys"].append({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    return forged


@pytest.mark.parametrize("kind", ["lookup", "grant"])
def test_statement_of_a_stranger_is_refused(scene: Scene, kind: str) -> None:
    report = examined(resigned(scene.lookup("direct", "auditor"), kind), scene.trust)
    assert "entry.other_statement" in failed(report)


#: What a member of a statement may be, in JSON: readers must not differ over any.
READINGS = (
    *("null", "true", "0", "-0", "-1", "1.0", "1e3", "1e400", "9007199254740992", "2e1"),
    *("18446744073709551615", "18446744073709551616", '""', '"x"', '" x"', '"e\\u0301"'),
    *('"\\u200b"', '"\\ud800"', "[]", "{}", "[null]", '{"a":1,"a":2}', '"holder"', "01"),
    *('"a\U00013439"', '"\U000105d2\u0307"', '"a\u3000b"', '"\u5f35\U000e0100"', '"\U00031350"'),
)


def said_raw(line: dict[str, Any], raw: bytes, key: ECKey) -> None:
    """Let the line be of a statement with just these bytes, signed by ``key``."""
    kid = key.thumbprint()
    header = {**json.loads(b64url_decode(line["statement"].split(".")[0])), "kid": kid}
    signed = f"{b64url(canonical_json(header))}.{b64url(raw)}"
    signature = key.private_key.sign(signed.encode(), ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(signature)
    token = f"{signed}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
    line["statement"] = token
    line["entry"] |= {"statement": b64url(sha256(token.encode())), "actor": kid}


def test_readers_of_a_statement_do_not_differ() -> None:
    """What it says of any member, every verifier takes in the same way, or refuses."""
    vector = json.loads(VECTOR.read_text("utf-8"))
    trust, key = read_trust(vector["trust"]), ECKey.generate_key("P-256", private=True)
    jwk = key.as_dict(private=False)
    payloads = [
        (at, json.loads(b64url_decode(line["statement"].split(".")[1])))
        for at, line in enumerate(vector["bundle"]["entries"])
    ]
    places = [(at, payload, path) for at, payload in payloads for path in leaves(payload)]
    for at, payload, path in random.sample(places, 40):
        for reading in random.sample(READINGS, 2):
            bundle = copy.deepcopy(vector["bundle"])
            bundle["keys"].append({name: jwk[name] for name in ("kty", "crv", "x", "y")})
            text = json.dumps(changed(payload, path, lambda _: "@@"))
            said_raw(bundle["entries"][at], text.replace('"@@"', reading).encode(), key)
            examined(bundle, trust)


# --- what a dishonest operator would record -------------------------------------------------------


def recorded(scene: Scene, request: Request, **draft: Any) -> int:
    builder = scene.builder
    builder.send("evil", Request(request.statement, request.actor, Draft(**draft)))
    return int(builder.log.size) - 1


def released(scene: Scene, fields: Sequence[str] = ("name",), **changes: Any) -> int:
    """A lookup that is released whatever it asks."""
    names = scene.builder.built.names
    who = changes.pop("who", "terminal")
    card = changes.pop("card", "card")
    shown = changes.pop("shown", {"grant_id": names["direct"]})
    request = scene.builder.lookup_request(shown, fields=fields, who=who)
    actor = scene.who(who)
    members: dict[str, Any] = {
        "kind": EventKind.LOOKUP,
        "certificate": names[card],
        "grant": names["direct"],
        "holder": scene.who("holder").holder,
        "terminal": actor.terminal,
        "site": actor.site,
        "department": actor.institution,
        "service_item": "hotel-check-in",
        "staff": "staff-1",
        "decision": Decision.RELEASED,
        **changes,
    }
    return recorded(scene, request, **members)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"fields": ["sex"]}, "grant.field_not_granted"),
        ({"site": "hotel-2"}, "enrolment.other_role"),
        ({"terminal": "terminal-9"}, "enrolment.other_role"),
        ({"department": "operator"}, "key.institution"),
        ({"service_item": "notarisation"}, "entry.says_otherwise"),
        ({"staff": "staff-2"}, "entry.says_otherwise"),
        ({"staff": None}, "entry.says_otherwise"),
        ({"card": "spare"}, "grant.certificate_not_in_grant"),
        ({"decision": None}, "entry.members"),
        ({"reason": "wrong_site"}, "entry.members"),
        ({"decision": Decision.REFUSED, "reason": "wrong_site"}, "grant.refused_wrongly"),
        ({"decision": Decision.REFUSED, "reason": "grant_expired"}, "grant.refused_wrongly"),
    ],
)
def test_recorded_lies_are_found(scene: Scene, changes: dict[str, Any], code: str) -> None:
    seq = released(scene, **changes)
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert report is not None
    assert report.verdict == ("failed" if code else "verified"), report.to_json()
    assert failed(report) >= ({code} if code else set())


def test_grant_shown_by_another_way_is_found(scene: Scene) -> None:
    names = scene.builder.built.names
    seq = released(scene, shown={"grant_id": names["scan"]})
    assert "entry.says_otherwise" in failed(
        examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    )
    seq = released(scene, shown={"grant_id": names["scan"]}, grant=names["scan"])
    assert "grant.grant_unknown" in failed(
        examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    )


def said_in(scene: Scene, id_: str, who: str, kind: Kind, **changes: Any) -> int:
    """A question or an answer in an open dispute, recorded as nobody would; the number of its
    entry."""
    builder, question = scene.builder, kind is Kind.QUESTION
    said = {"to": "department"} if question else {"seq": changes.pop("of")}
    members = {"dispute_id": id_, "text": "这样吗", **said}
    request = builder.statement(who, kind, **members)
    with builder.database.read() as connection:
        table = tables.entries
        asked = select(table).where(table.c.kind == "dispute", table.c.subject == id_)
        opened = tables.entry_from_row(connection.execute(asked).one())
    draft = {name: getattr(opened, name) for name in (*_PLACE, "holder", "subject", "state")}
    wanted = EventKind.QUESTION if question else EventKind.ANSWER
    seq = recorded(scene, request, **{**draft, "kind": wanted, "reason": "department", **changes})
    with builder.database.write() as connection:
        table = dispute_questions
        if question:
            row = {"seq": seq, "dispute_id": id_, "asked": changes.get("reason", "department")}
            row_macs.put(connection, table, row)
        else:
            free = table.c.answer_seq.is_(None) & (table.c.dispute_id == id_)
            query = select(table).where(free).order_by(table.c.seq).limit(1)
            first = connection.execute(query).one_or_none()
            if first is not None:
                row_macs.change(connection, table, first, {"answer_seq": seq})
    return seq


_PLACE = ("certificate", "grant", "terminal", "site", "department", "service_item", "staff")


def test_answer_that_nobody_was_asked_for_is_found(scene: Scene) -> None:
    """Each of these is recorded by a dishonest operator; both verifiers name it."""
    builder = scene.builder

    def told(*lies: tuple[str, Kind, dict[str, Any]], settled: bool = False) -> set[str]:
        id_ = builder.dispute("second", scene.seqs["revoked"])
        honest = builder.question(id_, "department")
        if settled:
            builder.answer("terminal", id_, honest)
            builder.resolve("auditor", id_, "rejected")
        for who, kind, changes in lies:
            of = {"of": honest} if kind is Kind.ANSWER else {}
            said_in(scene, id_, who, kind, **{**of, **changes})
        report = examined(scene.bundle("dispute", id_, "auditor"), scene.trust)
        if not settled:
            builder.resolve("auditor", id_, "rejected")
        return failed(report)

    # The line's first dispute was upheld; this one is recorded beside it all the same.
    with builder.database.write() as connection:
        for row in connection.execute(select(disputes)).all():
            row_macs.change(connection, disputes, row, {"state": "rejected"})
    question, answer = Kind.QUESTION, Kind.ANSWER
    assert told(("terminal", answer, {})) == set()
    assert told(("issuer", answer, {})) == {"key.institution"}
    assert told(("auditor", answer, {})) == {"key.role"}
    assert told(("terminal", question, {})) == {"key.role"}
    assert told(("second", answer, {})) == {"key.unknown"}
    assert told(("terminal", answer, {"reason": "holder"})) >= {"enrolment.other_role"}
    assert told(("second", answer, {"reason": "holder"})) == {"dispute.question"}
    assert told(("terminal", answer, {"of": 3})) == {"dispute.question"}
    assert told(("auditor", question, {"reason": "holder"})) >= {"entry.says_otherwise"}
    assert told(("auditor", question, {"staff": "staff-9"})) == {"dispute.other_entry"}
    late = told(("auditor", question, {}), settled=True)
    assert late == {"dispute.question"}


def test_release_of_a_revoked_certificate_is_found(scene: Scene) -> None:
    names = scene.builder.built.names
    shown = {"grant_id": names["grant-revoked"]}
    seq = released(scene, shown=shown, card="revoked", grant=names["grant-revoked"])
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert failed(report) == {"status.not_active"}


@pytest.mark.parametrize(
    ("until", "code"), [(2020, "expired"), (2099, "not_yet_valid"), (2040, "")]
)
def test_release_outside_public_dates_is_found(scene: Scene, until: int, code: str) -> None:
    builder = scene.builder
    who, number = (
        f"holder-{until}",
        sys.modules[type(builder).__module__].identity_number(until % 100),
    )
    builder.enrol_holder(who, number)
    issued = builder.certificate(until, number, until=until, public=True)
    card = builder.send("issue", issued).certificate_id
    grant = builder.grant(who, [card], "direct")
    about = {"certificate": card, "grant": grant, "holder": scene.who(who).holder}
    seq = released(scene, shown={"grant_id": grant}, **about)
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert failed(report) == ({f"grant.certificate_{code}"} if code else set())


def test_revoked_key_is_found(scene: Scene) -> None:
    """Revoked from a time that lies back: a stolen key is, from when it was stolen."""
    builder, stolen = scene.builder, "stolen"
    builder.enrol(
        "operator",
        what="key",
        role="terminal",
        institution="114403990000009209",
        jwk=builder.key(stolen),
        terminal=stolen,
        site="hotel-1",
    )
    seq = released(scene, who=stolen)
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert not failed(report)
    kid = builder.built.names[stolen]
    builder.built.chain.revoke_key(b64url_decode(kid), int(time.time()) - 3600)
    released(scene)  # so that there is a newer anchor
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert failed(report) == {"key.revoked"}


def next_second() -> None:
    began = int(time.time())
    while int(time.time()) == began:
        time.sleep(0.01)


def entry_time(bundle: dict[str, Any], kind: str) -> int:
    (found,) = [x["entry"] for x in bundle["entries"] if x["entry"]["kind"] == kind]
    return int(found["time"]) // 1000


def test_key_that_was_revoked_within_the_second_still_signed(scene: Scene) -> None:
    builder, tired = scene.builder, "tired"
    builder.enrol(
        "operator",
        what="key",
        role="terminal",
        institution="114403990000009209",
        jwk=builder.key(tired),
        terminal=tired,
        site="hotel-1",
    )
    seq = released(scene, who=tired)
    second = entry_time(scene.bundle("lookup", seq, "auditor"), "lookup")
    next_second()
    later = released(scene, who=tired)
    builder.built.chain.revoke_key(b64url_decode(builder.built.names[tired]), second)
    released(scene)  # so that there is a newer anchor
    assert not failed(examined(scene.bundle("lookup", seq, "auditor"), scene.trust))
    report = examined(scene.bundle("lookup", later, "auditor"), scene.trust)
    assert failed(report) == {"key.revoked"}


def test_claim_after_its_inviters_key_was_revoked_is_found(scene: Scene) -> None:
    builder = scene.builder
    module = sys.modules[type(builder).__module__]
    builder.enrol(
        "operator",
        what="key",
        role="operator",
        institution="operator",
        jwk=builder.key("dismissed"),
    )
    post = {"role": "terminal", "institution": module.HOTEL, "site": "hotel-1"}
    code = builder.invite(7, by="dismissed", terminal="t7", **post)
    next_second()
    builder.send("claim", builder.claim_request("guest", code))
    seq = released(scene, who="guest")
    bundle = scene.bundle("lookup", seq, "auditor")
    assert not failed(examined(bundle, scene.trust))
    kid = b64url_decode(builder.built.names["dismissed"])
    invited = [x for x in bundle["entries"] if x["entry"]["kind"] == "invitation"]
    builder.built.chain.revoke_key(kid, invited[0]["entry"]["time"] // 1000)
    released(scene)  # so that there is a newer anchor
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert failed(report) == {"enrolment.invitation"}


class Late(Gatherer):
    """Shows the newest block as if it were the first with these entries."""

    def _blocks(self, connection: Any, published: Any, newest: int) -> Any:
        return super()._blocks(connection, published, published.checkpoint.size - 1)


def test_active_after_restoring_says_nothing_of_the_time_before(scene: Scene) -> None:
    """Released while suspended: a block from after the restoring does not hide it."""
    builder, names = scene.builder, scene.builder.built.names
    builder.status(names["restored"], "suspend")
    shown = {"grant_id": names["grant-restored"]}
    seq = released(scene, shown=shown, card="restored", grant=names["grant-restored"])
    builder.status(names["restored"], "restore")
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert failed(report) == {"status.not_active"}
    late = scene.bundle("lookup", seq, "auditor", by=Late)
    assert failed(examined(late, scene.trust)) == {"recorded.earlier", "status.not_active"}


def test_release_after_restoring_is_proven_by_the_change_before_it(scene: Scene) -> None:
    names = scene.builder.built.names
    scene.builder.status(names["restored"], "suspend")
    scene.builder.status(names["restored"], "restore")
    shown = {"grant_id": names["grant-restored"]}
    seq = released(scene, shown=shown, card="restored", grant=names["grant-restored"])
    report = examined(scene.bundle("lookup", seq, "auditor"), scene.trust)
    assert checks(report)["status"] == ("proven", "status.as_of")
    released(scene)  # so that there is a newer anchor
    late = scene.bundle("lookup", seq, "auditor", by=Late)
    assert failed(examined(late, scene.trust)) == {"recorded.earlier"}


def test_key_that_enrolled_itself_is_found(scene: Scene) -> None:
    builder = scene.builder
    jwk = builder.key("impostor")
    request = builder.statement(
        "impostor",
        Kind.ENROLMENT,
        what="key",
        role="terminal",
        institution="114403990000009209",
        terminal="impostor",
        site="hotel-1",
        jwk=jwk,
    )
    recorded(
        scene,
        request,
        kind=EventKind.ENROLMENT,
        subject=request.statement.kid,
        department="114403990000009209",
        terminal="impostor",
        site="hotel-1",
    )
    seq = builder.log.size - 1
    with builder.database.write() as connection:
        row = {
            "kid": request.statement.kid,
            "jwk": json.dumps(jwk),
            "role": Role.TERMINAL,
            "institution": "114403990000009209",
            "terminal": "impostor",
            "site": "hotel-1",
            "not_before": 0,
            "not_after": 2**40,
            "seq": seq,
        }
        row_macs.put(connection, tables.keys, row)
    builder.ring.forget()
    lookup = released(scene, who="impostor", terminal="impostor", site="hotel-1")
    report = examined(scene.bundle("lookup", lookup, "auditor"), scene.trust)
    assert {"key.unknown", "enrolment.other_role"} <= failed(report)


# --- form, cost, purity ---------------------------------------------------------------------------


def test_bundle_and_trust_survive_being_written(scene: Scene) -> None:
    for value in kinds(scene).values():
        assert read_bundle(load_json(written(value))).to_json() == value
    assert read_trust(load_json(written(scene.trust.to_json()))) == scene.trust


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v":1,"v":1}',
        b'{"v":1.0}',
        b'{"v":NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"v":1,"kind":"certledger-evidence"}',
    ],
)
def test_what_is_no_bundle_is_broken_input(scene: Scene, text: bytes) -> None:
    for read in (read_bundle, read_trust):
        with pytest.raises(BundleError):
            read(load_json(text))


@pytest.mark.parametrize(
    ("path", "most"),
    [(("blocks", 0, "header"), 16_384), (("nodes", 0), 1_024), (("checkpoint",), 16_384)],
)
def test_parts_have_bounds(scene: Scene, path: tuple[Any, ...], most: int) -> None:
    bundle = scene.lookup("direct", "auditor")

    def of(size: int) -> str:
        return "x" * size if path == ("checkpoint",) else base64.b64encode(bytes(size)).decode()

    assert examined(changed(bundle, path, lambda _: of(most + 1)), scene.trust) is None
    report = examined(changed(bundle, path, lambda _: of(most)), scene.trust)
    assert report is not None
    assert report.verdict == "failed"


def test_too_many_entries_are_refused_before_the_chain_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.evidence.gathering.MAX_ENTRIES", 2)
    monkeypatch.setattr(Gatherer, "_blocks", None)
    with pytest.raises(StatementError) as caught:
        scene.lookup("direct", "auditor")
    assert caught.value.code == "evidence.too_large"


@pytest.mark.parametrize("state", ["Ethereum's", "another form"])
def test_an_engine_whose_seal_is_unknown_has_trust_file_and_bundles(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """It hashes its headers in another way, and proves its state as Ethereum does, or not."""
    monkeypatch.setattr("ledger.chain.blocks.keccak", lambda _: bytes(32))
    chain = scene.builder.built.chain
    trust = replace(
        scene.trust, seal=UNKNOWN_SEAL, sealers=trust_of(chain, scene.trust.log).sealers
    )
    assert trust_of(chain, scene.trust.log).seal == UNKNOWN_SEAL
    if state != "Ethereum's":
        monkeypatch.setattr(
            type(chain), "state_proof", lambda *_: StateProof(bytes(32), (b"ICS 23",))
        )
    monkeypatch.setattr(scene, "trust", trust)
    bundle = scene.lookup("direct", "auditor")
    assert all(bool(block["header"]) == (state == "Ethereum's") for block in bundle["blocks"])
    report = examined(bundle, trust)
    assert report is not None
    assert report.verdict == "incomplete"


def test_proofs_stay_where_the_seal_cannot_be_judged(scene: Scene) -> None:
    bundle = scene.ask("lookup", scene.seqs["direct"], "auditor").bundle
    blocks = tuple(replace(block, scheme="qbft", signature=b"") for block in bundle.blocks)
    foreign = replace(bundle, blocks=blocks)
    assert pruned(foreign, replace(scene.trust, seal="qbft")) == foreign


def test_claims_are_found_by_their_key() -> None:
    indexed = {column.name for index in tables.invitations.indexes for column in index.columns}
    assert indexed == {"kid", "claimed_seq"}


def test_words_claim_no_more_than_is_proven() -> None:
    assert "the first" not in WORDS["status.as_of"]
    assert "by the holder" not in WORDS["dispute.agrees"]
    for word in ("grant", "revocation", "dispute", "withdrawal", "one person"):
        assert word in LIMITS["holder"]


def test_true_is_not_one(scene: Scene) -> None:
    bundle = scene.lookup("direct", "auditor")
    for path in (("v",), ("entries", 0, "entry", "v")):
        assert examined(changed(bundle, path, lambda _: True), scene.trust) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x)))
def test_whatever_stands_in_a_bundle_is_an_error_of_ours(value: Any) -> None:
    vector = json.loads(VECTOR.read_text("utf-8"))
    bundle, trust = vector["bundle"], read_trust(vector["trust"])
    paths = [*leaves(bundle), ("entries",), ("keys",), ("blocks",), ("subject",), ("nodes",)]
    path = random.choice(paths)
    try:
        read = read_bundle(changed(bundle, path, lambda _: value))
    except BundleError:
        return
    assert verify_bundle(read, trust).verdict != "verified"


def test_lookup_is_small_and_quickly_verified(scene: Scene) -> None:
    text, trust = written(scene.lookup("direct", "terminal", after=0)), scene.trust
    assert len(text) <= 40 * 1024
    spent = []
    for _ in range(9):
        began = time.perf_counter()
        assert verify_bundle(read_bundle(load_json(text)), trust).verdict == "verified"
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.05


def test_every_code_has_words_and_every_word_is_said() -> None:
    sources = ("verification", "claims", "state_proofs")
    folder = PROJECT / "audit" / "evidence"
    text = "".join((folder / f"{name}.py").read_text("utf-8") for name in sources)
    said = set(re.findall(r"""["']([a-z]+\.[a-z_]+)["']""", text))
    covers = {f"grant.{code}" for code in re.findall(r'\("([a-z_]+)", ', text)}
    assert set(WORDS) - said <= covers
    assert said <= set(WORDS)


def test_roles_are_those_of_the_directory() -> None:
    named = {
        Role.OPERATOR: layout.OPERATOR,
        Role.ISSUER: layout.ISSUER,
        Role.TERMINAL: layout.TERMINAL,
        Role.AUDITOR: layout.AUDITOR,
    }
    assert {role: CHAIN_ROLE[role] for role in named} == named


def test_verifier_brings_no_server_database_or_chain() -> None:
    script = (
        "import sys, audit.evidence.verification\n"
        "bad = {'web3', 'eth', 'lmdb', 'sqlalchemy', 'fastapi', 'httpx', 'trie', 'uvicorn'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_independent_verifier_shares_no_code() -> None:
    source = (HERE / "independent_verifier.py").read_text("utf-8")
    imported = [line.split()[1].split(".")[0] for line in source.splitlines() if _imports(line)]
    assert set(imported) - set(sys.stdlib_module_names) == {"cryptography"}


def _imports(line: str) -> bool:
    return line.startswith(("import ", "from "))


# --- the vector -----------------------------------------------------------------------------------


def test_vector_is_verified_as_ever() -> None:
    """One bundle with its trust file and its report, byte for byte."""
    vector = json.loads(VECTOR.read_text("utf-8"))
    report = examined(vector["bundle"], read_trust(vector["trust"]))
    assert report is not None
    assert report.verdict == "verified"
    shown = report.to_json()
    assert shown["facts"] == vector["facts"]
    found = [
        [check["number"], check["name"], check["outcome"], check["code"]]
        for check in shown["checks"]
    ]
    assert found == vector["checks"]
    bundle: Bundle = read_bundle(vector["bundle"])
    assert canonical_json(bundle.to_json()) == canonical_json(vector["bundle"])
