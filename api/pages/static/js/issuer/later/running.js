// An import under way: sent, watched, and told of at the end, whatever the end is.

import { Problem, pause } from "../../core/api.js";
import { h, show } from "../../core/dom.js";
import { formatNumber, language, t, tn } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { FOLLOWED } from "../importing.js";
import { fileReason } from "./reasons.js";
import { reportOf } from "./report.js";
import { FileGone, upload } from "./upload.js";

const POLL = 500;
/** Screen readers are told how far it is no more often than this. */
const SPOKEN = 5000;

/**
 * @typedef {{api: import("../../core/api.js").Api, form: HTMLElement, outcome: HTMLElement, renew: () => void}} Place
 *   `form` is hidden while an import runs and `renew` makes it anew; what there is to say goes to `outcome`
 */

/** Send a file and follow its import. @param {Place} place */
export const send = (place, type, file) =>
  follow(place, file.name, (view) => upload(place.api, { file, type, onProgress: view.sent, onWait: view.waiting }));

/** Go on with what this tab followed when the page was loaded again. @param {Place} place */
export const goOn = (place) =>
  follow(place, null, () => place.api.get(`/v1/imports/${sessionStorage.getItem(FOLLOWED)}`, {}, { tries: Infinity }));

async function follow({ api, form, outcome, renew }, name, start) {
  form.hidden = true;
  const view = progressView(name);
  show(outcome, view.element);
  view.element.focus();
  try {
    let job = await start(view);
    sessionStorage.setItem(FOLLOWED, job.import_id);
    while (job.state === "running") {
      view.running(job.progress);
      await pause(POLL);
      job = await api.get(`/v1/imports/${job.import_id}`, {}, { tries: Infinity });
    }
    if (job.state === "failed") throw new Problem(400, job.problem);
    const report = reportOf(api, job, name, () => {
      show(outcome);
      renew();
      form.hidden = false;
      form.querySelector("select").focus();
    });
    show(outcome, report);
    report.focus();
  } catch (error) {
    const wrong = h("p", { class: "notice bad", role: "alert", tabindex: "-1" }, reasonOf(error));
    show(outcome, wrong);
    form.hidden = false;
    if (error instanceof Problem && error.code === "export.header_unknown") form.querySelector("details").open = true;
    wrong.focus();
  } finally {
    sessionStorage.removeItem(FOLLOWED);
  }
}

function reasonOf(error) {
  if (error instanceof FileGone) {
    return t("The file cannot be read any more: it was changed, moved or is open elsewhere. Choose it again.");
  }
  if (error instanceof Problem && error.code === "statement.stale") {
    return t("Sending took longer than a minute, or this device's clock is wrong. Set the clock; if the line is slow, split the file.");
  }
  return (error instanceof Problem && fileReason(error.code)) || explain(error);
}

function progressView(name) {
  const line = h("p", { id: "import-line" });
  const counts = h("p", { class: "muted" });
  const spoken = h("p", { class: "visually-hidden", role: "status" });
  const bar = h("progress", { max: "1", "aria-labelledby": "import-line" });
  let spokenAt = 0;
  const tell = (text, more = "") => {
    line.textContent = text;
    counts.textContent = more;
    if (Date.now() - spokenAt >= SPOKEN) {
      spokenAt = Date.now();
      spoken.textContent = `${text} ${more}`;
    }
  };
  tell(t("Preparing the file …"));
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  return {
    element: h("section", { class: "panel import-progress", tabindex: "-1", "aria-label": t("Import under way") },
      h("h3", {}, name ?? t("Import under way")), line, bar, counts, spoken,
      h("p", { class: "small muted" }, t("You may look at the other tabs meanwhile. Rows issued so far stay issued, whatever happens."))),
    sent(share) {
      bar.value = share;
      tell(share < 1 ? t("Sending: {percent}", { percent: percent.format(share) }) : t("Sent. The service checks the file …"));
    },
    waiting() {
      bar.removeAttribute("value");
      tell(t("No connection. Sending it again …"));
    },
    running({ bytes_read: read, bytes_total: total, accepted, refused }) {
      // The first rows are being judged: no share to show yet.
      if (total && accepted + refused) bar.value = read / total;
      else bar.removeAttribute("value");
      const share = total ? percent.format(read / total) : formatNumber(read);
      tell(
        accepted + refused ? t("Read: {share}", { share }) : t("Reading the first rows …"),
        [tn("{n} row issued", "{n} rows issued", accepted), tn("{n} row refused", "{n} rows refused", refused)].join(" · "),
      );
    },
  };
}
