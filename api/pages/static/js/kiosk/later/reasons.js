// Refusals for the person whose certificate it is: what is so, then what to do. The service's own
// sentences (authz/lookup/reasons.py) speak to the clerk.

import { t, typeIn, typeName } from "../../core/i18n.js";

const shareAgain = () => t("Share it again on your phone, or let this machine ask for it.");
const askIssuer = () => t("Please ask the department that issued it.");

/** By refusal code: `[what, next]`. */
const REASONS = {
  grant_unknown: () => [t("There is no permission behind this code."), shareAgain()],
  code_invalid: () => [
    t("The code was not right, or none was shown."),
    t("Hold the code on your phone to the scanner again."),
  ],
  code_stale: () => [
    t("The code was too old; it changes every 30 seconds."),
    t("Hold the code that your phone shows now to the scanner."),
  ],
  code_used: () => [
    t("This code was used already."),
    t("Wait until your phone shows a new one, 30 seconds at most, and hold that to the scanner."),
  ],
  grant_revoked: () => [t("You have withdrawn this permission."), shareAgain()],
  grant_frozen: () => [
    t("This permission is frozen: it is disputed, or the phone that gave it was reported as lost or not yours."),
    t("Share again from a phone of yours that is not frozen, or bring other documents to a counter."),
  ],
  wrong_department: () => [t("You gave this permission to another department."), shareAgain()],
  wrong_site: () => [t("You gave this permission for another place."), shareAgain()],
  wrong_service_item: () => [
    t("You gave this permission for another business."),
    t("Go back and choose that business, or let this machine ask for this one."),
  ],
  wrong_department_kind: () => [
    t("The department of this machine does not handle this business."),
    t("Please go to a department that handles it."),
  ],
  wrong_terminal: () => [t("You gave this permission to another machine or counter."), shareAgain()],
  wrong_staff: () => [
    t("You gave this permission to a member of staff."),
    t("Please go to the counter where that person works, or let this machine ask for it."),
  ],
  grant_not_yet_valid: () => [t("The time that you set for this permission has not begun."), shareAgain()],
  grant_expired: () => [t("The time that you set for this permission is over."), shareAgain()],
  certificate_not_in_grant: () => [
    t("This permission is for another certificate, or for several."),
    t("Go back and choose that certificate, or let this machine ask for it."),
  ],
  field_not_granted: () => [
    t("More was asked for than you have permitted."),
    t("Go back and ask for less, or let this machine ask for it."),
  ],
  field_not_allowed: () => [
    t("This business may not ask for that, even with your consent."),
    t("Go back and choose again."),
  ],
  certificate_revoked: () => [
    t("The department has withdrawn this certificate. It cannot be used any more."),
    askIssuer(),
  ],
  certificate_suspended: () => [t("The department has suspended this certificate for now."), askIssuer()],
  certificate_superseded: () => [
    t("A newer certificate has taken the place of this one."),
    t("Use the new one: let this machine ask again."),
  ],
  certificate_erased: () => [
    t("The details of this certificate were erased and cannot be read any more."),
    t("Please bring other documents to a counter."),
  ],
  certificate_not_yet_valid: () => [t("This certificate is not valid yet."), t("Please come back when it is.")],
  certificate_expired: () => [
    t("This certificate has expired."),
    t("Please have it renewed, or use one that is valid."),
  ],
  uses_exhausted: () => [t("This permission was used as often as you allowed."), shareAgain()],
  certificate_unreadable: () => [
    t("The stored certificate did not pass a check, so nothing of it was shown."),
    t("Please go to a counter; touch Help to see where."),
  ],
};

/** @param {{type: string, reason: string, certificate?: string}} part `[what, next]` */
export function whyRefused({ type, reason, certificate }) {
  const shared = reason === "field_not_granted" ? typeIn(certificate) : undefined;
  if (shared && shared !== type) {
    return [
      t("Your phone's code is for another certificate: {shared}. This machine asked for: {asked}.",
        { shared: typeName(shared), asked: typeName(type) }),
      t("Go back and choose that certificate, or let this machine ask for it."),
    ];
  }
  return REASONS[reason]?.() ?? [
    t("This was refused ({code}).", { code: reason }),
    t("Please go to a counter; touch Help to see where."),
  ];
}
