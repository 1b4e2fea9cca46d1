// What a department may do with a certificate in each state: the page's copy of the table in
// ledger/certificate/lifecycle.py (a test holds the two together).

import { t } from "../../core/i18n.js";

/** Once there, a certificate stays there. */
export const isFinal = (state) => state === "revoked" || state === "superseded";

// Expired and not yet valid follow from the dates: the state behind them is active.
const LIVE = ["suspend", "supersede", "revoke"];
const TRANSITIONS = {
  active: LIVE,
  expired: LIVE,
  not_yet_valid: LIVE,
  suspended: ["restore", "revoke"],
  revoked: [],
  superseded: [],
};

/** Actions that are legal now, as the service names them. */
export const actionsFor = ({ state, content }) =>
  [...(TRANSITIONS[state] ?? []), ...(content === "erased" ? [] : ["erase"])];

/** What an action is called, asks and means. `word` has to be typed before it is done. */
export const ACTIONS = {
  suspend: {
    label: t("Suspend"),
    title: t("Suspend this certificate?"),
    meaning: t("Until it is restored, every look at it is refused."),
    about: t("For a while, such as while a loss is looked into."),
    done: t("Suspended. The change is on the chain."),
  },
  restore: {
    label: t("Restore"),
    title: t("Restore this certificate?"),
    meaning: t("It is valid again, and grants that still run work again."),
    about: t("End the suspension."),
    done: t("Restored. The change is on the chain."),
  },
  supersede: {
    label: t("Replace"),
    title: t("Replace this certificate by a newer one?"),
    meaning: t("It ends for good and names its successor. This cannot be undone."),
    about: t("A newer certificate takes its place."),
    done: t("Replaced. The change is on the chain."),
    danger: true,
  },
  revoke: {
    label: t("Revoke"),
    title: t("Revoke this certificate?"),
    meaning: t("It ends for good, and every look at it is refused. This cannot be undone."),
    about: t("For good, such as when it was issued in error."),
    done: t("Revoked. The change is on the chain."),
    danger: true,
  },
  erase: {
    label: t("Erase the content"),
    title: t("Erase the content of this certificate?"),
    meaning: t("The key to its content is destroyed: nobody can read its fields any more, not even your department. Its state and every proof stay. This cannot be undone."),
    about: t("When its time of retention is over, or the law asks for it before."),
    done: t("The content is erased."),
    danger: true,
    word: t("ERASE"),
  },
};

/** Why content may be erased; all but the first at any time. */
export const GROUNDS = [
  ["retention_over", t("It has been kept for as long as the law wants")],
  ["unlawful", t("It was collected or is kept against the law")],
  ["court_order", t("A court or authority orders it")],
  ["issued_in_error", t("It was issued in error, such as for the wrong person")],
];

/** The last change as a history tells it. */
export const CHANGES = {
  suspend: t("suspended"),
  restore: t("restored"),
  supersede: t("replaced"),
  revoke: t("revoked"),
  erase: t("content erased"),
};
