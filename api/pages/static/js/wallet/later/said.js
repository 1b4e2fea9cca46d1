// In place of the code: it was used, or somebody tried to. Who, where, for what, and what is left.

import { facts, h, icon, show } from "../../core/dom.js";
import { formatTime, institutionName, itemName, siteName, t, tn } from "../../core/i18n.js";
import { certificateName, inWords } from "./lines.js";

/** @param {() => void} again shows the code again */
export function said(place, wallet, line, grant, again) {
  const released = line.decision === "released";
  navigator.vibrate?.(released ? 200 : [120, 90, 120, 90, 120]);
  const before = [...place.querySelectorAll(".said-earlier li")];
  const last = place.querySelector(".said-title")?.dataset.summary;
  const words = inWords(line);
  const word = released ? t("It was used") : t("It was refused");
  wallet.title(word);
  const title = h("h2", {
    class: "said-title", tabindex: "-1", dataset: { summary: `${formatTime(line.time, "time")} · ${words.what}` },
  }, word);
  const left = tn("One look is left.", "{n} looks are left.", grant.uses_left);
  show(place, h("section", { class: `said ${words.tone}`, role: "alert" },
    h("p", { class: "said-mark" }, icon(released ? "check" : "cross", 72)),
    title,
    h("p", { class: "said-what" }, words.what),
    words.why ? h("p", { class: "said-why" }, words.why) : null,
    facts([
      [t("Department"), line.department && institutionName(line.department)],
      [t("Place"), line.site && siteName(line.site)],
      [t("Counter or kiosk"), line.terminal],
      [t("Member of staff"), line.staff ?? null],
      [t("Business"), line.service_item && itemName(line.service_item)],
      [t("Certificate"), line.certificate ? certificateName(line.certificate) : null],
      [t("When"), formatTime(line.time)],
    ]),
    h("p", { class: "said-left" }, grant.uses_left > 0 ? left : t("Nothing is left: nobody can use it any more."))),
  h("div", { class: "said-actions" },
    grant.uses_left > 0
      ? h("button", { type: "button", class: "primary", onclick: again }, t("Show the code again"))
      : null,
    h("button", {
      type: "button", class: grant.uses_left > 0 ? "" : "primary", onclick: () => wallet.go("certificates"),
    }, t("Done")),
    h("button", { type: "button", onclick: () => wallet.go("looks", { open: line.seq }) }, t("This was not me"))),
  last || before.length
    ? h("section", { class: "said-earlier" }, h("h3", {}, t("Before that")),
      h("ol", {}, last ? h("li", {}, last) : null, before))
    : null);
  title.focus();
}
