// How it ended: the details that were released, or why not and what to do; then thanks, and nothing.

import { facts, h, icon, toast } from "../../core/dom.js";
import { fieldName, formatList, formatTime, formatValue, institutionName, t, typeName } from "../../core/i18n.js";
import { button, stepper, stopButton } from "./parts.js";
import { paperCopy } from "./copy.js";
import { openRequest } from "./asking.js";
import { whyRefused } from "./reasons.js";

const IDLE = 30;

export function resultScreen(kiosk) {
  const { visit } = kiosk;
  switch (visit.outcome.kind) {
    case "released": return released(kiosk);
    case "denied": return ended(kiosk, t("Nothing was shown"), "cross",
      t("Somebody said no on a phone, and nobody said yes in time. This machine has seen nothing of your certificates."),
      t("If that was not meant, try again."));
    case "expired": return ended(kiosk, t("The time is over"), "clock",
      t("Nobody confirmed on a phone in time. This machine has seen nothing of your certificates."),
      t("Try again for a new code, or go to a counter: touch Help to see where."));
    default: {
      const [what, next] = whyRefused(visit.outcome.parts[0]);
      return ended(kiosk, t("Nothing was shown"), "cross", what, next);
    }
  }
}

function released(kiosk) {
  const { visit } = kiosk;
  const print = () => {
    toast(t("Please take your page with you."));
    globalThis.print();
  };
  return {
    steps: stepper(3),
    idle: IDLE,
    title: t("This is what you have shown"),
    body: [
      h("div", { class: many(visit) ? "shown many" : "shown" },
        visit.outcome.parts.map((part) => shownPart(visit, part))),
      wholeNotGiven(visit),
      paperCopy(kiosk.who, visit),
    ],
    actions: [
      button(t("Print"), print, { symbol: "printer" }),
      button(t("Done: clear the screen"), () => kiosk.wipe({ thanks: true }), { kind: "primary", symbol: "check" }),
    ],
  };
}

/** More than fits in big type. */
const many = ({ outcome: { parts } }) =>
  parts.length > 2 || parts.flatMap(({ body }) => Object.keys(body?.fields ?? {})).length > 8;

function shownPart(visit, part) {
  const { type, body } = part;
  if (!body) {
    const [what, next] = whyRefused(part);
    return h("section", { class: "panel part" },
      h("h2", {}, typeName(type)),
      h("p", { class: "notice bad" }, what, " ", next));
  }
  const asked = visit.chosen.find((chosen) => chosen.type === type)?.fields ?? [];
  const held = asked.filter((name) => !(name in body.fields));
  return h("section", { class: "panel part" },
    h("h2", {}, typeName(type)),
    h("dl", { class: "facts big-facts" }, Object.entries(body.fields).map(([name, value]) =>
      h("div", {}, h("dt", {}, fieldName(type, name)), h("dd", {}, formatValue(value))))),
    notGiven(held.map((name) => fieldName(type, name))),
    facts([
      [t("Issued by"), institutionName(body.issuer)],
      [t("As of"), formatTime(body.as_of_ms, "both")],
    ]));
}

/** What was asked for and kept back. */
const notGiven = (names) =>
  names.length ? h("p", { class: "muted" }, t("Not given: {names}", { names: formatList(names) })) : null;

const wholeNotGiven = ({ chosen, outcome }) => notGiven(
  chosen.filter(({ type }) => !outcome.parts.some((part) => part.type === type)).map(({ type }) => typeName(type)));

function ended(kiosk, title, symbol, what, next) {
  const again = () => openRequest(kiosk).catch((error) => kiosk.failed(error, again));
  return {
    steps: stepper(3),
    idle: IDLE,
    title: [h("span", { class: "ended-mark" }, icon(symbol, 40)), " ", title],
    body: [h("div", { class: "ended" }, h("p", { class: "lead" }, what), h("p", { class: "lead" }, next))],
    actions: [
      button(t("Change what is asked"), () => kiosk.go("ask"), { symbol: "back" }),
      stopButton(kiosk),
      button(t("Try again"), again, { kind: "primary", symbol: "refresh" }),
    ],
  };
}

/** Connection or service: what is so, a way on, and the way to a human. */
export function troubleScreen(kiosk, drawn, words, again) {
  const retry = async () => {
    try {
      await again();
    } catch (next) {
      kiosk.failed(next, again);
    }
  };
  return {
    title: t("This did not work just now"),
    body: [h("div", { class: "ended" },
      h("p", { class: "lead", role: "alert" }, words()),
      h("p", { class: "lead" }, t("You can also go to a counter: touch Help to see where.")))],
    actions: [stopButton(kiosk), button(t("Try again"), retry, { kind: "primary", symbol: "refresh" })],
  };
}

export function thanksScreen(kiosk) {
  return {
    idle: 0,
    title: t("Thank you"),
    body: [h("div", { class: "ended" },
      h("p", { class: "lead" }, icon("check", 40), " ", t("Everything on this screen has been cleared.")))],
    actions: [button(t("Back to the start"), () => kiosk.wipe(), { kind: "primary" })],
  };
}
