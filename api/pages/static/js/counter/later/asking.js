// Asking on the holder's phone: the counter's request, its code and matching number, until the
// holder has said yes or no.

import { serverNow } from "../../core/api.js";
import { randomCrockford } from "../../core/bytes.js";
import { inGroups } from "../../core/codes.js";
import { facts, h } from "../../core/dom.js";
import { fieldName, formatList, itemName, t, typeName } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { drawQr } from "../../core/qr.js";
import { beep } from "../../core/scanner.js";
import { Kind } from "../../core/statements.js";

const SECONDS = 300;
const WAIT = 25;

/** @returns {Promise<{request_id: string, granted: object[]} | undefined>} the request once it is approved */
export async function openRequest(api, asked, showing, signal) {
  try {
    const request = await api.state("/v1/requests", Kind.request, {
      request_id: randomCrockford(26), service_item: asked.item, business_number: asked.number,
      certificates: [{ type: asked.type, fields: asked.fields }], ttl: SECONDS,
      ...(asked.staff && { staff: asked.staff }),
    }, {}, { signal });
    const refused = show(request, asked, showing);
    const { state, granted } = await decided(api, request.request_id, refused, signal);
    if (state === "approved") return { request_id: request.request_id, granted };
    beep(false);
    if (!refused.hidden) {
      showing.say(t("Nobody agreed"), t("Somebody said no on a phone, and nobody agreed within five minutes. Nothing was released. Ask the holder whether to go on without this certificate."));
    } else {
      showing.say(t("The time is over"), t("The holder did not answer within five minutes. Ask again if the holder is still here."));
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    showing.say(t("No result"), explain(error));
  }
  return undefined;
}

/** A no may be a bystander's, who saw the code: it is shown, and waited on. */
async function decided(api, id, refused, signal) {
  let state = "pending";
  for (;;) {
    const request = await api.get(`/v1/requests/${id}`, { wait: WAIT, state }, { signal, tries: Infinity });
    ({ state } = request);
    if (state !== "pending" && state !== "denied") return request;
    refused.hidden = state === "pending";
  }
}

/** @returns {Element} what says that somebody has refused, hidden until then */
function show(request, asked, showing) {
  const refused = h("p", { class: "notice wait", role: "alert", hidden: true },
    t("Somebody said no on a phone. If it was the holder, stop asking; if not, the holder can still scan this code."));
  const code = h("canvas", { class: "qr", role: "img", "aria-label": t("Code for the holder's phone") });
  drawQr(code, request.code);
  const left = h("span", { role: "timer" });
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((request.expires_ms - serverNow()) / 1000));
    left.textContent = t("Open for {time} more", { time: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` });
  };
  const leave = showing.stage.leaving;
  showing.stage.leaving = () => {};
  showing.set("asking", ["screen", t("Ask on the holder's phone")], t("The holder scans this code with the wallet, compares the number and answers there."),
    h("div", { class: "asking" },
      h("div", {}, code, h("p", { class: "mono small" }, inGroups(request.code))),
      h("div", {},
        h("p", {}, t("The holder scans this code with the wallet, compares the number and answers there.")),
        h("p", { class: "matching" }, h("span", {}, t("Matching number")), h("strong", {}, request.matching_number)),
        facts([
          [t("For"), itemName(asked.item)],
          [t("Asks for"), `${typeName(asked.type)}: ${formatList(asked.fields.map((name) => fieldName(asked.type, name)))}`],
        ]),
        refused,
        h("p", {}, left),
        h("button", { type: "button", onclick: () => showing.desk.clear() }, t("Stop asking")))));
  tick();
  const clock = setInterval(tick, 1000);
  showing.stage.leaving = () => {
    clearInterval(clock);
    leave();
  };
  return refused;
}
