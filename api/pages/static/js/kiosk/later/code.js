// The code to scan with a phone, the number that must be the same on both, and the time that is left.

import { serverNow } from "../../core/api.js";
import { inGroups } from "../../core/codes.js";
import { h, icon, svg } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { drawQr } from "../../core/qr.js";
import { button, stepper, stopButton } from "./parts.js";

export function codeScreen(kiosk, drawn) {
  const { request } = kiosk.visit;
  const canvas = h("canvas", { class: "qr", role: "img", "aria-label": t("Code to scan with your phone") });
  drawQr(canvas, request.code);
  const back = () => {
    kiosk.visit.end();
    kiosk.go("ask");
  };
  return {
    steps: stepper(2),
    idle: 0, // the request's own time is the limit
    title: t("Now take your phone"),
    body: [
      kiosk.visit.refused
        ? h("p", { class: "notice wait", role: "alert" },
          t("Somebody said no on a phone. If it was not you, go on: this code is still good. If it was you, touch “Stop and clear”."))
        : null,
      h("div", { class: "code-panel" },
        h("div", { class: "code-and-text" }, canvas, h("p", { class: "mono code-text" }, inGroups(request.code))),
        h("div", { class: "match" },
          h("p", {}, t("Your phone must show this number")),
          h("p", { class: "number" }, request.matching_number),
          h("p", { class: "muted" }, t("If it shows another one, do not confirm.")))),
      h("ol", { class: "hows" }, [
        ["scan", t("Open “My certificates” on your phone and scan this code.")],
        ["eye", t("Check that your phone shows the same number.")],
        ["check", t("Choose what may be shown, and confirm.")],
      ].map(([symbol, text], place) =>
        h("li", {}, h("span", { class: "disc" }, icon(symbol, 40)),
          h("span", {}, h("strong", {}, `${place + 1}. `), text)))),
      h("div", { class: "waiting" }, countdown(request.expires_ms, drawn),
        h("p", { role: "status" }, t("Waiting for your phone. This screen goes on by itself."))),
    ],
    actions: [button(t("Back"), back, { symbol: "back" }), stopButton(kiosk)],
  };
}

/** A ring that empties, and the time in words; read out when somebody asks for it. */
function countdown(end, drawn) {
  const whole = end - serverNow();
  const ring = svg("circle", { class: "ring-left", cx: 50, cy: 50, r: 44, pathLength: 100 });
  const words = h("span", { class: "ring-words" });
  const tick = () => {
    const left = Math.max(0, end - serverNow());
    ring.style.strokeDashoffset = String(100 - (100 * left) / Math.max(whole, 1));
    const seconds = Math.ceil(left / 1000);
    words.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  tick();
  const ticking = setInterval(tick, 500);
  drawn.addEventListener("abort", () => clearInterval(ticking));
  return h("div", { class: "ring", role: "timer", "aria-label": t("Time left") },
    svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" },
      svg("circle", { class: "ring-whole", cx: 50, cy: 50, r: 44 }), ring),
    words);
}

/** Between the yes and the answer. */
export function workingScreen(kiosk) {
  return {
    steps: stepper(2),
    idle: 120, // far longer than any answer takes: nobody is left standing before it
    title: t("Thank you. One moment …"),
    body: [h("p", { class: "lead", role: "status" }, t("Nothing is shown before it is recorded on the chain."))],
    actions: [stopButton(kiosk)],
  };
}
