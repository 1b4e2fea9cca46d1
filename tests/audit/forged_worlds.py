"""The stories that the vectors tell: `HONEST`, each of which must come out as it says, and
`FORGED`, each with one thing wrong and the code of the check that must find it.

    python -m tests.audit.forged_worlds          writes tests/vectors/evidence.json anew

Whoever changes a format runs it, and reads the difference.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.evidence.bundle import read_bundle
from audit.evidence.verification import Report, verify_bundle
from ledger.certificate.lifecycle import State
from ledger.chain.layout import AUDITOR, OPERATOR
from ledger.chain.layout import ISSUER as ISSUER_ROLE
from ledger.chain.layout import TERMINAL as TERMINAL_ROLE
from ledger.proof.encoding import b64url, canonical_json, sha256
from tests.audit.forge import (
    BEGIN,
    CARD,
    DEPARTMENT,
    DISPUTE,
    GRANT,
    ISSUER,
    ITEM,
    SITE,
    TERMINAL,
    TRUST,
    World,
    jwk,
    kid,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "evidence.json"
Bundle = dict[str, Any]
DISCLOSURES = {
    name: b64url(canonical_json(["s" * 22, name, value]))
    for name, value in (("name", "测试0"), ("of_age_18", True), ("sex", "女"))
}
SPACED = b64url(json.dumps(["s" * 22, "name", "x"]).encode())
PLACE = {"department": DEPARTMENT, "terminal": TERMINAL, "site": SITE}
LOOKED_UP = {**PLACE, "service_item": ITEM, "staff": "staff-1", "certificate": CARD, "grant": GRANT}


@dataclass
class Story:
    """The usual story, with what is told otherwise: ``said`` of statements and ``entry`` of entries
    by kind (None: left out), ``at`` of their times, ``more`` for `World.enter`."""

    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    entry: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signer: Mapping[str, str] = field(default_factory=dict)
    world: World = field(default_factory=World)
    seqs: dict[str, int] = field(default_factory=dict)

    def enter(
        self, name: str, kind: str, who: str, said: Mapping[str, Any], entry: Mapping[str, Any]
    ) -> int:
        """``name`` is how this one is told otherwise, and found again."""
        self.seqs[name] = self.world.enter(
            kind,
            self.signer.get(name, who),
            {**said, **self.said.get(name, {})},
            {**entry, **self.entry.get(name, {})},
            **self.more.get(name, {}),
        )
        return self.seqs[name]

    def beginning(self) -> Story:
        """Up to a grant, recorded in the second block."""
        world = self.world
        for who, institution, role in (
            ("operator", "operator", OPERATOR),
            ("issuer", ISSUER, ISSUER_ROLE),
            ("licensing", LICENSING, ISSUER_ROLE),
            ("terminal", DEPARTMENT, TERMINAL_ROLE),
            ("auditor", "operator", AUDITOR),
        ):
            world.enrol(who, institution, role)
        world.fill(3)
        world.block()
        post = {"role": "terminal", "institution": DEPARTMENT, "terminal": TERMINAL, "site": SITE}
        key = {"what": "key", "jwk": jwk("terminal"), **post}
        self.enter("terminal", "enrolment", "operator", key, {"subject": kid("terminal"), **PLACE})
        device = {"what": "holder", "jwk": jwk("holder"), "subject": "S" * 42 + "A"}
        self.enter("device", "enrolment", "issuer", device, {"subject": kid("holder")})
        certificate = {
            "iss": f"urn:certledger:department:{ISSUER}",
            "vct": "urn:certledger:type:11100000000013338W901",
            "certificate_id": CARD,
            "_sd_alg": "sha-256",
            "_sd": sorted(b64url(sha256(item.encode())) for item in DISCLOSURES.values()),
        }
        issued = {"certificate": CARD, "department": ISSUER, "state": "active"}
        self.enter("issue", "issue", "issuer", certificate, issued)
        return self

    def grant(self) -> Story:
        said = {
            "grant_id": GRANT,
            "mode": "direct",
            "certificates": [{"certificate_id": CARD, "fields": ["name", "of_age_18"]}],
            "grantee": {"department": DEPARTMENT},
            "purpose": {"service_item": ITEM},
            "when": {"not_before": BEGIN - 600, "not_after": BEGIN + 6_000},
            "where": {"sites": [SITE]},
            "limits": {"max_uses": 5},
        }
        entry = {"grant": GRANT, "certificate": CARD, "department": DEPARTMENT}
        self.enter("grant", "grant", "holder", said, {**entry, "service_item": ITEM})
        self.world.block()
        return self

    def lookup(self, name: str = "lookup", *, block: bool = True) -> Story:
        said = {
            "presented": {"grant_id": GRANT},
            "fields": ["name", "of_age_18"],
            "service_item": ITEM,
            "business_number": "B-1",
            "staff": "staff-1",
        }
        self.enter(name, "lookup", "terminal", said, {**LOOKED_UP, "decision": "released"})
        if block:
            self.world.block()
        return self

    def status(self, action: str, state: str, *, registered: bool = True) -> Story:
        said = {"certificate_id": CARD, "action": action, "reason": "测试"}
        if action == "erase":
            said["ground"] = "court_order"
        entry = {"certificate": CARD, "department": ISSUER, "state": state, "reason": action}
        seq = self.enter(action, "status", "issuer", said, entry)
        if registered and action != "erase":
            self.world.change(self.seqs["issue"], State(state), seq)
        return self

    def revocation(self) -> Story:
        said, entry = {"grant_id": GRANT}, {"grant": GRANT, "state": "revoked"}
        self.enter("revocation", "revocation", "holder", said, entry)
        self.world.block()
        return self

    def revocation_of_all(self, who: str = "tablet", *, block: bool = True) -> Story:
        """Of all that the holder's first device gave."""
        said, entry = {"kid": kid("holder")}, {"subject": kid("holder"), "state": "revoked"}
        self.enter("revocation", "revocation", who, said, entry)
        if block:
            self.world.block()
        return self

    def second_device(self) -> Story:
        """Another device of the holder, which the first one approved."""
        said = {"what": "device", "jwk": jwk("tablet")}
        self.enter("tablet", "enrolment", "holder", said, {"subject": kid("tablet")})
        return self

    def halt(self, name: str, who: str, reason: str, *, block: bool = False) -> Story:
        """The holder's first device is frozen (``suspension``) or restored (``restoration``)."""
        state = {"suspension": "suspended", "restoration": "restored"}[name]
        said = {"what": f"key_{name}", "kid": kid("holder")}
        entry = {"subject": kid("holder"), "state": state, "reason": reason}
        self.enter(name, "enrolment", who, said, entry)
        if block:
            self.world.block()
        return self

    def invited(self) -> Story:
        """The terminal's key enrols itself."""
        digest = "C" * 42 + "A"
        post = {"role": "terminal", "institution": DEPARTMENT, "terminal": TERMINAL, "site": SITE}
        said = {"what": "key", **post, "code_sha256": digest, "not_after": BEGIN + 3600}
        self.enter("invitation", "invitation", "operator", said, {"subject": digest, **PLACE})
        claim = {"jwk": jwk("guest"), "invitation": digest}
        self.more = {"claim": {"typ": "claim"}, **self.more}
        self.enter("claim", "enrolment", "guest", claim, {"subject": kid("guest"), **PLACE})
        self.world.enrol("guest", DEPARTMENT, TERMINAL_ROLE)
        self.signer = {"lookup": "guest", **self.signer}
        return self

    def dispute(self) -> Story:
        entry = {**LOOKED_UP, "subject": DISPUTE, "state": "open"}
        said = {"dispute_id": DISPUTE, "seq": self.seqs["lookup"], "cause": "not_me"}
        self.enter("dispute", "dispute", "holder", said, {**entry, "reason": "not_me"})
        asked = {"dispute_id": DISPUTE, "to": "department", "text": "当时在场吗"}
        entry = {**entry, "reason": "department"}
        question = self.enter("question", "question", "auditor", asked, entry)
        answer = {"dispute_id": DISPUTE, "seq": question, "text": "不在场"}
        self.enter("answer", "answer", "terminal", answer, entry)
        return self

    def resolution(self) -> Story:
        said = {"dispute_id": DISPUTE, "outcome": "upheld", "text": "已核实"}
        entry = {**LOOKED_UP, "subject": DISPUTE, "state": "upheld"}
        self.enter("resolution", "resolution", "auditor", said, entry)
        self.world.block()
        return self

    # Bundles

    def of_lookup(self, *names: str, **options: Any) -> Bundle:
        usual = ("terminal", "device", "issue", "grant", "lookup")
        seqs = [self.seqs[name] for name in (*usual, *names)]
        return self.world.bundle({"kind": "lookup", "seq": self.seqs["lookup"]}, seqs, **options)

    def of_invited(self) -> Bundle:
        names = ("device", "issue", "grant", "invitation", "claim", "lookup")
        seqs = [self.seqs[name] for name in names]
        return self.world.bundle({"kind": "lookup", "seq": self.seqs["lookup"]}, seqs)

    def of_certificate(self, *names: str) -> Bundle:
        seqs = [self.seqs[name] for name in ("issue", *names)]
        return self.world.bundle({"kind": "certificate", "certificate_id": CARD}, seqs)

    def of_grant(self, *names: str) -> Bundle:
        seqs = [self.seqs[name] for name in ("device", "grant", *names)]
        return self.world.bundle({"kind": "grant", "grant_id": GRANT}, seqs)

    def of_dispute(self, *names: str, **options: Any) -> Bundle:
        usual = ("terminal", "device", "issue", "grant", "lookup", "dispute", "question", "answer")
        seqs = [self.seqs[name] for name in (*usual, *names)]
        return self.world.bundle({"kind": "dispute", "dispute_id": DISPUTE}, seqs, **options)


