"""What happened, told from a bundle that held: the sentence, the parties, the timeline.

Pure. Only ever asked about a bundle in which no check failed: every statement that is given is
then of its key and its entry. A withheld one is left out and said to be.

An entry of a kind that has no words here yet stands in the timeline under its kind's name, with
whatever text its signer wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from audit.evidence.bundle import Bundle, Line
from audit.evidence.verification import Report
from audit.report.content import Event, Names, Row, Section, Timeline
from audit.report.words import Phrases, local_time, plain, utc_time
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Decision, Entry, EventKind
from ledger.statement.kinds import Asked, Grant

#: Characters of a key's thumbprint in the timeline; the whole is among the proofs.
SHORT_KEY = 10
#: Signed by a holder's device, whatever came of it.
_HOLDERS = frozenset({EventKind.GRANT, EventKind.REVOCATION, EventKind.DISPUTE, EventKind.ANSWER})
_ENROLLING = frozenset({EventKind.ENROLMENT, EventKind.INVITATION})
#: The member of an entry by which there are different words for its kind.
_SORTED_BY = {
    EventKind.STATUS: "reason",
    EventKind.LOOKUP: "decision",
    EventKind.QUESTION: "reason",
    EventKind.ANSWER: "reason",
    EventKind.RESOLUTION: "state",
}
#: Who froze or restored a device, by the role that its entry has.
_HALTED_BY = {"holder": "signer.holder", "issuer": "signer.identity", "auditor": "signer.auditor"}


class Story:
    """One bundle, read once for all parts of the report."""

    def __init__(self, bundle: Bundle, report: Report, names: Names, phrases: Phrases) -> None:
        self._bundle, self._report = bundle, report
        self._names, self._say = names, phrases
        self._said = {
            line.entry.seq: _payload(line.statement)
            for line in bundle.lines
            if line.statement is not None
        }
        kinds = {"lookup": EventKind.LOOKUP, "certificate": EventKind.ISSUE}
        kinds |= {"grant": EventKind.GRANT, "dispute": EventKind.DISPUTE}
        self._about = self._first(kinds[bundle.subject.kind])

    # --- the sentence -------------------------------------------------------------------------

    def sentence(self) -> str:
        return {
            "lookup": self._sentence_of_lookup,
            "certificate": self._sentence_of_certificate,
            "grant": self._sentence_of_grant,
            "dispute": self._sentence_of_dispute,
        }[self._bundle.subject.kind](self._about)

    def _sentence_of_lookup(self, entry: Entry) -> str:
        told = {
            **self._told(entry),
            "site": self._name(entry.site, self._names.sites),
            "type": self._a_certificate(entry.certificate),
        }
        if entry.decision is Decision.REFUSED:
            return self._say.say("said.refused", **told, reason=self._reason(entry))
        asked = self._fields(entry.certificate, self._said.get(entry.seq, {}).get("fields"))
        if not asked:
            return self._say.say("said.released.withheld", **told)
        return self._say.say("said.released", **told, fields=asked)

    def _reason(self, entry: Entry) -> str:
        """Why it was refused: told as a fact only where the grant and the request show it."""
        reason = self._say.reason(entry.reason or "")
        if any(check.code == "grant.refused_rightly" for check in self._report.checks):
            return reason
        return self._say.say("said.recorded", reason=reason)

    def _sentence_of_certificate(self, entry: Entry) -> str:
        told = {
            "time": self._say.time(entry.time_ms),
            "issuer": self._name(entry.department, self._names.institutions),
            "type": self._a_certificate(entry.certificate),
        }
        return self._say.say("said.certificate", **told, status=self._status_words())

    def _sentence_of_grant(self, entry: Entry) -> str:
        revoked = self._first_or_none(EventKind.REVOCATION)
        withdrawn = (
            self._say.say("said.grant.stands")
            if revoked is None
            else self._say.say("said.grant.withdrawn", time=self._say.time(revoked.time_ms))
        )
        grant = self._grant(entry)
        told = {**self._told(entry), "withdrawn": withdrawn}
        if grant is None:
            return self._say.say("said.grant.withheld", **told)
        types = [self._a_certificate(item.certificate_id) for item in grant.certificates]
        return self._say.say("said.grant", **told, types=self._say.listed(dict.fromkeys(types)))

    def _sentence_of_dispute(self, entry: Entry) -> str:
        settled = self._first_or_none(EventKind.RESOLUTION)
        key = f"said.dispute.{'open' if settled is None else settled.state}"
        time = "" if settled is None else self._say.time(settled.time_ms)
        disputed = self._disputed()
        return self._say.say(
            "said.dispute",
            time=self._say.time(entry.time_ms),
            seq="?" if disputed is None else disputed.seq,
            what="" if disputed is None else self._what(disputed).rstrip("。."),
            cause=self._say.say(f"cause.{entry.reason}"),
            outcome=self._say.say(key, time=time),
        )

    # --- sections -----------------------------------------------------------------------------

    def sections(self) -> Iterator[Section]:
        about = self._about
        yield self._section("parties", self._parties(about))
        yield self._section("business", self._business(about))
        yield self._section("place", self._place(about))
        if about.kind is EventKind.LOOKUP:
            yield self._section("decision", self._decision(about))
        fields = self._report.facts.get("fields")
        if fields:
            rows = [
                Row(self._field(about.certificate, name), (self._value(value),))
                for name, value in fields.items()
            ]
            yield Section(self._say.say("fields"), tuple(rows), self._say.say("fields.note"))
        yield self._section("certificate", self._certificate())
        yield self._section("grant", self._granted())
        if about.kind is EventKind.DISPUTE:
            yield self._section("dispute", self._dispute(about))

    def _section(self, key: str, rows: Iterator[tuple[str, str | tuple[str, ...]]]) -> Section:
        """``rows``: a label's key and what stands beside it; nothing there, no row."""
        kept = []
        for label, value in rows:
            lines = (value,) if isinstance(value, str) else value
            if any(lines):
                kept.append(Row(self._say.say(label), lines))
        return Section(self._say.say(key), tuple(kept))

    def _parties(self, about: Entry) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        issued = self._first_or_none(EventKind.ISSUE)
        if about.kind is not EventKind.ISSUE:
            yield "department", self._named(about.department, self._names.institutions)
            yield "staff", plain(about.staff or "")
        if issued is not None:
            yield "issuer", self._named(issued.department, self._names.institutions)
        yield "holder", self._say.say("holder.text")

    def _business(self, about: Entry) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        yield "item", self._named(about.service_item, self._names.items)
        for entry in (about, self._disputed()):
            said = {} if entry is None else self._said.get(entry.seq, {})
            yield "number", plain(str(said.get("business_number", "")))

    def _place(self, about: Entry) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        yield "site", self._named(about.site, self._names.sites)
        yield "terminal", plain(about.terminal or "")

    def _decision(self, about: Entry) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        said = self._said.get(about.seq)
        refused = about.decision is Decision.REFUSED
        yield "outcome", self._say.say("refused" if refused else "released")
        if refused:
            reason = about.reason or ""
            yield "reason", self._say.say("named", name=self._say.reason(reason), code=reason)
        if said is None:
            yield "given", self._say.say("withheld")
            return
        yield "asked" if refused else "given", self._fields(about.certificate, said["fields"])
        # Which way, never the code itself: it is nobody's business even when it has long expired.
        yield "shown", self._say.say(f"shown.{next(iter(said['presented']))}")

    def _certificate(self) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        issued = self._first_or_none(EventKind.ISSUE)
        certificate = self._about.certificate if issued is None else issued.certificate
        if certificate is None:
            return
        yield "type", self._type(certificate)
        yield "identifier", plain(certificate)
        if issued is not None:
            yield "status", self._status_words()
        erased = self._report.facts.get("erased")
        if erased:
            told = {"time": self._say.time(erased["time_ms"]), "seq": erased["seq"]}
            yield "content", self._say.say("content.erased", **told)

    def _granted(self) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        entry = self._first_or_none(EventKind.GRANT)
        if entry is None:
            return
        yield "grant_id", entry.grant or ""
        grant = self._grant(entry)
        if grant is None:
            yield "granted", self._say.say("withheld")
            return
        yield "mode", self._say.say(f"mode.{grant.mode}")
        yield (
            "granted",
            tuple(
                f"{self._type(item.certificate_id) or item.certificate_id}: "
                + self._fields(item.certificate_id, list(item.fields))
                for item in grant.certificates
            ),
        )
        yield "department", self._named(grant.grantee.department, self._names.institutions)
        yield "terminal", grant.grantee.terminal or ""
        yield "staff", grant.grantee.staff or ""
        yield "item", self._named(grant.purpose.service_item, self._names.items)
        yield "purpose", grant.purpose.text or ""
        yield "sites", tuple(self._named(site, self._names.sites) for site in grant.where.sites)
        first, last = local_time(grant.not_before_ms), local_time(grant.not_after_ms)
        span = self._say.say("span", first=first, last=last)
        yield "window", self._say.say("local", time=span)
        yield "uses", str(grant.limits.max_uses)

    def _dispute(self, about: Entry) -> Iterator[tuple[str, str | tuple[str, ...]]]:
        disputed = self._disputed()
        if disputed is not None:
            yield "disputed", f"{disputed.seq}: {self._what(disputed)}"
        yield "cause", self._say.say(f"cause.{about.reason}")
        course = [line for line in self._bundle.lines if line.entry.subject == about.subject]
        told: list[str] = []
        for line in course:
            told += [f"{self._say.time(line.entry.time_ms)}  {self._what(line.entry)}"]
            told += self._details(line)
        yield "course", tuple(told)
        settled = self._first_or_none(EventKind.RESOLUTION)
        yield "outcome", self._say.state("open" if settled is None else settled.state)

    # --- the timeline -------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        say = self._say.say
        return Timeline(
            say("timeline"),
            say("timeline.note"),
            (say("entry"), say("when"), say("what"), say("who")),
            tuple(
                Event(
                    line.entry.seq,
                    local_time(line.entry.time_ms),
                    utc_time(line.entry.time_ms),
                    self._what(line.entry),
                    self._details(line),
                    self.signer(line.entry),
                    line.entry.actor[:SHORT_KEY] + "…",
                )
                for line in self._bundle.lines
            ),
        )

    def _what(self, entry: Entry) -> str:
        """One entry in a sentence."""
        if entry.kind is EventKind.REVOCATION and entry.subject is not None:
            sort: str | None = "device"
        elif entry.kind in _ENROLLING:
            sort = entry.state or ("holder" if entry.department is None else "key")
        else:
            sort = getattr(entry, _SORTED_BY.get(entry.kind, ""), None)
        key = f"event.{entry.kind}" + (f".{sort}" if sort else "")
        return self._say.say(
            key if self._say.knows(key) else "event.other",
            kind=entry.kind,
            issuer=self._name(entry.department, self._names.institutions),
            department=self._name(entry.department, self._names.institutions),
            type=self._a_certificate(entry.certificate),
            terminal=plain(entry.terminal or ""),
        )

    def _details(self, line: Line) -> tuple[str, ...]:
        entry, said = line.entry, self._said.get(line.entry.seq)
        if said is None:
            return (self._say.say("withheld"),)
        details = []
        if entry.kind is EventKind.LOOKUP:
            if entry.decision is Decision.REFUSED:
                details.append(self._say.reason(entry.reason or ""))
            details.append(self._fields(entry.certificate, said["fields"]))
        if isinstance(said.get("ground"), str):
            details.append(self._say.ground(said["ground"]))
        # Whatever the signer wrote: an issuer gives a reason, all others a text.
        details += [
            self._say.say("quoted", text=plain(said[name]))
            for name in ("text", "reason")
            if isinstance(said.get(name), str)
        ]
        return tuple(details)

    def signer(self, entry: Entry) -> str:
        """Whose key signed the entry's statement, as the entry tells it."""
        if entry.kind in (EventKind.ISSUE, EventKind.STATUS):
            return self._name(entry.department, self._names.institutions)
        if entry.kind is EventKind.ANSWER and entry.reason != Asked.HOLDER:
            return self._name(entry.department, self._names.institutions)
        if entry.kind is EventKind.LOOKUP:
            return self._say.say("signer.terminal", terminal=plain(entry.terminal or ""))
        if entry.kind in _HOLDERS or entry.state == "withdrawn":
            return self._say.say("signer.holder")
        if entry.kind in (EventKind.QUESTION, EventKind.RESOLUTION):
            return self._say.say("signer.auditor")
        if entry.kind is EventKind.ENROLMENT and entry.reason is not None:
            return self._say.say(_HALTED_BY[entry.reason])
        if entry.kind in _ENROLLING:
            own = entry.actor == entry.subject
            return self._say.say("signer.self" if own else "signer.enroller")
        return ""

    # --- finding and naming -------------------------------------------------------------------

    def _first_or_none(self, kind: EventKind) -> Entry | None:
        return next((line.entry for line in self._bundle.lines if line.entry.kind is kind), None)

    def _first(self, kind: EventKind) -> Entry:
        found = self._first_or_none(kind)
        assert found is not None  # check 1 found it
        return found

    def _disputed(self) -> Entry | None:
        if self._about.kind is not EventKind.DISPUTE:
            return None
        seq = self._said[self._about.seq]["seq"]
        return next((line.entry for line in self._bundle.lines if line.entry.seq == seq), None)

    def _grant(self, entry: Entry) -> Grant | None:
        said = self._said.get(entry.seq)
        return None if said is None else Grant.parse(said)

    def _told(self, entry: Entry) -> dict[str, str]:
        return {
            "time": self._say.time(entry.time_ms),
            "department": self._name(entry.department, self._names.institutions),
            "item": self._name(entry.service_item, self._names.items),
        }

    def _name(self, code: str | None, names: Mapping[str, str]) -> str:
        return plain(names.get(code or "", code or ""))

    def _named(self, code: str | None, names: Mapping[str, str]) -> str:
        return plain(self._say.named(code, names)) if code else ""

    def _type(self, certificate: str | None) -> str:
        return self._names.types.get(_type_code(certificate), "")

    def _a_certificate(self, certificate: str | None) -> str:
        type_ = self._type(certificate)
        return self._say.say("a.type", type=type_) if type_ else self._say.say("a.certificate")

    def _field(self, certificate: str | None, name: str) -> str:
        return self._names.fields.get(_type_code(certificate), {}).get(name, plain(name))

    def _fields(self, certificate: str | None, names: list[str] | None) -> str:
        return self._say.listed(self._field(certificate, name) for name in names or ())

    def _value(self, value: object) -> str:
        if isinstance(value, bool):
            return self._say.say("yes" if value else "no")
        return plain(str(value))

    def _status_words(self) -> str:
        check = next((item for item in self._report.checks if item.name == "status"), None)
        return (
            "" if check is None else _sentence(self._say.found(check.code, check.told), self._say)
        )


def _sentence(text: str, phrases: Phrases) -> str:
    end = "." if phrases.language == "en" else "。"
    return text[:1].upper() + text[1:] + end


def _payload(token: str) -> dict[str, Any]:
    """What was signed; verified before anybody reads it here."""
    payload: dict[str, Any] = orjson.loads(b64url_decode(token.split(".")[1]))
    return payload


def _type_code(certificate: str | None) -> str:
    """The type in an identifier: ``1.2.156.3005.2.<type>.<issuer>.…``."""
    parts = (certificate or "").split(".")
    return parts[5] if len(parts) > 5 else ""
