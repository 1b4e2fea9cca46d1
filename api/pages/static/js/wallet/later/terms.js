// What a grant says, in words: its state, its parts and the one sentence that is agreed to.

import {
  fieldName, formatList, formatTime, institutionName, itemName, siteName, t, tn, typeName,
} from "../../core/i18n.js";
import { learnWords } from "../../core/problems.js";
import { certificateName, typeOf, within } from "./lines.js";

learnWords({
  "grant.unknown": () => t("There is no such grant of yours."),
  "grant.unknown_certificate": () => t("This certificate is not yours, or not any more."),
  "grant.unknown_terminal": () => t("There is no counter or kiosk with this name. Please check it."),
  "grant.unknown_site": () => t("This place is no longer open. Please choose another."),
  "grant.no_code": () => t("This grant has no code to show."),
});

const STATES = {
  active: () => ["good", t("In force")],
  not_yet_valid: () => ["wait", t("Not begun yet")],
  frozen: () => ["wait", t("Frozen: disputed, or by a frozen device")],
  used_up: () => ["quiet", t("Used up")],
  expired: () => ["quiet", t("Time is over")],
  revoked: () => ["quiet", t("Withdrawn")],
};

/** @returns {[tone: string, word: string]} */
export const grantState = (state) => STATES[state]();

export const inForce = (grant) => grant.state === "active" || grant.state === "not_yet_valid";

/** "name and of age 18", as one type calls them. */
export const fieldList = (type, fields) => formatList(fields.map((field) => fieldName(type, field)));

export const sitesOf = (grant) => formatList(grant.where.sites.map(siteName));

/** "resident identity card: name, of age 18" */
export const whatOf = (grant) => grant.certificates.map(({ certificate_id: id, fields }) =>
  t("{certificate}: {fields}", { certificate: certificateName(id), fields: fieldList(typeOf(id), fields) }));

export const whomOf = ({ grantee }) =>
  [institutionName(grantee.department), grantee.terminal, grantee.staff].filter(Boolean).join(" · ");

export const untilOf = (grant) => formatTime(grant.when.not_after * 1000, "minute");

/** The sentence above the button that signs. */
export function sentence(grant, type) {
  const values = {
    whom: whomOf(grant),
    sites: sitesOf(grant),
    fields: formatList(grant.certificates[0].fields.map((field) => within(fieldName(type, field)))),
    certificate: within(typeName(type)),
    item: within(itemName(grant.purpose.service_item)),
    until: untilOf(grant),
  };
  return tn(
    "You allow {whom}, at {sites}, to see {fields} of your {certificate} for {item}: once, until {until}.",
    "You allow {whom}, at {sites}, to see {fields} of your {certificate} for {item}: at most {n} times, until {until}.",
    grant.limits.max_uses, values);
}
