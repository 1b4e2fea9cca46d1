// A certificate's state for its holder: icon and word, and what to do next.

import { serverNow } from "../core/api.js";
import { catalogue, formatTime, t, tn } from "../core/i18n.js";
import { describeState } from "../core/states.js";

const DAY = 86_400_000;
const SOON = 30; // days before the end from which it is said

const NEXT = {
  suspended: () => t("It cannot be used for now. Ask the issuing department why."),
  revoked: () => t("It can no longer be used. Ask the issuing department."),
  superseded: () => t("Replaced by a newer one. Please use that."),
  expired: () => t("Please renew it with the issuing department."),
  not_yet_valid: () => t("It can be used from its first day on."),
};

/** @returns {{tone: string, word: string, next: string | null}} */
export function stateOf(certificate, now = serverNow()) {
  if (certificate.content === "erased") {
    return { tone: "bad", word: t("Erased"), next: t("Its content was erased on {day} and cannot be shown any more.", { day: formatTime(certificate.erased_ms, "date") }) };
  }
  const left = certificate.valid_until_ms === null ? Infinity : (certificate.valid_until_ms - now) / DAY;
  if (certificate.state === "active" && left < SOON) {
    const ends = tn("Ends within a day. Please renew it.", "Ends in {n} days. Please renew it.", Math.ceil(left));
    return { tone: "wait", word: t("Ends soon"), next: ends };
  }
  const { tone, word } = describeState(certificate.state);
  return { tone, word, next: NEXT[certificate.state]?.() ?? null };
}

export const usable = (certificate) => certificate.state === "active" && certificate.content !== "erased";

const place = new Map(Object.keys(catalogue.types).map((type, at) => [type, at]));

/** Those that can be used come first, then as the catalogue has them: the identity card leads. */
export const inOrder = (certificates) => [...certificates].sort((a, b) =>
  usable(b) - usable(a) || (place.get(a.type) ?? Infinity) - (place.get(b.type) ?? Infinity));

/** "from 1 Jan 2020 to 31 Dec 2099"; the last day is the one before the validity ends. */
export function validity({ valid_from_ms: from, valid_until_ms: until }) {
  if (from === null && until === null) return t("No end date");
  const first = from === null ? null : formatTime(from, "short");
  if (until === null) return t("from {from}, no end date", { from: first });
  const last = formatTime(until - 1, "short");
  return first ? t("{from} to {until}", { from: first, until: last }) : t("until {until}", { until: last });
}

/** The end of an identifier's serial number, to tell two cards apart. */
export const tail = (certificateId) => certificateId.split(".").at(-3).slice(-6);
