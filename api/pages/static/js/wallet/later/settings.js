// Which device this is, and leaving it.

import { busy, confirm, facts, h, show } from "../../core/dom.js";
import { formatTime, t } from "../../core/i18n.js";

export async function view(place, wallet, state, signal) {
  const { who } = wallet;
  // The first line of this key is its enrolment; old devices may have it further back than this.
  const page = await wallet.api.get("/v1/history", { kind: "enrolment", limit: 50 }, { signal });
  const enrolled = page.lines.find((line) => line.subject === who.kid);
  const leave = async () => {
    const sure = await confirm(t("Sign out of this browser?"),
      t("Its key is deleted. Your certificates and grants stay as they are; to sign in again you need a new one-time code."),
      t("Sign out"), { danger: true });
    if (sure) await wallet.signOut();
  };
  show(place,
    h("section", { class: "panel" },
      h("h2", {}, t("This device")),
      h("p", {}, t("You are signed in as a holder. This browser keeps a key of its own; what you agree to is signed with it.")),
      facts([
        [t("Enrolled"), enrolled ? formatTime(enrolled.time, "minute") : null],
        [t("Key"), h("span", { class: "mono" }, who.kid)],
        [t("Holder"), h("span", { class: "mono" }, who.holder)],
      ])),
    h("section", { class: "panel" },
      h("h2", {}, t("Lost a phone?")),
      h("p", {}, t("Ask the office that enrolled you to withdraw that device's key. Until then, withdraw your grants here.")),
      h("a", { class: "button", href: "#grants", "data-view": "grants" }, t("My grants"))),
    h("section", { class: "panel" },
      h("h2", {}, t("Sign out")),
      h("p", {}, t("On a browser that others use too, sign out when you are done.")),
      h("button", { type: "button", class: "danger", onclick: (event) => busy(event.currentTarget, leave, () => {}) },
        t("Sign out"))));
}
