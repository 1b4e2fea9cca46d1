// The public check: is it real, is it in force, is it on the chain? Anybody, nothing personal.

import "./core/shell.js";
import { Api } from "./core/api.js";
import { $, busy, field, h, icon, show, toast } from "./core/dom.js";
import { t } from "./core/i18n.js";
import { explain } from "./core/problems.js";
import { checkAnything, NotReadable } from "./check/results.js";
import { KeyboardWedge } from "./core/wedge.js";

const MOST = 1_000_000; // characters of a file: a receipt has about three thousand

const api = new Api();
const input = h("textarea", { rows: "4", spellcheck: "false", autocomplete: "off", required: true, maxlength: String(MOST) });
const file = h("input", { type: "file", accept: ".json,application/json,text/plain", class: "visually-hidden", id: "receipt-file" });
const button = h("button", { type: "submit", class: "primary" }, icon("shield"), t("Check"));
const result = h("section", { id: "result", tabindex: "-1", "aria-label": t("Result") });
const wrong = h("div", { role: "alert" });

async function check(text) {
  show(wrong);
  show(result, h("p", { class: "loading", role: "status" }, t("Checking …")));
  await busy(button, async () => {
    show(result, await checkAnything(api, text));
    result.focus({ preventScroll: true });
    result.scrollIntoView({ block: "nearest" });
  }, (error) => {
    show(result);
    show(wrong, h("p", { class: "notice bad" }, error instanceof NotReadable ? error.message : explain(error)));
  });
}

const video = h("video", { class: "camera", playsinline: true, hidden: true, "aria-label": t("Camera picture") });

/** Only where the browser itself reads codes: nobody is signed in here for whom the service would. */
async function scanWithCamera() {
  const { Camera } = await import("./core/scanner.js");
  const camera = new Camera(video, api);
  video.hidden = false;
  try {
    await camera.start((text) => {
      camera.stop();
      video.hidden = true;
      input.value = text;
      check(text);
    });
  } catch {
    video.hidden = true;
    toast(t("The camera does not answer. Please type or paste instead."), "bad");
  }
}

file.addEventListener("change", async () => {
  const [chosen] = file.files;
  if (!chosen) return;
  if (chosen.size > MOST) {
    toast(t("This file is too large to be a receipt."), "bad");
    return;
  }
  input.value = await chosen.text();
  file.value = "";
  check(input.value);
});

new KeyboardWedge((text) => {
  input.value = text;
  check(text);
}, 20);

show($("#app"),
  h("p", { class: "lead" }, t("Paste the identifier of a certificate, or a receipt that somebody gave you. You see its state and whether the chain has it. What stands in the certificate is not shown to anybody here.")),
  h("form", {
    class: "panel",
    onsubmit: (event) => {
      event.preventDefault();
      check(input.value);
    },
  },
  field(t("Identifier or receipt"), input, { hint: t("An identifier begins with 1.2.156.3005.2. A barcode scanner may type it, too.") }),
  h("div", { class: "actions" }, button,
    h("label", { class: "button", for: file.id }, icon("upload"), t("Choose a receipt file")), file,
    "BarcodeDetector" in globalThis && h("button", { type: "button", onclick: scanWithCamera }, icon("scan"), t("Scan with the camera"))),
  video),
  wrong, result);
