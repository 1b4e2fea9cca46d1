// Find a certificate by its identifier, typed, pasted or scanned, and show its state; never a field.

import { badge, busy, facts, field, h, icon, show } from "../../core/dom.js";
import { formatTime, institutionName, t, typeName } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { describeState, stateBadge } from "../../core/states.js";
import { change } from "./changing.js";
import { fold, readIdentifier } from "./identifiers.js";
import { ACTIONS, CHANGES, actionsFor, isFinal } from "./lifecycle.js";

export const WRONG = {
  form: () => t("This is not an identifier of a certificate. It has ten parts with dots between them and begins with 1.2.156.3005.2."),
  check: () => t("The identifier is mistyped: its last character does not fit the others."),
};

export function build(desk) {
  const input = h("input", {
    type: "text", name: "identifier", autofocus: true, autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    maxlength: "200", class: "mono", enterkeyhint: "search",
  });
  const wrong = h("p", { class: "field-error", id: "identifier-wrong", role: "alert" });
  const found = h("div");
  const spoken = h("p", { class: "visually-hidden", role: "status" });
  const button = h("button", { type: "submit", class: "primary" }, icon("search"), t("Find"));

  const say = (text) => {
    wrong.textContent = text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };

  async function find(id) {
    const certificate = await desk.api.get(`/v1/certificates/${id}`);
    const element = certificateView(desk, certificate, {
      refresh: async () => {
        const fresh = await find(id);
        fresh.querySelector("h3").focus();
      },
      follow: (other) => {
        input.value = other;
        form.requestSubmit();
      },
    });
    show(found, element);
    spoken.textContent = `${typeName(certificate.type)}: ${describeState(certificate.state).word}`;
    return element;
  }

  const form = h("form", {
    class: "panel", novalidate: true,
    onsubmit: (event) => {
      event.preventDefault();
      say("");
      show(found);
      spoken.textContent = "";
      const read = readIdentifier(input.value);
      if (read.wrong) {
        say(fold(input.value) ? WRONG[read.wrong]() : t("Type, paste or scan an identifier first."));
        input.focus();
        return;
      }
      busy(button, () => find(read.id), (error) => say(explain(error))).then(() => {
        // The next scan overwrites this one.
        input.focus();
        input.select();
      });
    },
  },
  field(t("Certificate identifier"), input, { hint: t("Type it, paste it or scan it. Blanks and small letters do not matter.") }),
  wrong,
  h("div", { class: "actions" }, button));
  input.setAttribute("aria-describedby", `${input.getAttribute("aria-describedby")} identifier-wrong`);

  return h("div", {}, h("h2", { tabindex: "-1" }, t("Find a certificate")), form, found, spoken);
}

function certificateView(desk, certificate, { refresh, follow }) {
  const { certificate_id: id, state, receipt, status_receipt: changed } = certificate;
  const own = certificate.issuer === desk.department.code;
  return h("section", { class: "panel certificate", "aria-labelledby": "certificate-title" },
    h("div", { class: "split" },
      h("h3", { id: "certificate-title", tabindex: "-1" }, typeName(certificate.type)),
      stateBadge(state)),
    facts([
      [t("Identifier"), h("span", { class: "mono" }, id)],
      [t("Issued by"), institutionName(certificate.issuer)],
      [t("Holds"), own && validity(certificate)],
      [t("Recorded"), [formatTime(receipt.entry.time, "minute"), " ", proof(receipt)]],
      [t("Last change"), changed
        ? [t("{change}, {time}", { change: CHANGES[changed.entry.reason], time: formatTime(changed.entry.time, "minute") }),
          " ", proof(changed)]
        : null],
      [t("Replaced by"), certificate.successor
        ? h("button", {
          type: "button", class: "quiet mono identifier-link", onclick: () => follow(certificate.successor),
        }, certificate.successor)
        : null],
      [t("Content"), certificate.content === "erased" ? t("erased on {time}: its fields cannot be read any more", { time: formatTime(certificate.erased_ms, "minute") }) : null],
    ]),
    own ? actions(desk, certificate, refresh) : h("p", { class: "notice" },
      t("Another department issued this certificate: {department}. Only that department may change its state.", { department: institutionName(certificate.issuer) })));
}

const proof = (receipt) =>
  receipt.state === "anchored" ? badge("good", t("on the chain")) : badge("wait", t("on its way to the chain"));

function validity({ valid_from_ms: from, valid_until_ms: until }) {
  if (from === null && until === null) return t("without limit");
  // The end is the beginning of the day after the last one.
  const last = until === null ? null : formatTime(until - 1, "date");
  if (from === null) return t("until {until}", { until: last });
  const first = formatTime(from, "date");
  return until === null
    ? t("from {from}, without end", { from: first })
    : t("{from} to {until}", { from: first, until: last });
}

function actions(desk, certificate, refresh) {
  const legal = actionsFor(certificate);
  const rows = legal.map((action) => {
    const { label, about, danger } = ACTIONS[action];
    const run = async () => {
      if (await change(desk.api, certificate, action)) await refresh();
    };
    return h("li", {},
      h("button", {
        type: "button", class: danger ? "danger" : "",
        onclick: (event) => busy(event.currentTarget, run, () => refresh().catch(() => {})),
      }, label),
      h("span", { class: "muted" }, about));
  });
  return [
    isFinal(certificate.state)
      ? h("p", { class: "notice" }, t("This certificate has ended for good. Its state cannot change any more."))
      : null,
    rows.length ? h("h4", {}, t("What you can do")) : null,
    rows.length ? h("ul", { class: "moves" }, rows) : null,
  ].filter(Boolean);
}