#: A department that issued nothing of what is told.
LICENSING = "440301"


def told(**otherwise: Any) -> Story:
    """Up to a grant; then whatever follows."""
    return Story(**otherwise).beginning().grant()


def lookup(**otherwise: Any) -> Bundle:
    return told(**otherwise).lookup().of_lookup()


# --- honest ---------------------------------------------------------------------------------------


def disclosed() -> Bundle:
    """Two blocks, a certificate that was never changed, and both fields."""
    story = told().lookup()
    story.world.fill(40)
    story.world.block()
    fields = [DISCLOSURES["name"], DISCLOSURES["of_age_18"]]
    return story.of_lookup(then=-2, disclosures=fields)


def revoked_since() -> Bundle:
    story = told().lookup()
    story.status("revoke", "revoked").world.block()
    return story.of_lookup(then=-2)


def changed_before() -> Bundle:
    story = told().status("suspend", "suspended").status("restore", "active").lookup()
    return story.of_lookup("suspend", "restore")


def revoked_at_once() -> Bundle:
    """In the same batch, after the lookup."""
    story = told().lookup(block=False).status("revoke", "revoked")
    story.world.block()
    return story.of_lookup("revoke")


def refused(**members: Any) -> Bundle:
    entry = {"decision": "refused", "reason": "field_not_granted", **members}
    said = {"lookup": {"fields": ["sex"]}}
    return lookup(said=said, entry={"lookup": entry})


