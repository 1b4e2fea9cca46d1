// The software of these pages, held against the record, in words; and what such a comparison is worth.

import { facts, h, icon, show } from "../../core/dom.js";
import { catalogue, formatNumber, formatTime, t, tn } from "../../core/i18n.js";
import { compare } from "./software.js";

/** Fills `target`; throws Problem, Unreachable. */
export async function showComparison(api, target) {
  const bar = h("progress", { "aria-label": t("Compared so far") });
  show(target, h("p", { class: "loading", role: "status" }, t("Comparing what this browser is sent with the record …")), bar);
  const outcome = await compare(api, catalogue.log.verifier, (done, of) => {
    bar.max = of;
    bar.value = done;
  });
  show(target, verdict(outcome), lists(outcome), limits());
}

function verdict(outcome) {
  const [tone, symbol, word, meaning] = words(outcome);
  const { found } = outcome;
  return h("div", { class: `verdict ${tone}`, role: "status" },
    h("h3", {}, icon(symbol, 36), word), h("p", {}, meaning),
    found && facts([
      [t("Version"), found.version],
      [t("On record since"), formatTime(found.time)],
      [t("Entry"), formatNumber(found.seq)],
      [t("On the chain"), found.anchored ? t("yes, proven here") : t("not proven yet; please compare again in a moment")],
      [t("Parts"), formatNumber(found.parts)],
      [t("Signed by the operator's key"), h("span", { class: "mono" }, found.signer)],
      [t("Digest of the release"), h("span", { class: "mono" }, found.digest)],
      [t("Note"), found.newest ? null : t("Another release was recorded since: other processes of this service may send that one.")],
    ]));
}

function words({ state, changed, missing, found }) {
  if (state === "unrecorded") {
    return ["wait", "clock", t("Not on record"),
      t("The record shows nothing of the software that the service sends, so there is nothing to compare it with. Please tell whoever runs it.")];
  }
  if (state === "unproven") {
    return ["bad", "cross", t("The record does not hold"),
      t("What the service shows as the record of its software is not proven by its own log. Do not rely on these pages.")];
  }
  if (changed.length) {
    return ["bad", "cross", t("Not as recorded"), tn(
      "One part is other than on record. Do not sign anything here before whoever runs the service has explained it.",
      "{n} parts are other than on record. Do not sign anything here before whoever runs the service has explained it.",
      changed.length)];
  }
  if (missing.length) {
    return ["wait", "clock", t("Not all of it could be compared"),
      t("What was sent is as recorded, but not everything was. Please compare again.")];
  }
  return ["good", "check", t("As recorded"), t("All {parts} parts that this browser was sent just now are the ones on record.", {
    parts: formatNumber(found.parts),
  })];
}

const lists = ({ changed = [], missing = [] }) => [
  [t("Other than on record"), changed], [t("Not answered"), missing],
].filter(([, paths]) => paths.length).map(([title, paths]) => h("section", { class: "panel" },
  h("h3", {}, title), h("ul", { class: "mono" }, paths.map((path) => h("li", {}, path)))));

const limits = () => h("section", { class: "panel" },
  h("h3", {}, t("What this comparison does not show")),
  h("ul", {},
    h("li", {}, t("It was made by a script that the same service sent. A service that changes its scripts can change this one, too, and have it tell you what you see here.")),
    h("li", {}, t("It is about what this browser was sent just now. Others may be sent something else, or you at another time.")),
    h("li", {}, t("On record means that the operator signed it and cannot take it back, so that anybody may examine it. It does not mean that the software is good."))),
  h("p", {}, t("Whoever wants to rely on it compares from another machine, with the program from a source that they trust:")),
  h("p", {}, h("code", {}, `certledger check-assets ${location.origin}`)));
