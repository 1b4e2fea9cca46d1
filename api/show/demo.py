"""The whole story once, on real processes, every step checked: `certledger demo`.

Starts a service with its own chain node in a temporary folder, plays every actor over HTTP with
`api.client`, and tells in plain words what happened and why it matters. Each step is one function
with its sentences beside it in both languages; it raises `Unexpected` when anything came out other
than it should, and then the folder with the logs is kept.

Not its job: the details and the corners of each rule; they have tests of their own.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy import update

from api.client import Client, LookupAnswer, device_code
from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.operate.tracing import check_lines
from api.process.serve import ServiceProcess
from api.sample.city import HALLS, INSTITUTIONS, MARKET, POLICE, SITES, TRAFFIC, City, found_city
from api.sample.exports import CARDS, DRIVERS, LICENCES, write_samples
from audit.history.tracing import PROVEN
from audit.integrity.findings.report import IntegrityReport
from authz.code.codes import parse_code
from authz.code.qr import qr_matrix
from authz.lookup.reasons import REASONS
from authz.service_item.model import load_service_items
from ledger.catalogue import load_catalogue
from ledger.certificate.credential import city_date, open_disclosure, split
from ledger.chain import ChainClient, Deployment
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.intake.rows import Prepared, open_export, prepare_rows
from ledger.proof.encoding import b64url, b64url_decode, sha256
from ledger.proof.entries import Entry
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import verify_receipt

CARD: Final = "resident-identity-card"
EXPORTS: Final = {
    CARDS: (POLICE, CARD),
    LICENCES: (MARKET, "business-licence"),
    DRIVERS: (TRAFFIC, "driving-licence"),
}
COUNTER, KIOSK = "counter-east-1", "kiosk-west-1"
TERMINALS: Final = {COUNTER: "hall-east", KIOSK: "hall-west"}
ITEM, OTHER_ITEM, KIOSK_ITEM = "housing-fund-withdrawal", "notarisation", "age-check"
GRANTED: Final = ("name", "identity_number")
THIRD_FIELD: Final = "valid_period"
BUSINESS: Final = "GJJ-2026-000118"
REVOKED_ON_CHAIN: Final = 2
#: How long what follows an answer (keys and statuses on chain) may take, seconds.
PATIENCE: Final = 15.0


class Unexpected(Exception):
    """A step came out other than it should."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        super().__init__(f"{what}: expected {expected!r}, got {got!r}")
        self.what, self.expected, self.got = what, expected, got


def expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Unexpected(what, expected, got)