AS_FROZEN = {"decision": "refused", "reason": "grant_frozen"}


def refused_as_frozen() -> Bundle:
    """On the word of another device of the holder."""
    story = told(entry={"lookup": AS_FROZEN}).second_device().halt("suspension", "tablet", "holder")
    return story.lookup().of_lookup("tablet", "suspension")


def frozen_and_released(who: str = "auditor", reason: str = "auditor", **otherwise: Any) -> Bundle:
    story = told(**otherwise).second_device().halt("suspension", who, reason).lookup()
    names = ("tablet", "suspension") if reason == "holder" else ("suspension",)
    return story.of_lookup(*names)


def granted_while_frozen() -> Bundle:
    story = Story().beginning().halt("suspension", "auditor", "auditor").grant()
    return story.of_grant("suspension")


AS_REVOKED = {"decision": "refused", "reason": "grant_revoked"}


def all_revoked(who: str = "tablet", **otherwise: Any) -> Bundle:
    """A grant, once all that its device gave was revoked by another one."""
    story = told(**otherwise).second_device().revocation_of_all(who)
    return story.of_grant("tablet", "revocation")


def all_revoked_and_looked_up(**otherwise: Any) -> Bundle:
    """Released, unless the lookup is told otherwise."""
    story = told(**otherwise).second_device().revocation_of_all(block=False).lookup()
    return story.of_lookup("tablet", "revocation")


def of_another_device(**members: Any) -> dict[str, Any]:
    """The revocation is of all that the second device gave, by what is signed (``kid``), by its
    entry (``subject``), or by both."""
    known = {"kid": "said", "subject": "entry"}
    return {known[name]: {"revocation": {name: value}} for name, value in members.items()}


def revoked_by_a_frozen_device() -> Bundle:
    story = told().second_device()
    said = {"what": "key_suspension", "kid": kid("tablet")}
    entry = {"subject": kid("tablet"), "state": "suspended", "reason": "auditor"}
    story.enter("suspension", "enrolment", "auditor", said, entry)
    return story.revocation_of_all().of_grant("tablet", "suspension", "revocation")


def revoked_before_it_was_granted() -> Bundle:
    story = Story().beginning().second_device().revocation_of_all(block=False).grant()
    return story.of_grant("tablet", "revocation")


def without_statement(bundle: Bundle, at: int, *signers: str) -> Bundle:
    del bundle["entries"][at]["statement"]
    gone = [jwk(signer) for signer in signers]
    bundle["keys"] = [key for key in bundle["keys"] if key not in gone]
    return bundle


def with_statement_withheld() -> Bundle:
    return without_statement(lookup(), -1, "terminal")


def with_grant_of_one_department_withheld() -> Bundle:
    """What the device's scope reaches cannot be told, nor whose word was needed for it."""
    scoped = {"device": {"department": LICENSING}}
    bundle = lookup(signer={"device": "licensing"}, entry=scoped)
    kinds = [line["entry"]["kind"] for line in bundle["entries"]]
    return without_statement(bundle, kinds.index("grant"), "device")


def after_a_long_silence() -> Bundle:
    """The chain was idle for a day: the block before bounds little, and holds."""
    story = told()
    story.world.clock += 86_400
    story.said = {"lookup": {"presented": {"grant_id": GRANT}}}
    story.world.clock -= 86_400 - 3_000
    return story.lookup().of_lookup()


def as_dispute(*names: str) -> Bundle:
    story = told().lookup().dispute()
    if names:
        return story.resolution().of_dispute(*names)
    story.resolution()
    return story.of_dispute()


