// What to search for: one form, every part optional. Kept for this tab only (sessionStorage), and
// never in the address, because identifiers of certificates stand in it.

import { field, h, icon, select } from "../core/dom.js";
import { catalogue, formatTime, itemName, siteName, t } from "../core/i18n.js";
import { certificateName, departmentName, kindName, kinds } from "./words.js";

const KEPT = "auditor.filters";

const names = (map) => Object.entries(map).map(([code, { name }]) => [code, name]);
const choices = (options, name) => select([["", t("Any")], ...options], "", { name });
const text = (name) => h("input", { type: "text", name, maxlength: "200", autocomplete: "off", spellcheck: "false" });
const moment = (name) => h("input", { type: "datetime-local", name });
/** The city's clock, wherever this browser is. */
const asMs = (value) => (value ? Date.parse(`${value}:00+08:00`) : undefined);

const decisionName = (decision) => (decision === "released" ? t("Released") : t("Refused"));

/** name of the API's parameter: label, control, how a value is shown. */
const FILTERS = {
  certificate: [() => t("Certificate identifier"), text, certificateName],
  grant: [() => t("Grant number"), text],
  department: [() => t("Department"), (name) => choices(names(catalogue.institutions), name), departmentName],
  site: [() => t("Place"), (name) => choices(names(catalogue.sites), name), siteName],
  terminal: [() => t("Terminal"), text],
  staff: [() => t("Member of staff"), text],
  service_item: [() => t("Service item"), (name) => choices(names(catalogue.items), name), itemName],
  kind: [() => t("What happened"), (name) => choices(kinds.map((one) => [one, kindName(one)]), name), kindName],
  decision: [() => t("Result of a lookup"),
    (name) => choices(["released", "refused"].map((one) => [one, decisionName(one)]), name), decisionName],
  from: [() => t("From"), moment, (value) => formatTime(asMs(value), "minute")],
  until: [() => t("Until"), moment, (value) => formatTime(asMs(value), "minute")],
};

export class Filters {
  #controls = {};

  /** @param {() => void} onSearch called for every new search */
  constructor(onSearch) {
    this.onSearch = onSearch;
    const fields = Object.entries(FILTERS).map(([name, [label, make]]) => {
      this.#controls[name] = make(name);
      return field(label(), this.#controls[name]);
    });
    this.form = h("form", {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        this.#search();
      },
    },
    h("div", { class: "filter-fields" }, fields),
    h("div", { class: "actions" },
      h("button", { type: "submit", class: "primary" }, icon("search"), t("Search")),
      h("button", { type: "button", onclick: () => this.set({}) }, t("Clear"))));
    this.#fill(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"));
  }

  #fill(values) {
    for (const [name, control] of Object.entries(this.#controls)) control.value = values[name] ?? "";
  }

  get values() {
    return Object.fromEntries(Object.entries(this.#controls)
      .map(([name, control]) => [name, control.value.trim()]).filter(([, value]) => value));
  }

  /** As GET /v1/history wants them. */
  get query() {
    const { from, until, ...names } = this.values;
    return { ...names, since_ms: asMs(from), until_ms: asMs(until) };
  }

  /** Search for exactly these. */
  set(values) {
    this.#fill(values);
    this.#search();
  }

  #search() {
    sessionStorage.setItem(KEPT, JSON.stringify(this.values));
    this.onSearch();
  }

  /** What is searched for, a button each that takes it away. */
  chips() {
    return Object.entries(this.values).map(([name, value]) => {
      const [label, , shown = String] = FILTERS[name];
      const words = t("{name}: {value}", { name: label(), value: shown(value) });
      return h("button", {
        type: "button", class: "chip", "aria-label": t("Take away “{filter}”", { filter: words }),
        onclick: () => this.set({ ...this.values, [name]: "" }),
      }, words, icon("cross", 16));
    });
  }
}
