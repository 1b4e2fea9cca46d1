// The catalogue: what a certificate of each type carries, and who may ask for which field.

import { badge, field, h, show } from "../../core/dom.js";
import { catalogue, formatList, itemName, language, t, tn } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { typeDetails } from "../department.js";

export function build(desk) {
  const input = h("input", { type: "search", name: "search", autocomplete: "off", spellcheck: "false" });
  const count = h("p", { class: "muted", role: "status" });
  const own = h("ul", { class: "types" });
  const others = h("ul", { class: "types" });
  const groups = [
    h("section", {}, h("h3", {}, t("Issued by your department")), own),
    h("section", {}, h("h3", {}, t("Issued by other departments")), others),
  ];
  const entries = Object.entries(catalogue.types).map(([code, type]) => {
    const mine = desk.department.types.includes(code);
    const element = h("li", {}, typeView(desk.api, code, type));
    (mine ? own : others).append(element);
    return { element, words: wordsOf(code, type) };
  });

  const filter = () => {
    const wanted = input.value.normalize("NFKC").trim().toLocaleLowerCase(language).split(/\s+/);
    let left = 0;
    for (const { element, words } of entries) {
      element.hidden = !wanted.every((word) => words.includes(word));
      left += element.hidden ? 0 : 1;
    }
    for (const group of groups) group.hidden = !group.querySelector("ul.types > li:not([hidden])");
    count.textContent = left
      ? tn("{n} type", "{n} types", left)
      : t("Nothing has this in its name, its fields or the business that asks for it.");
  };
  input.addEventListener("input", filter);
  filter();

  return h("div", {},
    h("h2", { tabindex: "-1" }, t("Catalogue")),
    h("p", { class: "muted intro" }, t("What each type of certificate carries. A counter sees only fields that its business may ask for, and of these only what the holder grants.")),
    field(t("Filter"), input, { hint: t("A type, a field, or a piece of business.") }),
    count, groups);
}

const asking = (code) =>
  Object.entries(catalogue.items).filter(([, item]) => item.asks[code]).map(([item]) => item);

const wordsOf = (code, type) =>
  [type.name, type.type_code, ...Object.values(type.fields), ...asking(code).map(itemName)]
    .join("\n")
    .toLocaleLowerCase(language);

function typeView(api, code, type) {
  const body = h("div", { class: "type-body" });
  let asked = false;
  const load = async () => {
    if (asked) return;
    asked = true;
    show(body, h("p", { class: "muted" }, t("Loading …")));
    try {
      show(body, fieldsOf(code, type, (await typeDetails(api))[code]));
    } catch (error) {
      asked = false;
      show(body, h("p", { class: "notice bad", role: "alert" }, explain(error)));
    }
  };
  const element = h("details", { class: "panel type", ontoggle: () => element.open && load() },
    h("summary", {},
      h("strong", {}, type.name),
      h("span", { class: "muted small" }, tn("{n} field", "{n} fields", Object.keys(type.fields).length))),
    body);
  return element;
}

function fieldsOf(code, type, details) {
  const personal = new Map(details.fields.map((item) => [item.name, item.personal]));
  const required = new Map(details.fields.map((item) => [item.name, item.required]));
  const labels = type.fields;
  return [
    h("p", { class: "small muted" }, t("Type code"), " ", h("span", { class: "mono" }, type.type_code)),
    h("ul", { class: "fields" }, Object.keys(labels).map((name) => {
      const derived = details.derived.find((item) => item.name === name);
      const items = asking(code).filter((item) => catalogue.items[item].asks[code].includes(name)).map(itemName);
      return h("li", {},
        h("div", { class: "split" },
          h("strong", {}, labels[name]),
          h("span", { class: "marks" },
            derived ? badge("quiet", t("yes or no, made from “{field}”", { field: formatList(derived.from.map((source) => labels[source])) })) : null,
            required.get(name) ? badge("quiet", t("required")) : null,
            (derived?.from ?? [name]).some((source) => personal.get(source)) ? badge("quiet", t("personal")) : null)),
        h("p", { class: "small muted" }, items.length
          ? t("Asked for in: {items}", { items: formatList(items) })
          : t("No business may ask for it.")));
    })),
  ];
}