def with_status_later(name: str = "revoke") -> Bundle:
    story = told().lookup().dispute().resolution()
    story.status("revoke", "revoked").world.block()
    return story.of_dispute("resolution", then=-2)


HONEST: Mapping[str, tuple[Callable[[], Bundle], str, Mapping[str, str]]] = {
    "lookup with its fields": (disclosed, "verified", {"status": "status.never_changed"}),
    "lookup, revoked since": (revoked_since, "verified", {"status": "status.as_of"}),
    "lookup after a suspension": (changed_before, "verified", {"status": "status.as_of"}),
    "lookup, revoked in the same batch": (revoked_at_once, "verified", {"status": "status.as_of"}),
    "lookup by a key that was invited": (
        lambda: told().invited().lookup().of_invited(),
        "verified",
        {"enrolments": "enrolment.proven"},
    ),
    "lookup, its grant's device frozen and restored before": (
        lambda: (
            told()
            .halt("suspension", "auditor", "auditor")
            .halt("restoration", "issuer", "issuer")
            .lookup()
            .of_lookup("suspension", "restoration")
        ),
        "verified",
        {"grant": "grant.covers"},
    ),
    "lookup, refused because its grant's device was frozen": (
        lambda: refused_as_frozen(),
        "verified",
        {"grant": "grant.refused", "enrolments": "enrolment.proven"},
    ),
    "refused lookup": (refused, "verified", {"grant": "grant.refused_rightly"}),
    "lookup after a long silence": (after_a_long_silence, "verified", {}),
    "lookup, its statement withheld": (
        with_statement_withheld,
        "incomplete",
        {"complete": "statement.withheld"},
    ),
    "lookup by a grant of one department's device, withheld": (
        with_grant_of_one_department_withheld,
        "incomplete",
        {"enrolments": "statement.withheld", "complete": "statement.withheld"},
    ),
    "certificate": (
        lambda: told().of_certificate(),
        "verified",
        {"status": "status.never_changed"},
    ),
    "certificate, erased": (
        lambda: _erased().of_certificate("revoke", "erase"),
        "verified",
        {"status": "status.erased"},
    ),
    "grant and its revocation": (
        lambda: told().revocation().of_grant("revocation"),
        "verified",
        {},
    ),
    "grant, when all that its device gave was revoked": (all_revoked, "verified", {}),
    "lookup, refused when all that the device gave was revoked": (
        lambda: all_revoked_and_looked_up(entry={"lookup": AS_REVOKED}),
        "verified",
        {"grant": "grant.refused_rightly", "enrolments": "enrolment.proven"},
    ),
    "lookup, refused because its grant was revoked": (
        lambda: told(entry={"lookup": AS_REVOKED}).revocation().lookup().of_lookup("revocation"),
        "verified",
        {"grant": "grant.refused_rightly"},
    ),
    "lookup, refused as revoked, the revocation not shown": (
        lambda: told(entry={"lookup": AS_REVOKED}).lookup().of_lookup(),
        "verified",
        {"grant": "grant.refused"},
    ),
    "dispute with its resolution": (
        lambda: as_dispute("resolution"),
        "verified",
        {"dispute": "dispute.agrees"},
    ),
    "case 08: dispute without its resolution": (
        as_dispute,
        "verified",
        {"dispute": "dispute.resolution_not_shown"},
    ),
    "case 01: dispute, status changed later": (
        with_status_later,
        "verified",
        {"status": "status.later"},
    ),
}


def _erased() -> Story:
    story = told().status("revoke", "revoked").status("erase", "erased")
    story.world.block()
    return story


# --- forged ---------------------------------------------------------------------------------------


def revoked_and_released(*, registered: bool) -> Bundle:
    story = told().status("revoke", "revoked", registered=registered).lookup()
    return story.of_lookup("revoke")


def revoked_and_left_out() -> Bundle:
    return told().status("revoke", "revoked").lookup().of_lookup()


def another_in_the_registry() -> Bundle:
    story = told().status("suspend", "suspended").status("restore", "active")
    story.world.change(story.seqs["issue"], State.ACTIVE, story.seqs["suspend"])
    return story.lookup().of_lookup("suspend", "restore")


def never_registered_but_restored() -> Bundle:
    """Suspended and restored on paper alone: the registry does not know."""
    story = told().status("suspend", "suspended", registered=False)
    return (
        story.status("restore", "active", registered=False).lookup().of_lookup("suspend", "restore")
    )


def erased_and_released() -> Bundle:
    return told().status("erase", "erased").lookup().of_lookup("erase")


def suspended_meanwhile() -> Bundle:
    """Released while suspended, restored in the same batch."""
    story = told().status("suspend", "suspended").lookup(block=False).status("restore", "active")
    story.world.block()
    return story.of_lookup("suspend", "restore")


def shown_late() -> Bundle:
    """Released while suspended; the block that is shown is one from after the restoring."""
    story = told().status("suspend", "suspended").lookup().status("restore", "active")
    story.world.block()
    return story.of_lookup("suspend", "restore")


