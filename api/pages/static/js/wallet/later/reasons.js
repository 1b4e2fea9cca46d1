// Why a lookup was refused, for the holder (authz/lookup/reasons.py has the words for clerks).

import { t } from "../../core/i18n.js";

const WORDS = {
  code_invalid: () => t("The code was wrong or missing."),
  code_stale: () => t("The code was too old: a picture of it, perhaps. It changes every 30 seconds."),
  code_used: () => t("This code had been used already. Your phone shows a new one every 30 seconds."),
  grant_unknown: () => t("There is no such grant."),
  grant_revoked: () => t("You had withdrawn the grant."),
  grant_frozen: () => t("The grant is frozen: it was disputed, or the device that gave it is frozen."),
  grant_not_yet_valid: () => t("The grant had not begun yet."),
  grant_expired: () => t("The grant's time was over."),
  uses_exhausted: () => t("The grant had been used as often as you allowed."),
  wrong_department: () => t("The grant is for another department."),
  wrong_site: () => t("The grant is for another place."),
  wrong_service_item: () => t("The grant is for other business."),
  wrong_department_kind: () => t("A department of that kind does not handle this business."),
  wrong_terminal: () => t("The grant is for another counter."),
  wrong_staff: () => t("The grant is for another member of staff."),
  certificate_not_in_grant: () => t("The certificate is not in the grant."),
  field_not_granted: () => t("They asked for more than you granted."),
  field_not_allowed: () => t("They asked for something this business may never ask for."),
  certificate_revoked: () => t("The certificate is revoked. Ask the issuing department."),
  certificate_suspended: () => t("The certificate is suspended. Ask the issuing department."),
  certificate_superseded: () => t("The certificate was replaced. Share the newer one."),
  certificate_erased: () => t("The certificate's content was erased."),
  certificate_not_yet_valid: () => t("The certificate is not valid yet."),
  certificate_expired: () => t("The certificate has expired. Please renew it."),
  certificate_unreadable: () => t("The stored certificate did not pass its check. Ask the issuing department."),
};

export const reasonWords = (code) => WORDS[code]?.() ?? t("Reason: {code}", { code });
