"""What the human report says around the facts, in English and Chinese: headings, sentences, labels.

Codes and identifiers are filled in by `audit.report.composition`; what the checks say is in
`audit.evidence.words` and `audit.evidence.words_zh`. A test holds the two languages together, to
the last value to fill in. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from audit.evidence.words import LIMITS, WORDS
from audit.evidence.words_zh import LIMITS as LIMITS_ZH
from audit.evidence.words_zh import WORDS as WORDS_ZH
from authz.lookup.reasons import REASONS
from ledger.certificate.credential import CITY_TIME

# What is put in place of what hides or turns other characters: controls, fillers, direction marks,
# separators, variation selectors, noncharacters, tags. A list, and not the table of what may be
# signed: also what nobody could sign is printed, whatever Unicode this Python has.
_HIDING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff"
    "\ufdd0-\ufdef\ud800-\udfff\U000e0000-\U000e0fff]"
)
#: Characters of one text that are printed; the longest that people may write has 500.
MAX_SHOWN = 600

EN: Final[Mapping[str, str]] = {
    "title": "Evidence report",
    "about.lookup": "on a lookup, entry {name} of the ledger",
    "about.certificate": "on certificate {name}",
    "about.grant": "on grant {name}",
    "about.dispute": "on dispute {name}",
    "about.nothing": "on a file that did not pass verification",
    "made": "Made on {time} from the evidence file alone.",
    "made.named": "Made on {time} from the evidence file alone; the names of departments and "
    "sites, where they stand beside a code, are the maker's addition.",
    "verdict.verified": "VERIFIED",
    "verdict.verified.text": "The evidence was checked step by step, and nothing in it was found "
    "wrong. What follows is what it proves.",
    "verdict.verified.open": "No check failed; what is not proven is named below.",
    "verdict.incomplete": "INCOMPLETE",
    "verdict.incomplete.text": "Nothing was found wrong, but a part of the proof is missing. Do "
    "not rely on what follows until it is there:",
    "verdict.failed": "FAILED",
    "verdict.failed.text": "This file does not prove what it says: something in it was altered, "
    "is missing or does not belong there. So that nothing of it is taken for a fact, this report "
    "repeats none of it.",
    "qr": "Scan to check the file yourself",
    "page": "Page {page} of {pages}",
    "footer": "SHA-256 of the evidence file",
    "named": "{name} ({code})",
    "quoted": '"{text}"',
    "list": ", ",
    "span": "{first} to {last}",
    "local": "{time} UTC+8",
    # Sentences: what happened
    "said.released": 'On {time}, {department} looked up {type} at {site} for "{item}". By the '
    "holder's grant it was given: {fields}.",
    "said.released.withheld": 'On {time}, {department} looked up {type} at {site} for "{item}" '
    "and was given what it had asked for by the holder's grant.",
    "said.refused": 'On {time}, {department} tried to look up {type} at {site} for "{item}". It '
    "was refused and given nothing. {reason}",
    "said.recorded": "Recorded reason: {reason}",
    "said.certificate": "On {time}, {issuer} issued {type}. {status}",
    "said.grant": 'On {time}, the holder granted {department} a look at {types} for "{item}". '
    "{withdrawn}",
    "said.grant.withheld": 'On {time}, the holder granted {department} a look for "{item}". '
    "{withdrawn}",
    "said.grant.withdrawn": "The holder withdrew the grant on {time}.",
    "said.grant.stands": "This evidence holds no withdrawal.",
    "said.dispute": "On {time}, the holder disputed entry {seq} ({what}): {cause}. {outcome}",
    "said.dispute.open": "No resolution is shown here, which does not say that there is none.",
    "said.dispute.upheld": "On {time} the auditor found for the holder.",
    "said.dispute.rejected": "On {time} the auditor rejected the dispute.",
    "said.dispute.withdrawn": "On {time} the holder took the dispute back.",
    "a.type": "a certificate ({type})",
    "a.certificate": "a certificate",
    # Sections
    "parties": "Parties",
    "business": "Business",
    "place": "Place",
    "decision": "Decision",
    "fields": "Disclosed content",
    "fields.note": "Signed by the issuer, and released by this lookup.",
    "certificate": "Certificate",
    "grant": "The holder's grant",
    "dispute": "Dispute",
    "course": "Course",
    "timeline": "Timeline",
    "timeline.note": "Every entry in the evidence. Local time is UTC+8; an entry's time is what "
    "the ledger wrote.",
    "checks": "The checks",
    "checks.note": "By the protocol that is written down with certledger (docs/evidence.md). "
    "Those that do not concern this evidence are left out. What is not proven may still be so: "
    "this evidence does not show it.",
    "checks.failed.note": " For checks that did not fail only their outcome is shown.",
    "limits": "What no evidence file shows",
    "proofs": "Proofs",
    "trusted": "Held against this trust file",
    "trusted.note": "The report is as good as this: compare it with what the other members of the "
    "consortium have.",
    "steps": "Verify it yourself",
    # Labels
    "department": "Department",
    "holder": "Holder",
    "holder.text": "the holder; no ledger entry names a person",
    "issuer": "Issued by",
    "staff": "Member of staff",
    "terminal": "Terminal",
    "site": "Site",
    "sites": "Sites",
    "item": "Service item",
    "number": "Business number",
    "purpose": "Purpose, in the holder's words",
    "outcome": "Outcome",
    "reason": "Reason",
    "asked": "Asked for",
    "given": "Given",
    "shown": "Shown by the holder",
    "type": "Type",
    "identifier": "Identifier",
    "status": "Status",
    "content": "Content",
    "content.erased": "erased on {time} (entry {seq}); the proofs still hold",
    "grant_id": "Identifier",
    "granted": "May be looked up",
    "window": "In this time",
    "uses": "Uses at most",
    "mode": "Way",
    "disputed": "Disputed entry",
    "cause": "Cause",
    "digest": "SHA-256 of the file",
    "size": "Size of the file",
    "bytes": "{count} bytes",
    "origin": "Log",
    "checkpoint": "Checkpoint",
    "checkpoint.text": "{size} entries",
    "root": "Root of the log",
    "block.now": "Block with that root",
    "block.then": "All entries recorded by",
    "block.text": "number {number}, {time}",
    "chain": "Chain",
    "sealers": "Sealers",
    "log_key": "Key of the log",
    "policy": "Witnesses asked for",
    "directory": "Directory contract",
    "checkpoint_log": "Checkpoint contract",
    "status_registry": "Status contract",
    "signed_by": "Key of {who}, entries {seqs}",
    "entry": "Entry",
    "when": "Local time, UTC",
    "what": "What happened",
    "who": "Signed by",
    "check": "Check",
    "result": "Result",
    "finding": "What was found",
    "at_entry": "{words} (entry {seq})",
    "withheld": "the signed statement is withheld for now",
    "yes": "yes",
    "no": "no",
    # Steps
    "step.digest": "Is this report of the file that you hold? Its SHA-256 must be the one at the "
    "foot of every page.",
    "step.page": "In a browser, without installing anything: open this address, or scan the code "
    "on the first page, and drop the file there.",
    "step.trust": "To take nobody's word: fetch the trust file once and compare it with what the "
    "other members of the consortium have.",
    "step.verify": "Then check the file offline, with no service, database or chain.",
    "step.own": "Or write a verifier of your own: the protocol is docs/evidence.md in "
    "certledger's sources.",
    # Who signs, by role
    "signer.holder": "the holder's device",
    "signer.auditor": "auditor",
    "signer.enroller": "the enrolling office",
    "signer.identity": "the authority for the holder's identity",
    "signer.self": "the key itself, with a one-time code",
    "signer.terminal": "terminal {terminal}",
    # Outcomes, states, modes, causes
    "proven": "holds",
    "failed": "FAILED",
    "not_proven": "not proven",
    "released": "released",
    "refused": "refused",
    "state.active": "active",
    "state.suspended": "suspended",
    "state.revoked": "revoked",
    "state.superseded": "superseded",
    "state.erased": "erased",
    "state.open": "no resolution is shown",
    "state.upheld": "upheld",
    "state.rejected": "rejected",
    "state.withdrawn": "withdrawn",
    "mode.direct": "directly, to the department",
    "mode.scan": "by a code on the phone",
    "mode.request": "in answer to a counter's or kiosk's request",
    "shown.code": "a code on the phone",
    "shown.spoken": "eight spoken digits",
    "shown.grant_id": "nothing: the grant named the department directly",
    "shown.request_id": "an approval on the phone",
    "cause.not_me": "this was not me",
    "cause.wrong_fields": "they asked for more than the business needs",
    "cause.wrong_purpose": "another purpose than was agreed",
    "cause.other": "another reason",
    "ground": "Ground: {ground}",
    "ground.retention_over": "the time for which it is to be kept is over",
    "ground.unlawful": "it was collected or kept against the law",
    "ground.court_order": "an order of a court or authority",
    "ground.issued_in_error": "issued in error",
    # Timeline, by kind of entry and what it says
    "event.issue": "{issuer} issued {type}.",
    "event.status.suspend": "{issuer} suspended the certificate.",
    "event.status.restore": "{issuer} restored the certificate.",
    "event.status.revoke": "{issuer} revoked the certificate.",
    "event.status.supersede": "{issuer} replaced the certificate by a newer one.",
    "event.status.erase": "{issuer} erased the certificate's content.",
    "event.grant": "The holder granted {department} a look.",
    "event.revocation": "The holder withdrew the grant.",
    "event.revocation.device": "The holder withdrew all that the device had granted.",
    "event.lookup.released": "{department} looked up, and was given what was granted.",
    "event.lookup.refused": "{department} tried to look up, and was refused.",
    "event.dispute": "The holder opened a dispute.",
    "event.resolution.upheld": "The auditor found for the holder.",
    "event.resolution.rejected": "The auditor rejected the dispute.",
    "event.resolution.withdrawn": "The holder took the dispute back.",
    "event.question.holder": "The auditor asked the holder.",
    "event.question.department": "The auditor asked {department}.",
    "event.answer.holder": "The holder answered.",
    "event.answer.department": "{department} answered.",
    "event.enrolment.holder": "A holder's device was enrolled.",
    "event.enrolment.key": "A terminal was enrolled: {terminal}.",
    "event.enrolment.suspended": "A holder's device was frozen.",
    "event.enrolment.restored": "A holder's frozen device was restored.",
    "event.invitation.holder": "A one-time code was made out for a holder's device.",
    "event.invitation.key": "A one-time code was made out for terminal {terminal}.",
    "event.other": 'An entry of kind "{kind}".',
    # Checks, by name
    "check.subject": "Subject",
    "check.signatures": "Signatures",
    "check.entries": "Entries",
    "check.checkpoint": "Checkpoint",
    "check.inclusion": "In the log",
    "check.seal": "Block seal",
    "check.anchor": "On the chain",
    "check.recorded": "Recorded by",
    "check.keys": "Institutions' keys",
    "check.enrolments": "Devices, terminals",
    "check.order": "Order",
    "check.grant": "Grant",
    "check.status": "Status",
    "check.disclosures": "Content",
    "check.dispute": "Dispute",
    "check.complete": "Nothing extra",
    "limit.holder": "Who the holder is",
    "limit.absence": "What did not happen",
    "limit.allowance": "What the item may ask",
    "limit.validity": "Its dates",
    "limit.time": "The very moment",
}

ZH: Final[Mapping[str, str]] = {
    "title": "证据核验报告",
    "about.lookup": "查询：账本第 {name} 条记录",
    "about.certificate": "证照：{name}",
    "about.grant": "授权：{name}",
    "about.dispute": "异议：{name}",
    "about.nothing": "对象：一份未通过核验的文件",
    "made": "本报告于{time} 仅依据证据文件制作。",
    "made.named": "本报告于{time} 仅依据证据文件制作；代码旁的部门和地点名称由制作方补充。",
    "verdict.verified": "核验通过",
    "verdict.verified.text": "已逐项核验，没有发现任何不符。以下为其所证明的内容。",
    "verdict.verified.open": "没有核验项不符；未能证明的内容见下。",
    "verdict.incomplete": "核验不完整",
    "verdict.incomplete.text": "没有发现不符，但缺少部分证明。补齐之前，请勿采信以下内容：",
    "verdict.failed": "核验未通过",
    "verdict.failed.text": "该文件不能证明其所述内容：其中有内容被改动、有缺失，或者本不应在其中。"
    "为避免误信，本报告不转述其任何内容。",
    "qr": "扫码自行核验文件",
    "page": "第 {page} 页，共 {pages} 页",
    "footer": "证据文件 SHA-256",
    "named": "{name}（{code}）",
    "quoted": "“{text}”",
    "list": "、",
    "span": "{first} 至 {last}",
    "local": "北京时间 {time}",
    "said.released": "{time}，{department}在{site}为办理“{item}”查询了{type}，依据持证人的授权获得"
    "以下内容：{fields}。",
    "said.released.withheld": "{time}，{department}在{site}为办理“{item}”查询了{type}，依据持证人"
    "的授权获得了所请求的内容。",
    "said.refused": "{time}，{department}在{site}为办理“{item}”请求查询{type}，被拒绝，没有获得任"
    "何内容。{reason}",
    "said.recorded": "记录的拒绝原因：{reason}",
    "said.certificate": "{time}，{issuer}签发了{type}。{status}",
    "said.grant": "{time}，持证人授权{department}为办理“{item}”查询{types}。{withdrawn}",
    "said.grant.withheld": "{time}，持证人授权{department}为办理“{item}”进行查询。{withdrawn}",
    "said.grant.withdrawn": "持证人已于{time} 撤回该授权。",
    "said.grant.stands": "证据中没有撤回记录。",
    "said.dispute": "{time}，持证人对第 {seq} 条记录（{what}）提出异议，事由：{cause}。{outcome}",
    "said.dispute.open": "证据中没有出示处理结论，这并不说明没有结论。",
    "said.dispute.upheld": "{time}，审计员认定异议成立。",
    "said.dispute.rejected": "{time}，审计员驳回异议。",
    "said.dispute.withdrawn": "{time}，持证人撤回异议。",
    "a.type": "一张{type}",
    "a.certificate": "一张证照",
    "parties": "有关各方",
    "business": "办理业务",
    "place": "办理地点",
    "decision": "办理结果",
    "fields": "所附证照内容",
    "fields.note": "均由发证部门签发，并在本次查询中提供。",
    "certificate": "证照",
    "grant": "持证人的授权",
    "dispute": "异议处理",
    "course": "经过",
    "timeline": "时间经过",
    "timeline.note": "证据中的全部记录。当地时间为 UTC+8；记录时间由账本写明。",
    "checks": "核验项目",
    "checks.note": "核验步骤见 certledger 公开文档 docs/evidence.md；与本证据无关的项目不列出。“未"
    "证明”不等于不属实，只是本证据不能证明。",
    "checks.failed.note": "除未通过的项目外，只列出结果。",
    "limits": "证据文件不能证明的事项",
    "proofs": "证明材料",
    "trusted": "核验所依据的信任文件",
    "trusted.note": "报告的可信程度以此为限：请与联盟其他成员持有的信任文件核对。",
    "steps": "如何自行核验",
    "department": "查询部门",
    "holder": "持证人",
    "holder.text": "持证人（账本记录不写个人姓名）",
    "issuer": "发证部门",
    "staff": "工作人员",
    "terminal": "终端",
    "site": "地点",
    "sites": "地点",
    "item": "办理事项",
    "number": "业务编号",
    "purpose": "用途（持证人填写）",
    "outcome": "结果",
    "reason": "原因",
    "asked": "请求内容",
    "given": "提供内容",
    "shown": "持证人出示",
    "type": "证照类型",
    "identifier": "证照标识",
    "status": "状态",
    "content": "内容",
    "content.erased": "已于{time} 删除（第 {seq} 条记录），证明依然有效",
    "grant_id": "授权编号",
    "granted": "可查询内容",
    "window": "授权时间",
    "uses": "最多次数",
    "mode": "授权方式",
    "disputed": "针对的记录",
    "cause": "事由",
    "digest": "文件 SHA-256",
    "size": "文件大小",
    "bytes": "{count} 字节",
    "origin": "账本",
    "checkpoint": "检查点",
    "checkpoint.text": "共 {size} 条记录",
    "root": "账本的根",
    "block.now": "存有该根的区块",
    "block.then": "全部记录上链不晚于",
    "block.text": "区块 {number}，{time}",
    "chain": "链",
    "sealers": "出块方",
    "log_key": "账本公钥",
    "policy": "要求的见证方",
    "directory": "目录合约",
    "checkpoint_log": "检查点合约",
    "status_registry": "状态登记合约",
    "signed_by": "{who}的密钥（记录 {seqs}）",
    "entry": "记录",
    "when": "当地时间、UTC",
    "what": "经过",
    "who": "签名",
    "check": "项目",
    "result": "结果",
    "finding": "核验情况",
    "at_entry": "{words}（第 {seq} 条记录）",
    "withheld": "签名声明暂不提供",
    "yes": "是",
    "no": "否",
    "step.digest": "这份报告与您手中的文件是否对应：文件的 SHA-256 应与每页页脚所印的一致。",
    "step.page": "用浏览器核验，无需安装：打开以下网址，或扫描首页的二维码，再把文件拖入页面。",
    "step.trust": "如不愿听信任何一方：取得一次信任文件，并与联盟其他成员持有的核对。",
    "step.verify": "然后离线核验文件，不需要任何服务、数据库或链。",
    "step.own": "也可以自行编写核验程序：核验步骤见 certledger 源代码中的 docs/evidence.md。",
    "signer.holder": "持证人设备",
    "signer.auditor": "审计员",
    "signer.enroller": "登记单位",
    "signer.identity": "持证人的身份认定机关",
    "signer.self": "该密钥凭一次性登记码自行登记",
    "signer.terminal": "终端 {terminal}",
    "proven": "通过",
    "failed": "未通过",
    "not_proven": "未证明",
    "released": "已提供",
    "refused": "已拒绝",
    "state.active": "有效",
    "state.suspended": "暂停使用",
    "state.revoked": "已撤销",
    "state.superseded": "已换发",
    "state.erased": "内容已删除",
    "state.open": "没有出示处理结论",
    "state.upheld": "成立",
    "state.rejected": "不成立",
    "state.withdrawn": "已撤回",
    "mode.direct": "直接授权给部门",
    "mode.scan": "手机亮码",
    "mode.request": "答复窗口或自助终端的申请",
    "shown.code": "手机上的授权码",
    "shown.spoken": "口述的八位数字",
    "shown.grant_id": "无需出示：授权直接指明了部门",
    "shown.request_id": "在手机上同意",
    "cause.not_me": "不是本人授权或办理",
    "cause.wrong_fields": "查询内容超出办事所需",
    "cause.wrong_purpose": "用途与约定不符",
    "cause.other": "其他原因",
    "ground": "依据：{ground}",
    "ground.retention_over": "保存期限届满",
    "ground.unlawful": "收集或保存不合法",
    "ground.court_order": "法院或有权机关的决定",
    "ground.issued_in_error": "签发有误",
    "event.issue": "{issuer}签发了{type}。",
    "event.status.suspend": "{issuer}暂停使用该证照。",
    "event.status.restore": "{issuer}恢复使用该证照。",
    "event.status.revoke": "{issuer}撤销了该证照。",
    "event.status.supersede": "{issuer}换发了新证照。",
    "event.status.erase": "{issuer}删除了该证照的内容。",
    "event.grant": "持证人授权{department}查询。",
    "event.revocation": "持证人撤回授权。",
    "event.revocation.device": "持证人撤回该设备作出的全部授权。",
    "event.lookup.released": "{department}查询，获得授权范围内的内容。",
    "event.lookup.refused": "{department}请求查询，被拒绝。",
    "event.dispute": "持证人提出异议。",
    "event.resolution.upheld": "审计员认定异议成立。",
    "event.resolution.rejected": "审计员驳回异议。",
    "event.resolution.withdrawn": "持证人撤回异议。",
    "event.question.holder": "审计员向持证人提问。",
    "event.question.department": "审计员向{department}提问。",
    "event.answer.holder": "持证人答复。",
    "event.answer.department": "{department}答复。",
    "event.enrolment.holder": "登记了一台持证人设备。",
    "event.enrolment.key": "登记了终端 {terminal}。",
    "event.enrolment.suspended": "冻结了一台持证人设备。",
    "event.enrolment.restored": "恢复了一台已冻结的持证人设备。",
    "event.invitation.holder": "为持证人设备开具一次性登记码。",
    "event.invitation.key": "为终端 {terminal} 开具一次性登记码。",
    "event.other": "“{kind}”类记录。",
    "check.subject": "证明对象",
    "check.signatures": "签名",
    "check.entries": "记录",
    "check.checkpoint": "检查点",
    "check.inclusion": "在账本中",
    "check.seal": "区块封签",
    "check.anchor": "已上链",
    "check.recorded": "上链时间",
    "check.keys": "单位密钥",
    "check.enrolments": "设备与终端",
    "check.order": "先后顺序",
    "check.grant": "授权",
    "check.status": "证照状态",
    "check.disclosures": "所附内容",
    "check.dispute": "异议",
    "check.complete": "没有多余",
    "limit.holder": "持证人是谁",
    "limit.absence": "没有发生的事",
    "limit.allowance": "事项可查范围",
    "limit.validity": "有效期",
    "limit.time": "确切时刻",
}


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's phrases, and how it writes times, lists and names."""

    language: str

    def say(self, key: str, **values: object) -> str:
        return self._texts[key].format(**values)

    def knows(self, key: str) -> bool:
        return key in self._texts

    def state(self, code: str | None) -> str:
        """A state in words; a code that is new stands for itself."""
        key = f"state.{code}"
        return self.say(key) if self.knows(key) else str(code)

    def ground(self, code: str) -> str:
        """Why content was erased; a code that is new stands for itself."""
        key = f"ground.{code}"
        return self.say("ground", ground=self.say(key) if self.knows(key) else plain(code))

    def found(self, code: str, told: Mapping[str, Any]) -> str:
        """What a check found, with the reasons, states and lists in it in this language too."""
        words = WORDS_ZH if self.language != "en" else WORDS
        values = dict(told)
        if "reason" in values:
            values["reason"] = self.say("quoted", text=self.reason(values["reason"]).rstrip("。."))
        if self.language != "en":
            for name in ("state", "state_now"):
                if name in values:
                    values[name] = self.state(values[name])
            if "blocks" in values:
                values["blocks"] = values["blocks"].partition(" ")[2].replace(" and ", " 和 ")
        return words[code].format(**values)

    def limits(self) -> Mapping[str, str]:
        return LIMITS_ZH if self.language != "en" else LIMITS

    def reason(self, code: str) -> str:
        """Why something was refused: what was so, without the next step, which is the clerk's."""
        reason = REASONS.get(code)
        if reason is None:
            return code
        if self.language == "en":
            return reason.en.split(". ")[0].rstrip(".") + "."
        return reason.zh.split("。")[0] + "。"

    def time(self, ms: int) -> str:
        """In the city's time, and saying so."""
        return self.say("local", time=local_time(ms))

    def named(self, code: str, names: Mapping[str, str]) -> str:
        name = names.get(code)
        return code if name is None else self.say("named", name=name, code=code)

    def listed(self, items: Iterable[str]) -> str:
        return self.say("list").join(items)

    @property
    def _texts(self) -> Mapping[str, str]:
        return EN if self.language == "en" else ZH


def local_time(ms: int) -> str:
    """In the city's time, to the second."""
    return _clock(ms, CITY_TIME)


def utc_time(ms: int) -> str:
    return _clock(ms, UTC)


def _clock(ms: int, zone: tzinfo) -> str:
    # Beyond the calendar only for what nobody sealed.
    try:
        return datetime.fromtimestamp(ms // 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(ms // 1000)


def plain(text: str) -> str:
    """A text of somebody else's, fit for print: one line, and nothing that hides or turns it."""
    shown = _HIDING.sub("\ufffd", " ".join(text[:MAX_SHOWN].split()))
    return shown + "…" if len(text) > MAX_SHOWN else shown
