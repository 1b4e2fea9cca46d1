// Changing a certificate's state: the dialog that asks for the reason, and the signed statement.

import { Problem } from "../../core/api.js";
import { ask, busy, field, h, select, show, toast } from "../../core/dom.js";
import { t, typeName } from "../../core/i18n.js";
import { explain, learnWords } from "../../core/problems.js";
import { describeState } from "../../core/states.js";
import { Kind } from "../../core/statements.js";
import { oneLine } from "../../core/texts.js";
import { readIdentifier } from "./identifiers.js";
import { ACTIONS, GROUNDS, isFinal } from "./lifecycle.js";

const REASON_LENGTH = 200;
/** For what is no language: nobody's dictionary is to mend it. */
const AS_TYPED = { autocomplete: "off", autocapitalize: "characters", spellcheck: "false" };

learnWords({
  "certificate.transition": () => t("The state has changed in the meantime. It is shown anew."),
  "certificate.erased": () => t("The content is erased already."),
  "certificate.retained": () => t("The law wants this content kept for longer. Without another ground it cannot be erased yet."),
});

/** What is typed must be mended; `at` is the control. */
class Mend extends Error {
  constructor(at, text) {
    super(text);
    this.at = at;
  }
}

/** Ask, sign, send. Resolves true when the state may be another now. */
export function change(api, certificate, action) {
  const { title, meaning, label, done, danger, word } = ACTIONS[action];
  return ask(title, (close) => {
    const reason = h("input", { type: "text", name: "reason", maxlength: REASON_LENGTH, autocomplete: "off", required: true });
    const successor = action === "supersede" ? successorField(api, certificate) : null;
    const ground = action === "erase" ? select(GROUNDS, "retention_over", { name: "ground" }) : null;
    const typed = word ? h("input", { type: "text", ...AS_TYPED }) : null;
    const wrong = h("div", { role: "alert" });
    const submit = h("button", { type: "submit", class: danger ? "danger" : "primary" }, label);

    const send = async () => {
      show(wrong);
      const payload = { certificate_id: certificate.certificate_id, action };
      if (successor) payload.successor = await successor.read();
      payload.reason = readReason(reason);
      if (ground) payload.ground = ground.value;
      if (typed && typed.value.normalize("NFKC").trim().toUpperCase() !== word) {
        throw new Mend(typed, t("Type the word {word} to go on.", { word }));
      }
      const path = `/v1/certificates/${certificate.certificate_id}/status`;
      const { receipt } = await api.state(path, Kind.status, payload);
      toast(receipt.state === "anchored" ? done : t("Recorded. The change is on its way to the chain."), "good");
      close(true);
    };
    const failed = (error) => {
      if (error instanceof Problem && ["certificate.transition", "certificate.erased"].includes(error.code)) {
        toast(explain(error), "bad");
        close(true);
        return;
      }
      show(wrong, h("p", { class: "notice bad" }, error instanceof Mend ? error.message : explain(error)));
      if (error instanceof Mend) {
        error.at.setAttribute("aria-invalid", "true");
        error.at.focus();
      }
    };
    return h("form", {
      novalidate: true, dataset: { about: `${action} ${certificate.certificate_id}` },
      oninput: (event) => event.target.removeAttribute("aria-invalid"),
      onsubmit: (event) => {
        event.preventDefault();
        busy(submit, send, failed);
      },
    },
    h("p", {}, meaning),
    successor?.element,
    ground && field(t("Ground in law"), ground),
    field(t("Reason"), reason, { hint: t("One line, kept on record with your department's signature. No personal data.") }),
    typed && field(t("To be sure, type {word}", { word }), typed),
    wrong,
    h("div", { class: "actions" }, submit, h("button", { type: "button", onclick: () => close(false) }, t("Cancel"))));
  });
}

function readReason(input) {
  const reason = oneLine(input.value);
  if (!reason) throw new Mend(input, t("Give a reason: it is kept on record."));
  return reason;
}

/** Who takes the certificate's place. It is looked up; one not issued yet has to be confirmed. */
function successorField(api, certificate) {
  const input = h("input", { type: "text", name: "successor", ...AS_TYPED, maxlength: "200", class: "mono" });
  const later = h("input", { type: "checkbox", id: "successor-later" });
  const laterChoice = h("label", { class: "choice", hidden: true, for: "successor-later" }, later,
    h("span", {}, t("It is issued after this. I have checked the identifier letter by letter.")));
  input.addEventListener("input", () => {
    laterChoice.hidden = true;
    later.checked = false;
  });
  return {
    element: h("div", {},
      field(t("Identifier of the new certificate"), input, { hint: t("Of the same type.") }), laterChoice),
    async read() {
      const { wrong, id, type } = readIdentifier(input.value);
      if (wrong) throw new Mend(input, t("This is not a certificate's identifier. Please check it."));
      if (id === certificate.certificate_id) throw new Mend(input, t("This is the certificate itself. Give the one that takes its place."));
      if (type !== certificate.type) {
        throw new Mend(input, t("This identifier belongs to another type. It has to be of the type {type}.", { type: typeName(certificate.type) }));
      }
      try {
        const { state } = await api.get(`/v1/certificates/${id}`, {}, { token: false });
        if (isFinal(state)) {
          throw new Mend(input, t("That certificate has ended itself ({state}). Give one that is valid.", { state: describeState(state).word }));
        }
      } catch (error) {
        if (!(error instanceof Problem && error.code === "certificate.unknown")) throw error;
        laterChoice.hidden = false;
        if (!later.checked) throw new Mend(input, t("No certificate with this identifier is issued yet. Check it; if it is issued after this, say so below."));
      }
      return id;
    },
  };
}
