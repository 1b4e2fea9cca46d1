"""What the human report says: whole in both languages, and nothing of what did not hold."""

from __future__ import annotations

import copy
import json
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import select

from audit.evidence import words, words_zh
from audit.evidence.bundle import (
    KINDS,
    Bundle,
    Line,
    Subject,
    Trust,
    load_json,
    read_bundle,
    read_trust,
    thumbprint,
)
from audit.evidence.gathering import Gatherer, Live, trust_of
from audit.evidence.verification import verify_bundle
from audit.report.composition import report_of
from audit.report.content import LANGUAGES, Names, ReportContent
from audit.report.story import Story
from audit.report.words import EN, MAX_SHOWN, Phrases, local_time, plain
from audit.report.words_zh import ZH
from authz.dispute.model import DisputeState
from ledger.certificate.lifecycle import State
from ledger.database.row_macs import RowMacs
from ledger.database.tables import entries
from ledger.database.transactions import Database
from ledger.directory.keys import Enrolled, Role
from ledger.log.log import Log
from ledger.proof.entries import Decision, EventKind
from ledger.proof.notes import NoteKey
from ledger.statement.kinds import Action, Asked, Cause, GrantMode, Ground
from tests import engines

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "evidence.json").read_text("utf-8"))
TRUST = read_trust(VECTOR["trust"])
CARD = "11100000000013338W901"
NAMES = Names(
    # As the vector names it, and as the story does.
    institutions=dict.fromkeys(("hotel-group", "114403990000009209"), "示例旅馆"),
    sites={"hotel-1": "一号前台"},
    items={"hotel-check-in": "旅馆住宿登记"},
    types={CARD: "居民身份证"},
    fields={CARD: {"name": "姓名", "of_age_18": "已满18周岁"}},
)
DIGEST = "ab" * 32


def told(
    bundle: Bundle, language: str = "zh-CN", trust: Trust = TRUST, names: Names = NAMES
) -> ReportContent:
    return report_of(
        bundle,
        verify_bundle(bundle, trust),
        trust,
        language=language,
        digest=DIGEST,
        size=1234,
        made_ms=1_795_347_540_000,
        check_url=f"https://ledger.example/check#bundle={DIGEST}",
        names=names,
    )


def vector(**changed: Any) -> Bundle:
    return read_bundle({**copy.deepcopy(VECTOR["bundle"]), **changed})


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif value is not None:
        yield str(value)


def section(content: ReportContent, title: str) -> dict[str, tuple[str, ...]]:
    (found,) = [item for item in content.sections if item.title == title]
    return {row.label: row.lines for row in found.rows}


@pytest.fixture(scope="module")
def ask(ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """What an auditor gets of the session's ledger, with the trust file; by name or reason."""
    path = tmp_path_factory.mktemp("report") / "ledger.db"
    engines.copy(ledger.path, path)
    database = Database(engines.url(path), RowMacs(ledger.master, ledger.log_id))
    log = Log(database, ledger.chain, ledger.log_key, origin=ledger.origin, log_id=ledger.log_id)
    log.load()
    log.recover()
    key = NoteKey(ledger.origin, ledger.log_key.public_key().public_bytes_raw())
    trust = trust_of(ledger.chain, key)
    live = Live(lookup=960, grant=120)
    gatherer = Gatherer(log, ledger.chain, ledger.master, trust, live, lambda _seq: log.published)
    auditor = Enrolled(kid="auditor", role=Role.AUDITOR, institution="operator")

    def gathered(kind: str, name: str, language: str = "zh-CN") -> ReportContent:
        with database.read() as connection:
            if kind == "lookup":
                query = select(entries.c.seq).where(entries.c.reason == name).limit(1)
                named: Any = connection.execute(query).scalar_one()
            else:
                named = ledger.names[name]
            subject = Subject(kind, named)
            found = gatherer.gather(connection, subject, auditor, now=time.time() + 2_000)
        return told(found.bundle, language, trust)

    yield gathered
    database.close()


# --- words ----------------------------------------------------------------------------------------


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("first", "second"),
    [(EN, ZH), (words.WORDS, words_zh.WORDS), (words.LIMITS, words_zh.LIMITS)],
)
def test_both_languages_say_the_same_things(first: Any, second: Any) -> None:
    assert first.keys() == second.keys()
    for key, text in first.items():
        assert text.strip(), key
        assert second[key].strip(), key
        assert placeholders(text) == placeholders(second[key]), key


