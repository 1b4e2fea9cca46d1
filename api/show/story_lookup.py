"""The demo's lookups: one is released, those beyond the grant are refused, and a kiosk asks.

Each step is one function with its sentences beside it in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from api.client import LookupAnswer
from api.sample.city import POLICE
from api.show.screen import table_of
from api.show.story import (
    BUSINESS,
    CARD,
    COUNTER,
    GRANTED,
    KIOSK,
    KIOSK_ITEM,
    OTHER_ITEM,
    Step,
    Story,
    Told,
    Words,
    expect,
    step,
    wait_until,
)
from authz.lookup.reasons import REASONS
from ledger.certificate.credential import open_disclosure, split
from ledger.proof.encoding import b64url, b64url_decode, sha256

THIRD_FIELD: Final = "valid_period"
REVOKED_ON_CHAIN: Final = 2

STEPS: Final[list[Step]] = []


@step(
    STEPS,
    zh=Words(
        "窗口扫码，只得到这两项",
        "窗口得到两项内容和一张回执（第 {seq} 号记录，第 {block} 号区块）。随附的凭证同样只披露"
        "这两项，并与发证时上链的原件一致；其余 {hidden} 项没有离开账本。回执已在本机用日志公钥"
        "验证，并与合约中的锚定核对。",
        "先上链，后给数据：没有记录就没有内容，不存在悄悄的查询。",
        ("内容", "窗口看到的"),
    ),
    en=Words(
        "The counter scans and gets exactly these two",
        "The counter got two fields and a receipt (entry {seq}, block {block}). The credential "
        "that came with them discloses the same two, and is the one that went on the chain when "
        "it was issued; the other {hidden} fields did not leave the ledger. The receipt was "
        "verified here with the log's key, and against the anchor in the contract.",
        "First on the chain, then the data: without a record there is no answer, so there is no "
        "quiet lookup.",
        ("field", "what the counter sees"),
    ),
)
def release(story: Story, words: Words) -> Told:
    """Exactly the granted fields, in the answer and in the SD-JWT; the receipt proves it."""
    answer, asked = story.scan()
    expect("the decision", (answer.released, answer.code), (True, None))
    wanted = {name: story.person.fields[name] for name in GRANTED}
    expect("the fields released", sorted(answer.fields), sorted(wanted))
    expect("their values are those of the export", answer.fields == wanted, True)
    assert answer.presentation is not None
    token, disclosures = split(answer.presentation)
    disclosed = {one.name: one.value for one in map(open_disclosure, disclosures)}
    expect("what the credential discloses", disclosed == wanted, True)
    digests = orjson.loads(b64url_decode(token.split(".")[1]))["_sd"]
    expect(
        "disclosures signed by the issuer",
        all(b64url(sha256(item.encode("ascii"))) in digests for item in disclosures),
        True,
    )
    issued = story.prove(story.city.operator.certificate(story.card)["receipt"])
    expect("the credential issued", issued.statement_digest, sha256(token.encode("ascii")))
    entry = story.prove(answer.receipt)
    expect("the entry's decision", (entry.decision, entry.terminal), ("released", COUNTER))
    expect("the entry's statement", entry.statement_digest, sha256(asked.encode("ascii")))
    story.released = answer
    table = table_of(*words.columns)
    for name in GRANTED:
        table.add_row(story.field_name(name), str(answer.fields[name]))
    return Told(
        {
            "seq": entry.seq,
            "block": answer.receipt["anchor"]["block_number"],
            "hidden": len(digests) - len(disclosures),
        },
        [table],
    )


@step(
    STEPS,
    zh=Words(
        "超出授权的四次查询，全部拒绝",
        "四次都没有得到任何内容，也没有占用授权次数。每次拒绝同样记录上链、附有回执，"
        "并给出窗口可以直接念给群众听的说明。",
        "授权到哪里，查询就只能到哪里。被拒绝的尝试同样留痕，持证人和审计员都看得到。",
        ("尝试", "结果", "给窗口的说明"),
        {
            "again": "第二次扫码",
            "elsewhere": "换到{0}",
            "other": "换成“{0}”",
            "more": "多要“{0}”",
        },
    ),
    en=Words(
        "Four lookups beyond the grant, all refused",
        "None of the four got anything or took a use. Each refusal is on the chain too, with a "
        "receipt, and with words that the clerk can read aloud.",
        "A lookup goes as far as the grant and no further. Attempts that were refused leave their "
        "trace as well, for the holder and the auditor to see.",
        ("attempt", "result", "words for the clerk"),
        {
            "again": "a second scan",
            "elsewhere": "at {0}",
            "other": "for '{0}'",
            "more": "'{0}' as well",
        },
    ),
)
def refuse(story: Story, words: Words) -> Told:
    """One refusal a rule, each with its own code and a receipt that proves it."""
    everything = (*GRANTED, THIRD_FIELD)
    table = table_of(*words.columns)
    for attempt, code, (answer, _) in (
        (words.labels["again"], "uses_exhausted", story.scan()),
        (words.labels["elsewhere"].format(story.site_name(KIOSK)), "wrong_site", story.scan(KIOSK)),
        (
            words.labels["other"].format(story.item_name(OTHER_ITEM)),
            "wrong_service_item",
            story.scan(item=OTHER_ITEM),
        ),
        (
            words.labels["more"].format(story.field_name(THIRD_FIELD)),
            "field_not_granted",
            story.scan(fields=everything),
        ),
    ):
        _expect_refusal(story, answer, code)
        table.add_row(attempt, code, _reason(story, code))
    return Told({}, [table])


@step(
    STEPS,
    zh=Words(
        "持证人挂失，发证机关撤销证照",
        "公安局签名撤销了这张身份证，链上的状态登记随即更新。窗口再次扫码，得到 "
        "certificate_revoked：“{reason}”",
        "“已撤销”就直说已撤销，不会显示成系统故障；下一步该怎么办，也一并告知。",
    ),
    en=Words(
        "The card is reported lost, and its issuer revokes it",
        "The police bureau signed the revocation, and the status registry on the chain followed. "
        "The counter scans once more and gets certificate_revoked: '{reason}'",
        "Revoked is said as revoked and never looks like a fault of the system; what to do next "
        "is said with it.",
    ),
)
def revoke(story: Story, words: Words) -> Told:
    """Revoked by its issuer: in the ledger, on the chain, and at the counter."""
    issuer = story.city.issuers[POLICE]
    answer = issuer.change_status(story.card, "revoke", "reported lost")
    entry = story.prove(answer["receipt"])
    expect("the entry's state", (entry.certificate, entry.state), (story.card, "revoked"))
    public = story.city.operator.certificate(story.card)
    expect("the public state", public["state"], "revoked")
    commitment = b64url_decode(public["receipt"]["entry"]["statement"])
    wait_until(
        lambda: story.chain.status(commitment)[0] == REVOKED_ON_CHAIN or None,
        "the status on the chain",
    )
    _expect_refusal(story, story.scan()[0], "certificate_revoked")
    return Told({"reason": _reason(story, "certificate_revoked")})


@step(
    STEPS,
    zh=Words(
        "自助终端提出请求，由持证人同意或拒绝",
        "公安局已补发新证。{site}的自助终端为“{item}”请求查看“{field}”，手机与终端显示同一个"
        "配对数字 {number}；持证人同意，终端得到：{value}。第二次请求，持证人选择拒绝，"
        "终端什么也得不到。",
        "确认成年不必出示生日。拒绝与同意同样方便；同意也只对提出请求的这台终端有效。",
        labels={"yes": "是"},
    ),
    en=Words(
        "A kiosk asks; the holder says yes, and then no",
        "The police bureau has issued a new card. For '{item}', the kiosk at {site} asks for "
        "'{field}'. Phone and kiosk show the same matching number, {number}; the holder approves "
        "and the kiosk gets: {value}. To a second request the holder says no, and the kiosk gets "
        "nothing.",
        "Proof of age needs no birthday. Saying no is as easy as saying yes, and a yes is good "
        "for the kiosk that asked and for no other.",
        labels={"yes": "yes"},
    ),
)
def ask_at_kiosk(story: Story, words: Words) -> Told:
    """A request is found by its code, approved and served; the next one is refused."""
    card = _issue_again(story)
    kiosk, derived = story.city.terminals[KIOSK], "of_age_18"

    def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        opened = kiosk.open_request(KIOSK_ITEM, BUSINESS, {CARD: [derived]})
        found = story.holder.find_request(opened["code"])
        for name in ("request_id", "matching_number", "terminal", "site", "certificates"):
            expect(f"the request's {name}", found[name], opened[name])
        story.prove(opened["receipt"])
        return opened, found

    def look(opened: Mapping[str, Any]) -> LookupAnswer:
        return kiosk.lookup(
            {"request_id": opened["request_id"]},
            fields=[derived],
            service_item=KIOSK_ITEM,
            business_number=BUSINESS,
        )

    opened, found = ask()
    story.prove(story.holder.approve_request(found, {card: [derived]})["receipt"])
    answer = look(opened)
    expect("the kiosk's fields", dict(answer.fields), {derived: True})
    expect("the kiosk's entry", story.prove(answer.receipt).terminal, KIOSK)
    story.at_kiosk = answer
    second, _ = ask()
    story.prove(story.holder.refuse_request(second["request_id"])["receipt"])
    expect("the second request", kiosk.request(second["request_id"])["state"], "denied")
    denied = look(second)
    expect("a lookup after the holder's no", (denied.released, dict(denied.fields)), (False, {}))
    story.prove(denied.receipt)
    return Told(
        {
            "site": story.site_name(KIOSK),
            "item": story.item_name(KIOSK_ITEM),
            "field": story.field_name(derived),
            "number": opened["matching_number"],
            "value": words.labels["yes"],
        }
    )


def _issue_again(story: Story) -> str:
    """A new card for the same person; its identifier."""
    issuer = story.city.issuers[POLICE]
    answer = issuer.issue(issuer.signer(CARD, POLICE).sign(story.person, None))
    story.prove(answer["receipt"])
    card = str(answer["certificate_id"])
    states = {one["certificate_id"]: one["state"] for one in story.holder.my_certificates()}
    expect("the holder's cards", states, {story.card: "revoked", card: "active"})
    return card


def _expect_refusal(story: Story, answer: LookupAnswer, code: str) -> None:
    expect("the refusal", (answer.released, answer.code), (False, code))
    expect("nothing released", (dict(answer.fields), answer.presentation), ({}, None))
    entry = story.prove(answer.receipt)
    expect("the entry", (entry.decision, entry.reason), ("refused", code))


def _reason(story: Story, code: str) -> str:
    return story.say(zh=REASONS[code].zh, en=REASONS[code].en)
