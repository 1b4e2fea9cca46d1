// Import: choose a type and a file. What comes after that is loaded when it comes.

import { busy, field, h, icon, select, show } from "../core/dom.js";
import { t, typeName } from "../core/i18n.js";
import { explain } from "../core/problems.js";
import { filePicker } from "./filepicker.js";
import { later } from "./later.js";

/** Names the import that this tab follows, so that loading the page again goes on following it. */
export const FOLLOWED = "certledger import";

export function build(desk) {
  const heading = h("h2", { tabindex: "-1" }, t("Import an export"));
  if (!desk.department.types.length) {
    return h("div", {}, heading,
      h("p", { class: "notice" }, t("Your department is not enrolled to issue any type of certificate. Ask the operator to add the types.")));
  }
  const outcome = h("div");
  const form = h("div");
  const place = { api: desk.api, form, outcome, renew: () => show(form, importForm(desk, place)) };
  place.renew();
  if (sessionStorage.getItem(FOLLOWED)) later("running").then(({ goOn }) => goOn(place));
  return h("div", {}, heading,
    h("p", { class: "muted intro" }, t("Send the file as your own system exports it. Every good row becomes a certificate, every other row is named in the report. Sending the same file again issues nothing twice.")),
    outcome, form);
}

function importForm(desk, place) {
  const { types } = desk.department;
  const kind = select(types.map((type) => [type, typeName(type)]), types[0], { name: "type" });
  const picker = filePicker();
  const help = h("div");
  const showHelp = () => show(help, columnsHelp(desk.api, kind.value));
  kind.addEventListener("change", showHelp);
  showHelp();
  const submit = h("button", { type: "submit", class: "primary" }, icon("upload"), t("Send and issue"));
  const send = async () => {
    const file = picker.file();
    if (file) await (await later("running")).send(place, kind.value, file);
  };
  return h("form", {
    class: "panel", novalidate: true,
    onsubmit: (event) => {
      event.preventDefault();
      const failed = (error) => show(place.outcome, h("p", { class: "notice bad", role: "alert" }, explain(error)));
      busy(submit, send, failed);
    },
  },
  field(t("Type of certificate"), kind),
  picker.element, help,
  h("div", { class: "actions" }, submit));
}

/** Which columns an export of this type needs, loaded when it is opened. */
function columnsHelp(api, type) {
  const body = h("div", { class: "stack" });
  const load = async () => {
    show(body, h("p", { class: "muted" }, t("Loading …")));
    try {
      show(body, await (await later("columns")).columnsOf(api, type));
    } catch (error) {
      show(body, h("p", {}, explain(error)));
    }
  };
  const element = h("details", { class: "columns-help", ontoggle: () => element.open && load() },
    h("summary", {}, t("Which columns does the file need?")), body);
  return element;
}
