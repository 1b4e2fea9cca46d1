"""The numbered protocol by which a bundle is verified, with nothing but the bundle and the trust
file: no server, no database, no chain, no clock.

 1. ``subject``: what the bundle is about is in it
 2. ``signatures``: each statement is signed by the key that it names
 3. ``entries``: each entry is of its statement, and says what that says
 4. ``checkpoint``: the checkpoint is signed by the trusted log's key, and cosigned as is asked for
 5. ``inclusion``: each entry is in the tree of the checkpoint
 6. ``seal``: each block is sealed by a trusted sealer of the trusted chain
 7. ``anchor``: the contract, by its storage, holds the checkpoint's root at its size
 8. ``recorded``: in which block they were first on the chain, and that no time is off from that
 9. ``keys``: each institution's key is in the directory contract: role, institution, valid then
10. ``enrolments``: each holder's device and terminal was enrolled, as what it acted, before
11. ``order``: what must come first came first, and times do not run backwards
12. ``grant``: the grant covers the lookup, or the reason of the refusal holds
13. ``status``: the certificate's state, by the status registry's storage
14. ``disclosures``: each disclosed field is the issuer's, and was released by this lookup
15. ``dispute``: the dispute is of this entry; questions, answers and resolution are of the dispute
16. ``complete``: every key and every proof that is given was needed

A check is *proven*, *failed* or *not proven*, with a code that is fixed for ever and words that
are not (`audit.evidence.words`). 12 to 15 are left out where the bundle has nothing that they are
about. The verdict is ``failed`` when a check failed; ``incomplete`` when something is missing that
a bundle of this kind can have, or a seal is of a scheme that is not known here: then all else is
checked, and what rests on a block is not proven; ``verified`` otherwise. What no bundle can show is
in `LIMITS`.

Not this module's job: the format (`audit.evidence.bundle`), where a bundle comes from
(`audit.evidence.gathering`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from audit.evidence import claims
from audit.evidence.bundle import (
    EMBEDDED_SEAL,
    Bundle,
    Contract,
    Line,
    SealedBlock,
    Trust,
    thumbprint,
)
from audit.evidence.claims import Fault
from audit.evidence.state_proofs import (
    Header,
    Nodes,
    ProofFault,
    account_at,
    read_header,
    storage_at,
)
from audit.evidence.words import LIMITS, WORDS
from ledger.certificate.identifiers import issuer_in
from ledger.certificate.lifecycle import CHAIN_STATE, State
from ledger.chain import layout
from ledger.node.engine import seal
from ledger.proof.cosignatures import cosignatures
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Decision, Entry, EventKind
from ledger.proof.merkle import ProofError, root_from_inclusion
from ledger.proof.notes import Checkpoint, NoteError, open_checkpoint, signature_lines
from ledger.statement.kinds import Asked, Grant
from ledger.statement.statements import Kind, Statement, StatementError
from ledger.statement.statements import read_header as read_token_header
from ledger.statement.statements import verify as verify_statement

PROVEN, FAILED, NOT_PROVEN = "proven", "failed", "not_proven"
VERIFIED, INCOMPLETE = "verified", "incomplete"
REPORT_VERSION = 1
#: A clock may be set back by so much; also how far a block's time, in whole seconds and by another
#: clock, may lie before that of an entry which it records.
CLOCK_STEP_MS = 60_000
#: The last second that a calendar of four digits has: no witness is right about a later one.
LAST_SECOND = 253_402_300_799
#: Not proven for want of something that a bundle of this kind can have.
GAPS = frozenset({"statement.withheld", "seal.unknown_scheme", "block.unsealed", "earlier.failed"})
#: What is wrong with a statement whose signature is right; told by these codes.
_OWN_WORDS = frozenset({"statement.ledger", "statement.not_canonical"})
#: Facts that are read from a block.
_OF_BLOCKS = ("block", "recorded_by", "status")
_SECP256K1_HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_NEVER_CHANGED = (State.ACTIVE, 0)
_STATES = {number: state for state, number in CHAIN_STATE.items()}


@dataclass(frozen=True, slots=True)
class Check:
    """One step of the protocol; ``seq`` is the entry at which it failed, ``told`` what its words
    were filled with, for those who say them in another language."""

    number: int
    name: str
    outcome: str
    code: str
    words: str
    seq: int | None = None
    told: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "number": self.number,
            "name": self.name,
            "outcome": self.outcome,
            "code": self.code,
            "words": self.words,
        }
        return value if self.seq is None else {**value, "seq": self.seq}


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. ``facts`` are what is proven of the subject."""

    subject: Mapping[str, Any]
    checks: tuple[Check, ...]
    facts: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        if any(check.outcome == FAILED for check in self.checks):
            return FAILED
        if any(check.outcome == NOT_PROVEN and check.code in GAPS for check in self.checks):
            return INCOMPLETE
        return VERIFIED

    def to_json(self) -> dict[str, Any]:
        return {
            "v": REPORT_VERSION,
            "kind": "evidence",
            "subject": dict(self.subject),
            "verdict": self.verdict,
            "verified": self.verdict == VERIFIED,
            "checks": [check.to_json() for check in self.checks],
            # Nothing of a forged bundle may be read as if it were a result.
            "facts": {} if self.verdict == FAILED else dict(self.facts),
            "limits": [{"name": name, "words": words} for name, words in LIMITS.items()],
        }


