// One person's visit, from the first touch to the wipe: what was chosen, asked, and answered.

import { catalogue } from "../../core/i18n.js";
import { serverNow } from "../../core/api.js";
import { randomCrockford } from "../../core/bytes.js";

/**
 * @typedef {{type: string, all: string[], fields: Set<string>, on: boolean}} Wanted
 * A certificate that may be asked for: the fields that the business allows, those still wanted.
 */
export class Visit {
  /** @type {string} code of the service item */
  item;
  /** @type {Wanted[]} */
  wanted = [];
  /** Of this piece of business; made by the machine, and on the printed copy. */
  number;
  /** The open request as the service answered it. */
  request;
  /** Whether somebody has said no to it, who need not be who stands here. */
  refused = false;
  /** What came of it, see later/asking.js. */
  outcome;
  #work = new AbortController();

  /** A business was chosen: at first its first certificate is asked for, and no other. */
  choose(item) {
    this.item = item;
    this.number = businessNumber();
    this.wanted = Object.entries(catalogue.items[item].asks).map(([type, asked], place) => {
      const all = Object.keys(catalogue.types[type].fields).filter((field) => asked.includes(field));
      return { type, all, fields: new Set(all), on: place === 0 };
    });
  }

  /** What is asked for now: `[{type, fields}]`. */
  get chosen() {
    return this.wanted.filter(({ on }) => on)
      .map(({ type, all, fields }) => ({ type, fields: all.filter((name) => fields.has(name)) }));
  }

  get released() {
    return this.outcome?.kind === "released";
  }

  /** Begin something that takes time; what was under way for this visit stops. */
  begin() {
    this.end();
    this.#work = new AbortController();
    return this.#work.signal;
  }

  end() {
    this.#work.abort();
  }
}

/** K-<the city's date>-<six random symbols>: says when, and nothing about whom. */
function businessNumber() {
  const day = new Date(serverNow() + 8 * 3_600_000).toISOString().slice(0, 10).replaceAll("-", "");
  return `K-${day}-${randomCrockford(6)}`;
}
