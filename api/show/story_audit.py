"""The demo's last steps: what an auditor, an outsider and the operator can check afterwards.

Each step is one function with its sentences beside it in both languages.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import update

from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.operate.tracing import check_lines
from api.show.screen import table_of
from api.show.story import KIOSK, Step, Story, Told, Unexpected, Words, expect, step
from audit.history.tracing import PROVEN
from audit.integrity.findings.report import IntegrityReport
from ledger.database import tables
from ledger.database.transactions import Database

STEPS: Final[list[Step]] = []


@step(
    STEPS,
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
    table = table_of(*words.columns)
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
    STEPS,
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
    STEPS,
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
    STEPS,
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
