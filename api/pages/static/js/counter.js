// The counter: a clerk chooses the business once, then every scan is looked up at once.

import "./core/shell.js";
import { pause } from "./core/api.js";
import { grantNumber, isScreenCode, spokenDigits } from "./core/codes.js";
import { $, field, h, icon, show } from "./core/dom.js";
import { loadLater, t } from "./core/i18n.js";
import { requireSession, whoIs } from "./core/session.js";
import { KeyboardWedge } from "./core/wedge.js";
import { Business } from "./counter/business.js";
import { Stage } from "./counter/stage.js";

const session = await requireSession({ slot: "counter", roles: ["terminal"] });
const stage = new Stage();
const business = new Business(() => stage.tone === "ready" && stage.ready(business.item));
const main = h("div", {}, stage.element);

// --- what is no part of the first view: fetched at the first touch, or after a while ---------------

const SETTLED = 5000;
let fetched;

async function fetchLater() {
  for (let attempt = 1; ; attempt++) {
    try {
      const [later] = await Promise.all([import("./counter/later/all.js"), loadLater()]);
      return { ...later, desk: await later.openDesk(session, business, stage, main) };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // The service is away; what was scanned meanwhile waits.
      stage.note(h("p", { class: "notice wait", role: "status" }, t("No connection. Trying again …")));
      await pause(1000);
      // Some browsers keep a script's failure for as long as the page lives.
      if (attempt > 5 && (await fetch("/assets/js/counter.js").catch(() => null))?.ok) location.reload();
    }
  }
}
const later = () => (fetched ??= fetchLater());
const scan = (text, how) => later().then(({ desk }) => desk.scan(text, how));

setTimeout(later, SETTLED);
addEventListener("pointerdown", later, { once: true });
addEventListener("keydown", later, { once: true });

// --- the page -------------------------------------------------------------------------------------

const typed = h("input", {
  type: "text", class: "code-box", autocomplete: "off", spellcheck: "false", autocapitalize: "characters", maxlength: "80",
});
const cameraButton = h("button", {
  type: "button", "aria-pressed": "false",
  onclick: async () => (await later()).toggleCamera(session.api, cameraButton, cameraPlace, scan),
}, icon("scan"), t("Scan with the camera"));
const cameraPlace = h("div", {});
main.append(h("section", { class: "panel tools", "aria-label": t("Other ways") },
  h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      const text = typed.value;
      typed.value = "";
      if (text.trim()) scan(text);
    },
  },
  field(t("Type the code"), typed, { hint: t("The eight digits or the grant number that the holder says, or the whole code.") }),
  h("button", { type: "submit" }, icon("search"), t("Look up"))),
  h("div", { class: "tool-buttons" },
    cameraButton,
    h("button", { type: "button", onclick: () => later().then(({ desk }) => desk.ask()) },
      icon("screen"), t("Ask on the holder's phone"))),
  cameraPlace));

const staffButton = h("button", {
  type: "button", class: "quiet",
  onclick: async () => {
    const account = await (await later()).askStaff(business.staff);
    if (account !== undefined) business.staff = account;
    showStaff();
  },
});

function showStaff() {
  const { staff } = business;
  show(staffButton, icon("person"), staff ? t("Staff: {staff}", { staff }) : t("Enter staff account"));
}

showStaff();
show($("#who"), h("span", {}, whoIs(session.who)), staffButton,
  h("button", { type: "button", class: "quiet", onclick: session.signOut }, t("Sign out")));
show($("#app"), h("div", { class: "counter" }, business.panel, main));
stage.ready(business.item);

// --- ways in --------------------------------------------------------------------------------------

new KeyboardWedge(scan);

addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text") ?? "";
  if (!isScreenCode(text) && spokenDigits(text) === null && grantNumber(text) === null) return;
  event.preventDefault();
  scan(text);
});
