"""Refusals in words: for each code of `authz.lookup.policy`, what happened and what to do next.

Written for the clerk to read aloud: what is so, then the next step, no blame and no jargon. A
state ('revoked') is said as that state and never as a fault of the system. `action` tells what
kind of answer it is without relying on colour.

The sentences name no field value, person or place, so they may appear in logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Action(StrEnum):
    """What the clerk can do: try again here, ask the holder for something, or stop."""

    RETRY = "retry"
    ASK_HOLDER = "ask-holder"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Reason:
    """One refusal code in both languages: what happened, then the next step."""

    code: str
    action: Action
    zh: str
    en: str

    def to_public(self) -> dict[str, str]:
        return {"code": self.code, "action": self.action.value, "zh": self.zh, "en": self.en}


_ALL: Final = (
    Reason(
        "grant_unknown",
        Action.ASK_HOLDER,
        "本系统没有这项授权。请持证人打开手机确认授权已提交、所用的是本系统的电子证照，再出示一次。",
        "This service has no such grant. Ask the holder to check on the phone that the grant was "
        "sent and that the code is this service's, not another one's, and to show it again.",
    ),
    Reason(
        "code_invalid",
        Action.RETRY,
        "授权码不正确或没有出示。请让持证人点亮屏幕，重新扫码一次。",
        "The code is wrong or was not shown. Ask the holder to show the screen, and scan again.",
    ),
    Reason(
        "code_stale",
        Action.RETRY,
        "授权码已过时，它每30秒更换一次。请扫描持证人手机上当前显示的码。",
        "The code is out of date; it changes every 30 seconds. Scan the one that the holder's "
        "phone shows now.",
    ),
    Reason(
        "grant_revoked",
        Action.ASK_HOLDER,
        "持证人已撤回这项授权。如仍需办理，请持证人重新授权。",
        "The holder has withdrawn this grant. To go on, ask the holder for a new one.",
    ),
    Reason(
        "grant_frozen",
        Action.STOP,
        "这项授权已冻结：有异议正在处理，或作出授权的手机已被报失、报为非本人所有。"
        "持证人可用未冻结的手机重新授权，或改用其他材料。",
        "This grant is frozen: it is disputed, or the phone that gave it was reported as lost or "
        "as not the holder's. The holder may share again from a phone that is not frozen, or use "
        "other documents.",
    ),
    Reason(
        "wrong_department",
        Action.ASK_HOLDER,
        "这项授权是给其他部门的。请持证人对本部门重新授权。",
        "This grant is for another department. Ask the holder for a grant to this one.",
    ),
    Reason(
        "wrong_site",
        Action.ASK_HOLDER,
        "这项授权不能在本办事地点使用。请持证人到授权的地点办理，或对本地点重新授权。",
        "This grant is not for this place. The holder may go to the place that it names, or grant "
        "again for this one.",
    ),
    Reason(
        "wrong_service_item",
        Action.ASK_HOLDER,
        "这项授权是为办理其他事项的。请核对所选事项；如无误，请持证人为本事项重新授权。",
        "This grant is for another service item. Check the item chosen; if it is right, ask the "
        "holder for a grant for it.",
    ),
    Reason(
        "wrong_department_kind",
        Action.STOP,
        "这个事项不归本部门这类机构办理，持证人同意也不行。请停止查询，请持证人到办理该事项的部门去。",
        "A department of this kind does not handle this service item, even if the holder agrees. "
        "Stop here; the holder may go to a department that handles it.",
    ),
    Reason(
        "wrong_terminal",
        Action.ASK_HOLDER,
        "这项授权指定了另一台终端。请到指定的终端办理，或请持证人重新授权。",
        "This grant names another terminal. Use that one, or ask the holder for a new grant.",
    ),
    Reason(
        "wrong_staff",
        Action.ASK_HOLDER,
        "这项授权指定了另一位工作人员。请由该工作人员办理，或请持证人重新授权。",
        "This grant names another member of staff. Call that person, or ask the holder for a new "
        "grant.",
    ),
    Reason(
        "grant_not_yet_valid",
        Action.ASK_HOLDER,
        "授权尚未到生效时间。请在授权时间内再来，或请持证人重新授权。",
        "The grant has not begun yet. Come back within its time, or ask the holder for a new one.",
    ),
    Reason(
        "grant_expired",
        Action.ASK_HOLDER,
        "授权时间已过。请持证人重新授权。",
        "The grant's time is over. Ask the holder for a new one.",
    ),
    Reason(
        "certificate_not_in_grant",
        Action.ASK_HOLDER,
        "授权中没有这张证照，或没有指明是哪一张。请核对所选证照；如无误，请持证人补充授权。",
        "The grant does not contain this certificate, or it is unclear which one is meant. Check "
        "the choice; if it is right, ask the holder to grant it.",
    ),
    Reason(
        "field_not_granted",
        Action.ASK_HOLDER,
        "查询的内容超出持证人的授权范围。请减少查询内容，或请持证人补充授权。",
        "More was asked for than the holder granted. Ask for less, or ask the holder for a grant "
        "that includes it.",
    ),
    Reason(
        "field_not_allowed",
        Action.STOP,
        "本事项不得查询所选内容，持证人同意也不行。请只查询事项清单列出的内容。",
        "This service item may not ask for that, even if the holder agrees. Ask only for what the "
        "item's list contains.",
    ),
    Reason(
        "certificate_revoked",
        Action.STOP,
        "这张证照已被发证机关撤销，不能使用。请停止办理，告知持证人联系发证机关。",
        "The issuer has revoked this certificate; it cannot be used. Stop, and refer the holder to "
        "the issuer.",
    ),
    Reason(
        "certificate_suspended",
        Action.STOP,
        "这张证照已被发证机关暂停使用。请暂缓办理，告知持证人联系发证机关恢复。",
        "The issuer has suspended this certificate. Pause here, and refer the holder to the issuer "
        "to have it restored.",
    ),
    Reason(
        "certificate_superseded",
        Action.ASK_HOLDER,
        "这张证照已换发新证。请持证人授权新的证照。",
        "This certificate has been replaced by a newer one. Ask the holder to grant the new one.",
    ),
    Reason(
        "certificate_erased",
        Action.STOP,
        "这张证照的内容已依法删除，无法再查询。请停止查询，改用其他材料。",
        "The content of this certificate has been erased and cannot be looked up. Stop here and "
        "use other documents.",
    ),
    Reason(
        "certificate_not_yet_valid",
        Action.STOP,
        "这张证照尚未到生效日期。请在生效后再办理。",
        "This certificate is not valid yet. Come back once it is.",
    ),
    Reason(
        "certificate_expired",
        Action.ASK_HOLDER,
        "这张证照已过有效期。请持证人换领新证后再办理，或授权有效的证照。",
        "This certificate has expired. Ask the holder to renew it, or to grant a valid one.",
    ),
    Reason(
        "uses_exhausted",
        Action.ASK_HOLDER,
        "这项授权的使用次数已用完。如仍需查询，请持证人重新授权。",
        "This grant has been used as often as it allows. If more is needed, ask the holder for a "
        "new one.",
    ),
    Reason(
        "code_used",
        Action.RETRY,
        "这个授权码已经用过。请等持证人手机换出新码（最多30秒），再扫一次。",
        "This code has been used already. Wait for the phone to show the next one (30 seconds at "
        "most), and scan that.",
    ),
    Reason(
        "certificate_unreadable",
        Action.STOP,
        "这张证照的存储内容未通过完整性检查，未提供任何内容。请停止查询，报告系统管理员。",
        "The stored content of this certificate failed its integrity check, so nothing was "
        "released. Stop here, and report it to the operator.",
    ),
)

REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.code: reason for reason in _ALL})
