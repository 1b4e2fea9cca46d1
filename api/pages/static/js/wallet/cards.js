// The first view: the holder's certificates, drawn as the cards they stand for.

import { badge, h, icon, show } from "../core/dom.js";
import { institutionName, t, typeName } from "../core/i18n.js";
import { inOrder, stateOf, tail, usable, validity } from "./states.js";

/** A card; `open` makes it a button. */
export function card(certificate, open) {
  const { tone, word, next } = stateOf(certificate);
  const face = [
    h("span", { class: "card-issuer" }, institutionName(certificate.issuer)),
    h("span", { class: "card-name" }, typeName(certificate.type)),
    h("span", { class: "card-state" }, badge(tone, word), next ? h("span", { class: "card-next" }, next) : null),
    h("span", { class: "card-foot" },
      h("span", {}, h("span", { class: "card-label" }, t("Validity")), validity(certificate)),
      h("span", {}, h("span", { class: "card-label" }, t("Number ends in")),
        h("span", { class: "mono" }, tail(certificate.certificate_id)))),
  ];
  const looks = `card ${usable(certificate) ? "" : "card-idle"}`;
  return open
    ? h("button", { type: "button", class: looks, onclick: open }, face)
    : h("div", { class: looks }, face);
}

export async function view(place, wallet, state, signal) {
  const refresh = async () => {
    const { certificates } = await wallet.read("/v1/certificates", {}, { signal });
    show(place, certificates.length ? list(wallet, certificates) : empty());
  };
  wallet.news.on((line) => {
    if (line.kind === "issue" || line.kind === "status") refresh().catch(() => {});
  }, signal);
  await refresh();
}

function list(wallet, certificates) {
  return [
    h("ul", { class: "cards" }, inOrder(certificates).map((certificate) =>
      h("li", {}, card(certificate, () =>
        wallet.go("certificate", { certificate: certificate.certificate_id }))))),
    h("div", { class: "actions start-actions" },
      h("a", { class: "button primary", href: "#share", "data-view": "share" },
        icon("share"), t("Share a certificate")),
      h("a", { class: "button", href: "#approve", "data-view": "approve" }, icon("scan"), t("Scan a kiosk's code"))),
  ];
}

const empty = () =>
  h("section", { class: "panel empty" },
    icon("card", 40),
    h("h2", {}, t("No certificates yet")),
    h("p", {}, t("Once a department issues one to you, it is here at once. If one is missing, ask the department that issues it.")));
