// Which device this is, the others of this person, and leaving it.

import { busy, confirm, facts, h, show } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { deviceList } from "./devices.js";

export async function view(place, wallet, state, signal) {
  const { who } = wallet;
  const devices = h("div");
  await deviceList(devices, wallet, signal);
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
        [t("Key"), h("span", { class: "mono" }, who.kid)],
        [t("Holder"), h("span", { class: "mono" }, who.holder)],
      ])),
    h("section", {},
      h("h2", {}, t("Your devices")),
      h("p", {}, t("Each of these speaks for you. Freeze one that you do not know or have lost, and withdraw what it granted; stop one that you will not use again.")),
      devices),
    h("section", { class: "panel" },
      h("h2", {}, t("Sign out")),
      h("p", {}, t("On a browser that others use too, sign out when you are done.")),
      h("button", { type: "button", class: "danger", onclick: (event) => busy(event.currentTarget, leave, () => {}) },
        t("Sign out"))));
}
