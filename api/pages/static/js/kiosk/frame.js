// What every screen is built of: where one is, one heading, the content, and what can be done.

import { h, show } from "../core/dom.js";

/**
 * @typedef {object} View
 * @property {string | Element} title
 * @property {Element} [steps] none on the screens before and after
 * @property {unknown[]} body
 * @property {unknown[]} [actions]
 * @property {number} [idle] seconds without a touch before it asks; 0: it does not
 */

/** @param {View} view */
export function draw(target, name, view) {
  show(target, h("div", { class: `screen screen-${name}` },
    view.steps,
    h("h1", { tabindex: "-1" }, view.title),
    h("div", { class: "screen-body" }, view.body),
    view.actions && h("div", { class: "screen-actions" }, view.actions)));
}
