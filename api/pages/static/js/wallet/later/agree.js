// Step 4: the whole grant in one plain sentence, and the signature under it.

import { Problem } from "../../core/api.js";
import { randomCrockford } from "../../core/bytes.js";
import { busy, facts, h, icon, show } from "../../core/dom.js";
import { itemName, t, tn } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { forgetTyped } from "../../core/typed.js";
import { windowOf } from "./conditions.js";
import { grantNumber } from "./grants.js";
import { sentence, sitesOf, untilOf, whatOf, whomOf } from "./terms.js";

/** The statement's payload, as docs/formats.md has it. */
function grantOf(draft) {
  const grantee = { department: draft.department };
  if (draft.mode === "direct") {
    if (draft.terminal) grantee.terminal = draft.terminal;
    if (draft.staff) grantee.staff = draft.staff;
  }
  return {
    grant_id: draft.grantId,
    mode: draft.mode,
    certificates: [{ certificate_id: draft.certificate, fields: draft.fields }],
    grantee,
    purpose: { service_item: draft.item },
    when: windowOf(draft),
    where: { sites: draft.sites },
    limits: { max_uses: draft.uses },
  };
}

export function agreeStep(draft, next, wallet, whole) {
  draft.grantId = randomCrockford(26);
  const planned = grantOf(draft);
  const problem = h("div", { role: "alert" });
  let grant;
  let statement;
  const sign = async () => {
    if (!statement) {
      // The same words, counted from now: somebody may have read them for a while.
      grant = grantOf(draft);
      statement = await wallet.api.sign(Kind.grant, grant);
    }
    let answer;
    try {
      answer = await wallet.api.post("/v1/grants", { statement });
    } catch (error) {
      // Without an answer it may be recorded: then the same statement is sent again.
      if (error instanceof Problem) statement = undefined;
      throw error;
    }
    draft.item = undefined; // signed: Back leads to a new draft
    forgetTyped("share");
    if (grant.mode === "direct") return granted(whole, grant);
    if (answer.code) {
      // Without a connection from now on, its code is there.
      wallet.kept.put(`code ${grant.grant_id}`, answer.code);
      wallet.kept.put(`grant ${grant.grant_id}`, { ...grant, state: "active", uses_left: grant.limits.max_uses });
    }
    wallet.go("code", { grant: grant.grant_id }, { replace: true });
  };
  // Without a connection in a minute's time the code must be there already.
  if (draft.mode === "scan") import("./code.js").catch(() => {});
  return [
    h("p", { class: "agreement" }, sentence(planned, draft.type)),
    h("section", { class: "panel" }, termsOf(planned)),
    h("p", { class: "hint" }, draft.mode === "scan"
      ? t("Nobody can look before you show the code. You can withdraw it at any time under Grants.")
      : t("They can look from now on, without you. You can withdraw it at any time under Grants.")),
    problem,
    h("button", {
      type: "button", class: "primary wide-action",
      onclick: (event) => busy(event.currentTarget, sign,
        (error) => show(problem, h("p", { class: "notice bad" }, explain(error)))),
    }, icon("check"), draft.mode === "scan" ? t("Agree and show the code") : t("Agree and grant")),
  ];
}

const termsOf = (grant) => facts([
  [t("Business"), itemName(grant.purpose.service_item)],
  [t("What"), whatOf(grant)],
  [t("Who"), whomOf(grant)],
  [t("Where"), sitesOf(grant)],
  [t("Until"), untilOf(grant)],
  [t("How often"), tn("once", "at most {n} times", grant.limits.max_uses)],
]);

function granted(place, grant) {
  const title = h("h2", { tabindex: "-1" }, icon("check", 24), t("Granted"));
  show(place,
    h("section", { class: "notice good granted" },
      title,
      h("p", {}, t("{whom} may look from now on. You will be told at once when somebody does.", { whom: whomOf(grant) }))),
    h("section", { class: "panel" },
      h("h2", {}, t("Grant number")),
      h("p", {}, t("If the counter asks for it, tell them this number.")),
      h("p", {}, grantNumber(grant.grant_id))),
    h("section", { class: "panel" }, termsOf(grant)),
    h("div", { class: "actions" },
      h("a", { class: "button", href: "#grants", "data-view": "grants" }, t("My grants"))));
  title.focus();
}
