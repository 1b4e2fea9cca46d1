// A certificate's state as everybody sees it: the word, its look, and what to do next.

import { badge } from "./dom.js";
import { t } from "./i18n.js";

const STATES = {
  active: ["good", () => t("Valid"), () => t("It is real and in force.")],
  suspended: ["wait", () => t("Suspended"), () => t("The issuing department has suspended it for the time being. Only that department can restore it.")],
  revoked: ["bad", () => t("Revoked"), () => t("The issuing department has withdrawn it for good. It is not broken: it must not be used any more.")],
  superseded: ["wait", () => t("Replaced"), () => t("There is a newer certificate in its place. Please ask for that one.")],
  expired: ["wait", () => t("Expired"), () => t("Its time is over. The holder can have it renewed by the issuing department.")],
  not_yet_valid: ["wait", () => t("Not valid yet"), () => t("It is real, and its time has not begun.")],
};

/** `{tone, word, meaning}` of a state that the service gave. */
export function describeState(state) {
  const [tone, word, meaning] = STATES[state] ?? ["quiet", () => state, () => ""];
  return { tone, word: word(), meaning: meaning() };
}

export function stateBadge(state) {
  const { tone, word } = describeState(state);
  return badge(tone, word);
}
