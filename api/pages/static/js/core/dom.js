// Elements without markup: `h` builds them, text is always text.

import { t } from "./i18n.js";

export const $ = (selector, within = document) => within.querySelector(selector);

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** h("button", {type: "button", class: "primary", onclick: act}, "Share") */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** The same for SVG. */
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Put `children` in place of what is in `target`. */
export const show = (target, ...children) =>
  target.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));

/** Resolves once a further stylesheet of /assets/css is there, so that nothing is seen without it. */
export function loadStyles(name) {
  const link = h("link", { rel: "stylesheet", href: `/assets/css/${name}.css` });
  return new Promise((resolve, reject) => {
    link.onload = resolve;
    link.onerror = () => {
      link.remove();
      reject(new TypeError(`no ${name}.css`));
    };
    document.head.append(link);
  });
}

/** An icon of /assets/icons.svg; decorative, because a word stands beside it. */
export const icon = (name, size = 20) =>
  svg("svg", { class: "icon", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    svg("use", { href: `/assets/icons.svg#${name}` }));

/** A state as icon, word and colour. `tone`: good, bad, wait, quiet. */
export const badge = (tone, text) =>
  h("span", { class: `badge ${tone}` }, icon({ good: "check", bad: "cross", wait: "clock", quiet: "dot" }[tone], 16), text);

let toastTimer;

/** A passing message at the bottom; also read out. */
export function toast(text, tone = "quiet") {
  const target = $("#toasts");
  show(target, h("p", { class: `toast ${tone}` }, text));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => target.replaceChildren(), 6000);
}

let labels = 0;

/** A labelled control: `field("Reason", input, {hint})`. */
export function field(label, control, { hint, error } = {}) {
  control.id ||= `control-${++labels}`;
  const described = [];
  const parts = [h("label", { for: control.id }, label)];
  if (hint) {
    described.push(`${control.id}-hint`);
    parts.push(h("p", { class: "hint", id: described.at(-1) }, hint));
  }
  if (error) {
    described.push(`${control.id}-error`);
    control.setAttribute("aria-invalid", "true");
    parts.push(h("p", { class: "field-error", id: described.at(-1) }, error));
  }
  if (described.length) control.setAttribute("aria-describedby", described.join(" "));
  return h("div", { class: "field" }, ...parts, control);
}

/** `options`: [[value, text], ...] */
export const select = (options, chosen, properties = {}) =>
  h("select", properties, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));

/** A table of names and values. Pairs whose value is null or undefined are left out. */
export const facts = (pairs) =>
  h("dl", { class: "facts" },
    pairs.filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

/**
 * Ask in a modal dialog (native <dialog>: focus stays in it, Escape closes it).
 * Resolves with what `build(close)`'s content passes to `close`, undefined when dismissed.
 */
export function ask(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    let answer;
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title" }, title));
    dialog.append(...[build(close)].flat(Infinity).filter(Boolean));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    // Where there is nothing to fill in, reading begins at the top, not at the last button.
    if (!$("input, select, textarea", dialog)) {
      dialog.firstElementChild.tabIndex = -1;
      dialog.firstElementChild.autofocus = true;
    }
    dialog.showModal();
  });
}

/** Yes or no; `danger` paints the yes as what it is. */
export const confirm = (title, text, yes, { danger = false } = {}) =>
  ask(title, (close) => [
    h("p", {}, text),
    h("div", { class: "actions" },
      h("button", { type: "button", class: danger ? "danger" : "primary", onclick: () => close(true) }, yes),
      h("button", { type: "button", onclick: () => close(false) }, t("Cancel"))),
  ]);

/** Run `act` with the button busy; what it throws is shown by `onError`. */
export async function busy(button, act, onError) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    onError(error);
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}