def test_there_are_words_for_every_value_of_the_ledger() -> None:
    sorts = {
        EventKind.STATUS: list(Action),
        EventKind.LOOKUP: list(Decision),
        EventKind.RESOLUTION: [state for state in DisputeState if state is not DisputeState.OPEN],
        EventKind.ENROLMENT: ["holder", "key"],
        EventKind.INVITATION: ["holder", "key"],
        EventKind.QUESTION: list(Asked),
        EventKind.ANSWER: list(Asked),
    }
    wanted = {f"state.{state}" for state in (*State, *DisputeState, "erased")}
    wanted |= {f"cause.{cause}" for cause in Cause} | {f"mode.{mode}" for mode in GrantMode}
    wanted |= {f"check.{name}" for _, name, _, _ in VECTOR["checks"]} | {"check.dispute"}
    wanted |= {f"limit.{name}" for name in words.LIMITS}
    wanted |= {f"ground.{ground}" for ground in Ground}
    for kind in KINDS:
        wanted |= (
            {f"event.{kind}.{sort}" for sort in sorts[kind]} if kind in sorts else {f"event.{kind}"}
        )
    assert wanted <= EN.keys()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("不是我", "不是我"),
        ("two\nlines\tand  blanks", "two lines and blanks"),
        ("turned \u202eround\u200b", "turned \ufffdround\ufffd"),
        # Of every block there is, whatever this Python's own tables know (15.0 and 15.1 came last).
        ("\u4dae\u9fff\U0002a6d6\U0002ceb0\U00030000\U00031350\U0002ebf0\ue000",) * 2,
        ("x" * 9_999, "x" * MAX_SHOWN + "…"),
    ],
)
def test_texts_of_others_are_made_fit_for_print(text: str, printed: str) -> None:
    assert plain(text) == printed


# --- what happened --------------------------------------------------------------------------------


def test_released_lookup_is_told_with_its_content() -> None:
    content = told(vector())
    fields = VECTOR["facts"]["fields"]
    assert content.verdict_word == "核验通过"
    assert "依据持证人的授权获得以下内容：姓名、已满18周岁。" in content.said
    assert content.said.startswith("北京时间 " + local_time(VECTOR["facts"]["entry"]["time"]))
    assert "示例旅馆在一号前台为办理“旅馆住宿登记”" in content.said
    assert section(content, "有关各方")["查询部门"] == ("示例旅馆（hotel-group）",)
    assert section(content, "有关各方")["持证人"] == (ZH["holder.text"],)
    assert section(content, "所附证照内容") == {"姓名": (fields["name"],), "已满18周岁": ("是",)}
    assert section(content, "办理结果")["结果"] == ("已提供",)
    assert content.timeline is not None
    assert [event.seq for event in content.timeline.events] == [
        line.entry.seq for line in vector().lines
    ]
    assert [finding.number for finding in content.checks.findings] == [
        number for number, *_ in VECTOR["checks"]
    ]
    shown = list(texts(asdict(content)))
    for fact in ("block", "recorded_by"):
        assert VECTOR["facts"][fact]["hash"] in shown
    assert VECTOR["facts"]["checkpoint"]["root"] in shown
    assert {line.entry.actor for line in vector().lines} <= set(shown)


def test_sealed_blocks_stand_in_their_order() -> None:
    numbers = sorted(VECTOR["facts"][name]["number"] for name in ("block", "recorded_by"))
    first, second = (str(number) for number in numbers)
    for language, words_of in (("zh-CN", "区块 {} 和 {} 由链"), ("en", "sealed blocks {} and {}")):
        (check,) = [one for one in told(vector(), language).checks.findings if one.number == 6]
        assert words_of.format(first, second) in check.words


def test_content_that_is_not_disclosed_is_not_there() -> None:
    bare = told(vector(disclosures=[]))
    assert bare.verdict == "verified"
    assert not [item for item in bare.sections if item.title == "所附证照内容"]
    assert VECTOR["facts"]["fields"]["name"] not in "".join(texts(asdict(bare)))


def test_codes_without_a_name_stand_for_themselves() -> None:
    content, bare = told(vector(), "en"), told(vector(), "en", names=Names())
    assert section(content, "Parties")["Department"] == ("示例旅馆 (hotel-group)",)
    assert section(bare, "Parties")["Department"] == ("hotel-group",)
    assert "the maker's addition" in content.made
    assert "the maker's addition" not in bare.made
    assert "hotel-group looked up a certificate at hotel-1" in bare.said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("kind", "name", "zh", "en"),
    [
        ("lookup", "wrong_site", "被拒绝，没有获得任何内容。", "refused and given nothing. "),
        ("certificate", "erased", "签发了一张居民身份证。内容已删除", "issued a certificate"),
        ("certificate", "suspended", "时为“暂停使用”", "the certificate is suspended"),
        ("grant", "withdrawn", "撤回该授权。", "withdrew the grant on"),
        ("grant", "direct", "证据中没有撤回记录。", "holds no withdrawal."),
        ("dispute", "dispute-open", "没有出示处理结论", "No resolution is shown here"),
        ("dispute", "dispute-upheld", "审计员认定异议成立。", "found for the holder."),
        ("dispute", "dispute-withdrawn", "持证人撤回异议。", "took the dispute back."),
        (
            "dispute",
            "dispute-grant",
            "（持证人授权示例旅馆查询）",
            "granted 示例旅馆 a look)",
        ),
    ],
)
def test_story_is_told_in_a_sentence(
    ask: Callable[..., Any], kind: str, name: str, zh: str, en: str, language: str
) -> None:
    content = ask(kind, name, language)
    assert content.verdict == "verified"
    assert (zh if language == "zh-CN" else en) in content.said
    assert "{" not in "".join(texts({**asdict(content), "page": ""}))


