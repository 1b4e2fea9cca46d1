// The service item, the business number, and what to ask for. The item and its ticks are kept in
// this browser, the number and the staff account only until the window closes.

import { field, h, icon, select, show } from "../core/dom.js";
import { catalogue, fieldName, language, t, typeName } from "../core/i18n.js";
import { serverNow } from "../core/api.js";
import { oneLine } from "../core/texts.js";

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}
const store = (key, value) => localStorage.setItem(key, JSON.stringify(value));

/** The city's day as digits: 20261122. */
const day = () => new Date(serverNow() + 8 * 3_600_000).toISOString().slice(0, 10).replaceAll("-", "");

/** 20261122-007: counted on this terminal. */
function nextNumber() {
  const { day: last, count = 0 } = stored("counter.serial");
  const serial = { day: day(), count: last === day() ? count + 1 : 1 };
  store("counter.serial", serial);
  return `${serial.day}-${String(serial.count).padStart(3, "0")}`;
}

/** In the order in which the type has its fields. */
function askable(item, type) {
  const asks = catalogue.items[item]?.asks[type] ?? [];
  return Object.keys(catalogue.types[type]?.fields ?? {}).filter((name) => asks.includes(name));
}

export class Business {
  #number;
  #asks = h("div", {});

  /** @param {() => void} onItem told when another item is chosen */
  constructor(onItem) {
    this.onItem = onItem;
    const { item = "" } = stored("counter.business");
    this.item = catalogue.items[item] ? item : "";
    this.#recall();
    this.#number = h("input", {
      type: "text", autocomplete: "off", spellcheck: "false", maxlength: "64",
      value: sessionStorage.getItem("counter.number") ?? nextNumber(),
      oninput: () => this.#keepNumber(),
    });
    this.#keepNumber();
    this.panel = this.#build();
  }

  get number() {
    return oneLine(this.#number.value);
  }

  get staff() {
    return sessionStorage.getItem("counter.staff") ?? "";
  }

  set staff(account) {
    sessionStorage.setItem("counter.staff", oneLine(account));
  }

  /** What a lookup or a request says of the business, as it is now. */
  get asked() {
    const { item, number, type, fields, staff } = this;
    return { item, number, type, fields: [...fields], staff };
  }

  /** What is missing before anything can be looked up, with the focus at the place. */
  missing() {
    const what = !this.item ? "item" : !this.number ? "number" : !this.fields.length ? "fields" : null;
    ({ item: this.select, number: this.#number, fields: this.#asks.querySelector("input") })[what]?.focus();
    return what;
  }

  #keepNumber() {
    sessionStorage.setItem("counter.number", this.number);
  }

  /** The ticks of this item as they were left, or all that it may ask for. */
  #recall() {
    const asks = catalogue.items[this.item]?.asks ?? {};
    const kept = stored(`counter.asks.${this.item}`);
    const types = Object.keys(asks);
    this.type = [kept.type, "resident-identity-card"].find((type) => types.includes(type)) ?? types[0];
    this.ticks = kept.ticks ?? {};
    this.#choose(this.type);
  }

  #choose(type) {
    const allowed = askable(this.item, type);
    this.type = type;
    this.fields = (this.ticks[type] ?? allowed).filter((name) => allowed.includes(name));
  }

  #setFields(fields) {
    this.fields = fields;
    this.ticks[this.type] = fields;
    store(`counter.asks.${this.item}`, { type: this.type, ticks: this.ticks });
  }

  #build() {
    const items = Object.entries(catalogue.items)
      .map(([code, { name }]) => [code, name])
      .sort(([, a], [, b]) => a.localeCompare(b, language));
    this.select = select([["", t("Please choose")], ...items], this.item, {
      onchange: () => {
        this.item = this.select.value;
        store("counter.business", { item: this.item });
        this.#recall();
        this.#showAsks();
        this.onItem();
      },
    });
    this.#showAsks();
    return h("section", { class: "panel business", "aria-labelledby": "business-title" },
      h("h2", { id: "business-title" }, t("Business")),
      field(t("Service item"), this.select),
      field(t("Business number"), this.#number),
      h("button", {
        type: "button", class: "quiet next-number",
        onclick: () => {
          this.#number.value = nextNumber();
          this.#keepNumber();
        },
      }, icon("next"), t("Next number")),
      this.#asks);
  }

  #showAsks() {
    const types = Object.keys(catalogue.items[this.item]?.asks ?? {});
    if (!types.length) return show(this.#asks);
    const choice = select(types.map((type) => [type, typeName(type)]), this.type, {
      onchange: () => {
        this.#choose(choice.value);
        this.#setFields(this.fields);
        this.#showAsks();
        this.#asks.querySelector("select").focus();
      },
    });
    show(this.#asks, field(t("Certificate"), choice), this.fieldTicks());
  }

  /** Ticks for the fields to ask for. Every set of ticks shown anywhere is the same choice. */
  fieldTicks(legend = t("Ask for")) {
    const set = h("fieldset", { class: "ticks" }, h("legend", {}, legend));
    const boxes = askable(this.item, this.type).map((name) => {
      const box = h("input", {
        type: "checkbox", value: name,
        onchange: () => {
          this.#setFields(boxes.filter(({ checked }) => checked).map(({ value }) => value));
          for (const other of document.querySelectorAll(".ticks input")) {
            other.checked = this.fields.includes(other.value);
          }
        },
      });
      box.checked = this.fields.includes(name);
      set.append(h("label", { class: "tick" }, box, fieldName(this.type, name)));
      return box;
    });
    return set;
  }
}