def backdated(seconds: int, **more: Any) -> Bundle:
    """The clock of the service is set back while the chain's goes on (a block a second)."""
    story = told()
    for _ in range(3):
        story.world.block(anchor=False, wait=30)
    at = 1000 * (story.world.clock + 1 - seconds)
    story.more = {"lookup": {"at_ms": at}}
    return story.lookup().of_lookup(**more)


def backdated_for_a_revoked_key() -> Bundle:
    """Attack 10: revoked, and then used with a clock that was set back by 94 seconds."""
    story = told()
    story.world.enrol("terminal", DEPARTMENT, TERMINAL_ROLE, revoked=story.world.clock + 1)
    for _ in range(3):
        story.world.block(wait=31)
    story.more = {"lookup": {"at_ms": 1000 * (story.world.clock + 1 - 94)}}
    return story.lookup().of_lookup()


def block_before_of_another_chain() -> Bundle:
    bundle, other = lookup(), told()
    other.world.block(anchor=False, wait=7)
    bundle["before"] = base64.b64encode(other.world.blocks[-2].header).decode()
    return bundle


def earlier_block_as_before() -> Bundle:
    story = told()
    story.world.block(anchor=False)
    story.lookup()
    bundle = story.of_lookup()
    bundle["before"] = base64.b64encode(story.world.blocks[-3].header).decode()
    return bundle


def nested(payload: bytes) -> bytes:
    return payload[:-1] + b',"zz":' + b"[" * 3_000 + b"]" * 3_000 + b"}"


def twice(name: str) -> Callable[[bytes], bytes]:
    return lambda payload: payload[:-1] + f',"{name}":{json.dumps(CARD)}'.encode() + b"}"


HEADER_TWICE = (
    f'{{"alg":"none","alg":"ES256","kid":"{kid("holder")}","typ":"certledger-grant+jwt"}}'.encode()
)


def patched(make: Callable[[], Bundle], change: Callable[[Bundle], Any]) -> Callable[[], Bundle]:
    def run() -> Bundle:
        bundle = copy.deepcopy(make())
        change(bundle)
        return bundle

    return run


def said(name: str, /, **members: Any) -> Callable[[], Bundle]:
    return lambda: lookup(said={name: members})


def entered(name: str, /, **members: Any) -> Callable[[], Bundle]:
    return lambda: lookup(entry={name: members})


def invited(name: str, /, **members: Any) -> Callable[[], Bundle]:
    return lambda: told(said={name: members}).invited().lookup().of_invited()


def raw(name: str, change: Callable[[bytes], bytes]) -> Callable[[], Bundle]:
    return lambda: lookup(more={name: {"raw": change}})


def disputed(entry: Mapping[str, Any] | None = None, **otherwise: Any) -> Callable[[], Bundle]:
    options = {**otherwise, **({} if entry is None else {"entry": entry})}
    return lambda: told(**options).lookup().dispute().resolution().of_dispute("resolution")


def released_under(**said_by_grant: Any) -> Callable[[], Bundle]:
    return said("grant", **said_by_grant)


