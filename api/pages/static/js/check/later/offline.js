// The check of evidence as one saved file, without any server: see api/pages/offline.py.

import "./kept.js";
import { $, h, icon, show } from "../../core/dom.js";
import { language, loadLater, speak, t } from "../../core/i18n.js";
import { utf8 } from "../../core/bytes.js";
import { Examiner } from "./examiner.js";

const OTHER = { en: ["zh-CN", "中文"], "zh-CN": ["en", "English"] };

/** What was chosen last; another language shows its result anew. @type {File[]} */
let chosen = [];

function draw() {
  const title = t("Check evidence");
  const [other, otherName] = OTHER[language];
  const result = h("section", { id: "result", tabindex: "-1", "aria-label": t("Result") });
  const file = h("input", {
    type: "file", multiple: true, accept: ".json,application/json", class: "visually-hidden", id: "receipt-file",
  });
  const kept = utf8($("#trust").textContent);
  const examiner = new Examiner({
    askTrust: async () => ({ bytes: kept, from: "page" }),
    chooseFile: () => file.click(),
  });
  const take = async (files) => {
    if (!files.length) return;
    chosen = files;
    const read = await Promise.all(files.map(async (one) => new Uint8Array(await one.arrayBuffer())));
    show(result, await examiner.take(read));
    result.focus({ preventScroll: true });
  };
  file.onchange = async () => {
    await take([...file.files]);
    file.value = "";
  };
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  };
  document.title = title;
  show($("#main"),
    h("h1", { class: "page-title" }, title),
    h("p", { class: "lead" }, t("Choose a file of evidence, or drop it here. This page asks nobody and sends nothing: it needs no network, and no service of ours.")),
    h("form", { class: "panel" }, h("div", { class: "actions" },
      h("label", { class: "button", for: file.id }, icon("upload"), t("Choose a file")), file,
      h("button", { type: "button", class: "quiet", lang: other, onclick: () => change(other) }, otherName))),
    result);
  take(chosen);
}

async function change(other) {
  await speak(other);
  await loadLater(other);
  draw();
}

await loadLater();
draw();