def verify_bundle(bundle: Bundle, trust: Trust) -> Report:
    """Run the protocol. Whatever the bundle holds, the outcome is a report."""
    return _Protocol(bundle, trust).run()


def pruned(bundle: Bundle, trust: Trust) -> Bundle:
    """The bundle without the parts of proofs that no check needs."""
    protocol = _Protocol(bundle, trust)
    protocol.run()
    if not protocol.headers:  # sealed in a way that this version cannot judge: nothing was walked
        return bundle
    needed = () if protocol.nodes is None else tuple(protocol.nodes.needed)
    return replace(bundle, nodes=needed)


class _Gap(Exception):
    """It cannot be told, for the reason that ``code`` names."""

    def __init__(self, code: str, **told: Any) -> None:
        super().__init__(code)
        self.code, self.told = code, told


@dataclass(frozen=True, slots=True)
class _Proven:
    code: str
    told: Mapping[str, Any] = field(default_factory=dict)


class _Protocol:
    """The steps, and what the earlier ones leave for the later ones."""

    def __init__(self, bundle: Bundle, trust: Trust) -> None:
        self.bundle, self.trust, self.lines = bundle, trust, bundle.lines
        self.keys_used: set[str] = set()
        self.lines_used: set[int] = set()
        self.statements: dict[int, Statement] = {}
        self.agreed: set[int] = set()
        self.checkpoint: Checkpoint | None = None
        self.headers: list[Header] = []
        self.facts: dict[str, Any] = {}
        self.nodes: Nodes | None = None
        #: Of an engine whose seal this version does not know: what its blocks say is checked, and
        #: not proven by it.
        self.unsealed = False
        self.read_block = False
        self.failed = False

    def run(self) -> Report:
        checks: tuple[Check, ...] = ()
        for number, name, run in self._steps():
            checks += (_outcome(number, name, self._conditional, run),)
            self.failed = self.failed or checks[-1].outcome == FAILED
        if self.unsealed:
            self.facts = {k: v for k, v in self.facts.items() if k not in _OF_BLOCKS}
        return Report(self.bundle.subject.to_json(), checks, self.facts)

    def _conditional(self, run: Callable[[], _Proven]) -> _Proven:
        """Where nobody's seal vouches for a block, what agrees with it is not proven by it."""
        self.read_block = False
        done = run()
        if self.unsealed and self.read_block:
            raise _Gap("block.unsealed")
        return done

    def _steps(self) -> Iterator[tuple[int, str, Callable[[], _Proven]]]:
        about = {line.entry.kind for line in self.lines}
        yield 1, "subject", self._subject
        yield 2, "signatures", self._signatures
        yield 3, "entries", self._entries
        yield 4, "checkpoint", self._checkpoint
        yield 5, "inclusion", self._inclusion
        yield 6, "seal", self._seal
        yield 7, "anchor", self._anchor
        yield 8, "recorded", self._recorded
        yield 9, "keys", self._keys
        yield 10, "enrolments", self._enrolments
        yield 11, "order", self._order
        if EventKind.LOOKUP in about:
            yield 12, "grant", self._grant
        if EventKind.ISSUE in about or EventKind.STATUS in about:
            yield 13, "status", self._status
        if self.bundle.disclosures:
            yield 14, "disclosures", self._disclosures
        if EventKind.DISPUTE in about or EventKind.RESOLUTION in about:
            yield 15, "dispute", self._dispute
        yield 16, "complete", self._complete

    # --- what is in the bundle ----------------------------------------------------------------

    def _of(self, *kinds: EventKind) -> list[Line]:
        return [line for line in self.lines if line.entry.kind in kinds]

    def _one(self, kind: EventKind, member: str, value: object) -> Line | None:
        """The only entry of the kind with that member; None for none or several."""
        found = [line for line in self._of(kind) if getattr(line.entry, member) == value]
        return found[0] if len(found) == 1 else None

    def _about(self) -> Line:
        subject = self.bundle.subject
        kind, member = _ABOUT[subject.kind]
        line = self._one(kind, member, subject.name)
        if line is None:
            raise Fault("subject.missing")
        return line

    def _said(self, line: Line) -> Mapping[str, Any]:
        """What was signed, once signature and entry were found to be right."""
        if line.statement is None:
            raise _Gap("statement.withheld")
        if line.entry.seq not in self.agreed:
            raise _Gap("earlier.failed")
        return self.statements[line.entry.seq].payload

    # --- 1 to 5: statements, entries, log -----------------------------------------------------

    def _subject(self) -> _Proven:
        entry = self._about().entry
        single, allowed = set[EventKind](), _ALLOWED[self.bundle.subject.kind]
        for line in self.lines:
            kind = line.entry.kind
            if kind not in allowed or kind in single:
                raise Fault("subject.foreign", line.entry.seq)
            if kind not in _SEVERAL:
                single.add(kind)
        self.lines_used.add(entry.seq)
        self.facts["entry"] = _shown(entry)
        return _Proven("subject.found", {"seq": entry.seq})

    def _signatures(self) -> _Proven:
        try:
            keys = dict(thumbprint(jwk) for jwk in self.bundle.keys)
        except StatementError:
            raise Fault("key.malformed") from None
        faults: list[Fault] = []
        for line in self.lines:
            if line.statement is None:
                continue
            try:
                kid = read_token_header(line.statement).kid
                if kid not in keys:
                    raise Fault("signature.no_key", line.entry.seq)
                self.statements[line.entry.seq] = verify_statement(
                    line.statement, keys[kid], self.trust.log.name
                )
                self.keys_used.add(kid)
            except StatementError as error:
                code = error.code if error.code in _OWN_WORDS else "signature.invalid"
                faults.append(Fault(code, line.entry.seq))
            except Fault as fault:
                faults.append(fault)
        if faults:
            raise faults[0]
        if len(self.statements) < len(self.lines):
            raise _Gap("statement.withheld")
        return _Proven("signature.valid", {"count": len(self.statements)})

    def _entries(self) -> _Proven:
        faults: list[Fault] = []
        for line in self.lines:
            statement = self.statements.get(line.entry.seq)
            try:
                if not line.entry.closed:
                    raise Fault("entry.members", line.entry.seq)
                if statement is None:
                    continue
                claims.agrees(line.entry, statement)
                self.agreed.add(line.entry.seq)
            except Fault as fault:
                faults.append(fault)
        if faults:
            raise faults[0]
        for line in self.lines:
            self._said(line)
        return _Proven("entry.agrees")

    def _checkpoint(self) -> _Proven:
        key, note = self.trust.log, self.bundle.checkpoint
        try:
            checkpoint = open_checkpoint(note, key)
            body, _ = signature_lines(note)
        except (NoteError, ValueError):
            raise Fault("checkpoint.invalid") from None
        # Extra lines and second spellings would be covered by nothing.
        if checkpoint.origin != key.name or body != checkpoint.body():
            raise Fault("checkpoint.invalid")
        witnesses = self._witnesses()
        self.checkpoint = checkpoint
        told: dict[str, Any] = {"origin": checkpoint.origin, "size": checkpoint.size}
        facts = {**told, "root": "0x" + checkpoint.root.hex()}
        if not witnesses:
            self.facts["checkpoint"] = facts
            return _Proven("checkpoint.signed", told)
        self.facts["checkpoint"] = {**facts, "witnesses": witnesses}
        names = ", ".join(witness["name"] for witness in witnesses)
        return _Proven("checkpoint.witnessed", {**told, "witnesses": names})

    def _witnesses(self) -> list[dict[str, Any]]:
        """Who cosigned, of those that the trust file names, in its order."""
        policy = self.trust.policy
        try:
            found = cosignatures(self.bundle.checkpoint, policy.keys)
        except NoteError:
            raise Fault("checkpoint.cosignature") from None
        # What was cosigned was there: no entry that is shown can be younger, but for the clocks.
        youngest = max(line.entry.time_ms for line in self.lines)
        for time in found.values():
            if not 0 < time <= LAST_SECOND or 1000 * time + 999 < youngest - CLOCK_STEP_MS:
                raise Fault("checkpoint.witness_time")
        if not policy.holds(found):
            raise Fault("checkpoint.quorum")
        return [{"name": key.name, "time": time} for key, time in found.items()]

    def _inclusion(self) -> _Proven:
        checkpoint = self._need_checkpoint()
        for line in self.lines:
            entry = line.entry
            try:
                leaf = entry.leaf_hash()
                root = root_from_inclusion(leaf, entry.seq, checkpoint.size, line.proof)
            except ProofError:
                raise Fault("inclusion.malformed", entry.seq) from None
            if root != checkpoint.root:
                raise Fault("inclusion.other_root", entry.seq)
        return _Proven("inclusion.proven", {"size": checkpoint.size})

    # --- 6 to 8: chain ------------------------------------------------------------------------

    def _seal(self) -> _Proven:
        if any(block.scheme != self.trust.seal for block in self.bundle.blocks):
            raise Fault("seal.other_scheme")
        check = _SEALS.get(self.trust.seal)
        if check is None:
            self.unsealed = True
            with suppress(ProofFault):  # or of another form, and nothing can be read from it
                self.headers = [read_header(block.header) for block in self.bundle.blocks]
            raise _Gap("seal.unknown_scheme")
        headers = [read_header(block.header) for block in self.bundle.blocks]
        for block, header in zip(self.bundle.blocks, headers, strict=True):
            check(block, header, self.trust)
        self.headers = headers
        numbers = " and ".join(str(number) for number in sorted(h.number for h in headers))
        blocks = f"block {numbers}" if len(headers) == 1 else f"blocks {numbers}"
        return _Proven("seal.valid", {"chain_id": self.trust.chain_id, "blocks": blocks})

    def _anchor(self) -> _Proven:
        now, checkpoint = self._now(), self._need_checkpoint()
        slot = layout.root_slot(self._log_id(), checkpoint.size)
        if self._word(now, self.trust.checkpoint_log, slot) != int.from_bytes(
            checkpoint.root, "big"
        ):
            raise Fault("anchor.other_root")
        self.facts["block"] = _block_shown(now)
        return _Proven("anchor.held", {"block": now.number})

    def _recorded(self) -> _Proven:
        now, then = self._now(), self._then()
        if len(self.headers) > 1 and then.number >= now.number:
            raise Fault("recorded.order")
        head = self._word(then, self.trust.checkpoint_log, layout.head_slot(self._log_id()))
        size, _ = layout.split_head(head)
        newest = self.lines[-1].entry
        if size <= newest.seq:
            raise Fault("recorded.later", newest.seq)
        for line in self.lines:
            if line.entry.time_ms > 1000 * then.time + 999 + CLOCK_STEP_MS:
                raise Fault("recorded.time", line.entry.seq)
        self._not_before(then)
        self.facts["recorded_by"] = _block_shown(then)
        told = {"entry_time": _utc(self._about().entry.time_ms // 1000)}
        return _Proven("recorded.by", {"block": then.number, "time": _utc(then.time), **told})

    def _not_before(self, then: Header) -> None:
        """The block before did not have what this one recorded, which bounds its time from below:
        nobody had a reason to keep it for longer than the clocks may be off."""
        before = read_header(self.bundle.before)
        follows = before.number == then.number - 1
        # Engines that hash their headers in another way have no seal that is known here either.
        if not follows or not (self.unsealed or before.hash == then.parent):
            raise Fault("recorded.order")
        head = self._word(before, self.trust.checkpoint_log, layout.head_slot(self._log_id()))
        size, _ = layout.split_head(head)
        about = self._about().entry
        first = about if about.kind is EventKind.LOOKUP else self.lines[-1].entry
        if size > first.seq:
            raise Fault("recorded.earlier", first.seq)
        for line in self.lines:
            entry = line.entry
            if entry.seq >= size and entry.time_ms < 1000 * before.time - CLOCK_STEP_MS:
                raise Fault("recorded.backdated", entry.seq)

    # --- 9 to 11: who and when ----------------------------------------------------------------

    def _keys(self) -> _Proven:
        signed = [
            (line.entry, wanted)
            for line in self.lines
            if not self._is_approval(line) and (wanted := _institutional(line.entry))
        ]
        now = self._now()
        for entry, (roles, institution) in signed:
            whose, terms = self._directory(now, entry.actor)
            if terms.role == 0:
                raise Fault("key.unknown", entry.seq)
            if terms.role not in roles:
                raise Fault("key.role", entry.seq)
            if institution is not None and whose != layout.institution_id(institution):
                raise Fault("key.institution", entry.seq)
            seconds = entry.time_ms // 1000
            if not terms.not_before <= seconds < terms.not_after:
                raise Fault("key.validity", entry.seq)
            if terms.revoked_at and seconds > terms.revoked_at:
                raise Fault("key.revoked", entry.seq)
        return _Proven("key.trusted", {"block": now.number}) if signed else _Proven("key.none")

    def _is_approval(self, line: Line) -> bool:
        """Whether it is the word of a holder's device on another one."""
        statement = self.statements.get(line.entry.seq)
        return statement is not None and statement.payload.get("what") == "device"

    def _enrolments(self) -> _Proven:
        used = [(line.entry, _is_holders(line.entry)) for line in self.lines]
        acting = [(e, h) for e, h in used if h or e.kind is EventKind.LOOKUP]
        for entry, is_holder in acting:
            if is_holder:
                self._require_scope(entry, self._device(entry))
                continue
            enrolment = self._one(EventKind.ENROLMENT, "subject", entry.actor)
            if enrolment is None or enrolment.entry.seq >= entry.seq:
                raise Fault("enrolment.missing", entry.seq)
            said, invited = self._let_in(enrolment, entry)
            claims.made_terminal(enrolment, said, invited, entry)
        return _Proven("enrolment.proven" if acting else "enrolment.none")

    def _let_in(
        self, enrolment: Line, used: Entry
    ) -> tuple[Mapping[str, Any], claims.Invited | None]:
        """What the enrolment says, and the invitation that it claims."""
        said = self._said(enrolment)
        self.lines_used.add(enrolment.entry.seq)
        if self.statements[enrolment.entry.seq].kind is not Kind.CLAIM:
            if enrolment.entry.actor == enrolment.entry.subject:
                # Nobody enrols themselves without having been invited.
                raise Fault("enrolment.other_role", enrolment.entry.seq)
            return said, None
        invitation = self._one(EventKind.INVITATION, "subject", said["invitation"])
        if invitation is None:
            raise Fault("enrolment.missing", used.seq)
        self.lines_used.add(invitation.entry.seq)
        # Read first: whose it is stands in its entry, which is what was signed only if that agrees.
        invited = invitation.entry, self._said(invitation)
        _, terms = self._directory(self._now(), invitation.entry.actor)
        if terms.revoked_at and enrolment.entry.time_ms // 1000 > terms.revoked_at:
            # Whoever is trusted no more invites nobody any more.
            raise Fault("enrolment.invitation", enrolment.entry.seq)
        return said, invited

    def _device(self, used: Entry) -> str | None:
        """The department whose certificates alone the device spoke for when it signed ``used``;
        None for all."""
        enrolments = [
            line
            for line in self._of(EventKind.ENROLMENT)
            if line.entry.subject == used.actor
            and line.entry.seq < used.seq
            and not _is_halt(line.entry)
        ]
        if not enrolments:
            raise Fault("enrolment.missing", used.seq)
        if self._is_frozen(used.actor, used):
            raise Fault("enrolment.suspended", used.seq)
        for line in enrolments:
            claims.made_holder(line, *self._let_in(line, used))
            scope = line.entry.department
            if self._is_approval(line) and self._device(line.entry) is not None:
                raise Fault("enrolment.scope", line.entry.seq)
            if scope is not None and self._department(line) != layout.institution_id(scope):
                raise Fault("enrolment.scope", line.entry.seq)
        first, last = enrolments[0], enrolments[-1]
        if first is not last and (
            # A second word is another department's, or an own device's, and the last one.
            len(enrolments) > 2
            or first.entry.department is None
            or last.entry.department is not None
            or self._department(first) == self._department(last)
        ):
            raise Fault("enrolment.scope", last.entry.seq)
        return last.entry.department

    def _is_frozen(self, device: str, at: Entry) -> bool:
        """Whether by what is shown a holder's device was frozen at an entry."""
        frozen = False
        for line in self._of(EventKind.ENROLMENT):
            entry = line.entry
            if _is_halt(entry) and entry.subject == device and entry.seq < at.seq:
                self._said(line)
                self.lines_used.add(entry.seq)
                frozen = entry.state == "suspended"
        return frozen

    def _is_revoked(self, at: Entry) -> bool:
        """Whether by what is shown the grant was revoked before an entry; `order` says that the
        revocation is of this grant."""
        revocations = [line for line in self._of(EventKind.REVOCATION) if line.entry.seq < at.seq]
        for line in revocations:
            self._said(line)
        return bool(revocations)

    def _department(self, enrolment: Line) -> bytes | None:
        """The institution (as the directory names it) on whose word a device was let in; None for
        an own device's."""
        if self._is_approval(enrolment):
            return None
        said = self._said(enrolment)
        inviting = self._one(EventKind.INVITATION, "subject", said.get("invitation"))
        by = enrolment.entry.actor if inviting is None else inviting.entry.actor
        institution, _ = self._directory(self._now(), by)
        return institution

    def _require_scope(self, used: Entry, scope: str | None) -> None:
        if scope is None:
            return
        for line in self._of(EventKind.GRANT):
            for item in self._said(line)["certificates"]:
                if issuer_in(item["certificate_id"]) != scope:
                    raise Fault("enrolment.scope", used.seq)

    def _order(self) -> _Proven:
        highest = 0
        for line in self.lines:
            if line.entry.time_ms < highest - CLOCK_STEP_MS:
                raise Fault("order.times", line.entry.seq)
            highest = max(highest, line.entry.time_ms)
        for line in self.lines:
            entry = line.entry
            for kind, member, named_by, needed in _NEEDS.get(entry.kind, ()):
                value = getattr(entry, named_by)
                if value is None and not needed:
                    continue
                earlier = self._one(kind, member, value)
                if earlier is None and entry.decision is Decision.REFUSED:
                    continue  # whom a grant was refused to need not be shown it
                if earlier is None:
                    raise Fault("order.missing", entry.seq)
                if earlier.entry.seq >= entry.seq:
                    raise Fault("order.broken", entry.seq)
                self.lines_used.add(earlier.entry.seq)
                if entry.kind in _FOLLOWS:
                    self.lines_used.add(entry.seq)
        return _Proven("order.kept")

    # --- 12 to 15: what it is about -----------------------------------------------------------

    def _grant(self) -> _Proven:
        lookup = self._of(EventKind.LOOKUP)[0]
        entry, reason = lookup.entry, {"reason": lookup.entry.reason}
        said = self._said(lookup)
        granted = None if entry.grant is None else self._one(EventKind.GRANT, "grant", entry.grant)
        if entry.decision is Decision.REFUSED and granted is None:
            raise _Gap("grant.not_shown" if entry.grant else "grant.none_named", **reason)
        if granted is None:
            raise Fault("grant.missing", entry.seq)
        grant = Grant.parse(self._said(granted))
        frozen = self._is_frozen(granted.entry.actor, entry)
        revoked = self._is_revoked(entry)
        if entry.decision is Decision.REFUSED:
            if not claims.refused_rightly(grant, entry, said, revoked=revoked):
                raise _Gap("grant.refused", **reason)
            return _Proven("grant.refused_rightly", reason)
        claims.covers(grant, entry, said)
        if revoked:
            raise Fault("grant.grant_revoked", entry.seq)
        if frozen:
            raise Fault("grant.grant_frozen", entry.seq)
        issued = self._one(EventKind.ISSUE, "certificate", entry.certificate)
        if issued is None:
            raise Fault("status.no_certificate", entry.seq)
        claims.valid_then(self._said(issued), entry)
        return _Proven("grant.covers")

    def _status(self) -> _Proven:
        issues = self._of(EventKind.ISSUE)
        if len(issues) != 1:
            raise Fault("status.no_certificate")
        issued, changes = issues[0].entry, [line.entry for line in self._of(EventKind.STATUS)]
        for entry in changes:
            if (entry.certificate, entry.department) != (issued.certificate, issued.department):
                raise Fault("status.other_issuer", entry.seq)
        shown, last = claims.replay(changes)
        if self.bundle.subject.kind == "certificate":
            return self._status_as_shown(issued, (shown, _digest(last)), changes)
        if self.bundle.subject.kind == "dispute":
            return self._status_of_dispute(issued)
        return self._status_then(issued, (shown, _digest(last)), changes)

    def _status_as_shown(
        self, issued: Entry, shown: tuple[State, int], changes: list[Entry]
    ) -> _Proven:
        header = self._now()
        if self._registered(header, issued) != shown:
            raise Fault("status.not_as_shown")
        state, _ = shown
        told: dict[str, Any] = {
            "state": state.value,
            "block": header.number,
            "time": _utc(header.time),
        }
        self.facts["status"] = {"state": state.value, **_block_shown(header)}
        erased = [entry for entry in changes if entry.state == "erased"]
        if erased:
            self.facts["erased"] = {"seq": erased[0].seq, "time_ms": erased[0].time_ms}
            return _Proven("status.erased", {**told, "seq": erased[0].seq})
        return _Proven("status.as_shown" if changes else "status.never_changed", told)

    def _status_of_dispute(self, issued: Entry) -> _Proven:
        """Its bundle ends with the dispute: what the state was at the lookup is not shown."""
        now = self._now()
        if self._registered(now, issued) == _NEVER_CHANGED:
            return self._never_changed(now)
        then = self._then()
        state, _ = self._registered(then, issued)
        raise _Gap("status.later", state=state.value, block=then.number, time=_utc(then.time))

    def _status_then(
        self, issued: Entry, shown: tuple[State, int], changes: list[Entry]
    ) -> _Proven:
        """All changes that the block which recorded the lookup had are shown; those before the
        lookup must have left the certificate one to release from."""
        about, now, then = self._about().entry, self._now(), self._then()
        latest = self._registered(now, issued)
        if (latest if latest == _NEVER_CHANGED else self._registered(then, issued)) != shown:
            raise Fault("status.not_as_shown")
        earlier = [entry for entry in changes if entry.seq < about.seq]
        state, _ = claims.replay(earlier)
        erased = any(entry.state == "erased" for entry in earlier)
        if about.decision is Decision.RELEASED and (state is not State.ACTIVE or erased):
            raise Fault("status.not_active", about.seq)
        if latest == _NEVER_CHANGED:
            return self._never_changed(now)
        self.facts["status"] = {"state": state.value, **_block_shown(then)}
        told = {"state": state.value, "block": then.number, "time": _utc(then.time)}
        return _Proven("status.as_of", {**told, "now": now.number, "state_now": latest[0].value})

    def _never_changed(self, now: Header) -> _Proven:
        self.facts["status"] = {"state": State.ACTIVE.value, **_block_shown(now)}
        told = {"block": now.number, "time": _utc(now.time)}
        return _Proven("status.never_changed", told)

    def _disclosures(self) -> _Proven:
        lookup, issues = self._about(), self._of(EventKind.ISSUE)
        if lookup.entry.kind is not EventKind.LOOKUP or len(issues) != 1:
            raise Fault("disclosure.not_released")
        asked, certificate = self._said(lookup), self._said(issues[0])
        fields: dict[str, Any] = {}
        for encoded in self.bundle.disclosures:
            found = claims.disclosed(encoded, certificate, lookup.entry, asked)
            if found.name in fields:
                raise Fault("disclosure.repeated")
            fields[found.name] = found.value
        self.facts["fields"] = fields
        return _Proven("disclosure.proven", {"count": len(fields)})

    def _dispute(self) -> _Proven:
        disputes, resolutions = self._of(EventKind.DISPUTE), self._of(EventKind.RESOLUTION)
        if len(disputes) != 1 or len(resolutions) > 1:
            raise Fault("dispute.other_entry")
        dispute, said = disputes[0], self._said(disputes[0])
        disputed = next((x for x in self.lines if x.entry.seq == said["seq"]), None)
        if disputed is None:
            raise Fault("dispute.other_entry", dispute.entry.seq)
        self.lines_used.add(disputed.entry.seq)
        resolved = resolutions[0].entry if resolutions else None
        questions = [line.entry for line in self._of(EventKind.QUESTION)]
        answers = [(line.entry, self._said(line)) for line in self._of(EventKind.ANSWER)]
        later = [*questions, *(entry for entry, _ in answers)]
        claims.of_dispute(
            dispute, said, disputed.entry, later if resolved is None else [*later, resolved]
        )
        answered = claims.of_questions(questions, answers, disputed.entry, resolved)
        self.facts["dispute"] = {
            "disputed": _shown(disputed.entry),
            "questions": [_asked(entry, answered.get(entry.seq)) for entry in questions],
        }
        seq = disputed.entry.seq
        if resolved is None:  # or left out: that it is open still, nothing here shows
            return _Proven("dispute.resolution_not_shown", {"seq": seq})
        outcome = {"seq": resolved.seq, "outcome": resolved.state, "time_ms": resolved.time_ms}
        self.facts["dispute"]["resolution"] = outcome
        return _Proven("dispute.agrees", {"seq": seq, "state": resolved.state})

    def _complete(self) -> _Proven:
        # What a check that failed would have needed is not known.
        if self.failed or not self.headers or self.nodes is None:
            raise _Gap("earlier.failed")
        if any(line.statement is None for line in self.lines):
            raise _Gap("statement.withheld")  # nor what one that stopped for this would have
        if len(self.bundle.keys) != len(self.keys_used) or not self.nodes.all_needed:
            raise Fault("complete.superfluous")
        for line in self.lines:
            if line.entry.seq not in self.lines_used:
                raise Fault("complete.superfluous", line.entry.seq)
        return _Proven("complete.needed")

    # --- what the chain says ------------------------------------------------------------------

    def _log_id(self) -> bytes:
        return layout.log_id(self.trust.log.name)

    def _need_checkpoint(self) -> Checkpoint:
        if self.checkpoint is None:
            raise _Gap("earlier.failed")
        return self.checkpoint

    def _now(self) -> Header:
        """The block at which everything is proven."""
        self.read_block = True
        if not self.headers:
            raise _Gap("earlier.failed")
        return self.headers[0]

    def _then(self) -> Header:
        """The block that the bundle shows as the first with all these entries."""
        self._now()
        return self.headers[-1]

    def _word(self, header: Header, contract: Contract, slot: int) -> int:
        """What the contract's storage holds as of the block; raises ProofFault, Fault."""
        if self.nodes is None:
            self.nodes = Nodes(self.bundle.nodes)
        account = account_at(self.nodes, header.state_root, contract.address)
        if account is None:
            raise Fault("contract.missing")
        if account.code_hash != contract.code_hash:
            raise Fault("contract.other_code")
        return storage_at(self.nodes, account.storage_root, slot)

    def _directory(self, header: Header, kid: str) -> tuple[bytes, layout.Terms]:
        """Whose a key is, and the terms on which it is in the directory."""
        slots = layout.directory_slots(b64url_decode(kid))
        whose, terms = (self._word(header, self.trust.directory, slot) for slot in slots)
        return whose.to_bytes(32, "big"), layout.split_terms(terms)

    def _registered(self, header: Header, issued: Entry) -> tuple[State, int]:
        """State and digest of the last change as of the block."""
        slots = layout.status_slots(issued.statement_digest)
        number, digest = (self._word(header, self.trust.status_registry, slot) for slot in slots)
        state = _STATES.get(number)
        if state is None:
            raise Fault("status.not_as_shown")
        return state, digest


#: The kind of entry that a bundle is about, and the member that its subject names.
_ABOUT = {
    "lookup": (EventKind.LOOKUP, "seq"),
    "certificate": (EventKind.ISSUE, "certificate"),
    "grant": (EventKind.GRANT, "grant"),
    "dispute": (EventKind.DISPUTE, "subject"),
}
#: The kinds of entry that a bundle about something may hold, and of which more than one.
_ENROLLED = frozenset({EventKind.ENROLMENT, EventKind.INVITATION})
_ALLOWED: Mapping[str, frozenset[EventKind]] = {
    "lookup": _ENROLLED
    | {
        EventKind.LOOKUP,
        EventKind.GRANT,
        EventKind.REVOCATION,
        EventKind.ISSUE,
        EventKind.STATUS,
    },
    "certificate": frozenset({EventKind.ISSUE, EventKind.STATUS}),
    "grant": _ENROLLED | {EventKind.GRANT, EventKind.REVOCATION},
    "dispute": _ENROLLED
    | {
        EventKind.LOOKUP,
        EventKind.GRANT,
        EventKind.ISSUE,
        EventKind.DISPUTE,
        EventKind.QUESTION,
        EventKind.ANSWER,
        EventKind.RESOLUTION,
    },
}
_SEVERAL = _ENROLLED | {EventKind.STATUS, EventKind.QUESTION, EventKind.ANSWER}
#: Entries that belong to the one that they need.
_FOLLOWS = frozenset(
    {
        EventKind.STATUS,
        EventKind.REVOCATION,
        EventKind.RESOLUTION,
        EventKind.QUESTION,
        EventKind.ANSWER,
    }
)
_OF_DISPUTE = ((EventKind.DISPUTE, "subject", "subject", True),)
#: What must have come before an entry of a kind: an entry of that kind, with a member that this
#: member of it names; the last says whether this one must be there.
_NEEDS: Mapping[EventKind, tuple[tuple[EventKind, str, str, bool], ...]] = {
    EventKind.STATUS: ((EventKind.ISSUE, "certificate", "certificate", True),),
    EventKind.REVOCATION: (
        (EventKind.GRANT, "grant", "grant", False),
        (EventKind.GRANT, "actor", "subject", False),  # of all that a device gave
    ),
    EventKind.LOOKUP: (
        (EventKind.GRANT, "grant", "grant", False),
        (EventKind.ISSUE, "certificate", "certificate", False),
    ),
    EventKind.RESOLUTION: _OF_DISPUTE,
    EventKind.QUESTION: _OF_DISPUTE,
    EventKind.ANSWER: _OF_DISPUTE,
}


def _sealed_by_authority(block: SealedBlock, header: Header, trust: Trust) -> None:
    """The embedded node's: one signature, by whom the header names. Raises Fault."""
    # Of the two signatures that say the same, only the one with the lower s.
    if int.from_bytes(block.signature[32:64], "big") > _SECP256K1_HALF:
        raise Fault("seal.invalid")
    signer = seal.signer(block.signature, trust.chain_id, header.hash)
    if signer is None or signer not in trust.sealers or signer != header.coinbase:
        raise Fault("seal.invalid")


#: How blocks are sealed, by the scheme that the trust file names. One more engine's seal is one
#: more entry.
_SEALS: Mapping[str, Callable[[SealedBlock, Header, Trust], None]] = {
    EMBEDDED_SEAL: _sealed_by_authority
}


def _outcome(
    number: int,
    name: str,
    under: Callable[[Callable[[], _Proven]], _Proven],
    run: Callable[[], _Proven],
) -> Check:
    seq, told = None, dict[str, Any]()
    try:
        done = under(run)
        outcome, code, told = PROVEN, done.code, dict(done.told)
    except _Gap as gap:
        outcome, code, told = NOT_PROVEN, gap.code, gap.told
    except Fault as fault:
        outcome, code, seq = FAILED, fault.code, fault.seq
    except ProofFault as fault:
        outcome, code = FAILED, fault.code
    except (KeyError, TypeError, ValueError, AttributeError, StatementError):
        # A signed payload of a form that no honest ledger records.
        outcome, code = FAILED, "statement.form"
    return Check(number, name, outcome, code, WORDS[code].format(**told), seq, told)


def _institutional(entry: Entry) -> tuple[frozenset[int], str | None] | None:
    """Roles, one of which the signer must have in the directory, and its institution where the
    entry tells it; None for holders and for keys that enrol themselves."""
    match entry.kind:
        case EventKind.ISSUE | EventKind.STATUS:
            return frozenset({layout.ISSUER}), entry.department or ""
        case EventKind.LOOKUP:
            return frozenset({layout.TERMINAL}), entry.department or ""
        case EventKind.RESOLUTION if not _is_holders(entry):
            return frozenset({layout.AUDITOR}), None
        case EventKind.QUESTION:
            return frozenset({layout.AUDITOR}), None
        case EventKind.ANSWER if not _is_holders(entry):
            return frozenset({layout.ISSUER, layout.TERMINAL}), entry.department or ""
        case EventKind.INVITATION:
            return (_DEPARTMENTS if entry.department is None else _OPERATORS), None
        case EventKind.ENROLMENT if _is_halt(entry):
            return None if _is_holders(entry) else (_HALTING.get(entry.reason, frozenset()), None)
        case EventKind.ENROLMENT if entry.actor != entry.subject:
            # A terminal's names its post, a device's at most the department that vouches for it.
            return (_DEPARTMENTS if entry.terminal is None else _OPERATORS), None
        case _:
            return None


#: Departments let in holders' devices, operators all other keys.
_DEPARTMENTS, _OPERATORS = frozenset({layout.ISSUER}), frozenset({layout.OPERATOR})


#: Who may freeze a holder's device, beside another one of theirs.
_HALTING: Mapping[str | None, frozenset[int]] = {
    "issuer": _DEPARTMENTS,
    "auditor": frozenset({layout.AUDITOR}),
}


def _is_halt(entry: Entry) -> bool:
    """Whether a device is frozen or restored by it."""
    return entry.kind is EventKind.ENROLMENT and entry.reason is not None


def _is_holders(entry: Entry) -> bool:
    if _is_halt(entry):
        return entry.reason == "holder"
    if entry.kind is EventKind.RESOLUTION:
        return entry.state == "withdrawn"
    if entry.kind is EventKind.ANSWER:
        return entry.reason == Asked.HOLDER
    return entry.kind in (EventKind.GRANT, EventKind.REVOCATION, EventKind.DISPUTE)


def _shown(entry: Entry) -> dict[str, Any]:
    """The entry without what only proves it; of a dispute without its state, which may be another
    by now."""
    members = entry.to_json()
    for name in ("v", "salt", "statement"):
        del members[name]
    if entry.kind is EventKind.DISPUTE:
        del members["state"]
    return members


def _digest(change: Entry | None) -> int:
    """As the status registry has it."""
    return 0 if change is None else int.from_bytes(change.statement_digest, "big")


def _asked(question: Entry, answer: Entry | None) -> dict[str, Any]:
    told = {"seq": question.seq, "to": question.reason, "time_ms": question.time_ms}
    if answer is None:
        return told
    return {**told, "answer": {"seq": answer.seq, "time_ms": answer.time_ms}}


def _block_shown(header: Header) -> dict[str, Any]:
    return {"number": header.number, "hash": "0x" + header.hash.hex(), "time": header.time}


def _utc(seconds: int) -> str:
    # Beyond the calendar only for a header that nobody sealed.
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(seconds)