NOBODY_SIGNED = {"staff": "Mr X", "site": "west", "decision": "released", "reason": "court_order"}
FORGED: Mapping[str, tuple[Callable[[], Bundle], str]] = {
    # 1 subject
    "subject is not in it": (
        patched(lookup, lambda b: b["subject"].update(seq=1)),
        "subject.missing",
    ),
    # 2 signatures
    "signature of another": (
        lambda: lookup(entry={"grant": {"actor": kid("holder")}}, signer={"grant": "terminal"}),
        "entry.other_actor_or_kind",
    ),
    "key left out": (patched(lookup, lambda b: b["keys"].pop()), "signature.no_key"),
    "case 12: signed JSON nested 3,000 deep": (raw("lookup", nested), "statement.not_canonical"),
    "signed JSON nested 17 deep": (
        raw("lookup", lambda x: x[:-1] + b',"zz":' + b"[" * 16 + b"]" * 16 + b"}"),
        "statement.not_canonical",
    ),
    "case 02: a member of what was signed twice": (
        raw("grant", twice("certificates")),
        "statement.not_canonical",
    ),
    "case 02: a member of the header twice": (
        lambda: lookup(more={"grant": {"header": HEADER_TWICE}}),
        "statement.not_canonical",
    ),
    "a blank in what was signed": (
        raw("lookup", lambda x: x.replace(b",", b", ", 1)),
        "statement.not_canonical",
    ),
    "an end of line after what was signed": (
        raw("device", lambda x: x + b"\n"),
        "statement.not_canonical",
    ),
    "a byte order mark before what was signed": (
        raw("issue", lambda x: b"\xef\xbb\xbf" + x),
        "statement.not_canonical",
    ),
    "a fraction in what was signed": (
        raw("grant", lambda x: x.replace(b'"v":2', b'"v":2.0')),
        "statement.not_canonical",
    ),
    "an exponent in what was signed": (
        raw("grant", lambda x: x.replace(b'"v":2', b'"v":2e0')),
        "statement.not_canonical",
    ),
    "minus nothing in what was signed": (
        raw("grant", lambda x: x[:-1] + b',"zz":-0}'),
        "statement.not_canonical",
    ),
    "an integer that a double has not": (
        raw("grant", lambda x: x[:-1] + b',"zz":9007199254740993}'),
        "statement.not_canonical",
    ),
    "a name beyond ASCII in what was signed": (
        raw("grant", lambda x: x[:-1] + ',"\u00e9":1}'.encode()),
        "statement.not_canonical",
    ),
    "an escape that is not needed": (
        raw("lookup", lambda x: x.replace(b'"iat"', b'"\\u0069at"')),
        "statement.not_canonical",
    ),
    "half a character in what was signed": (
        raw("lookup", lambda x: x.replace(b'"jti":"jti', b'"jti":"\\ud800jti')),
        "statement.not_canonical",
    ),
    "members of what was signed in another order": (
        raw("lookup", lambda x: b'{"v":2,' + x[1:].replace(b',"v":2', b"")),
        "statement.not_canonical",
    ),
    "nothing that is JSON was signed": (
        raw("lookup", lambda _: b"\xff"),
        "statement.not_canonical",
    ),
    "a grant for another ledger": (
        said("grant", ledger="other.example/log"),
        "statement.ledger",
    ),
    "a lookup for no ledger": (said("lookup", ledger=None), "statement.ledger"),
    "a certificate for another ledger": (
        said("issue", ledger="test.example/log2"),
        "statement.ledger",
    ),
    "a device enrolled at another ledger": (
        said("device", ledger="TEST.example/log"),
        "statement.ledger",
    ),
    # 3 entries
    "case 07: members that nobody signed": (entered("grant", **NOBODY_SIGNED), "entry.members"),
    "issue with a terminal": (entered("issue", terminal="x"), "entry.members"),
    "released lookup without a grant": (entered("lookup", grant=None), "entry.members"),
    "released lookup with a reason": (entered("lookup", reason="wrong_site"), "entry.members"),
    "refused lookup without a reason": (lambda: refused(reason=None), "entry.members"),
    "device's enrolment with a state": (entered("device", state="active"), "entry.members"),
    "device's enrolment as a revocation": (
        entered("device", state="revoked"),
        "entry.says_otherwise",
    ),
    "dispute that says it is upheld": (disputed({"dispute": {"state": "upheld"}}), "entry.members"),
    "resolution with a reason": (disputed({"resolution": {"reason": "x"}}), "entry.members"),
    "another certificate in the grant's entry": (
        entered("grant", certificate=f"{CARD[:-1]}7"),
        "entry.says_otherwise",
    ),
    "no certificate in the grant's entry": (
        entered("grant", certificate=None),
        "entry.says_otherwise",
    ),
    "another staff in the lookup's entry": (entered("lookup", staff="x"), "entry.says_otherwise"),
    "entry of another statement": (
        entered("lookup", statement=b64url(bytes(32))),
        "entry.other_statement",
    ),
    "case 10: enrolment without its version": (said("device", v=None), "statement.form"),
    "case 10: enrolment with an unknown member": (said("device", zz="1"), "statement.form"),
    "case 10: enrolment of an unknown role": (said("terminal", role="king"), "statement.form"),
    "case 10: enrolment out of bounds": (
        said("terminal", not_before=20, not_after=10),
        "statement.form",
    ),
    "case 10: enrolment of a key with its secret": (
        said("device", jwk={**jwk("holder"), "d": "A" * 43}),
        "statement.form",
    ),
    "case 10: invitation for too long": (
        invited("invitation", not_after=BEGIN + 8 * 86_400),
        "statement.form",
    ),
    "claim with an unknown member": (invited("claim", zz=1), "statement.form"),
    "lookup that shows two things": (
        said("lookup", presented={"grant_id": GRANT, "spoken": "12345678"}),
        "statement.form",
    ),
    "lookup with an unknown member": (said("lookup", zz=1), "statement.form"),
    "certificate with a claim in the clear": (said("issue", name="x"), "statement.form"),
    "grant with a window that is too long": (
        released_under(when={"not_before": 1, "not_after": BEGIN}),
        "statement.form",
    ),
    "supersession without a successor": (
        lambda: _superseded().of_certificate("supersede"),
        "statement.form",
    ),
    # 4 to 7 checkpoint, inclusion, seal, anchor
    "checkpoint of another size": (
        patched(lookup, lambda b: b.update(checkpoint=b["checkpoint"].replace("\n8\n", "\n9\n"))),
        "checkpoint.invalid",
    ),
    "proof with a hash too many": (
        patched(lookup, lambda b: b["entries"][0]["proof"].append("A" * 43 + "=")),
        "inclusion.malformed",
    ),
    "seal of another kind": (
        patched(lookup, lambda b: b["blocks"][0]["seal"].update(scheme="qbft")),
        "seal.other_scheme",
    ),
    "seal of nobody": (
        patched(lookup, lambda b: b["blocks"][0]["seal"].update(signature="A" * 86 + "==")),
        "seal.invalid",
    ),
    # 8 recorded
    "attack 10: dated back by 94 seconds": (lambda: backdated(94), "recorded.backdated"),
    "attack 10: with a revoked key": (backdated_for_a_revoked_key, "recorded.backdated"),
    "block before of another chain": (block_before_of_another_chain, "recorded.order"),
    "earlier block as the one before": (earlier_block_as_before, "recorded.order"),
    "later block as the first": (shown_late, "recorded.earlier"),
    "entry after its block": (lambda: backdated(-70), "recorded.time"),
    # 9 and 10 keys, enrolments
    "key of another role": (
        lambda: lookup(signer={"issue": "auditor"}),
        "key.role",
    ),
    "key of nobody": (lambda: lookup(signer={"issue": "stranger"}), "key.unknown"),
    "device that was not enrolled": (
        lambda: lookup(signer={"grant": "stranger"}),
        "enrolment.missing",
    ),
    "device that the operator let in": (
        lambda: lookup(signer={"device": "operator"}),
        "key.role",
    ),
    "device of one department, by another's word": (
        entered("device", department=DEPARTMENT),
        "enrolment.scope",
    ),
    "device of one department, for another's certificate": (
        lambda: lookup(signer={"device": "licensing"}, entry={"device": {"department": LICENSING}}),
        "enrolment.scope",
    ),
    "terminal of another site": (
        entered("lookup", site="hotel-2"),
        "enrolment.other_role",
    ),
    "invitation that had ended": (
        invited("invitation", not_after=BEGIN + 1),
        "enrolment.invitation",
    ),
    "device frozen before it granted": (granted_while_frozen, "enrolment.suspended"),
    "device frozen by a terminal": (
        lambda: frozen_and_released("terminal", entry={"lookup": AS_FROZEN}),
        "key.role",
    ),
    "device frozen by a stranger": (
        lambda: frozen_and_released("stranger", "holder", entry={"lookup": AS_FROZEN}),
        "enrolment.missing",
    ),
    "device frozen on paper, and the entry says restored": (
        lambda: frozen_and_released(entry={"suspension": {"state": "restored"}}),
        "entry.says_otherwise",
    ),
    "device frozen by nobody's role": (
        lambda: frozen_and_released(entry={"suspension": {"reason": "operator"}}),
        "entry.says_otherwise",
    ),
    "another device was frozen": (
        lambda: frozen_and_released(
            said={"suspension": {"kid": kid("tablet")}},
            entry={"suspension": {"subject": kid("tablet")}},
        ),
        "complete.superfluous",
    ),
    # 11 and 12 order, grant
    "all revoked of another device": (
        lambda: all_revoked(**of_another_device(kid=kid("tablet"), subject=kid("tablet"))),
        "order.missing",
    ),
    "all revoked of another device than was signed": (
        lambda: all_revoked(**of_another_device(kid=kid("tablet"))),
        "entry.says_otherwise",
    ),
    "all revoked, by its entry, where one grant was signed": (
        lambda: all_revoked(said={"revocation": {"kid": None, "grant_id": GRANT}}),
        "entry.says_otherwise",
    ),
    "one revoked, by its entry, where all was signed": (
        lambda: all_revoked(entry={"revocation": {"subject": None, "grant": GRANT}}),
        "entry.says_otherwise",
    ),
    "revocation of a grant and of all": (
        lambda: all_revoked(said={"revocation": {"grant_id": GRANT}}),
        "statement.form",
    ),
    "revocation of nothing": (
        lambda: all_revoked(said={"revocation": {"kid": None}}),
        "statement.form",
    ),
    "revocation's entry of a grant and of all": (
        lambda: all_revoked(entry={"revocation": {"grant": GRANT}}),
        "entry.members",
    ),
    "all revoked by a stranger": (lambda: all_revoked("stranger"), "enrolment.missing"),
    "all revoked by a frozen device": (revoked_by_a_frozen_device, "enrolment.suspended"),
    "all revoked before it was granted": (revoked_before_it_was_granted, "order.broken"),
    "released when all that the device gave was revoked": (
        all_revoked_and_looked_up,
        "grant.grant_revoked",
    ),
    "released when its grant was revoked": (
        lambda: told().revocation().lookup().of_lookup("revocation"),
        "grant.grant_revoked",
    ),
    "released under a grant of a frozen device": (frozen_and_released, "grant.grant_frozen"),
    "released under a grant of a device that another one had frozen": (
        lambda: frozen_and_released("tablet", "holder"),
        "grant.grant_frozen",
    ),
    "released, restored, and frozen again before": (
        lambda: (
            told()
            .halt("suspension", "auditor", "auditor")
            .halt("restoration", "auditor", "auditor")
            .halt("suspension", "issuer", "issuer")
            .lookup()
            .of_lookup("restoration", "suspension")
        ),
        "grant.grant_frozen",
    ),
    "times that run backwards": (
        lambda: lookup(more={"lookup": {"at_ms": 1000 * (BEGIN - 300)}}),
        "order.times",
    ),
    "field that was not granted": (
        said("lookup", fields=["sex"]),
        "grant.field_not_granted",
    ),
    "grant that had ended": (
        released_under(when={"not_before": BEGIN - 600, "not_after": BEGIN + 1}),
        "grant.grant_expired",
    ),
    "refused for a reason that does not hold": (
        lambda: refused(reason="wrong_site"),
        "grant.refused_wrongly",
    ),
    # 13 status
    "case 05: revoked before, registry never written": (
        lambda: revoked_and_released(registered=False),
        "status.not_as_shown",
    ),
    "revoked before, and released": (
        lambda: revoked_and_released(registered=True),
        "status.not_active",
    ),
    "revocation left out": (revoked_and_left_out, "status.not_as_shown"),
    "restored by another statement": (another_in_the_registry, "status.not_as_shown"),
    "suspended and restored on paper": (never_registered_but_restored, "status.not_as_shown"),
    "erased before, and released": (erased_and_released, "status.not_active"),
    "released while suspended": (suspended_meanwhile, "status.not_active"),
    # 14 disclosures
    "a blank in a disclosure": (
        lambda: (
            told(said={"issue": {"_sd": [b64url(sha256(SPACED.encode()))]}})
            .lookup()
            .of_lookup(disclosures=[SPACED])
        ),
        "disclosure.malformed",
    ),
    "field that was not released": (
        lambda: told().lookup().of_lookup(disclosures=[DISCLOSURES["sex"]]),
        "disclosure.not_released",
    ),
    # 15 dispute
    "dispute of an entry that is not there": (
        disputed(said={"dispute": {"seq": 2}}),
        "dispute.other_entry",
    ),
    "resolution of another place": (
        disputed({"resolution": {"staff": "staff-9"}}),
        "dispute.other_entry",
    ),
    "answer to nothing": (disputed(said={"answer": {"seq": 3}}), "dispute.question"),
    # 16 complete
    "key that nothing needs": (
        patched(lookup, lambda b: b["keys"].append(jwk("stranger"))),
        "complete.superfluous",
    ),
}