@dataclass(frozen=True, slots=True)
class Words:
    """A step in one language. ``told`` is filled in with what the step found out."""

    title: str
    told: str
    why: str
    columns: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What a step found out, and what it wants shown above its sentences."""

    facts: Mapping[str, object]
    shown: Sequence[RenderableType] = ()


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    run: Callable[[Story, Words], Told]
    words: Mapping[str, Words]


@dataclass
class Story:
    """What the steps hand on to those after them."""

    folder: Path
    samples: Path | None
    language: str
    began: float = field(default_factory=time.monotonic)
    receipts: int = 0
    # Set by the steps, in the order of the story.
    person: Prepared = field(init=False)
    city: City = field(init=False)
    holder: Client = field(init=False)
    card: str = field(init=False)
    grant: Mapping[str, Any] = field(init=False)
    released: LookupAnswer = field(init=False)
    at_kiosk: LookupAnswer = field(init=False)
    size: int = 0
    blocks: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """Every setting at its default: a database or chain that the caller's environment names
        for real work must never be touched."""
        told = Settings.model_construct().environment()
        ours = {"CERTLEDGER_DATA", "CERTLEDGER_HOST", "CERTLEDGER_PORT"}  # the process sets them
        return {name: value for name, value in told.items() if name not in ours}

    @cached_property
    def service(self) -> ServiceProcess:
        return ServiceProcess(self.folder / "data", environment=self.environment)

    @property
    def settings(self) -> Settings:
        return Settings.model_construct(data=self.service.data, port=self.service.port)

    @cached_property
    def log_key(self) -> NoteKey:
        return self.city.operator.log_key()

    @cached_property
    def chain(self) -> ChainClient:
        """The chain as an outsider reads it: an account of its own, enrolled nowhere."""
        deployment = json.loads((self.service.data / "deployment.json").read_bytes())
        return ChainClient(
            self.node_url, account_key=os.urandom(32), deployment=Deployment.from_json(deployment)
        )

    @property
    def node_url(self) -> str:
        node = json.loads((self.service.data / "node" / "node.json").read_text())
        return str(node["url"])

    def block_number(self) -> int:
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        answer = httpx.post(self.node_url, json=question, timeout=10, trust_env=False)
        return int(answer.json()["result"], 16)

    def ready(self) -> dict[str, Any]:
        with Client(self.service.url) as anybody:
            answer: dict[str, Any] = anybody.get("/readyz", token=False).json()
        return answer

    def prove(self, receipt: Mapping[str, Any]) -> Entry:
        """The receipt's entry, once it is proven: against the log's key, and by the contract."""
        entry, checkpoint = verify_receipt(receipt, self.log_key)
        log_id = sha256(b"certledger log\0" + checkpoint.origin.encode())
        anchor = self.chain.anchor_of(log_id, checkpoint.size)
        expect("the anchored root", None if anchor is None else anchor.root, checkpoint.root)
        self.receipts += 1
        return entry

    def scan(
        self,
        terminal: str = COUNTER,
        *,
        item: str = ITEM,
        fields: Sequence[str] = GRANTED,
    ) -> tuple[LookupAnswer, str]:
        """The terminal scans what the holder's phone shows now; the answer and what was asked."""
        client = self.city.terminals[terminal]
        code = device_code(self.grant["code"], time.time_ns() // 1_000_000)
        asked = client.lookup_statement(
            {"code": code}, fields=fields, service_item=item, business_number=BUSINESS
        )
        return client.send_lookup(asked), asked

    def say(self, **texts: str) -> str:
        return texts[self.language]

    def item_name(self, code: str) -> str:
        item = load_service_items()[code]
        return self.say(zh=item.name_zh, en=item.name_en)

    def field_name(self, name: str) -> str:
        kind = load_catalogue().type(CARD)
        labels = {one.name: one.label for one in kind.fields}
        labels |= {one.name: one.label for one in kind.derived}
        return self.say(zh=labels[name].zh, en=labels[name].en)

    def site_name(self, terminal: str) -> str:
        _, zh, en = SITES[TERMINALS[terminal]]
        return self.say(zh=zh, en=f"the {en}")

    def stop(self) -> None:
        if "city" in self.__dict__:
            self.city.close()
        if "holder" in self.__dict__:
            self.holder.close()
        if "service" in self.__dict__:
            self.service.stop()


STEPS: Final[list[Step]] = []


def step(
    *, zh: Words, en: Words
) -> Callable[[Callable[[Story, Words], Told]], Callable[[Story, Words], Told]]:
    """Adds a function to the story, with its words; its name is the step's key."""

    def add(run: Callable[[Story, Words], Told]) -> Callable[[Story, Words], Told]:
        STEPS.append(Step(run.__name__, run, {"zh": zh, "en": en}))
        return run

    return add


# --- the story ----------------------------------------------------------------------------------


@step(
    zh=Words(
        "启动服务与链节点",
        "服务已在 {url} 就绪（进程 {api}），链节点是另一个进程（{node}），链号 {chain}，"
        "三份合约已部署。用时 {seconds:.1f} 秒。",
        "账本与链分开运行。今后改用多家机构共同运行的链，只需更换一个地址。",
    ),
    en=Words(
        "Start the service and the chain node",
        "The service is ready at {url} (process {api}). The chain node is a process of its own "
        "({node}), chain {chain}, with the three contracts deployed. This took {seconds:.1f} s.",
        "Ledger and chain run apart: to move to a chain that several institutions run together, "
        "only one address changes.",
    ),
)
def start(story: Story, words: Words) -> Told:
    """Service and node as two processes; both answer, on the chain they should."""
    began = time.monotonic()
    service = story.service.start()
    chain_id = story.settings.chain_id
    story.chain.check()
    expect(
        "the deployment's chain",
        story.chain.deployment and story.chain.deployment.chain_id,
        chain_id,
    )
    expect("two processes", service.pid != service.node_pid, True)
    seconds = time.monotonic() - began
    return Told(
        {
            "url": service.url,
            "api": service.pid,
            "node": service.node_pid,
            "chain": chain_id,
            "seconds": seconds,
        }
    )


@step(
    zh=Words(
        "登记机构、办事地点、终端与审计员",
        "已登记 {institutions} 家机构、{sites} 个办事地点、{terminals} 台终端和 1 名审计员。"
        "机构各把密钥的指纹都已写入链上的名录（已从链上读回核对）。",
        "谁能发证、谁能查询，链上名录有据可查。系统里没有共用的密码，"
        "每一次写入都由登记过的密钥签名。",
    ),
    en=Words(
        "Enrol institutions, places, terminals and an auditor",
        "Enrolled: {institutions} institutions, {sites} places, {terminals} terminals, one "
        "auditor. The thumbprint of every institutional key is now in the directory on the chain "
        "(read back from there, and compared).",
        "Who may issue and who may look up can be checked on the chain. There are no shared "
        "passwords: every write is signed by an enrolled key.",
    ),
)
def enrol(story: Story, words: Words) -> Told:
    """The sample city; its keys are in the ledger and in the directory contract."""
    operator = story.service.operator_key()
    story.city = city = found_city(story.service.url, operator, terminals=TERMINALS)
    public = city.operator.catalogue_public()
    codes = {institution["code"] for institution in public["institutions"]}
    expect("the institutions", codes >= set(INSTITUTIONS), True)
    expect("the places", {site["site"] for site in public["sites"]}, set(SITES))
    assert city.auditor is not None
    for client in (*city.issuers.values(), *city.terminals.values(), city.auditor):
        kid = b64url_decode(client.whoami()["kid"])
        _await(partial(story.chain.directory_entry, kid), "a key in the chain's directory")
    return Told(
        {
            "institutions": len(INSTITUTIONS),
            "sites": len(SITES),
            "terminals": len(city.terminals),
        }
    )


@step(
    zh=Words(
        "三个部门导入各自导出的文件",
        "共签发 {issued} 张证照，全部已上链；退回 {refused} 行，每一行都写明行号和原因，"
        "数量与预期逐项一致。同一个文件再导入一次，新签发 {again} 张。",
        "部门的导出文件难免有错。个别错行不耽误其余几千行，误操作重复导入也不会重复发证。",
        ("文件", "签发", "退回", "退回原因"),
    ),
    en=Words(
        "Three departments import their own exports",
        "{issued} certificates are issued and on the chain. {refused} rows were sent back, each "
        "named by its line and reason; every count is as expected. The same file imported once "
        "more issued {again}.",
        "Real exports have mistakes. A bad row does not hold up thousands of good ones, and "
        "importing twice by accident issues nothing twice.",
        ("file", "issued", "sent back", "reasons"),
    ),
)
def import_exports(story: Story, words: Words) -> Told:
    """Three messy files give exactly the expected counts; run again, nothing more."""
    folder, expected = _sample_exports(story)
    table = _table(*words.columns)
    issued = refused = 0
    for name, (department, kind) in EXPORTS.items():
        outcome = story.city.issuers[department].import_file(folder / name, kind, department)
        report = outcome.report
        expect(f"the counts of {name}", dict(report.counts), expected[name])
        expect(f"newly issued from {name}", outcome.issued, expected[name]["accepted"])
        issued += outcome.issued
        refused += sum(report.refused.values())
        reasons = ", ".join(f"{code} {count}" for code, count in sorted(report.refused.items()))
        table.add_row(name, str(outcome.issued), str(sum(report.refused.values())), reasons)
    again = story.city.issuers[POLICE].import_file(folder / CARDS, CARD, POLICE)
    expect("issued again", (again.issued, again.already), (0, expected[CARDS]["accepted"]))
    story.person = _someone(folder / CARDS)
    return Told({"issued": issued, "refused": refused, "again": again.issued}, [table])


@step(
    zh=Words(
        "持证人登记自己的手机",
        "持证人的手机生成了自己的密钥，并与本人关联；手机上看到名下 {count} 张有效证照。"
        "身份证号码当场核对后加密封存，不上链，也不出现在记录里。",
        "此后每一次授权都由这部手机签名，谁也伪造不了。若有人以持证人的名义另登一部手机，"
        "也会留下持证人看得见的记录。",
    ),
    en=Words(
        "A holder enrols a phone",
        "The holder's phone made a key of its own and is now linked to its owner; it shows "
        "{count} valid certificate. The identity number is kept sealed: not on the chain, and in "
        "no record.",
        "From now on this phone signs every grant, and nobody can forge its signature. Should "
        "somebody enrol another phone in the holder's name, the holder sees the record of it.",
    ),
)
def enrol_holder(story: Story, words: Words) -> Told:
    """A device for one person of the export; it sees that person's card and no other."""
    story.holder = story.city.holder(story.person.subject)
    own = story.holder.my_certificates()
    expect("the holder's certificates", [(c["type"], c["state"]) for c in own], [(CARD, "active")])
    story.card = own[0]["certificate_id"]
    return Told({"count": len(own)})


@step(
    zh=Words(
        "持证人授权：两项内容、一个事项、一处大厅、一小时、一次",
        "持证人授权{site}为办理“{item}”查看居民身份证的“{first}”和“{second}”，1 小时内限 1 次。"
        "上面就是手机出示的二维码，每 30 秒更换一次。{decoded}",
        "码里没有个人信息，也没有长期有效的秘密。即使被人偷拍，很快就作废。",
    ),
    en=Words(
        "The holder grants two fields: one item, one hall, one hour, one use",
        "For '{item}' at {site}, the holder grants '{first}' and '{second}' of the identity card, "
        "once, within one hour. Above is the code on the phone; it changes every 30 seconds. "
        "{decoded}",
        "The code holds no personal data and no lasting secret. Photographed by a stranger, it is "
        "soon worth nothing.",
    ),
)
def grant_by_scan(story: Story, words: Words) -> Told:
    """The grant, its receipt, and its code as QR in the terminal, SVG and PNG."""
    story.grant = story.holder.grant(
        {story.card: GRANTED},
        department=HALLS,
        service_item=ITEM,
        sites=[TERMINALS[COUNTER]],
        mode="scan",
        seconds=3600,
        max_uses=1,
    )
    entry = story.prove(story.grant["receipt"])
    expect("the grant's entry", (entry.kind, entry.grant), ("grant", story.grant["grant_id"]))
    shown = story.holder.code(story.grant["grant_id"])["code"]
    expect("a short code", re.fullmatch(r"EZ1[0-9A-Z]{40,60}", shown) is not None, True)
    return Told(
        {
            "site": story.site_name(COUNTER),
            "item": story.item_name(ITEM),
            "first": story.field_name(GRANTED[0]),
            "second": story.field_name(GRANTED[1]),
            "decoded": _write_and_decode(story),
        },
        [_terminal_qr(shown)],
    )


@step(
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
    table = _table(*words.columns)
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
    table = _table(*words.columns)
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
    _await(
        lambda: story.chain.status(commitment)[0] == REVOKED_ON_CHAIN or None,
        "the status on the chain",
    )
    _expect_refusal(story, story.scan()[0], "certificate_revoked")
    return Told({"reason": _reason(story, "certificate_revoked")})


@step(
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


@step(
    zh=Words(
        "审计员追溯这张身份证，逐条核对",
        "共 {count} 条，从签发到撤销，一条不缺；每一条都用回执、日志和链上的锚定核对无误。"
        "持证人在自己的手机上也能看到其中每一次查询，包括被拒绝的。",
        "审计不必相信任何一方的说法，运营方的也不必：签名、编号和链上的锚定各自作证。",
        ("记录", "时间", "事件", "地点", "结果", "核对"),
        {
            "issue": "签发",
            "grant": "授权",
            "lookup": "查询",
            "status": "状态变更",
            "active": "有效",
            "released": "已提供",
            "revoked": "已撤销",
            "proven": "已证实",
        },
    ),
    en=Words(
        "The auditor traces the card and checks every line",
        "{count} lines, from issue to revocation, none missing; every one was verified from its "
        "receipt, the log and the anchor on the chain. On the phone, the holder sees every one of "
        "these lookups as well, the refused ones included.",
        "The auditor need not take anybody's word, the operator's least of all: signatures, "
        "numbering and the anchors on the chain each bear witness.",
        ("entry", "time", "event", "place", "result", "check"),
        {
            "issue": "issue",
            "grant": "grant",
            "lookup": "lookup",
            "status": "status",
            "active": "active",
            "released": "released",
            "revoked": "revoked",
            "proven": "proven",
        },
    ),
)
def trace(story: Story, words: Words) -> Told:
    """All that happened to the card, newest first, every line proven."""
    assert story.city.auditor is not None
    lines = list(story.city.auditor.history(certificate=story.card, receipts=True))
    decisions = [line.get("reason", line["decision"]) for line in lines if line["kind"] == "lookup"]
    expect(
        "the card's lookups, newest first",
        decisions,
        [
            "certificate_revoked",
            "field_not_granted",
            "wrong_service_item",
            "wrong_site",
            "uses_exhausted",
            "released",
        ],
    )
    checked = check_lines(lines, story.log_key, story.settings)
    own = list(story.holder.history(certificate=story.card, kind="lookup"))
    expect("the lookups that the holder sees", len(own), len(decisions))
    table = _table(*words.columns)
    for line in checked:
        is_lookup = line["kind"] == "lookup"
        result = line.get("reason", line["decision"]) if is_lookup else line.get("state", "")
        event, result, proof = (
            words.labels.get(str(one), str(one)) for one in (line["kind"], result, line["proof"])
        )
        clock = time.strftime("%H:%M:%S", time.localtime(line["time"] / 1000))
        table.add_row(str(line["seq"]), clock, event, line.get("terminal", ""), result, proof)
    wrong = {line["seq"]: line["proof"] for line in checked if line["proof"] != PROVEN}
    expect("lines that are not proven", wrong, {})
    story.receipts += len(checked)
    return Told({"count": len(checked)}, [table])


@step(
    zh=Words(
        "一份文件，交给与此事无关的人去判断",
        "自助终端为自己的第 {seq} 号查询取得证据包：一个 {bytes} 字节的文件。只凭这个文件和一份"
        "可信名单，不连服务、数据库和链，certledger verify 完成 {checks} 项核对，结论是成立。"
        "改动其中一个字符，结论便是不成立。",
        "发生争议时，任何人都能自行判断，不必相信我们，也不必等我们。",
    ),
    en=Words(
        "One file, for somebody who has no part in it to judge",
        "The kiosk takes the evidence of its lookup {seq} along: one file of {bytes} bytes. With "
        "that and a list of whom to trust, and without service, database or chain, certledger "
        "verify goes through {checks} checks: verified. With one character changed: not verified.",
        "On the day of a dispute anybody can judge for themselves, without believing us or waiting "
        "for us.",
    ),
)
def take_evidence(story: Story, words: Words) -> Told:
    """The bundle of the kiosk's lookup verifies offline; with one character changed, it fails."""
    kiosk, seq = story.city.terminals[KIOSK], int(story.at_kiosk.receipt["entry"]["seq"])
    taken = kiosk.evidence("lookup", seq)
    expect("what is withheld from the kiosk", taken["withheld"], [])
    trust, bundle = story.folder / "consortium.json", story.folder / "bundle.json"
    trust.write_bytes(orjson.dumps(kiosk.trust()))
    text = orjson.dumps(taken["bundle"])
    bundle.write_bytes(text)
    status, report = _verify(story, bundle, trust)
    expect("the verdict on the bundle", (status, report["verdict"]), (0, "verified"))
    at = text.index(b".") + 9  # within what somebody signed
    other = b"B" if text[at : at + 1] == b"A" else b"A"
    bundle.write_bytes(text[:at] + other + text[at + 1 :])
    status, _ = _verify(story, bundle, trust)
    expect("the exit code for the forged bundle", status, 1)
    return Told({"seq": seq, "bytes": len(text), "checks": len(report["checks"])})


@step(
    zh=Words(
        "有人改动了数据库的一个字节",
        "先检查一遍：{entries} 条记录，全部无误。服务停下后，把数据库中第 {seq} 号查询的时间改动 "
        "1 毫秒，只动一个字节。certledger fsck 指出：{finding}。改回原样，检查又全部无误。",
        "即使握有数据库的全部权限，改动一个字节也会被指名道姓地指出来。",
    ),
    en=Words(
        "Somebody changes one byte of the database",
        "First a check: {entries} entries, clean. Then the service is stopped, and in the database "
        "the time of lookup {seq} is moved by one millisecond, a single byte. certledger fsck "
        "says: {finding}. Put back as it was, the check is clean again.",
        "Even with every right on the database, a change of one byte is found and named.",
    ),
)
def tamper(story: Story, words: Words) -> Told:
    """fsck is clean, names the one entry that was changed, and is clean again."""
    story.size, story.blocks = story.ready()["size"], story.block_number()
    before = _check(story)
    expect("findings before", before.findings, ())
    expect("the entries checked", before.entries, story.size)
    story.stop()
    seq = int(story.released.receipt["entry"]["seq"])
    _flip_time(story, seq)
    status, report = _fsck(story)
    named = [f"{each['where']}: {each['what']}" for each in report["findings"]]
    expect("exit code of fsck after the change", status, 1)
    mine = [text for text in named if re.search(rf"\b{seq}\b", text)]
    if not mine:
        raise Unexpected("fsck names the entry", f"entry {seq}", named)
    _flip_time(story, seq)
    expect("findings after putting it back", _check(story).findings, ())
    return Told({"entries": before.entries, "seq": seq, "finding": mine[0]})


@step(
    zh=Words(
        "翻遍所有文件，找不到个人信息",
        "在数据库、链、服务日志共 {files} 个文件（{megabytes:.1f} MB）里查找持证人的身份证号码和"
        "住址，明文和 Base64 编码都查，一处也没有找到。",
        "证照内容加密存放，链上只有加盐的摘要。主密钥另行保管时，即使数据库和链的备份外泄，"
        "也读不出任何人的证照。",
    ),
    en=Words(
        "No file gives the holder away",
        "In the {files} files of database, chain and service log ({megabytes:.1f} MB), the "
        "holder's identity number and address were searched for, plain and in base64: not found "
        "once.",
        "Certificates are stored encrypted, and the chain has salted digests only. With the master "
        "key kept elsewhere, a copy of database and chain gives nobody's certificate away.",
    ),
)
def search_files(story: Story, words: Words) -> Told:
    """Neither the identity number nor the address is in any file of the service."""
    personal = [str(story.person.fields[name]) for name in ("identity_number", "address")]
    needles = [needle for text in personal for needle in _encodings(text)]
    files = [path for path in story.service.data.rglob("*") if path.is_file()]
    size = 0
    for path in files:
        content = path.read_bytes()
        size += len(content)
        found = sum(needle in content for needle in needles)
        expect(f"personal data in {path.name}", found, 0)
    return Told({"files": len(files), "megabytes": size / 1e6})


# --- parts of the steps -------------------------------------------------------------------------


def _sample_exports(story: Story) -> tuple[Path, Mapping[str, Mapping[str, int]]]:
    """The folder with the three exports, and what importing them must come to."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    for folder in (story.samples, Path.cwd().parent / "shared" / "data", beside):
        if folder is not None and (folder / "expected.json").is_file():
            expected: dict[str, dict[str, int]] = json.loads(
                (folder / "expected.json").read_text("utf-8")
            )
            return folder, expected
    return story.folder / "exports", write_samples(story.folder / "exports")


def _someone(cards: Path) -> Prepared:
    """The first person in the export who is of age and whose card is valid today."""
    kind, today = load_catalogue().type(CARD), city_date(time.time_ns() // 1_000_000)
    with open_export(cards, cards.name, kind) as export:
        for row in prepare_rows(kind, export, on=today):
            if (
                isinstance(row, Prepared)
                and row.fields["of_age_18"] is True
                and (row.valid_from is None or row.valid_from < today)
                and (row.valid_until is None or row.valid_until > today)
            ):
                return row
    raise Unexpected("a valid card in the export", "one at least", "none")


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


def _await(look: Callable[[], object], what: str) -> None:
    """Keys and statuses reach the contracts just after the answer."""
    deadline = time.monotonic() + PATIENCE
    while look() is None:
        if time.monotonic() > deadline:
            raise Unexpected(what, f"within {PATIENCE:.0f} s", "not yet")
        time.sleep(0.1)


def _write_and_decode(story: Story) -> str:
    """The code as SVG and PNG files; says whether the picture reads back."""
    grant_id = story.grant["grant_id"]
    svg, png = story.folder / "grant.svg", story.folder / "grant.png"
    svg.write_bytes(story.holder.qr(grant_id, "svg"))
    png.write_bytes(story.holder.qr(grant_id, "png"))
    expect("an SVG", svg.read_bytes()[:4], b"<svg")
    try:
        import zxingcpp
    except ImportError:
        return story.say(
            zh="（另有 SVG 和 PNG 两种图片；本机未装识读程序，略过读回。）",
            en="(It was written as SVG and PNG too; with no reader installed, not read back.)",
        )
    from PIL import Image

    with Image.open(png) as picture:
        (symbol,) = zxingcpp.read_barcodes(picture.convert("L"))
    # The code may have changed meanwhile; whose grant it is does not.
    handle = b64url_decode(story.grant["code"]["handle"])
    expect("the code read from the picture", parse_code(symbol.text).handle, handle)
    return story.say(
        zh="生成的 PNG 图片已用另一家的识读程序读回，内容一致。",
        en="The PNG picture was read back by another maker's reader, with the same content.",
    )


def _check(story: Story) -> IntegrityReport:
    """The full check, in this process; beside the running service too."""
    return run_fsck(story.settings, lambda _done, _total: None)


def _fsck(story: Story) -> tuple[int, dict[str, Any]]:
    return _command(story, "fsck", "--data", str(story.service.data))


def _verify(story: Story, bundle: Path, trust: Path) -> tuple[int, dict[str, Any]]:
    return _command(story, "verify", str(bundle), "--trust", str(trust))


def _command(story: Story, name: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a command, as anybody would run it."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", name, *arguments, "--json"],
        env={**os.environ, **story.environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    (story.folder / f"{name}.log").write_bytes(done.stdout + done.stderr)
    if done.returncode not in (0, 1):
        told = done.stderr.decode("utf-8", "replace")[-800:]
        raise Unexpected(name, "exit code 0 or 1", told)
    report: dict[str, Any] = orjson.loads(done.stdout)
    return done.returncode, report


def _flip_time(story: Story, seq: int) -> None:
    """Change the last bit of an entry's time; done again, it is as before."""
    url = Settings(data=story.service.data, database="").database_url
    time_ms = tables.entries.c.time_ms
    flipped = time_ms.bitwise_or(1) - time_ms.bitwise_and(1)
    change = update(tables.entries).where(tables.entries.c.seq == seq).values(time_ms=flipped)
    with closing(Database(url)) as database, database.write() as connection:
        expect("rows changed", connection.execute(change).rowcount, 1)


def _encodings(text: str) -> Iterator[bytes]:
    """``text`` as it may stand in a file: UTF-8, JSON's escapes, base64 wherever it begins."""
    plain = text.encode("utf-8")
    yield plain
    yield json.dumps(text)[1:-1].encode("ascii")
    for offset in range(3):
        # Cut to the characters that depend on nothing before or after the text.
        encoded = base64.urlsafe_b64encode(bytes(offset) + plain)
        yield encoded[-(-offset * 8 // 6) : (offset + len(plain)) * 8 // 6]


# --- on the screen ------------------------------------------------------------------------------

FRAME: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "intro": "certledger 演示：一座虚构城市的电子证照，从签发、授权、查询到审计，"
        "全程使用真实进程，逐步核对。样例中没有真实人员。",
        "why": "意义",
        "done": "全部 {steps} 步都与预期一致，用时 {seconds:.0f} 秒。",
        "figures": "账本 {entries} 条记录，链上 {blocks} 个区块；演示中验证了 {receipts} 张回执。",
        "proven": "向谁证明了什么",
        "next": "接下来可以：certledger serve 启动自己的账本，按 README 里的命令逐条试用；"
        "certledger bench lookups 测量本机性能。",
        "failed": "第 {number} 步“{title}”没有得到预期结果。",
        "what": "检查项",
        "expected": "应为",
        "got": "实为",
        "logs": "数据和日志保留在 {folder}，其中 data/serve.log 是服务日志。",
    },
    "en": {
        "intro": "The certledger demo: electronic certificates of a made-up city, from issue and "
        "grant to lookup and audit, on real processes, every step checked. Nobody in the samples "
        "is real.",
        "why": "Why it matters",
        "done": "All {steps} steps came out as they should, in {seconds:.0f} s.",
        "figures": "{entries} entries in the ledger, {blocks} blocks on the chain; {receipts} "
        "receipts verified on the way.",
        "proven": "What was proven, and to whom",
        "next": "What to try next: start a ledger of your own with certledger serve and follow "
        "the README's commands; measure this machine with certledger bench lookups.",
        "failed": "Step {number}, '{title}', did not come out as it should.",
        "what": "checked",
        "expected": "expected",
        "got": "got",
        "logs": "Data and logs are kept in {folder}; data/serve.log is the service's log.",
    },
}
ACHIEVED: Final[Mapping[str, str]] = {
    "zh": """\
持证人：给出去的只有自己同意的内容；每一次查看、每一次被拒绝的尝试，自己都看得到。
窗口和终端：所得内容出自发证机关，当时有效；回执证明这次查询得到了授权。
发证机关：自己签发的每一张证照都已上链；撤销之后，立即不能再用。
审计员：记录一条不缺、一字未改，不必听信任何一方。
运营方：数据库的任何改动都会被发现，这也为自己作了证明。
""",
    "en": """\
Holder: only what was agreed to was given; every look and every refused attempt can be seen.
Counter and kiosk: what they got came from the issuer and was valid; the lookup was granted.
Issuer: every certificate that it signed is on the chain; once revoked, it is of no more use.
Auditor: no record is missing and none was altered, without taking anybody's word for it.
Operator: any change to the database comes to light, which also clears the innocent.
""",
}
INDENT: Final = 6
#: Characters of a value in a failure; the whole is in failure.txt.
SHOWN: Final = 600


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _terminal_qr(text: str) -> Text:
    """The symbol in half blocks: two rows of modules a line."""
    matrix = qr_matrix(text)
    quiet = 2
    side = len(matrix) + 2 * quiet
    light = [[True] * side for _ in range(side + side % 2)]
    for y, row in enumerate(matrix, quiet):
        light[y][quiet : quiet + len(row)] = [not dark for dark in row]
    # Light modules are drawn, dark ones left out: right on a dark screen, and the style makes
    # it right on any screen that has colours.
    halves = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    lines = [
        "".join(halves[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(light[::2], light[1::2], strict=True)
    ]
    return Text("\n".join(lines), style="bright_white on black", no_wrap=True)


def _wrapped(text: str, width: int) -> str:
    """``text`` in lines of ``width`` cells. Chinese breaks between any two characters, but no
    line begins with a closing mark, as the language wants it."""
    pieces = re.findall(r"[“（‘]*(?:[!-~]+|[^\s!-~])[，。；：、！？”’）]*\s*", text)
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


@dataclass
class Screen:
    """Calm output: a heading a step, what happened, and why it matters."""

    console: Console
    frame: Mapping[str, str]

    def paragraph(self, text: str, *, indent: int = INDENT, style: str = "") -> None:
        width = min(self.console.width, 100) - indent
        for line in _wrapped(text, width).splitlines():
            self.console.print(Text(" " * indent + line, style))

    def begin(self, number: int, title: str) -> None:
        self.console.print()
        self.console.print(Text.assemble((f"{number:>2} / {len(STEPS)} ", "cyan"), (title, "bold")))

    def tell(self, words: Words, told: Told) -> None:
        for item in told.shown:
            width = min(self.console.width, 100)
            self.console.print(Padding(item, (0, 0, 1, INDENT), expand=False), width=width)
        self.paragraph(words.told.format(**told.facts))
        colon = "：" if cell_len(self.frame["why"]) == 4 else ": "
        self.paragraph(self.frame["why"] + colon + words.why, style="dim")


def language_of(wanted: str) -> str:
    """'zh' or 'en'; by the environment when nothing is wanted. Raises ValueError."""
    text = wanted or next(
        (value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), ""
    )
    if text.lower().startswith("zh"):
        return "zh"
    if wanted and not text.lower().startswith("en"):
        raise ValueError(f"--lang is zh or en, not {wanted}")
    return "en"


def run_demo(language: str, samples: Path | None) -> int:
    """Tell the story. 0: every step came out as it should; 1: one did not; 2: wrong usage."""
    console = Console(highlight=False)
    with suppress(AttributeError):
        # A terminal that cannot show the half blocks still gets the story.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        chosen = language_of(language)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if samples is not None and not (samples / "expected.json").is_file():
        print(f"{samples} has no expected.json beside the exports", file=sys.stderr)
        return 2
    screen = Screen(console, FRAME[chosen])
    story = Story(Path(tempfile.mkdtemp(prefix="certledger-demo-")), samples, chosen)
    screen.paragraph(screen.frame["intro"], indent=0)
    try:
        succeeded = _tell(story, screen)
    except KeyboardInterrupt:
        story.stop()
        shutil.rmtree(story.folder, ignore_errors=True)
        raise
    if succeeded:
        shutil.rmtree(story.folder, ignore_errors=True)
    return 0 if succeeded else 1


def _tell(story: Story, screen: Screen) -> bool:
    """All steps in order; False after the first that failed."""
    for number, each in enumerate(STEPS, 1):
        words = each.words[story.language]
        screen.begin(number, words.title)
        try:
            told = each.run(story, words)
        except Exception as error:  # noqa: BLE001 - whatever it is, the step failed and says so
            story.stop()
            _show_failure(screen, number, words.title, error, story.folder)
            return False
        screen.tell(words, told)
    _show_summary(story, screen)
    return True


def _show_failure(screen: Screen, number: int, title: str, error: Exception, folder: Path) -> None:
    import traceback

    (folder / "failure.txt").write_text("".join(traceback.format_exception(error)), "utf-8")
    frame = screen.frame
    screen.console.print()
    screen.paragraph(frame["failed"].format(number=number, title=title), indent=0, style="bold red")
    if isinstance(error, Unexpected):
        rows = (("what", error.what), ("expected", error.expected), ("got", error.got))
    else:
        rows = (("what", type(error).__name__), ("expected", title), ("got", error))
    table = _table("", "")
    table.show_header = False
    for name, value in rows:
        table.add_row(frame[name], Text(str(value)[:SHOWN]))
    screen.console.print(Padding(table, (0, 0, 0, 2), expand=False))
    screen.paragraph(frame["logs"].format(folder=folder), indent=0)


def _show_summary(story: Story, screen: Screen) -> None:
    frame = screen.frame
    seconds = time.monotonic() - story.began
    screen.console.print()
    screen.paragraph(
        frame["done"].format(steps=len(STEPS), seconds=seconds), indent=0, style="bold green"
    )
    figures = {"entries": story.size, "blocks": story.blocks, "receipts": story.receipts}
    screen.paragraph(frame["figures"].format(**figures), indent=0)
    screen.console.print()
    screen.paragraph(frame["proven"], indent=0, style="bold")
    for line in ACHIEVED[story.language].splitlines():
        screen.paragraph(line, indent=2)
    screen.console.print()
    screen.paragraph(frame["next"], indent=0)
