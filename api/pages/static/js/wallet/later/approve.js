// A kiosk's request: its code is scanned, typed or pasted; `request.js` then shows who asks.

import { busy, field, h, icon, show } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { recognise } from "../../core/recognise.js";
import { Camera } from "../../core/scanner.js";
import { requestPanel } from "./request.js";

const CAMERA = {
  NotAllowedError: () => t("The camera is not allowed for this page. You can type the code instead."),
  NotFoundError: () => t("There is no camera here. You can type the code instead."),
};
const noCamera = (error) =>
  CAMERA[error.name]?.() ?? t("The camera does not answer. You can type the code instead.");

const SCAN = () => t("Please scan the one on the kiosk's screen.");
/** What was read instead of a kiosk's code, and what to do; `n` characters arrived. */
const NOT_THIS = {
  cut: (n) => t("This code is incomplete: {n} of its 51 characters. Scan it again, or type what is missing.", { n }),
  run_together: (n) => t("This is {n} characters, and a kiosk's code has 51. Please scan or type one code only.", { n }),
  misread: () => t("The code has all its 51 characters, but at least one is wrong. After EZ1 there is no 0, 1, 8 or 9."),
  grant: () => t("This is the code of somebody's grant. Please scan the one on the kiosk's screen."),
  newer: () => t("This code is newer than this page. Please load the page again, then scan again."),
  invitation: () => [t("This looks like a one-time code for signing in: you are signed in."), SCAN()].join(" "),
  digits: () => [t("These are digits, such as a phone says at a counter."), SCAN()].join(" "),
  certificate: () => [t("This code names a certificate: it is for checking, on the page “Check”."), SCAN()].join(" "),
  payment: () => [t("This is a code for paying. Nothing is paid here."), SCAN()].join(" "),
};
const OTHER = () => t("This is not a kiosk's code. It begins with EZ1.");

export async function view(place, wallet, state, signal) {
  const problem = h("div", { role: "alert" });
  const video = h("video", { class: "camera", playsinline: true, hidden: true, "aria-label": t("Camera picture") });
  const camera = new Camera(video, wallet.api);
  signal.addEventListener("abort", () => camera.stop());
  const failed = (text) => show(problem, h("p", { class: "notice bad" }, text));
  const code = h("input", {
    type: "text", name: "code", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", maxlength: "120",
    required: true, class: "mono",
  });
  const found = async (text) => {
    show(problem);
    const { kind, code: whole, read } = recognise(text);
    if (kind !== "request") return failed((NOT_THIS[kind] ?? OTHER)(read));
    try {
      const request = await wallet.api.post("/v1/requests/find", { code: whole }, { token: true, signal });
      const { certificates } = await wallet.api.get("/v1/certificates", {}, { signal });
      camera.stop();
      if (!signal.aborted) requestPanel(place, wallet, request, certificates, signal);
    } catch (error) {
      if (!signal.aborted) failed(explain(error));
    }
  };
  const start = h("button", { type: "button", class: "primary wide-action" }, icon("scan"), t("Use the camera"));
  const stopped = () => {
    video.hidden = true;
    show(start, icon("scan"), t("Use the camera"));
  };
  start.addEventListener("click", () => busy(start, async () => {
    if (camera.running) {
      camera.stop();
      return stopped();
    }
    video.hidden = false;
    try {
      await camera.start(found, stopped);
      show(start, t("Stop the camera"));
      show(problem);
    } catch (error) {
      video.hidden = true;
      failed(noCamera(error));
    }
  }, (error) => failed(explain(error))));

  const send = h("button", { type: "submit" }, t("Find the request"));
  show(place,
    h("p", { class: "lead-in" }, t("A kiosk or counter that asks for your certificate shows a code. Scan it to see who asks and for what; then you decide.")),
    problem,
    h("section", { class: "panel" },
      h("h2", {}, t("Scan the code")), video, start),
    h("form", {
      class: "panel",
      onsubmit: (event) => {
        event.preventDefault();
        busy(send, () => found(code.value), (error) => failed(explain(error)));
      },
    },
    h("h2", {}, t("Or type it in")),
    field(t("Code"), code, { hint: t("The letters and digits under the kiosk's code; it begins with EZ1.") }),
    h("div", { class: "actions" }, send)));
}