def _superseded() -> Story:
    story = told().status("supersede", "superseded")
    story.world.block()
    return story


#: Not a bundle at all: nothing is checked.
BROKEN: Mapping[str, Callable[[Bundle], bytes]] = {
    "another version": lambda b: written({**b, "v": 1}),
    "a version that is true": lambda b: written({**b, "v": True}),
    "an unknown member": lambda b: written({**b, "zz": 1}),
    "a member missing": lambda b: written({k: v for k, v in b.items() if k != "before"}),
    "a member twice": lambda b: written(b)[:-1] + b',"v":2}',
    "a fraction": lambda b: written(b).replace(b'"seq":3', b'"seq":3.0', 1),
    "a byte order mark": lambda b: b"\xef\xbb\xbf" + written(b),
    "half a character": lambda b: written(b).replace(b'"kind":"lookup"', b'"kind":"\\ud800"', 1),
    "a salt of three bytes": lambda b: written(
        {
            **b,
            "entries": [
                {**line, "entry": {**line["entry"], "salt": "c2Fs"}} for line in b["entries"]
            ],
        }
    ),
    "a signature of an unknown seal": lambda b: written(
        {**b, "blocks": [{**x, "seal": {**x["seal"], "scheme": "unknown"}} for x in b["blocks"]]}
    ),
    "an entry of another version": lambda b: written(b).replace(b'"v":2,"seq"', b'"v":1,"seq"', 1),
}


