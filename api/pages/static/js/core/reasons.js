// Why a lookup was refused, in a few words for who examines it.

import { t } from "./i18n.js";

const REASONS = {
  grant_unknown: () => t("there is no such grant"),
  code_invalid: () => t("the code was wrong"),
  code_stale: () => t("the code was out of date"),
  code_used: () => t("the code had been used before"),
  grant_revoked: () => t("the holder had withdrawn the grant"),
  grant_frozen: () => t("the grant was frozen: it was disputed, or the device that gave it was frozen"),
  wrong_department: () => t("the grant was for another department"),
  wrong_site: () => t("the grant was for another place"),
  wrong_service_item: () => t("the grant was for another service item"),
  wrong_department_kind: () => t("a department of this kind does not handle the service item"),
  wrong_terminal: () => t("the grant was for another terminal"),
  wrong_staff: () => t("the grant was for another member of staff"),
  grant_not_yet_valid: () => t("the grant had not begun"),
  grant_expired: () => t("the grant's time was over"),
  certificate_not_in_grant: () => t("the grant did not contain this certificate"),
  field_not_granted: () => t("more was asked for than was granted"),
  field_not_allowed: () => t("the service item may not ask for that"),
  certificate_revoked: () => t("the certificate had been revoked"),
  certificate_suspended: () => t("the certificate was suspended"),
  certificate_superseded: () => t("the certificate had been replaced"),
  certificate_erased: () => t("the certificate's content had been erased"),
  certificate_not_yet_valid: () => t("the certificate was not valid yet"),
  certificate_expired: () => t("the certificate had expired"),
  certificate_unreadable: () => t("the stored content failed its check"),
  uses_exhausted: () => t("the grant had been used up"),
};

export const reasonName = (code) => REASONS[code]?.() ?? code;
