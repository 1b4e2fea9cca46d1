// One-time codes: hand a holder of a certificate of this department a code for their own device.
//
// The code is made here and shown once. The service is told its digest, never the code; the
// holder's number is sent for the check and is kept nowhere on this page.

import { Problem, serverNow } from "../../core/api.js";
import { base64url, concat, randomCrockford, sha256, utf8 } from "../../core/bytes.js";
import { busy, field, h, icon, select, show } from "../../core/dom.js";
import { formatTime, institutionName, t } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { readHolderNumber } from "./identifiers.js";

const HOUR = 3600;
const LASTS = [
  [String(HOUR), t("1 hour")],
  [String(24 * HOUR), t("1 day")],
  [String(3 * 24 * HOUR), t("3 days")],
  [String(7 * 24 * HOUR), t("7 days")],
];

export function build(desk) {
  const place = h("div");
  showForm(desk, place);
  return h("div", {},
    h("h2", { tabindex: "-1" }, t("One-time code for a holder's device")),
    h("p", { class: "muted intro" }, t("With it a holder enrols one phone or computer, and sees and grants their certificates there. Check first who stands before you.")),
    place);
}

function showForm(desk, place, { focus = false } = {}) {
  const number = h("input", {
    type: "text", name: "number", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", autofocus: true,
    maxlength: "40", required: true, class: "mono", "aria-describedby": "holder-wrong",
  });
  const lasts = select(LASTS, String(24 * HOUR), { name: "lasts" });
  const wrong = h("p", { class: "field-error", id: "holder-wrong", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, icon("key"), t("Make a code"));
  const say = (text) => {
    wrong.textContent = text;
    number.setAttribute("aria-invalid", "true");
    number.focus();
  };
  const make = async () => {
    const read = readHolderNumber(number.value);
    if (!read) {
      say(t("This is no identity number or credit code, and no number of a passport or permit. Please check it."));
      return;
    }
    const invitation = await invite(desk.api, read, Number(lasts.value));
    number.value = "";
    showSlip(desk, place, invitation);
  };
  show(place, h("form", {
    class: "panel", novalidate: true, autocomplete: "off",
    oninput: () => {
      wrong.textContent = "";
      number.removeAttribute("aria-invalid");
    },
    onsubmit: (event) => {
      event.preventDefault();
      busy(submit, make, (error) => say(reasonOf(error)));
    },
  },
  field(t("Identity number or credit code"), number, { hint: t("Of somebody to whom your department has issued a certificate, or whose identity it is the authority for. It is sent for the check and not kept on this page.") }),
  wrong,
  field(t("The code is good for"), lasts),
  h("div", { class: "actions" }, submit)));
  number.setAttribute("aria-describedby", `${number.getAttribute("aria-describedby")} holder-wrong`);
  if (focus) number.focus();
}

async function invite(api, number, seconds) {
  const code = randomCrockford(16);
  const salt = crypto.getRandomValues(new Uint8Array(32));
  const iat = Math.floor(serverNow() / 1000);
  const payload = {
    what: "holder",
    subject: base64url(await sha256(concat(salt, utf8(number)))),
    code_sha256: base64url(await sha256(utf8(code))),
    iat,
    not_after: iat + seconds,
  };
  const beside = { identity_number: number, salt: base64url(salt) };
  const answer = await api.state("/v1/invitations", Kind.invitation, payload, beside);
  return { code, until: answer.not_after * 1000 };
}

const reasonOf = (error) =>
  error instanceof Problem && error.code === "actor.role"
    ? t("Your department has issued no certificate to the holder of this number. Check the number, or send the person to a department that has.")
    : explain(error);

function showSlip(desk, place, { code, until }) {
  // Where there is no room for one line it breaks in the middle.
  const [one, two, three, four] = code.match(/.{4}/g);
  const heading = h("h3", { tabindex: "-1" }, t("Hand over this code"));
  const done = () => showForm(desk, place, { focus: true });
  show(place, h("section", { class: "panel slip" },
    heading,
    h("p", { class: "handed-code" }, h("span", {}, `${one}-${two}-`), h("span", {}, `${three}-${four}`)),
    h("dl", { class: "facts" },
      row(t("Good once, until"), formatTime(until, "minute")),
      row(t("Where to use it"), `${location.origin}/wallet`),
      row(t("Given out by"), institutionName(desk.who.institution))),
    h("p", {}, t("Whoever has this code can enrol as the holder: hand it over in person, and keep no copy.")),
    h("p", { class: "screen-only muted" }, t("It is shown this once. “Done” wipes it from this page.")),
    h("div", { class: "actions screen-only" },
      h("button", { type: "button", class: "primary", onclick: done }, icon("check"), t("Done")),
      h("button", { type: "button", onclick: () => print() }, icon("printer"), t("Print a slip")))));
  heading.focus();
}

const row = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