def test_dispute_is_told_from_first_to_last(ask: Callable[..., Any]) -> None:
    shown = section(ask("dispute", "dispute-upheld"), "异议处理")
    assert shown["事由"] == ("不是本人授权或办理",)
    assert shown["经过"][0].endswith("持证人提出异议。")
    said = "".join(line.partition("  ")[2] or line for line in shown["经过"])
    for step in ("提出异议。“不是我”", "审计员向示例旅馆提问。“", "示例旅馆答复。“不在场”"):
        assert step in said
    assert said.endswith("审计员认定异议成立。“已核实”")
    assert shown["结果"] == ("成立",)


def test_erasure_is_told_with_its_ground(ask: Callable[..., Any]) -> None:
    content = ask("certificate", "erased")
    assert content.timeline.events[-1].what.endswith("删除了该证照的内容。")
    assert content.timeline.events[-1].details[0].startswith("依据：")
    assert "证明依然有效" in section(content, "证照")["内容"][0]


def test_refusal_says_why_without_telling_the_clerk_what_to_do(ask: Callable[..., Any]) -> None:
    shown = section(ask("lookup", "wrong_site"), "办理结果")
    assert shown["原因"] == ("这项授权不能在本办事地点使用。（wrong_site）",)
    assert "提供内容" not in shown


@pytest.mark.parametrize(
    ("language", "recorded", "of_check"),
    [
        ("zh-CN", "记录的拒绝原因：", "因“这项授权的使用次数已用完”拒绝"),
        ("en", "Recorded reason: ", 'refused as "This grant'),
    ],
)
def test_reason_that_is_not_proven_is_told_as_recorded(
    ask: Callable[..., Any], language: str, recorded: str, of_check: str
) -> None:
    content, proven = (ask("lookup", name, language) for name in ("uses_exhausted", "wrong_site"))
    texts_of = ZH if language == "zh-CN" else EN
    assert recorded in content.said
    assert recorded not in proven.said
    assert (content.verdict, proven.verdict) == ("verified", "verified")
    assert content.verdict_text == texts_of["verdict.verified.open"]
    assert proven.verdict_text == texts_of["verdict.verified.text"]
    (check,) = [finding for finding in content.checks.findings if finding.number == 12]
    assert of_check in check.words
    assert "uses_exhausted" not in check.words


def test_kind_without_words_stands_under_its_name() -> None:
    bundle = vector()
    first = bundle.lines[0]
    other = structs.replace(first.entry, kind=EventKind.REQUEST)
    lines = (Line(other, first.statement, first.proof), *bundle.lines[1:])
    story = Story(
        replace(bundle, lines=lines), verify_bundle(bundle, TRUST), Names(), Phrases("en")
    )
    event = story.timeline().events[0]
    assert (event.what, event.who) == ('An entry of kind "request".', "")


# --- what did not hold ----------------------------------------------------------------------------


def test_bundle_that_failed_is_repeated_in_nothing() -> None:
    bundle = copy.deepcopy(VECTOR["bundle"])
    bundle["entries"][-1]["entry"]["staff"] = "somebody-else"
    content = told(read_bundle(load_json(json.dumps(bundle).encode())))
    assert (content.verdict_word, content.said, content.timeline) == ("核验未通过", "", None)
    assert content.sections == ()
    trusted = set(texts(VECTOR["trust"]))
    inside = {
        text
        for line in bundle["entries"]
        for name, text in line["entry"].items()
        if isinstance(text, str) and name != "kind" and text not in trusted
    }
    inside |= {VECTOR["facts"]["fields"]["name"], VECTOR["facts"]["checkpoint"]["root"][2:]}
    inside |= {VECTOR["facts"]["block"]["hash"], NAMES.institutions["hotel-group"]}
    inside |= {local_time(line["entry"]["time"])[:16] for line in bundle["entries"]}
    shown = "\n".join(texts(asdict(content)))
    assert [text for text in inside if text in shown] == []
    failing = [finding for finding in content.checks.findings if finding.words]
    assert {finding.outcome for finding in failing} == {"failed"}
    assert len(failing) < len(content.checks.findings)


def test_missing_part_is_named_beside_an_incomplete_verdict() -> None:
    bundle = copy.deepcopy(VECTOR["bundle"])
    line = next(item for item in bundle["entries"] if item["entry"]["kind"] == "lookup")
    del line["statement"]
    actor = line["entry"]["actor"]
    keys = [key for key in bundle["keys"] if thumbprint(key)[0] != actor]
    content = told(read_bundle({**bundle, "keys": keys, "disclosures": []}))
    assert content.verdict == "incomplete"
    assert content.gaps == (words_zh.WORDS["statement.withheld"],)
    assert content.said.endswith("依据持证人的授权获得了所请求的内容。")
    assert section(content, "办理结果")["提供内容"] == ("签名声明暂不提供",)
