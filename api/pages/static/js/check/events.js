// What kinds of entries record, for whoever checks one without an account.

import { t } from "../core/i18n.js";

const EVENTS = {
  enrolment: () => t("A key or institution was enrolled"),
  invitation: () => t("A one-time code was handed out"),
  issue: () => t("A certificate was issued"),
  status: () => t("A certificate's state was changed"),
  import: () => t("A department imported an export"),
  grant: () => t("A holder granted a look"),
  revocation: (entry) => (entry.subject ? t("A holder withdrew all that one device had granted") : t("A holder withdrew a grant")),
  request: () => t("A terminal asked for a grant"),
  refusal: () => t("A holder refused a request"),
  dispute: () => t("A holder disputed a use"),
  question: () => t("An auditor asked about a dispute"),
  answer: () => t("A question about a dispute was answered"),
  resolution: () => t("A dispute was settled"),
  reading: () => t("Somebody read what is recorded, or took evidence"),
  deferral: () => t("A court's delay of showing who read began or ended"),
  release: () => t("The software of the service's pages was recorded"),
};

/** What an entry records, in a few words. */
export function eventName(entry) {
  if (entry.kind === "lookup") {
    return entry.decision === "released" ? t("A look was given") : t("A look was refused");
  }
  return EVENTS[entry.kind]?.(entry) ?? entry.kind;
}
