"""What the statements in a bundle say, held against the entries and against each other.

Pure. Each function returns nothing when it holds, and raises `Fault` with a stable code when it
does not. They take `Line`s whose statement is there; what a withheld one would have said is the
caller's to report.

Not this module's job: signatures, proofs, the chain (`audit.evidence.verification`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from audit.evidence.bundle import Line, thumbprint
from ledger.certificate.credential import ISSUER_PREFIX, Disclosure, open_disclosure
from ledger.certificate.lifecycle import IllegalTransition, State, after
from ledger.proof.encoding import b64url, sha256
from ledger.proof.entries import Decision, Entry, EventKind
from ledger.statement.kinds import (
    DECLARATIONS,
    Action,
    Answer,
    Asked,
    Dispute,
    Grant,
    GrantMode,
    Question,
    Resolution,
)
from ledger.statement.statements import Kind, Statement, StatementError

#: Seconds between `iat` and the entry: sixty for a fresh statement, and a quarter of an hour for
#: whatever a busy ledger may need.
MAX_AGE = 900

#: The kinds of statement that an entry may stand for.
STATEMENTS = {
    EventKind.ISSUE: (Kind.CERTIFICATE,),
    EventKind.STATUS: (Kind.STATUS,),
    EventKind.GRANT: (Kind.GRANT,),
    EventKind.REVOCATION: (Kind.REVOCATION,),
    EventKind.LOOKUP: (Kind.LOOKUP,),
    EventKind.DISPUTE: (Kind.DISPUTE,),
    EventKind.RESOLUTION: (Kind.RESOLUTION,),
    EventKind.QUESTION: (Kind.QUESTION,),
    EventKind.ANSWER: (Kind.ANSWER,),
    EventKind.ENROLMENT: (Kind.ENROLMENT, Kind.CLAIM),
    EventKind.INVITATION: (Kind.INVITATION,),
}
_HALTS = {"key_suspension": "suspended", "key_restoration": "restored"}
#: The roles that may freeze a holder's device, as its entry has them in ``reason``.
HALTED_BY = ("holder", "issuer", "auditor")
_INSTITUTIONAL_POST = ("role", "institution", "terminal", "site")


class Fault(Exception):
    """Something does not hold; ``code`` is stable, ``seq`` the entry at which it was noticed."""

    def __init__(self, code: str, seq: int | None = None) -> None:
        super().__init__(code)
        self.code, self.seq = code, seq


def agrees(entry: Entry, statement: Statement) -> None:
    """The entry is of this statement and says what it says."""
    seq = entry.seq
    if statement.digest != entry.statement_digest:
        raise Fault("entry.other_statement", seq)
    if statement.kid != entry.actor or statement.kind not in STATEMENTS[entry.kind]:
        raise Fault("entry.other_actor_or_kind", seq)
    if abs(entry.time_ms - 1000 * statement.issued_at) > 1000 * MAX_AGE:
        raise Fault("entry.time_of_signing", seq)
    try:
        DECLARATIONS[statement.kind].parse(statement.payload)
        same = _AGREE[entry.kind](entry, statement.payload)
    except (KeyError, TypeError, ValueError, AttributeError, StatementError):
        raise Fault("statement.form", seq) from None
    if not same:
        raise Fault("entry.says_otherwise", seq)


def _issue(entry: Entry, payload: Mapping[str, Any]) -> bool:
    return (
        payload["certificate_id"] == entry.certificate
        and payload["iss"] == ISSUER_PREFIX + (entry.department or "")
        and entry.state == State.ACTIVE
    )


def _status(entry: Entry, payload: Mapping[str, Any]) -> bool:
    action = Action(payload["action"])
    return (
        payload["certificate_id"] == entry.certificate
        and action == entry.reason
        and entry.state == _STATE_AFTER[action]
    )


_STATE_AFTER = {
    Action.SUSPEND: "suspended",
    Action.RESTORE: "active",
    Action.REVOKE: "revoked",
    Action.SUPERSEDE: "superseded",
    Action.ERASE: "erased",
}


def _grant(entry: Entry, payload: Mapping[str, Any]) -> bool:
    grant = Grant.parse(payload)
    (first, *others) = grant.certificates
    certificate = None if others else first.certificate_id
    said = (grant.grant_id, grant.grantee.department, grant.purpose.service_item, certificate)
    return said == (entry.grant, entry.department, entry.service_item, entry.certificate)


def _revocation(entry: Entry, payload: Mapping[str, Any]) -> bool:
    said = (payload.get("grant_id"), payload.get("kid"), "revoked")
    return said == (entry.grant, entry.subject, entry.state)


def _lookup(entry: Entry, payload: Mapping[str, Any]) -> bool:
    ((shown, name),) = payload["presented"].items()
    named = payload.get("certificate_id")
    return (
        payload["service_item"] == entry.service_item
        and payload.get("staff") == entry.staff
        and (shown != "grant_id" or entry.grant in (None, name))
        and (named is None or entry.certificate in (None, named))
    )


def _enrolment(entry: Entry, payload: Mapping[str, Any]) -> bool:
    if payload.get("what") in _HALTS:
        said = (payload["kid"], _HALTS[payload["what"]])
        return said == (entry.subject, entry.state) and entry.reason in HALTED_BY
    kid, _ = thumbprint(payload["jwk"])
    if kid != entry.subject:
        return False
    if "invitation" in payload:  # a claim: what the key is, the invitation says
        return entry.state is None and kid == entry.actor
    return entry.state is None and _is_post(entry, payload)


def _invitation(entry: Entry, payload: Mapping[str, Any]) -> bool:
    return payload["code_sha256"] == entry.subject and _is_post(entry, payload)


def _is_post(entry: Entry, payload: Mapping[str, Any]) -> bool:
    """The entry says what the key is to be; of a holder's device at most on which one
    department's word it speaks."""
    if payload["what"] == "holder":
        return _post_of(entry)[1:] == (None, None)
    if payload["what"] == "device":
        return _post_of(entry) == (None, None, None)
    return (payload["institution"], payload.get("terminal"), payload.get("site")) == _post_of(entry)


