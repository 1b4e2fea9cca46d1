// Which columns an export of a type needs, and an empty file to start from.

import { h, icon } from "../../core/dom.js";
import { formatList, language, t, typeName } from "../../core/i18n.js";
import { typeDetails } from "../department.js";
import { saveCsv } from "./csv.js";

export async function columnsOf(api, type) {
  const { fields } = (await typeDetails(api))[type];
  const labels = (required) => fields.filter((item) => item.required === required).map((item) => item.label[language]);
  const optional = labels(false);
  return [
    h("p", {}, t("Needed: {columns}.", { columns: formatList(labels(true)) })),
    optional.length ? h("p", {}, t("May be left out: {columns}.", { columns: formatList(optional) })) : null,
    h("p", { class: "muted" }, t("Usual other spellings of these headings are understood, in Chinese and English. Other columns are left out.")),
    h("button", {
      type: "button",
      onclick: () => saveCsv(`${type}.csv`, [fields.map((item) => item.label[language])]),
    }, icon("download"), t("Empty file for {type}", { type: typeName(type) })),
  ];
}
