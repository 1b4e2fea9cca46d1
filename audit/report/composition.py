"""The human report of an evidence bundle: what was proven, in words that people read and print.

Pure: from a bundle, its verification and the trust file that it was held against to a
`ReportContent`, which others draw (`api.media.report_pdf`). Nothing is said that the verification
did not leave standing: of a bundle that failed only that it did, and where.

Not its job: verifying (`audit.evidence.verification`), gathering names (whoever calls), pages and
fonts.
"""

from __future__ import annotations

from audit.evidence.bundle import Bundle, Line, Trust
from audit.evidence.verification import (
    FAILED,
    GAPS,
    INCOMPLETE,
    NOT_PROVEN,
    VERIFIED,
    Check,
    Report,
)
from audit.report.content import (
    Checks,
    Finding,
    Names,
    ReportContent,
    Row,
    Section,
    Step,
    Steps,
)
from audit.report.story import Story
from audit.report.words import Phrases, utc_time


def report_of(
    bundle: Bundle,
    report: Report,
    trust: Trust,
    *,
    language: str,
    digest: str,
    size: int,
    made_ms: int,
    check_url: str,
    names: Names,
) -> ReportContent:
    """``report`` is what `verify_bundle(bundle, trust)` gave; ``digest`` (SHA-256, hex) and
    ``size`` are of the bundle's file as it came; ``check_url`` is what the QR code says."""
    phrases = Phrases(language)
    say, verdict = phrases.say, report.verdict
    failed = verdict == FAILED
    story = None if failed else Story(bundle, report, names, phrases)
    subject, made = bundle.subject, phrases.time(made_ms)
    about = "about.nothing" if failed else f"about.{subject.kind}"
    sections = () if story is None else tuple(part for part in story.sections() if part.rows)
    return ReportContent(
        language=language,
        title=say("title"),
        about=say(about, name="" if failed else subject.name),
        made=say("made.named" if names.institutions or names.sites else "made", time=made),
        made_ms=made_ms,
        verdict=verdict,
        verdict_word=say(f"verdict.{verdict}"),
        verdict_text=say(f"verdict.{verdict}.{_state(report)}"),
        gaps=_gaps(report, phrases) if verdict == INCOMPLETE else (),
        said="" if story is None else story.sentence(),
        sections=sections,
        timeline=None if story is None else story.timeline(),
        checks=_checks(report, phrases),
        limits=Section(
            say("limits"),
            tuple(Row(say(f"limit.{name}"), (text,)) for name, text in phrases.limits().items()),
        ),
        proofs=(
            _proofs(bundle, report, story, phrases, digest, size),
            _trusted(trust, phrases),
        ),
        steps=_steps(phrases, digest, check_url),
        check_url=check_url,
        qr=say("qr"),
        footer=say("footer"),
        digest=digest,
        page=say("page", page="{page}", pages="{pages}"),
    )


def _state(report: Report) -> str:
    """A bundle may be verified although a check is not proven: then not all that it tells is."""
    unproven = any(check.outcome == NOT_PROVEN for check in report.checks)
    return "open" if report.verdict == VERIFIED and unproven else "text"


def _gaps(report: Report, phrases: Phrases) -> tuple[str, ...]:
    """What is missing, each once; not what only follows from it."""
    gaps = [
        check
        for check in report.checks
        if check.outcome == NOT_PROVEN and check.code in GAPS and check.code != "earlier.failed"
    ]
    return tuple(dict.fromkeys(phrases.found(check.code, check.told) for check in gaps))


def _checks(report: Report, phrases: Phrases) -> Checks:
    say, failed = phrases.say, report.verdict == FAILED
    return Checks(
        say("checks"),
        say("checks.note") + (say("checks.failed.note") if failed else ""),
        ("", say("check"), say("result"), say("finding")),
        tuple(
            Finding(
                check.number,
                say(f"check.{check.name}"),
                check.outcome,
                say(check.outcome),
                "" if failed and check.outcome != FAILED else _finding(check, phrases),
            )
            for check in report.checks
        ),
    )


def _finding(check: Check, phrases: Phrases) -> str:
    words = phrases.found(check.code, check.told)
    return words if check.seq is None else phrases.say("at_entry", words=words, seq=check.seq)


def _proofs(
    bundle: Bundle, report: Report, story: Story | None, phrases: Phrases, digest: str, size: int
) -> Section:
    """What somebody else compares; of a failed bundle only which file it was."""
    say, facts = phrases.say, report.facts
    rows = [
        Row(say("digest"), (digest,), exact=True),
        Row(say("size"), (say("bytes", count=size),)),
    ]
    if story is None:
        return Section(say("proofs"), tuple(rows))
    if checkpoint := facts.get("checkpoint"):
        rows += [
            Row(say("origin"), (checkpoint["origin"],), exact=True),
            Row(say("checkpoint"), (say("checkpoint.text", size=checkpoint["size"]),)),
            Row(say("root"), (checkpoint["root"],), exact=True),
        ]
    for label, name in (("block.now", "block"), ("block.then", "recorded_by")):
        if block := facts.get(name):
            at = utc_time(1000 * block["time"]) + " UTC"
            told = say("block.text", number=block["number"], time=at)
            rows.append(Row(say(label), (told,)))
            rows.append(Row("", (block["hash"],), exact=True))
    for actor, lines in _by_signer(bundle).items():
        seqs = phrases.listed(str(line.entry.seq) for line in lines)
        who = story.signer(lines[0].entry)
        rows.append(Row(say("signed_by", who=who, seqs=seqs), (actor,), exact=True))
    return Section(say("proofs"), tuple(rows))


def _by_signer(bundle: Bundle) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in bundle.lines:
        found.setdefault(line.entry.actor, []).append(line)
    return found


def _trusted(trust: Trust, phrases: Phrases) -> Section:
    say = phrases.say
    contracts = ("directory", "checkpoint_log", "status_registry")
    rows = (
        Row(say("chain"), (f"{trust.chain_id} ({trust.seal})",)),
        Row(say("sealers"), tuple(sorted("0x" + one.hex() for one in trust.sealers)), exact=True),
        *(
            Row(say(name), ("0x" + getattr(trust, name).address.hex(),), exact=True)
            for name in contracts
        ),
        Row(say("log_key"), (str(trust.log),), exact=True),
        Row(say("policy"), tuple(trust.policy.text.splitlines()), exact=True),
    )
    return Section(say("trusted"), rows, say("trusted.note"))


def _steps(phrases: Phrases, digest: str, check_url: str) -> Steps:
    say = phrases.say
    return Steps(
        say("steps"),
        (
            Step(say("step.digest"), ("sha256sum bundle.json", digest)),
            Step(say("step.page"), (check_url.partition("#")[0],)),
            Step(say("step.trust"), ("certledger trust --out consortium.json",)),
            Step(say("step.verify"), ("certledger verify bundle.json --trust consortium.json",)),
            Step(say("step.own")),
        ),
    )
