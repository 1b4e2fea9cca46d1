"""The whole story once, on real processes, every step checked: `certledger demo`.

Starts a service with its own chain node in a temporary folder, plays every actor over HTTP with
`api.client`, and tells in plain words what happened and why it matters. Each step is one function
with its sentences beside it in both languages (`api.show.story_grant`, `api.show.story_lookup`,
`api.show.story_audit`); it raises `Unexpected` when anything came out other than it should, and
then the folder with the logs is kept.

Not its job: the details and the corners of each rule; they have tests of their own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from api.show import story_audit, story_grant, story_lookup
from api.show.screen import Screen, table_of
from api.show.story import Step, Story, Unexpected

STEPS: Final[Sequence[Step]] = (*story_grant.STEPS, *story_lookup.STEPS, *story_audit.STEPS)

FRAME: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "intro": "certledger 演示：一座虚构城市的电子证照，从签发、授权、查询到审计，"
        "全程使用真实进程，逐步核对。样例中没有真实人员。",
        "why": "意义",
        "done": "全部 {steps} 步都与预期一致，用时 {seconds:.0f} 秒。",
        "figures": "账本 {entries} 条记录，链上 {blocks} 个区块；演示中验证了 {receipts} 张回执。",
        "proven": "向谁证明了什么",
        "next": "接下来可以：certledger serve 启动自己的账本，"
        "按 docs/first-steps.md 中的命令逐条试用；"
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
        "the commands in docs/first-steps.md; measure this machine with certledger bench lookups.",
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
#: Characters of a value in a failure; the whole is in failure.txt.
SHOWN: Final = 600


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
    screen = Screen(console, FRAME[chosen], len(STEPS))
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
    table = table_of("", "")
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
