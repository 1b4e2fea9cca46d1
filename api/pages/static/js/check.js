// The public check: is it real, is it in force, is it on the chain? Anybody, nothing personal.
//
// Evidence files are checked by this browser alone, and without a network once what that takes is
// here: it is fetched as soon as somebody does something on the page, or the first view is over.

import "./core/shell.js";
import { Api } from "./core/api.js";
import { utf8 } from "./core/bytes.js";
import { $, busy, field, h, icon, loadStyles, show, toast } from "./core/dom.js";
import { loadLater, t } from "./core/i18n.js";
import { explain } from "./core/problems.js";
import { checkAnything } from "./check/results.js";
import { KeyboardWedge } from "./core/wedge.js";

const MOST = 2 ** 20; // bytes of a file: a receipt has about three thousand, evidence fifty
const FIRST_VIEW = 3000; // milliseconds
const EVIDENCE = /"certledger-(?:evidence|trust)"/;

const api = new Api();
const input = h("textarea", { name: "receipt", rows: "4", spellcheck: "false", autocomplete: "off", required: true, maxlength: String(MOST) });
const file = h("input", { type: "file", multiple: true, accept: ".json,application/json,text/plain,image/*,.pdf", class: "visually-hidden", id: "receipt-file" });
const ready = h("p", { class: "hint", role: "status" });
const button = h("button", { type: "submit", class: "primary" }, icon("shield"), t("Check"));
const result = h("section", { id: "result", tabindex: "-1", "aria-label": t("Result") });
const wrong = h("div", { role: "alert" });

const compared = h("div", { id: "compared", tabindex: "-1" });
const comparing = h("button", { type: "button", onclick: compareSoftware }, icon("shield"), t("Compare with the record"));

async function compareSoftware() {
  await busy(comparing, async () => {
    const [{ showComparison }] = await Promise.all([import("./check/later/software-view.js"), loadLater()]);
    await showComparison(api, compared);
    compared.focus({ preventScroll: true });
    compared.scrollIntoView({ block: "nearest" });
  }, (error) => show(compared, h("p", { class: "notice bad", role: "alert" }, explain(error))));
}

let fetched;

/** What checks evidence; another try where it could not be fetched. */
function examiner() {
  fetched ??= fetchExaminer().catch((error) => {
    fetched = undefined;
    throw error;
  });
  return fetched;
}

async function fetchExaminer() {
  const [{ Examiner }, { readyWords, reportButton, trustOfService }] = await Promise.all([
    import("./check/later/examiner.js"), import("./check/later/online.js"), loadLater(), loadStyles("check-later"),
    import("./check/later/what.js"),
  ]);
  const made = new Examiner({
    askTrust: () => trustOfService(api), chooseFile: () => file.click(), offerReport: (bundle) => reportButton(api, bundle),
  });
  await made.prepare();
  show(ready, icon("shield", 16), " ", readyWords());
  return made;
}

async function work(act) {
  show(wrong);
  show(result, h("p", { class: "loading", role: "status" }, t("Checking …")));
  await busy(button, async () => {
    show(result, await act());
    result.focus({ preventScroll: true });
    result.scrollIntoView({ block: "nearest" });
  }, (error) => {
    show(result);
    show(wrong, h("p", { class: "notice bad" }, explain(error)));
  });
}

/** Tells what was brought that cannot be checked: a hint, and no verdict on anything. */
async function tell(about) {
  const [what] = await Promise.all([import("./check/later/what.js"), loadLater()]);
  const words = about(what);
  if (!words) return null;
  show(wrong, h("p", { class: "notice wait" }, h("strong", {}, words[0]), " ", words.slice(1).join(" ")));
  return [];
}

const check = (text, options) => work(async () => {
  if (EVIDENCE.test(text)) return (await examiner()).take([utf8(text)]);
  return (await checkAnything(api, text)) ?? tell(({ aboutText }) => aboutText(text, options));
});

async function take(files) {
  if (!files.length) return;
  const { isPicture, codeOn, aboutFile } = await import("./check/later/what.js").catch(() => ({}));
  const first = aboutFile && new Uint8Array(await files[0].slice(0, 1000).arrayBuffer());
  const seen = first && isPicture(first) ? await codeOn(files[0]) : null;
  if (seen) {
    input.value = seen;
    return check(seen);
  }
  if (first && aboutFile(first)) return work(() => tell((what) => what.aboutFile(first)));
  if (files.some(({ size }) => size > MOST)) return work(() => tell((what) => what.tooLarge()));
  const read = await Promise.all(files.map(async (one) => new Uint8Array(await one.arrayBuffer())));
  const texts = read.map((bytes) => new TextDecoder().decode(bytes));
  if (texts.some((text) => EVIDENCE.test(text))) {
    await work(async () => (await examiner()).take(read));
  } else {
    [input.value] = texts;
    await check(texts[0], { file: true });
  }
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
  const chosen = [...file.files];
  file.value = "";
  await take(chosen);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  take([...event.dataTransfer.files]);
});

new KeyboardWedge((text) => {
  input.value = text;
  check(text);
}, 20);

show($("#app"),
  h("p", { class: "lead" }, t("Paste the identifier of a certificate or a receipt, or choose a file with a receipt or evidence. Of a certificate you see its state and whether the chain has it, and nothing that stands in it.")),
  h("form", {
    class: "panel",
    onsubmit: (event) => {
      event.preventDefault();
      check(input.value);
    },
  },
  field(t("Identifier or receipt"), input, { hint: t("An identifier begins with 1.2.156.3005.2. A barcode scanner may type it, too.") }),
  h("div", { class: "actions" }, button,
    h("label", { class: "button", for: file.id }, icon("upload"), t("Choose a receipt or evidence")), file,
    "BarcodeDetector" in globalThis && h("button", { type: "button", onclick: scanWithCamera }, icon("scan"), t("Scan with the camera"))),
  video, ready),
  wrong, result,
  h("section", { id: "software", class: "panel", "aria-labelledby": "software-title" },
    h("h2", { id: "software-title" }, t("The software of these pages")),
    h("p", {}, t("The service records which scripts, styles, words and pages it sends. Your browser can compare what it is sent with that record.")),
    h("div", { class: "actions" }, comparing)),
  compared);

const prepare = () => examiner().catch(() => {}); // whoever comes with a file hears of it
for (const sign of ["pointerdown", "keydown", "focusin", "dragenter"]) addEventListener(sign, prepare, { once: true });
setTimeout(prepare, FIRST_VIEW);

// Whoever scans a printed copy's code comes with the identifier in the address's fragment, which is
// sent to nobody; it does not stay in the address either.
function fromAddress() {
  const text = decodeURIComponent(location.hash.slice(1));
  if (!/^1\.2\.156\./.test(text)) return;
  history.replaceState(null, "", location.pathname);
  input.value = text;
  check(text);
}
addEventListener("hashchange", fromAddress);
fromAddress();

// Handed over by the page of ours that opened this one: never by an address.
if (opener && location.hash === "#handed") {
  addEventListener("message", ({ origin, source, data }) => {
    if (origin === location.origin && source === opener && typeof data?.evidence === "string") check(data.evidence);
  });
  opener.postMessage("certledger: ready", location.origin);
}
