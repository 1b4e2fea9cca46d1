"""The report on paper: drawn, read back by other programs, and handed out by the service."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pylopdf_fonts_zh_cn
import pypdf
import pypdfium2
import pytest
import zxingcpp
from typer.testing import CliRunner

from api.cli import app
from api.media.report import names_of, read, report_pdf
from api.media.report_pdf import FontError, _has, draw
from audit.evidence.bundle import read_trust
from audit.evidence.verification import verify_bundle
from audit.report.composition import report_of
from audit.report.content import LANGUAGES, ReportContent

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "evidence.json").read_text("utf-8"))
TRUST = read_trust(VECTOR["trust"])
FILE = json.dumps(VECTOR["bundle"]).encode()
BASE = "https://ledger.example"
MOST_BYTES = 350_000


def altered() -> bytes:
    bundle = copy.deepcopy(VECTOR["bundle"])
    bundle["entries"][-1]["entry"]["staff"] = "somebody-else"
    return json.dumps(bundle).encode()


def made(file: bytes = FILE, language: str = "zh-CN", at: int = 1_795_347_540_000) -> bytes:
    return report_pdf(
        read(file),
        TRUST,
        names_of(language),
        language=language,
        made_ms=at,
        base_url=BASE,
        font=None,
    ).pdf


def content_of(file: bytes = FILE, language: str = "zh-CN") -> ReportContent:
    found = read(file)
    return report_of(
        found.bundle,
        verify_bundle(found.bundle, TRUST),
        TRUST,
        language=language,
        digest=found.digest,
        size=found.size,
        made_ms=0,
        check_url=f"{BASE}/check#bundle={found.digest}",
        names=names_of(language),
    )


def pages(pdf: bytes) -> list[str]:
    """The text of each page, as somebody would copy it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [document[index].get_textpage().get_text_range() for index in range(len(document))]
    finally:
        document.close()


def picture(pdf: bytes, page: int = 0) -> Any:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return document[page].render(scale=2).to_pil()
    finally:
        document.close()