def written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def report_of(bundle: Bundle) -> Report:
    return verify_bundle(read_bundle(bundle), TRUST)


def checks_of(report: Report) -> list[list[Any]]:
    return [[check.number, check.name, check.outcome, check.code] for check in report.checks]


def vectors() -> dict[str, Any]:
    main = disclosed()
    report = report_of(main)
    return {
        "note": "made by python -m tests.audit.forged_worlds; keys and names are nobody's",
        "trust": TRUST.to_json(),
        "bundle": main,
        "facts": json.loads(json.dumps(report.to_json()["facts"])),
        "checks": checks_of(report),
        "honest": [
            {"name": name, "bundle": make(), "verdict": verdict, "codes": dict(codes)}
            for name, (make, verdict, codes) in HONEST.items()
        ],
        "forged": [
            {"name": name, "bundle": make(), "fails": code} for name, (make, code) in FORGED.items()
        ],
        "broken": [
            {"name": name, "base64": base64.b64encode(make(main)).decode()}
            for name, make in BROKEN.items()
        ],
    }


def main() -> None:
    text = json.dumps(vectors(), ensure_ascii=False, indent=None, separators=(",", ":"))
    # A bundle a line: a difference can be read.
    VECTORS.write_text(text.replace('{"name":', '\n{"name":') + "\n", "utf-8")


if __name__ == "__main__":
    main()
