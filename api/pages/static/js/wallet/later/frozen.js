// What a browser shows whose device is frozen: why, what can be done, and nothing of the person. Its key
// stays: whoever froze it may make it usable again, and then this page goes on.

import { pause } from "../../core/api.js";
import { $, busy, confirm, h, icon, show } from "../../core/dom.js";
import { t } from "../../core/i18n.js";

const LOOK_AGAIN = 5000; // milliseconds

/** Shows it in `target`; resolves when it is time to ask the service again. */
export async function frozen(target, signOut) {
  if (!$(".frozen-device", target)) show(target, page(signOut));
  await pause(LOOK_AGAIN);
}

function page(signOut) {
  const leave = async () => {
    const sure = await confirm(t("Sign out of this browser?"),
      t("Its key is deleted, and making this device usable again will not bring it back: you will need a new one-time code."),
      t("Sign out"), { danger: true });
    if (sure) await signOut();
  };
  return h("section", { class: "panel frozen-device", role: "alert" },
    h("h2", {}, icon("stop"), " ", t("This device is frozen")),
    h("p", {}, t("It was reported as lost, or as not yours. Until that ends it can sign and show nothing, and nobody can look at anything by what it allowed.")),
    h("h3", {}, t("What you can do now")),
    h("ul", {},
      h("li", {}, t("Frozen by another device of yours? On that one, open the settings and press “Use it again”.")),
      h("li", {}, t("Frozen by an office, or that device is lost? Go to a counter of the office that issues your identity document (of an enterprise: its business licence).")),
      h("li", {}, t("Not your device? Please give it back. It is of no use to you."))),
    h("p", { class: "hint" }, t("This page goes on by itself once the device can be used again.")),
    h("button", { type: "button", onclick: (event) => busy(event.currentTarget, leave, () => {}) }, t("Sign out")));
}
