"""The words of `audit.evidence.words` in Chinese, for reports that people in the city read and
print.

The same codes with the same values to fill in; a test holds the two together. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    # 1 subject
    "subject.found": "证据包所证明的第 {seq} 条记录确在其中",
    "subject.missing": "证据包所称的对象不在其中，或者不止一个",
    "subject.foreign": "证据包中有一条记录与其对象无关",
    # 2 signatures
    "signature.valid": "全部 {count} 份声明均由其所指的密钥签名",
    "signature.invalid": "有一份声明不是其所指的密钥签名的",
    "signature.no_key": "有一份声明所指的密钥不在证据包中",
    "statement.ledger": "有一份声明是为另一个账本签名的",
    "statement.not_canonical": "有一份签名内容不是规范的 JSON，可能有两种读法",
    "statement.withheld": "有一份声明暂不提供，因为持有者此时仍可凭它再次取得答复；请稍后重新索取"
    "证据包",
    # 3 entries
    "entry.agrees": "每条记录都对应其签名声明，内容一致",
    "entry.other_statement": "声明与记录中的摘要不符",
    "entry.other_actor_or_kind": "记录所写的签名人或种类与声明不同",
    "entry.members": "记录含有同类记录不应有的项目，或者缺少应有的项目",
    "entry.says_otherwise": "记录与声明的内容不一致",
    "entry.time_of_signing": "记录时间与声明的签名时间相差过大",
    "statement.form": "有一份声明不符合其种类应有的格式",
    # 4 checkpoint
    "checkpoint.signed": "账本 {origin} 已为含 {size} 条记录的检查点签名",
    "checkpoint.witnessed": "账本 {origin} 已为含 {size} 条记录的检查点签名，"
    "并由 {witnesses} 见证签名",
    "checkpoint.cosignature": "检查点上有一行见证签名，并非该见证方所签",
    "checkpoint.witness_time": "某见证方所称的时间不可能见到该检查点",
    "checkpoint.quorum": "为检查点见证签名的见证方少于信任文件的要求",
    "checkpoint.invalid": "检查点不是受信任的账本签名的，或者格式有误",
    # 5 inclusion
    "inclusion.proven": "每条记录都在账本中，属于检查点的 {size} 条记录",
    "inclusion.other_root": "有一条记录的证明路径推算不到检查点的根",
    "inclusion.malformed": "有一条记录的证明过长、过短，或者超出检查点",
    # 6 seal
    "seal.valid": "区块 {blocks} 由链 {chain_id} 上受信任的出块方封签",
    "seal.invalid": "有区块不是由受信任的链上受信任的出块方封签的",
    "seal.unknown_scheme": "未核验：本核验程序不了解这条链的封签方式",
    "block.unsealed": "与所示区块一致，但该区块的封签未经核验，因此不构成证明",
    "seal.other_scheme": "区块的封签方式与受信任的链不同",
    "header.malformed": "区块头格式有误",
    # 7 anchor, 8 recorded
    "anchor.held": "按区块 {block} 中合约的存储，合约存有该检查点的根",
    "anchor.other_root": "合约在该条数下存有的不是这个检查点的根",
    "contract.missing": "受信任的地址上没有合约",
    "contract.other_code": "受信任的地址上的合约代码不同",
    "recorded.by": "这些记录在区块 {block} 出块（{time} UTC）时均已上链，在前一个区块时则尚未；"
    "记录自身写明的时间是 {entry_time} UTC",
    "recorded.later": "按应当证明上链的区块，这些记录当时尚未上链",
    "recorded.time": "区块时间早于它所应当证明的记录",
    "recorded.earlier": "所示的首个区块之前的那个区块已有这些记录",
    "recorded.backdated": "有一条记录写明的时间，比尚无该记录的一个区块早一分钟以上",
    "recorded.order": "区块先后顺序有误",
    "proof.missing": "链上状态的证明有缺口：有一部分缺失或被改动",
    "proof.repeated": "链上状态的证明有一部分重复出现",
    "proof.malformed": "链上状态的证明格式有误",
    "rlp.malformed": "链上状态或区块头有一部分格式有误",
    # 9 keys
    "key.trusted": "按目录合约，每个签名的单位密钥当时均已登记、角色相符并在有效期内（以区块 "
    "{block} 时的目录为准）",
    "key.none": "其中没有单位密钥的签名",
    "key.unknown": "有一把密钥不在目录中",
    "key.role": "有一把密钥在目录中是另一种角色",
    "key.institution": "有一把密钥在目录中属于另一个单位",
    "key.validity": "有一把密钥在签名时尚未生效或已经失效",
    "key.revoked": "有一把密钥在签名时已被撤销",
    "key.malformed": "有一把密钥格式有误",
    # 10 enrolments
    "enrolment.proven": "每台签名的持证人设备和终端此前均已由运营方（持证人设备也可由发证部门）按"
    "其身份登记",
    "enrolment.none": "其中没有持证人设备或终端的签名",
    "enrolment.missing": "有一台签名的设备或终端没有在先的登记记录",
    "enrolment.other_role": "有一台设备或终端登记的是另一种身份",
    "enrolment.suspended": "持有人的设备在被冻结期间签了名",
    "enrolment.scope": "有一台仅凭一个部门担保登记的设备为其他部门的证照签了名，"
    "或者为其担保者无权担保",
    "enrolment.invitation": "有一把密钥的自行登记与所示的邀请不符，或者逾期，或者晚于邀请者密钥的"
    "撤销",
    # 11 order
    "order.kept": "应当在先的均在先，时间没有倒退",
    "order.broken": "有记录早于它所依据的记录",
    "order.times": "有记录的时间早于排在它前面的记录",
    "order.missing": "缺少证明对象所依据的记录",
    # 12 grant
    "grant.covers": "持证人的授权涵盖本次查询：部门、地点、终端、工作人员、事项、时间、证照和内容",
    "grant.refused_rightly": "已拒绝，且拒绝原因（{reason}）可由授权和请求推出",
    "grant.refused": "记录为因{reason}拒绝；单凭声明无法证明该原因当时是否成立",
    "grant.none_named": "因{reason}拒绝，没有涉及任何授权",
    "grant.not_shown": "因{reason}拒绝，所涉及的授权没有附在这里",
    "grant.refused_wrongly": "按授权和请求，拒绝的原因不成立",
    "grant.missing": "已提供内容的查询，其授权不在证据包中",
    "grant.wrong_department": "提供给了授权所指部门以外的部门",
    "grant.wrong_site": "在授权没有列出的地点提供",
    "grant.wrong_service_item": "为授权所指事项以外的事项提供",
    "grant.wrong_terminal": "提供给了授权所指终端以外的终端",
    "grant.wrong_staff": "提供给了授权所指工作人员以外的人",
    "grant.grant_not_yet_valid": "在授权生效之前提供",
    "grant.grant_expired": "在授权到期之后提供",
    "grant.certificate_not_in_grant": "提供了授权中没有的证照",
    "grant.field_not_granted": "提供了没有授权的内容",
    "grant.grant_revoked": "查询获放行时，该授权已被撤回",
    "grant.grant_frozen": "查询获放行时，签署该授权的设备已被冻结",
    "grant.grant_unknown": "请求出示的授权与记录所写的不同，或者出示方式不为该授权所允许",
    "grant.certificate_not_yet_valid": "在证照生效之前提供",
    "grant.certificate_expired": "在证照过期之后提供",
    # 13 status
    "status.never_changed": "按状态登记合约，截至区块 {block}（{time} UTC），该证照从未被暂停、撤"
    "销或换发",
    "status.as_of": "按所示的各次变更（其最后一次即状态登记合约在区块 {block}（{time} UTC）时所"
    "载），查询时该证照为“{state}”；在区块 {now} 时为“{state_now}”",
    "status.as_shown": "按状态登记合约，该证照在区块 {block}（{time} UTC）时为“{state}”，与所示的"
    "最后一次变更一致；是否略去了曾经暂停又恢复、或者内容已删除的情况，这里不能证明",
    "status.erased": "内容已删除，见第 {seq} 条记录；按状态登记合约，该证照在区块 {block}（{time} "
    "UTC）时为“{state}”",
    "status.later": "按状态登记合约，该证照在区块 {block}（{time} UTC）时为“{state}”，晚于查询；查"
    "询当时的状态请见该次查询自己的证据包",
    "status.not_active": "按所示的各次变更，提供内容时该证照不是有效状态，或者内容已删除",
    "status.not_as_shown": "状态登记合约中的状态或最后一次变更与所示不同",
    "status.illegal": "有一次状态变更不符合证照的状态规则",
    "status.no_certificate": "证据包中没有该证照的签发记录",
    "status.other_issuer": "有一次状态变更不是发证部门作出的",
    # 14 disclosures
    "disclosure.proven": "所附的 {count} 项内容均由发证部门签发，并在本次查询中提供",
    "disclosure.malformed": "有一项所附内容格式有误",
    "disclosure.not_issued": "有一项所附内容不是发证部门签发的",
    "disclosure.not_released": "有一项所附内容不是本次查询提供的",
    "disclosure.repeated": "有一项内容重复附上",
    # 15 dispute
    "dispute.agrees": "异议针对第 {seq} 条记录，由持证人设备签名；处理结论已出示：“{state}”",
    "dispute.resolution_not_shown": "异议针对第 {seq} 条记录，由持证人设备签名；这里没有出示处理结"
    "论，这并不说明没有结论",
    "dispute.other_entry": "异议针对的是另一条记录，或者其后的记录属于另一项异议",
    "dispute.question": "有提问或答复晚于处理结论，或者答复的是别的问题、重复答复、不是被问者答复",
    # 16 complete
    "complete.needed": "证据包中的每把密钥、每份证明都有用处",
    "complete.superfluous": "证据包中有用不到的密钥、记录或证明",
    # any
    "earlier.failed": "没有检查：它所依据的前一项检查没有通过",
}

LIMITS: Final[Mapping[str, str]] = {
    "holder": "签署授权、撤回、异议、答复或撤回异议的设备属于同一个人，并且就是证照所载的人：账本"
    "当时已核对，运营方能够证明，但在这里证明就要写出其证件号码",
    "absence": "某件事没有发生：授权没有被撤回或冻结，持证人的设备没有被注销，授权码没有用过，次数"
    "没有用完，内容没有删除，异议没有处理结论，没有其他提问",
    "allowance": "该事项是否可以查询这些内容：这写在公开的事项目录里",
    "validity": "查询当时证照在其有效期内（签发声明已载明有效期的证照除外）：账本在提供内容之前已核"
    "对，全面检查时会再次核对；在这里写出有效期，就泄露了未授权的内容",
    "time": "确切的时刻：记录时间由账本写明，以记载它的区块和前一个区块为界，时钟误差各容一分钟；"
    "链上空闲时前一个区块可能早得多，下限就宽",
}
