"""What the human report says around the facts: headings, sentences, labels, and how they are filled
in. English here, Chinese in `audit.report.words_zh`.

Codes and identifiers are filled in by `audit.report.composition`; what the checks say is in
`audit.evidence.words` and `audit.evidence.words_zh`. A test holds the two languages together, to
the last value to fill in. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from audit.evidence.words import LIMITS, WORDS
from audit.evidence.words_zh import LIMITS as LIMITS_ZH
from audit.evidence.words_zh import WORDS as WORDS_ZH
from audit.report.words_zh import ZH
from authz.lookup.reasons import REASONS
from ledger.certificate.credential import CITY_TIME

# What is put in place of what hides or turns other characters: controls, fillers, direction marks,
# separators, variation selectors, noncharacters, tags. A list, and not the table of what may be
# signed: also what nobody could sign is printed, whatever Unicode this Python has.
_HIDING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff"
    "\ufdd0-\ufdef\ud800-\udfff\U000e0000-\U000e0fff]"
)
#: Characters of one text that are printed; the longest that people may write has 500.
MAX_SHOWN = 600

EN: Final[Mapping[str, str]] = {
    "title": "Evidence report",
    "about.lookup": "on a lookup, entry {name} of the ledger",
    "about.certificate": "on certificate {name}",
    "about.grant": "on grant {name}",
    "about.dispute": "on dispute {name}",
    "about.nothing": "on a file that did not pass verification",
    "made": "Made on {time} from the evidence file alone.",
    "made.named": "Made on {time} from the evidence file alone; the names of departments and "
    "sites, where they stand beside a code, are the maker's addition.",
    "verdict.verified": "VERIFIED",
    "verdict.verified.text": "The evidence was checked step by step, and nothing in it was found "
    "wrong. What follows is what it proves.",
    "verdict.verified.open": "No check failed; what is not proven is named below.",
    "verdict.incomplete": "INCOMPLETE",
    "verdict.incomplete.text": "Nothing was found wrong, but a part of the proof is missing. Do "
    "not rely on what follows until it is there:",
    "verdict.failed": "FAILED",
    "verdict.failed.text": "This file does not prove what it says: something in it was altered, "
    "is missing or does not belong there. So that nothing of it is taken for a fact, this report "
    "repeats none of it.",
    "qr": "Scan to check the file yourself",
    "page": "Page {page} of {pages}",
    "footer": "SHA-256 of the evidence file",
    "named": "{name} ({code})",
    "quoted": '"{text}"',
    "list": ", ",
    "span": "{first} to {last}",
    "local": "{time} UTC+8",
    # Sentences: what happened
    "said.released": 'On {time}, {department} looked up {type} at {site} for "{item}". By the '
    "holder's grant it was given: {fields}.",
    "said.released.withheld": 'On {time}, {department} looked up {type} at {site} for "{item}" '
    "and was given what it had asked for by the holder's grant.",
    "said.refused": 'On {time}, {department} tried to look up {type} at {site} for "{item}". It '
    "was refused and given nothing. {reason}",
    "said.recorded": "Recorded reason: {reason}",
    "said.certificate": "On {time}, {issuer} issued {type}. {status}",
    "said.grant": 'On {time}, the holder granted {department} a look at {types} for "{item}". '
    "{withdrawn}",
    "said.grant.withheld": 'On {time}, the holder granted {department} a look for "{item}". '
    "{withdrawn}",
    "said.grant.withdrawn": "The holder withdrew the grant on {time}.",
    "said.grant.stands": "This evidence holds no withdrawal.",
    "said.dispute": "On {time}, the holder disputed entry {seq} ({what}): {cause}. {outcome}",
    "said.dispute.open": "No resolution is shown here, which does not say that there is none.",
    "said.dispute.upheld": "On {time} the auditor found for the holder.",
    "said.dispute.rejected": "On {time} the auditor rejected the dispute.",
    "said.dispute.withdrawn": "On {time} the holder took the dispute back.",
    "a.type": "a certificate ({type})",
    "a.certificate": "a certificate",
    # Sections
    "parties": "Parties",
    "business": "Business",
    "place": "Place",
    "decision": "Decision",
    "fields": "Disclosed content",
    "fields.note": "Signed by the issuer, and released by this lookup.",
    "certificate": "Certificate",
    "grant": "The holder's grant",
    "dispute": "Dispute",
    "course": "Course",
    "timeline": "Timeline",
    "timeline.note": "Every entry in the evidence. Local time is UTC+8; an entry's time is what "
    "the ledger wrote.",
    "checks": "The checks",
    "checks.note": "By the protocol that is written down with certledger (docs/evidence.md). "
    "Those that do not concern this evidence are left out. What is not proven may still be so: "
    "this evidence does not show it.",
    "checks.failed.note": " For checks that did not fail only their outcome is shown.",
    "limits": "What no evidence file shows",
    "proofs": "Proofs",
    "trusted": "Held against this trust file",
    "trusted.note": "The report is as good as this: compare it with what the other members of the "
    "consortium have.",
    "steps": "Verify it yourself",
    # Labels
    "department": "Department",
    "holder": "Holder",
    "holder.text": "the holder; no ledger entry names a person",
    "issuer": "Issued by",
    "staff": "Member of staff",
    "terminal": "Terminal",
    "site": "Site",
    "sites": "Sites",
    "item": "Service item",
    "number": "Business number",
    "purpose": "Purpose, in the holder's words",
    "outcome": "Outcome",
    "reason": "Reason",
    "asked": "Asked for",
    "given": "Given",
    "shown": "Shown by the holder",
    "type": "Type",
    "identifier": "Identifier",
    "status": "Status",
    "content": "Content",
    "content.erased": "erased on {time} (entry {seq}); the proofs still hold",
    "grant_id": "Identifier",
    "granted": "May be looked up",
    "window": "In this time",
    "uses": "Uses at most",
    "mode": "Way",
    "disputed": "Disputed entry",
    "cause": "Cause",
    "digest": "SHA-256 of the file",
    "size": "Size of the file",
    "bytes": "{count} bytes",
    "origin": "Log",
    "checkpoint": "Checkpoint",
    "checkpoint.text": "{size} entries",
    "root": "Root of the log",
    "block.now": "Block with that root",
    "block.then": "All entries recorded by",
    "block.text": "number {number}, {time}",
    "chain": "Chain",
    "sealers": "Sealers",
    "log_key": "Key of the log",
    "policy": "Witnesses asked for",
    "directory": "Directory contract",
    "checkpoint_log": "Checkpoint contract",
    "status_registry": "Status contract",
    "signed_by": "Key of {who}, entries {seqs}",
    "entry": "Entry",
    "when": "Local time, UTC",
    "what": "What happened",
    "who": "Signed by",
    "check": "Check",
    "result": "Result",
    "finding": "What was found",
    "at_entry": "{words} (entry {seq})",
    "withheld": "the signed statement is withheld for now",
    "yes": "yes",
    "no": "no",
    # Steps
    "step.digest": "Is this report of the file that you hold? Its SHA-256 must be the one at the "
    "foot of every page.",
    "step.page": "In a browser, without installing anything: open this address, or scan the code "
    "on the first page, and drop the file there.",
    "step.trust": "To take nobody's word: fetch the trust file once and compare it with what the "
    "other members of the consortium have.",
    "step.verify": "Then check the file offline, with no service, database or chain.",
    "step.own": "Or write a verifier of your own: the protocol is docs/evidence.md in "
    "certledger's sources.",
    # Who signs, by role
    "signer.holder": "the holder's device",
    "signer.auditor": "auditor",
    "signer.enroller": "the enrolling office",
    "signer.identity": "the authority for the holder's identity",
    "signer.self": "the key itself, with a one-time code",
    "signer.terminal": "terminal {terminal}",
    # Outcomes, states, modes, causes
    "proven": "holds",
    "failed": "FAILED",
    "not_proven": "not proven",
    "released": "released",
    "refused": "refused",
    "state.active": "active",
    "state.suspended": "suspended",
    "state.revoked": "revoked",
    "state.superseded": "superseded",
    "state.erased": "erased",
    "state.open": "no resolution is shown",
    "state.upheld": "upheld",
    "state.rejected": "rejected",
    "state.withdrawn": "withdrawn",
    "mode.direct": "directly, to the department",
    "mode.scan": "by a code on the phone",
    "mode.request": "in answer to a counter's or kiosk's request",
    "shown.code": "a code on the phone",
    "shown.spoken": "eight spoken digits",
    "shown.grant_id": "nothing: the grant named the department directly",
    "shown.request_id": "an approval on the phone",
    "cause.not_me": "this was not me",
    "cause.wrong_fields": "they asked for more than the business needs",
    "cause.wrong_purpose": "another purpose than was agreed",
    "cause.other": "another reason",
    "ground": "Ground: {ground}",
    "ground.retention_over": "the time for which it is to be kept is over",
    "ground.unlawful": "it was collected or kept against the law",
    "ground.court_order": "an order of a court or authority",
    "ground.issued_in_error": "issued in error",
    # Timeline, by kind of entry and what it says
    "event.issue": "{issuer} issued {type}.",
    "event.status.suspend": "{issuer} suspended the certificate.",
    "event.status.restore": "{issuer} restored the certificate.",
    "event.status.revoke": "{issuer} revoked the certificate.",
    "event.status.supersede": "{issuer} replaced the certificate by a newer one.",
    "event.status.erase": "{issuer} erased the certificate's content.",
    "event.grant": "The holder granted {department} a look.",
    "event.revocation": "The holder withdrew the grant.",
    "event.revocation.device": "The holder withdrew all that the device had granted.",
    "event.lookup.released": "{department} looked up, and was given what was granted.",
    "event.lookup.refused": "{department} tried to look up, and was refused.",
    "event.dispute": "The holder opened a dispute.",
    "event.resolution.upheld": "The auditor found for the holder.",
    "event.resolution.rejected": "The auditor rejected the dispute.",
    "event.resolution.withdrawn": "The holder took the dispute back.",
    "event.question.holder": "The auditor asked the holder.",
    "event.question.department": "The auditor asked {department}.",
    "event.answer.holder": "The holder answered.",
    "event.answer.department": "{department} answered.",
    "event.enrolment.holder": "A holder's device was enrolled.",
    "event.enrolment.key": "A terminal was enrolled: {terminal}.",
    "event.enrolment.suspended": "A holder's device was frozen.",
    "event.enrolment.restored": "A holder's frozen device was restored.",
    "event.invitation.holder": "A one-time code was made out for a holder's device.",
    "event.invitation.key": "A one-time code was made out for terminal {terminal}.",
    "event.other": 'An entry of kind "{kind}".',
    # Checks, by name
    "check.subject": "Subject",
    "check.signatures": "Signatures",
    "check.entries": "Entries",
    "check.checkpoint": "Checkpoint",
    "check.inclusion": "In the log",
    "check.seal": "Block seal",
    "check.anchor": "On the chain",
    "check.recorded": "Recorded by",
    "check.keys": "Institutions' keys",
    "check.enrolments": "Devices, terminals",
    "check.order": "Order",
    "check.grant": "Grant",
    "check.status": "Status",
    "check.disclosures": "Content",
    "check.dispute": "Dispute",
    "check.complete": "Nothing extra",
    "limit.holder": "Who the holder is",
    "limit.absence": "What did not happen",
    "limit.allowance": "What the item may ask",
    "limit.validity": "Its dates",
    "limit.time": "The very moment",
}


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's phrases, and how it writes times, lists and names."""

    language: str

    def say(self, key: str, **values: object) -> str:
        return self._texts[key].format(**values)

    def knows(self, key: str) -> bool:
        return key in self._texts

    def state(self, code: str | None) -> str:
        """A state in words; a code that is new stands for itself."""
        key = f"state.{code}"
        return self.say(key) if self.knows(key) else str(code)

    def ground(self, code: str) -> str:
        """Why content was erased; a code that is new stands for itself."""
        key = f"ground.{code}"
        return self.say("ground", ground=self.say(key) if self.knows(key) else plain(code))

    def found(self, code: str, told: Mapping[str, Any]) -> str:
        """What a check found, with the reasons, states and lists in it in this language too."""
        words = WORDS_ZH if self.language != "en" else WORDS
        values = dict(told)
        if "reason" in values:
            values["reason"] = self.say("quoted", text=self.reason(values["reason"]).rstrip("。."))
        if self.language != "en":
            for name in ("state", "state_now"):
                if name in values:
                    values[name] = self.state(values[name])
            if "blocks" in values:
                values["blocks"] = values["blocks"].partition(" ")[2].replace(" and ", " 和 ")
        return words[code].format(**values)

    def limits(self) -> Mapping[str, str]:
        return LIMITS_ZH if self.language != "en" else LIMITS

    def reason(self, code: str) -> str:
        """Why something was refused: what was so, without the next step, which is the clerk's."""
        reason = REASONS.get(code)
        if reason is None:
            return code
        if self.language == "en":
            return reason.en.split(". ")[0].rstrip(".") + "."
        return reason.zh.split("。")[0] + "。"

    def time(self, ms: int) -> str:
        """In the city's time, and saying so."""
        return self.say("local", time=local_time(ms))

    def named(self, code: str, names: Mapping[str, str]) -> str:
        name = names.get(code)
        return code if name is None else self.say("named", name=name, code=code)

    def listed(self, items: Iterable[str]) -> str:
        return self.say("list").join(items)

    @property
    def _texts(self) -> Mapping[str, str]:
        return EN if self.language == "en" else ZH


def local_time(ms: int) -> str:
    """In the city's time, to the second."""
    return _clock(ms, CITY_TIME)


def utc_time(ms: int) -> str:
    return _clock(ms, UTC)


def _clock(ms: int, zone: tzinfo) -> str:
    # Beyond the calendar only for what nobody sealed.
    try:
        return datetime.fromtimestamp(ms // 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(ms // 1000)


def plain(text: str) -> str:
    """A text of somebody else's, fit for print: one line, and nothing that hides or turns it."""
    shown = _HIDING.sub("\ufffd", " ".join(text[:MAX_SHOWN].split()))
    return shown + "…" if len(text) > MAX_SHOWN else shown
