// One certificate: what state it is in, its number, what may be done with it, what happened to it.

import { badge, facts, h, icon, show, toast } from "../../core/dom.js";
import { formatTime, institutionName, t } from "../../core/i18n.js";
import { card } from "../cards.js";
import { usable, validity } from "../states.js";
import { lineList } from "./lines.js";

const SHOWN = 10;

export async function view(place, wallet, { certificate: id }, signal) {
  if (!id) return wallet.go("certificates", {}, { replace: true });
  const refresh = async () => {
    const [own, status, page] = await Promise.all([
      wallet.api.get("/v1/certificates", {}, { signal }),
      wallet.api.get(`/v1/certificates/${encodeURIComponent(id)}`, {}, { token: false, signal }),
      wallet.api.get("/v1/history", { certificate: id, limit: SHOWN }, { signal }),
    ]);
    const mine = own.certificates.find((item) => item.certificate_id === id);
    if (!mine) return wallet.go("certificates", {}, { replace: true });
    show(place, content(wallet, mine, status, page, own.certificates));
  };
  wallet.news.on((line) => {
    if (line.certificate === id) refresh().catch(() => {});
  }, signal);
  await refresh();
}

function content(wallet, mine, status, page, all) {
  const id = mine.certificate_id;
  const newer = all.find((item) => item.certificate_id === mine.successor);
  const proof = status.status_receipt ?? status.receipt;
  return [
    h("div", { class: "one-card" }, card(mine)),
    h("div", { class: "actions" },
      usable(mine)
        ? h("button", { type: "button", class: "primary", onclick: () => wallet.go("share", { certificate: id }) },
          icon("share"), t("Share this certificate"))
        : null,
      newer
        ? h("button", { type: "button", onclick: () => wallet.go("certificate", { certificate: mine.successor }) },
          t("See the newer one"))
        : null),
    h("section", { class: "panel" },
      h("h2", {}, t("Details")),
      facts([
        [t("Issued by"), institutionName(mine.issuer)],
        [t("Validity"), validity(mine)],
        [t("Issued on"), formatTime(status.receipt.entry.time, "date")],
        [t("Proof"), proof.state === "anchored"
          ? badge("good", t("Recorded on the chain"))
          : badge("wait", t("On its way to the chain"))],
        [t("Identifier"), h("span", {},
          h("span", { class: "mono" }, id), " ",
          h("button", { type: "button", class: "quiet copy", onclick: () => copy(id) }, t("Copy")))],
      ])),
    h("section", {},
      h("h2", {}, t("What happened to it")),
      lineList(wallet, page.lines),
      page.next_before !== null
        ? h("p", {}, h("a", { href: "#looks", "data-view": "looks" }, t("See everything under Who looked")))
        : null),
  ];
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("Copied."));
  } catch {
    toast(t("This browser does not copy by itself. Please mark the number and copy it."));
  }
}