def _post_of(entry: Entry) -> tuple[str | None, str | None, str | None]:
    return entry.department, entry.terminal, entry.site


def _dispute(entry: Entry, payload: Mapping[str, Any]) -> bool:
    dispute = Dispute.parse(payload)
    said = (dispute.dispute_id, dispute.cause, "open")
    return said == (entry.subject, entry.reason, entry.state)


def _resolution(entry: Entry, payload: Mapping[str, Any]) -> bool:
    resolution = Resolution.parse(payload)
    return (resolution.dispute_id, resolution.outcome) == (entry.subject, entry.state)


def _question(entry: Entry, payload: Mapping[str, Any]) -> bool:
    question = Question.parse(payload)
    said = (question.dispute_id, question.to, "open")
    return said == (entry.subject, entry.reason, entry.state)


def _answer(entry: Entry, payload: Mapping[str, Any]) -> bool:
    answer = Answer.parse(payload)
    return (answer.dispute_id, "open") == (entry.subject, entry.state)


_AGREE: Mapping[EventKind, Callable[[Entry, Mapping[str, Any]], bool]] = {
    EventKind.ISSUE: _issue,
    EventKind.STATUS: _status,
    EventKind.GRANT: _grant,
    EventKind.REVOCATION: _revocation,
    EventKind.LOOKUP: _lookup,
    EventKind.DISPUTE: _dispute,
    EventKind.RESOLUTION: _resolution,
    EventKind.QUESTION: _question,
    EventKind.ANSWER: _answer,
    EventKind.ENROLMENT: _enrolment,
    EventKind.INVITATION: _invitation,
}


def made_holder(enrolment: Line, payload: Mapping[str, Any], invited: Invited | None) -> None:
    """The enrolment made its key a holder's device."""
    said = payload if invited is None else _claimed(enrolment, payload, invited)
    if said.get("what") not in ("holder", "device"):
        raise Fault("enrolment.other_role", enrolment.entry.seq)