def fonts(pdf: bytes) -> dict[str, set[str]]:
    """Every font in the file, and the kinds of font program that come with it."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf))
    return {
        str(item["/FontName"]): {str(key) for key in item if "/FontFile" in key}
        for item in map(pypdf.generic.PdfObject.get_object, writer._objects)
        if isinstance(item, dict) and item.get("/Type") == "/FontDescriptor"
    }


# --- on paper -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_font_is_in_the_file(language: str) -> None:
    found = fonts(made(language=language))
    assert {name.partition("+")[2] for name in found} >= {"NotoSansSC-Regular"}
    assert all(programs & {"/FontFile2", "/FontFile3"} for programs in found.values()), found


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh-CN", ["核验通过", "旅馆住宿登记", "依据持证人的授权获得以下内容", "第 1 页"]),
        ("en", ["VERIFIED", "Hotel check-in", "By the holder's grant it was given", "Page 1 of"]),
    ],
)
def test_text_can_be_read_back(language: str, words: list[str]) -> None:
    pdf = made(language=language)
    shown = pages(pdf)
    joined = "".join(shown).replace("\r\n", "")
    assert [word for word in words if word not in joined] == []
    # What is compared character by character is copied without a gap, however it was broken.
    assert VECTOR["facts"]["entry"]["certificate"] in joined
    assert VECTOR["facts"]["block"]["hash"] in joined
    assert all(read(FILE).digest in page for page in shown)
    assert len(pdf) < MOST_BYTES


def test_report_is_tagged_for_readers_that_read_aloud() -> None:
    root = pypdf.PdfReader(BytesIO(made())).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "zh-CN"
    assert "/StructTreeRoot" in root
    assert b"pdfuaid" in root["/Metadata"].get_data()


def test_code_leads_to_the_public_check_and_tells_nothing_else() -> None:
    found = zxingcpp.read_barcodes(picture(made()))
    assert [item.text for item in found] == [f"{BASE}/check#bundle={read(FILE).digest}"]


def test_report_is_black_on_white() -> None:
    shown = picture(made())
    assert shown.convert("L").convert("RGB").tobytes() == shown.convert("RGB").tobytes()


def test_same_file_at_the_same_time_gives_the_same_bytes() -> None:
    assert made() == made()
    assert made() != made(at=1_795_347_600_000)


@pytest.mark.parametrize(("language", "word"), [("zh-CN", "核验未通过"), ("en", "FAILED")])
def test_report_of_what_failed_says_so_and_nothing_else(language: str, word: str) -> None:
    shown = "".join(pages(made(altered(), language)))
    assert word in shown
    entry = VECTOR["facts"]["entry"]
    for fact in ("somebody-else", entry["department"], entry["certificate"], entry["actor"]):
        assert fact not in shown


def test_two_hundred_entries_take_pages_that_are_numbered() -> None:
    content = content_of()
    assert content.timeline is not None
    events = [
        replace(content.timeline.events[-1], seq=seq, details=("查询内容" * (seq % 9),))
        for seq in range(1_000, 1_200)
    ]
    many = replace(content, timeline=replace(content.timeline, events=tuple(events)))
    pdf = draw(many)
    shown = pages(pdf)
    assert len(shown) > 6
    for number, page in enumerate(shown, 1):
        assert f"第 {number} 页，共 {len(shown)} 页" in page
    assert [seq for seq in range(1_000, 1_200) if str(seq) not in "".join(shown)] == []
    assert len(pdf) < MOST_BYTES


@pytest.mark.parametrize("count", [17, 18, 20, 21, 27, 28])
def test_heading_stands_on_the_page_of_its_table(count: int) -> None:
    content = content_of()
    assert content.timeline is not None
    events = (content.timeline.events[-1],) * count
    shown = pages(draw(replace(content, timeline=replace(content.timeline, events=events))))

    def page_of(text: str) -> int:
        (found,) = [number for number, page in enumerate(shown) if text in page]
        return found

    assert page_of("与本证据无关的项目不列出") == page_of("证据包所证明的第")
    assert page_of("文件大小") == page_of("存有该根的区块")


def test_nothing_is_wider_than_the_page() -> None:
    content, long = content_of(language="en"), "A1b2." * 40
    assert content.timeline is not None
    event = replace(content.timeline.events[0], what=long, details=(long,), who=long)
    rows = tuple(
        replace(part, rows=(*part.rows, replace(part.rows[0], lines=(long,), exact=exact)))
        for part, exact in zip(content.proofs, (True, False), strict=True)
    )
    finding = replace(content.checks.findings[0], words=long)
    wide = replace(
        content,
        about=long,
        timeline=replace(content.timeline, events=(event,)),
        checks=replace(content.checks, findings=(finding,)),
        proofs=rows,
    )
    document = pypdfium2.PdfDocument(draw(wide))
    right = 0.0
    for page in document:
        text = page.get_textpage()
        shown = [at for at in range(text.count_chars()) if text.get_text_range(at, 1).strip()]
        right = max(right, *(text.get_charbox(at)[2] for at in shown))
    document.close()
    millimetre = 72 / 25.4
    assert right <= (210 - 18) * millimetre + 1


def test_character_that_no_font_has_leaves_the_rest_readable() -> None:
    content = replace(content_of(), said="持证人写道：😀 完")
    assert "持证人写道" in "".join(pages(draw(content)))


#: Of the blocks that Unicode added one after the other, the last in version 15.1 (Extension I).
RARE = "\u4dae\u9fef\u9fff\U0002a6d6\U0002b739\U0002ceb0\U00030000\U000323af\U0002ebf0"


def test_name_in_any_block_is_printed_with_code_points_for_what_the_font_lacks() -> None:
    content = replace(content_of(), said=f"持证人：样{RARE}本 完")
    printed = "".join("".join(pages(draw(content))).split())
    assert "[U+2A6D6]" in printed
    for char in RARE:
        marked = f"[U+{ord(char):04X}]"
        assert (marked in printed) or (char in printed)
        assert (marked in printed) != _has(char, None)
    assert "样" in printed
    assert "\ufffd" not in printed


def test_no_code_point_stands_beside_what_is_printed() -> None:
    assert "[U+" not in "".join(pages(made()))


def test_another_font_can_be_chosen(tmp_path: Path) -> None:
    pdf = draw(content_of(), pylopdf_fonts_zh_cn.serif_path())
    assert b"NotoSerifSC" in pdf
    assert b"NotoSerifSC" not in made()
    wrong = tmp_path / "wrong.ttf"
    wrong.write_bytes(b"not a font")
    with pytest.raises(FontError, match=r"wrong\.ttf"):
        draw(content_of(), wrong)


# --- the command and the service ------------------------------------------------------------------


def test_command_makes_a_report_offline(tmp_path: Path) -> None:
    bundle, trust, out = (tmp_path / name for name in ("bundle.json", "trust.json", "report.pdf"))
    bundle.write_bytes(FILE)
    trust.write_text(json.dumps(VECTOR["trust"]), "utf-8")

    def run(*more: str, code: int) -> str:
        words = ["report", str(bundle), "--trust", str(trust), "--out", str(out), *more]
        done = CliRunner().invoke(app, words, env={"CERTLEDGER_URL": "http://127.0.0.1:9"})
        assert done.exit_code == code, (done.stdout, done.stderr)
        return str(done.stdout)

    assert "verdict: verified" in run(code=0)
    assert "核验通过" in "".join(pages(out.read_bytes()))
    assert json.loads(run("--lang", "en", "--json", code=0))["verdict"] == "verified"
    assert "VERIFIED" in "".join(pages(out.read_bytes()))
    run("--lang", "fr", code=2)
    bundle.write_bytes(altered())
    assert "verdict: failed" in run(code=1)
    assert "核验未通过" in "".join(pages(out.read_bytes()))
    bundle.write_bytes(FILE[:-9])
    run(code=2)


def test_service_does_not_start_with_a_font_that_is_none(tmp_path: Path) -> None:
    wrong, data = tmp_path / "wrong.ttf", tmp_path / "data"
    wrong.write_bytes(b"not a font")
    words = ["serve", "--data", str(data), "--port", "0"]
    done = CliRunner().invoke(app, words, env={"CERTLEDGER_REPORT_FONT": str(wrong)})
    assert done.exit_code == 2
    assert "wrong.ttf is no TrueType or OpenType font" in done.stderr
    assert not data.exists()


def test_service_makes_reports_for_anybody(city: Any) -> None:
    person = city.person()
    file = json.dumps(city.police.evidence("certificate", person.card)["bundle"]).encode()

    def post(body: bytes, language: str) -> httpx.Response:
        url = f"{city.url}/v1/verify/report?lang={language}"
        headers = {"Content-Type": "application/json"}
        return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=30)

    answer = post(file, "zh-CN")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["cache-control"] == "no-store"
    assert read(file).digest[:8] in answer.headers["content-disposition"]
    shown = "".join(pages(answer.content))
    assert "核验通过" in shown
    assert "示例市公安局" in shown  # the name that this service has for the code
    (code,) = zxingcpp.read_barcodes(picture(answer.content))
    assert code.text == f"{city.url}/check#bundle={read(file).digest}"
    # Of another ledger: made, and says that it failed.
    other = post(FILE, "en")
    assert other.status_code == 200
    assert "FAILED" in pages(other.content)[0]
    for body, language, status in ((b"{}", "en", 400), (b"[", "en", 400), (file, "fr", 422)):
        refused = post(body, language)
        assert refused.status_code == status
        assert refused.headers["content-type"] == "application/problem+json"
    assert post(b" " * ((1 << 20) + 1), "en").status_code == 413
