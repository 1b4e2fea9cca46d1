// Choosing a file: by the button, or by dropping it.

import { h, icon, show } from "../core/dom.js";
import { formatNumber, t } from "../core/i18n.js";

/** What the browser takes whole into memory to sign for it; the service's own limit may be lower. */
const MAX_BYTES = 512 * 1024 * 1024;

const size = (bytes) =>
  bytes < 1024 * 1024
    ? t("{n} KB", { n: formatNumber(Math.max(1, Math.round(bytes / 1024))) })
    : t("{n} MB", { n: formatNumber(Math.round(bytes / 1024 / 102.4) / 10) });

/** `file()` is the chosen one, or null after it was said what is wrong. */
export function filePicker() {
  let chosen = null;
  const input = h("input", {
    type: "file", id: "export-file", class: "visually-hidden", "aria-describedby": "export-chosen export-kinds",
    accept: ".csv,.tsv,.txt,.json,.jsonl,.ndjson,.xlsx",
    onchange: () => input.files.length && choose(input.files[0]),
  });
  const line = h("p", { id: "export-chosen", "aria-live": "polite" });
  const zone = h("div", { class: "drop-zone" },
    input,
    h("label", { for: "export-file", class: "button" }, icon("list"), t("Choose a file")),
    h("div", {}, line,
      h("p", { id: "export-kinds", class: "hint" }, t("CSV, JSON lines or Excel (.xlsx). You can also drop the file here."))));

  const say = (text, wrong) => {
    show(line, text);
    line.className = wrong ? "field-error" : chosen ? "chosen" : "muted";
    if (wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const choose = (file) => {
    chosen = null;
    if (file.size === 0) say(t("The file is empty. Choose another one."), true);
    else if (file.size > MAX_BYTES) say(t("The file is larger than 512 MB. Split it and send the parts one by one."), true);
    else {
      chosen = file;
      say(`${file.name} · ${size(file.size)}`, false);
    }
  };
  say(t("No file chosen yet."), false);

  let depth = 0; // children of the zone are entered and left too
  const lit = (change) => {
    depth = change === 0 ? 0 : depth + change;
    zone.classList.toggle("over", depth > 0);
  };
  zone.addEventListener("dragenter", () => lit(1));
  zone.addEventListener("dragleave", () => lit(-1));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    lit(0);
    if (event.dataTransfer.files.length === 1) choose(event.dataTransfer.files[0]);
    else say(t("Drop one file at a time."), true);
  });

  return {
    element: h("fieldset", {}, h("legend", {}, t("File")), zone),
    file() {
      if (!chosen && line.className !== "field-error") say(t("Choose a file first."), true);
      if (!chosen) input.focus();
      return chosen;
    },
  };
}