def made_terminal(
    enrolment: Line, payload: Mapping[str, Any], invited: Invited | None, used: Entry
) -> None:
    """The enrolment made its key the terminal that ``used`` says it is, at that site."""
    said = payload if invited is None else _claimed(enrolment, payload, invited)
    post = tuple(said.get(name) for name in _INSTITUTIONAL_POST)
    if post != ("terminal", used.department, used.terminal, used.site):
        raise Fault("enrolment.other_role", enrolment.entry.seq)
    if _post_of(enrolment.entry) != _post_of(used):
        raise Fault("enrolment.other_role", enrolment.entry.seq)


Invited = tuple[Entry, Mapping[str, Any]]
"""The invitation that a claim names: its entry and what was signed."""


def _claimed(claim: Line, payload: Mapping[str, Any], invited: Invited) -> Mapping[str, Any]:
    entry, said = invited
    not_after = said.get("not_after")
    if entry.subject != payload.get("invitation") or entry.seq >= claim.entry.seq:
        raise Fault("enrolment.invitation", claim.entry.seq)
    if type(not_after) is not int or claim.entry.time_ms >= 1000 * not_after:
        raise Fault("enrolment.invitation", claim.entry.seq)
    return said


def covers(grant: Grant, lookup: Entry, payload: Mapping[str, Any]) -> None:
    """A released lookup is within the grant: all rules of `authz.lookup.policy` that statements
    alone can decide."""
    seq = lookup.seq
    for code, holds in (
        ("wrong_department", lookup.department == grant.grantee.department),
        ("wrong_site", lookup.site in grant.site_set),
        ("wrong_service_item", lookup.service_item == grant.purpose.service_item),
        ("wrong_terminal", grant.grantee.terminal in (None, lookup.terminal)),
        ("wrong_staff", grant.grantee.staff in (None, lookup.staff)),
        ("grant_not_yet_valid", lookup.time_ms >= grant.not_before_ms),
        ("grant_expired", lookup.time_ms < grant.not_after_ms),
        ("certificate_not_in_grant", _means(grant, payload) == (lookup.certificate or "")),
        ("field_not_granted", _granted(grant, lookup, payload)),
        ("grant_unknown", _was_shown(grant, payload)),
    ):
        if not holds:
            raise Fault(f"grant.{code}", seq)


def refused_rightly(
    grant: Grant, lookup: Entry, payload: Mapping[str, Any], *, revoked: bool
) -> bool:
    """Whether the reason of a refusal follows from the statements; False when they cannot tell.
    ``revoked``: whether a revocation from before it is shown. Raises Fault when they say
    otherwise."""
    holds = {
        # That there was none, no bundle shows.
        "grant_revoked": revoked or None,
        "wrong_department": lookup.department != grant.grantee.department,
        "wrong_site": lookup.site not in grant.site_set,
        "wrong_service_item": lookup.service_item != grant.purpose.service_item,
        "wrong_terminal": grant.grantee.terminal not in (None, lookup.terminal),
        "wrong_staff": grant.grantee.staff not in (None, lookup.staff),
        "grant_not_yet_valid": lookup.time_ms < grant.not_before_ms,
        "grant_expired": lookup.time_ms >= grant.not_after_ms,
        "field_not_granted": not _granted(grant, lookup, payload),
    }.get(lookup.reason or "")
    if not _was_shown(grant, payload, refused=True):
        raise Fault("grant.grant_unknown", lookup.seq)
    if holds is None:
        return False
    if not holds:
        raise Fault("grant.refused_wrongly", lookup.seq)
    return True


def _means(grant: Grant, payload: Mapping[str, Any]) -> str | None:
    named = payload.get("certificate_id")
    if named is not None:
        return str(named) if named in grant.fields_of else None
    return grant.certificates[0].certificate_id if len(grant.certificates) == 1 else None


def _granted(grant: Grant, lookup: Entry, payload: Mapping[str, Any]) -> bool:
    granted = grant.fields_of.get(lookup.certificate or "", frozenset())
    return granted.issuperset(payload["fields"])


