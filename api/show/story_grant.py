"""The demo's first steps: a service is started, a city enrolled, certificates issued, a grant made.

Each step is one function with its sentences beside it in both languages.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from api.sample.city import HALLS, INSTITUTIONS, MARKET, POLICE, SITES, TRAFFIC, found_city
from api.sample.exports import CARDS, DRIVERS, LICENCES, write_samples
from api.show.screen import table_of, terminal_qr
from api.show.story import (
    CARD,
    COUNTER,
    GRANTED,
    ITEM,
    TERMINALS,
    Step,
    Story,
    Told,
    Unexpected,
    Words,
    expect,
    step,
    wait_until,
)
from authz.code.codes import parse_code
from ledger.catalogue import load_catalogue
from ledger.certificate.credential import city_date
from ledger.export import open_export
from ledger.intake.rows import Prepared, prepare_rows
from ledger.proof.encoding import b64url_decode

EXPORTS: Final = {
    CARDS: (POLICE, CARD),
    LICENCES: (MARKET, "business-licence"),
    DRIVERS: (TRAFFIC, "driving-licence"),
}

STEPS: Final[list[Step]] = []


@step(
    STEPS,
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
    STEPS,
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
        wait_until(partial(story.chain.directory_entry, kid), "a key in the chain's directory")
    return Told(
        {
            "institutions": len(INSTITUTIONS),
            "sites": len(SITES),
            "terminals": len(city.terminals),
        }
    )


@step(
    STEPS,
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
    table = table_of(*words.columns)
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
    STEPS,
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
    STEPS,
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
        [terminal_qr(shown)],
    )


def _sample_exports(story: Story) -> tuple[Path, Mapping[str, Mapping[str, int]]]:
    """The folder with the three exports, and what importing them must come to."""
    if story.samples is None:
        return story.folder / "exports", write_samples(story.folder / "exports")
    text = (story.samples / "expected.json").read_text("utf-8")
    expected: dict[str, dict[str, int]] = json.loads(text)
    return story.samples, expected


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
