// The clerk's own account, entered once.

import { ask, field, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";

/** @returns {Promise<string | undefined>} undefined when it stays as it is */
export function askStaff(known) {
  const account = h("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "64", value: known });
  return ask(t("Staff account"), (close) => h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      close(account.value);
    },
  },
  field(t("Your account"), account, {
    hint: t("It is recorded with each lookup, until this window is closed. Leave it empty to work without."),
  }),
  h("div", { class: "actions" },
    h("button", { type: "submit", class: "primary" }, t("Keep")),
    h("button", { type: "button", onclick: () => close() }, t("Cancel")))));
}
