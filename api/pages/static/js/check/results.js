// What a check comes to: a certificate's public state, or a receipt held against log and chain.

import { Problem } from "../core/api.js";
import { checkList } from "../core/checks.js";
import { identifierIn } from "../core/codes.js";
import { badge, facts, h, icon } from "../core/dom.js";
import { catalogue, formatNumber, formatTime, institutionName, itemName, t, typeName } from "../core/i18n.js";
import { verifyReceipt } from "../core/proof.js";
import { describeState } from "../core/states.js";
import { eventName } from "./events.js";

/** An element with the result, null where there is nothing to check; throws Problem, Unreachable. */
export async function checkAnything(api, text) {
  const receipt = readReceipt(text);
  if (receipt) return checkReceipt(api, receipt);
  const identifier = identifierIn(text);
  return identifier && checkCertificate(api, identifier);
}

/** A receipt as it is, or inside an answer that came with one. */
function readReceipt(text) {
  try {
    const value = JSON.parse(text);
    const receipt = value?.receipt ?? value;
    return receipt?.entry ? receipt : null;
  } catch {
    return null;
  }
}

async function checkCertificate(api, identifier) {
  const found = await api.get(`/v1/certificates/${encodeURIComponent(identifier)}`, {}, { token: false })
    .catch((error) => {
      if (error instanceof Problem && error.code === "certificate.unknown") return null;
      throw error;
    });
  if (found === null) {
    return verdict("bad", "cross", t("Not known"),
      t("The record has no certificate with this identifier. Please compare it with the original; if it is the same, do not rely on it."));
  }
  const { tone, word, meaning } = describeState(found.state);
  const receipts = [[t("Issued"), found.receipt], ...(found.status_receipt ? [[t("Last change"), found.status_receipt]] : [])];
  const proven = await Promise.all(receipts.map(([, receipt]) => examine(api, receipt)));
  return h("div", {},
    verdict(tone, { good: "check", bad: "cross", wait: "clock" }[tone] ?? "dot", word, meaning,
      facts([
        [t("Type"), typeName(found.type)],
        [t("Issued by"), institutionName(found.issuer)],
        [t("Identifier"), h("span", { class: "mono" }, found.certificate_id)],
        [t("Replaced by"), found.successor && h("span", { class: "mono" }, found.successor)],
        [t("Content"), found.content === "erased" ? t("erased for good on {day}; the record of it stays", { day: formatTime(found.erased_ms, "date") }) : null],
        [t("As of"), formatTime(found.as_of_ms)],
      ])),
    receipts.map(([title, receipt], at) => proofPanel(title, receipt, proven[at])));
}

async function checkReceipt(api, receipt) {
  const found = await examine(api, receipt);
  const failed = found.checks.some((check) => check.ok === false);
  const [tone, symbol, word, meaning] = failed
    ? ["bad", "cross", t("Not genuine"), t("At least one check failed. Do not rely on this receipt.")]
    : found.verified
      ? ["good", "check", t("Genuine and on the chain"), t("The record holds this entry, and the chain holds the record.")]
      : ["wait", "clock", t("Not proven yet"), t("Nothing speaks against it, but not everything could be checked.")];
  const { entry } = found;
  return h("div", {},
    verdict(tone, symbol, word, meaning, entry && !failed && facts([
      [t("What happened"), eventName(entry)],
      [t("When"), formatTime(entry.time)],
      [t("Department"), entry.department && institutionName(entry.department)],
      [t("Business"), entry.service_item && itemName(entry.service_item)],
      [t("Certificate"), entry.certificate && h("span", { class: "mono" }, entry.certificate)],
    ])),
    proofPanel(t("How it was checked"), receipt, found));
}

/** The browser's own checks, and then the service's word on what only log and chain can tell. */
async function examine(api, receipt) {
  const [own, told] = await Promise.all([
    verifyReceipt(receipt, catalogue.log.verifier),
    api.post("/v1/verify", { receipt }, { tries: 3 }).catch(() => null),
  ]);
  const byName = new Map(own.checks.map((check) => [check.name, check]));
  for (const check of told?.checks ?? []) {
    // What the browser worked out itself needs nobody's word.
    if ((byName.get(check.name)?.ok ?? null) === null) byName.set(check.name, check);
  }
  if (!told) byName.set("anchor", { name: "anchor", ok: null, detail: "chain.unavailable" });
  const checks = [...byName.values()];
  return { checks, verified: checks.every((check) => check.ok === true), entry: own.entry, anchor: told?.anchor ?? null };
}

function verdict(tone, symbol, word, meaning, ...rest) {
  return h("div", { class: `verdict ${tone}`, role: "status" },
    h("h2", {}, icon(symbol, 36), word), h("p", {}, meaning), rest);
}

function proofPanel(title, receipt, { checks, verified, entry, anchor }) {
  const failed = checks.some((check) => check.ok === false);
  return h("details", { class: "panel", open: failed },
    h("summary", {}, h("span", {}, title),
      verified ? badge("good", t("on the chain")) : failed ? badge("bad", t("does not hold")) : badge("wait", t("on its way"))),
    checkList(checks),
    facts([
      [t("Entry"), entry && formatNumber(entry.seq)],
      [t("Recorded"), entry && formatTime(entry.time)],
      [t("Checkpoint"), anchor && t("{n} entries", { n: formatNumber(anchor.size) })],
      [t("Block"), anchor && formatNumber(anchor.block_number)],
      [t("Block time"), anchor?.block_time ? formatTime(anchor.block_time * 1000) : null],
      [t("Transaction"), anchor && h("span", { class: "mono" }, anchor.tx_hash)],
    ]));
}