def _was_shown(grant: Grant, payload: Mapping[str, Any], *, refused: bool = False) -> bool:
    ((shown, name),) = payload["presented"].items()
    if shown == "grant_id":
        return bool(name == grant.grant_id and (refused or grant.mode is GrantMode.DIRECT))
    if shown == "request_id":
        return bool(name == grant.request_id)
    return True  # a code: only who has its secret can tell whose it is


def valid_then(certificate: Mapping[str, Any], lookup: Entry) -> None:
    """The certificate's own dates allow a release at the time of the lookup."""
    nbf, exp = certificate.get("nbf"), certificate.get("exp")
    if nbf is not None and lookup.time_ms < 1000 * nbf:
        raise Fault("grant.certificate_not_yet_valid", lookup.seq)
    if exp is not None and lookup.time_ms >= 1000 * exp:
        raise Fault("grant.certificate_expired", lookup.seq)


def disclosed(
    encoded: str, certificate: Mapping[str, Any], lookup: Entry, payload: Mapping[str, Any]
) -> Disclosure:
    """The field, once the issuer signed its digest and the lookup was given it."""
    digests = certificate.get("_sd")
    try:
        field = open_disclosure(encoded)
        digest = b64url(sha256(encoded.encode("ascii")))
    except (StatementError, UnicodeEncodeError):
        raise Fault("disclosure.malformed") from None
    if certificate.get("_sd_alg") != "sha-256" or not isinstance(digests, list):
        raise Fault("disclosure.not_issued")
    if digest not in digests:
        raise Fault("disclosure.not_issued")
    if lookup.decision is not Decision.RELEASED or field.name not in payload["fields"]:
        raise Fault("disclosure.not_released", lookup.seq)
    return field


def replay(changes: list[Entry]) -> tuple[State, Entry | None]:
    """The state that changes of status, in order, lead to, and the last that changed it."""
    state, last = State.ACTIVE, None
    for entry in changes:
        try:
            action = Action(entry.reason or "")
            new = after(state, action)
        except (ValueError, IllegalTransition):
            raise Fault("status.illegal", entry.seq) from None
        if entry.state != _STATE_AFTER[action]:
            raise Fault("status.illegal", entry.seq)
        if action is not Action.ERASE:
            state, last = new, entry
    return state, last


def of_dispute(
    dispute: Line, payload: Mapping[str, Any], disputed: Entry, later: list[Entry]
) -> None:
    """The dispute is of this entry, and what came ``later`` of this dispute."""
    seq = dispute.entry.seq
    if payload["seq"] != disputed.seq or disputed.seq >= seq:
        raise Fault("dispute.other_entry", seq)
    if disputed.kind not in (EventKind.LOOKUP, EventKind.GRANT):
        raise Fault("dispute.other_entry", seq)
    for entry in (dispute.entry, *later):
        if _place(entry) != _place(disputed):
            raise Fault("dispute.other_entry", entry.seq)


def of_questions(
    questions: list[Entry],
    answers: list[tuple[Entry, Mapping[str, Any]]],
    disputed: Entry,
    resolved: Entry | None,
) -> dict[int, Entry]:
    """The answer to each question that has one. All of them came before the resolution, a
    department was asked about its own lookup, and each answer is of who was asked."""
    asked = {entry.seq: entry for entry in questions}
    answered: dict[int, Entry] = {}
    for entry in (*questions, *(entry for entry, _ in answers)):
        if resolved is not None and entry.seq > resolved.seq:
            raise Fault("dispute.question", entry.seq)
        if entry.reason == Asked.DEPARTMENT and disputed.kind is not EventKind.LOOKUP:
            raise Fault("dispute.question", entry.seq)
    for entry, payload in answers:
        question = asked.get(payload["seq"])
        if question is None or question.seq >= entry.seq or question.seq in answered:
            raise Fault("dispute.question", entry.seq)
        if entry.reason != question.reason:
            raise Fault("dispute.question", entry.seq)
        answered[question.seq] = entry
    return answered


def _place(entry: Entry) -> tuple[str | None, ...]:
    return (
        entry.certificate,
        entry.grant,
        entry.terminal,
        entry.site,
        entry.department,
        entry.service_item,
        entry.staff,
    )
