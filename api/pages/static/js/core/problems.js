// What went wrong, in words for people: by the service's stable code, with a next step.

import { Problem, Unreachable } from "./api.js";
import { t } from "./i18n.js";

const WORDS = {
  "key.unknown": () => t("This browser is not enrolled any more. Please sign in again with a new one-time code."),
  "key.not_valid": () => t("This browser's key was withdrawn or frozen. Open this page again to see what you can do."),
  "key.suspended": () => t("This device is frozen. Open this page again to see what you can do."),
  "ledger.other": () => t("This service keeps another ledger than the one that this browser is signed in to. Nothing was signed. Check the address, and tell whoever runs the service. What you have at the other ledger is untouched."),
  "statement.stale": () => t("This device's clock is wrong. Please set the time and try again."),
  "token.expired": () => t("This device's clock is wrong. Please set the time and try again."),
  "actor.role": () => t("This sign-in may not do that."),
  "anchor.pending": () => t("It is recorded, and on its way to the chain. Please try again in a moment."),
  busy: () => t("Many people are being served just now. Please try again in a moment."),
  not_serving: () => t("The service does not take requests just now. Please try again in a few minutes."),
  "storage.unavailable": () => t("The service does not take requests just now. Please try again in a few minutes."),
  "certificate.unknown": () => t("There is no certificate with this identifier."),
  "grant.revoked": () => t("This grant was withdrawn already."),
  "request.unknown": () => t("No open request has this code. It may be over: please start again at the kiosk."),
  "request.expired": () => t("The time for this request is over. Please start again at the kiosk."),
  "request.denied": () => t("You have refused this request already."),
  "request.refusals": () => t("Several people have refused this request already. Leave it: nothing of yours is shown."),
  "request.approved": () => t("This request was approved already."),
  "code.malformed": () => t("This is not a code of this service. Please scan it again."),
  "invitation.unknown": () => t("This one-time code is not right. Please check it, letter by letter."),
  "invitation.expired": () => t("This one-time code is too old. Please ask for a new one."),
  "invitation.used": () => t("This one-time code was used already. Please ask for a new one."),
  "body.too_large": () => t("This file is too large."),
};

/** A page adds the codes that only it meets: `{code: () => t("…")}`. */
export function learnWords(words) {
  Object.assign(WORDS, words);
}

export function explain(error) {
  if (error instanceof Unreachable) {
    return t("No connection. Nothing is lost: please try again when it is back.");
  }
  if (error instanceof Problem) {
    if (!WORDS[error.code] && error.code.endsWith(".text")) {
      return t("A text holds a character that cannot be recorded, or is too long. Please write it again.");
    }
    return WORDS[error.code]?.() ?? t("That did not work ({code}). Please try again, or show this to the staff.", { code: error.code });
  }
  console.error(error);
  return t("Something unexpected went wrong in this page. Please load it again.");
}
