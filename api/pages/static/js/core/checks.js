// What was checked of a receipt, in words: the names and details that audit/evidence/receipt_checks.py and
// core/proof.js fix.

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

const NAMES = {
  form: () => t("It is a receipt"),
  entry: () => t("The entry is in its one form"),
  leaf: () => t("The record has this entry at this place"),
  inclusion: () => t("The proof leads from the entry to the checkpoint"),
  signature: () => t("The checkpoint is signed by the record's key"),
  origin: () => t("The checkpoint belongs to this record"),
  anchor: () => t("The chain has the same checkpoint"),
  transaction: () => t("The transaction is in the block that is named"),
  root: () => t("The root worked out here is the one on the chain"),
  statement: () => t("The statement is signed by the key that is named"),
  digest: () => t("The entry names exactly this statement"),
};

const DETAILS = {
  "form.pending": () => t("It is recorded and not on the chain yet. Please check again in a moment."),
  "form.malformed": () => t("This is not a receipt, or a part of it is missing."),
  "entry.malformed": () => t("The entry was changed, or is not one."),
  "entry.other": () => t("What is shown is not the entry in the receipt."),
  "leaf.missing": () => t("The record does not reach that far."),
  "leaf.other": () => t("The record has another entry at this place."),
  "inclusion.malformed": () => t("The proof is damaged or does not fit."),
  "inclusion.other_root": () => t("The proof leads to another checkpoint: something was changed."),
  "checkpoint.malformed": () => t("The checkpoint is damaged."),
  "signature.invalid": () => t("The signature is not right."),
  "verifier.malformed": () => t("The record's own key could not be read."),
  "statement.withheld": () => t("The signed text is withheld: it is too fresh, or holds a code."),
  "statement.other_key": () => t("Another key signed it than the entry names."),
  "digest.other": () => t("The entry names another statement."),
  "origin.other": () => t("The checkpoint is of another record."),
  "anchor.missing": () => t("The chain has no checkpoint of this size."),
  "anchor.other_root": () => t("The chain has another checkpoint of this size."),
  "chain.unavailable": () => t("The chain could not be asked just now."),
  "transaction.malformed": () => t("The receipt names no transaction."),
  "transaction.missing": () => t("The chain does not have this transaction."),
  "transaction.elsewhere": () => t("The transaction is in another block."),
  "browser.unsupported": () => t("This browser cannot check it."),
  skipped: () => t("There was nothing to check it with."),
};

export const checkName = (name) => NAMES[name]?.() ?? name;
export const checkDetail = (detail) => DETAILS[detail]?.() ?? "";

const LOOKS = { true: ["check", "good"], false: ["cross", "bad"], null: ["dot", "wait"] };
const WORDS = { true: () => t("holds"), false: () => t("does not hold"), null: () => t("open") };

/** One line of a list of checks; `ok` is true, false, or null for "could not be told". */
export function checkItem({ name, ok, detail }) {
  const [symbol, tone] = LOOKS[ok];
  return h("li", { class: `check ${tone}` },
    icon(symbol, 20),
    h("span", {}, checkName(name), h("span", { class: "visually-hidden" }, ` (${WORDS[ok]()})`),
      ok === true ? null : h("span", { class: "check-detail" }, checkDetail(detail))));
}

export const checkList = (checks) => h("ol", { class: "checks" }, checks.map(checkItem));
