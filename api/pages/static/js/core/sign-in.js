// Signing in: one seam. However somebody proves who they are, it ends in a one-time code, and the
// browser's own new key claims it. Two ways to a code now: it was handed out by the operator or an
// issuer, or (sample city only) a sample person was picked. OpenID Connect and passkeys join here.

import { Api, Problem, Unreachable, serverNow } from "./api.js";
import { base64url, sha256, utf8 } from "./bytes.js";
import { badge, busy, field, h, show } from "./dom.js";
import { SIGNED_OUT } from "./ending.js";
import { language, t } from "./i18n.js";
import { makeKey, saveKey } from "./keys.js";
import { explain } from "./problems.js";
import { learnTime, serverLedger } from "./service.js";
import { Kind, sign } from "./statements.js";

const LENGTH = 16;

/** Letters and digits that look alike are the same: as the service reads one-time codes. */
const normalise = (code) =>
  code.normalize("NFKC").toUpperCase().replace(/[\s-]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");

// Without an answer the claim may be recorded, and a code is good once: then the same one is sent
// again, with the same key.
let unanswered;

async function claim(slot, code) {
  const text = normalise(code);
  if (unanswered?.text !== text) {
    await learnTime();
    const ledger = serverLedger();
    if (!ledger) throw new Unreachable("the service did not say which ledger it keeps");
    const key = await makeKey(slot, ledger);
    const invitation = base64url(await sha256(utf8(text)));
    const statement = await sign(key, Kind.claim, { jwk: key.jwk, invitation }, serverNow());
    unanswered = { text, key, statement };
  }
  try {
    await new Api().post("/v1/invitations/claim", { statement: unanswered.statement, code: text });
  } catch (error) {
    if (error instanceof Problem && error.status < 500) unanswered = undefined;
    throw error;
  }
  await saveKey(unanswered.key);
  unanswered = undefined;
}

/** What signing out did to the key, and what it did not; said once. */
function signedOutWords() {
  const kid = sessionStorage.getItem(SIGNED_OUT);
  sessionStorage.removeItem(SIGNED_OUT);
  return kid && [
    t("You are signed out in all tabs. The key of this browser is deleted: nobody can sign with it any more."), " ",
    t("The service still lists it as enrolled. To have it withdrawn there too, tell whoever enrolled you this key number:"), " ",
    h("span", { class: "mono key-number" }, kid)];
}

/** Resolves once this slot's key is enrolled. */
export function signIn(slot, roles, target, message = signedOutWords()) {
  return new Promise((resolve) => {
    const failed = (error, words = explain(error)) =>
      show(problems, h("p", { class: "notice bad", role: "alert" }, words));
    const problems = h("div", {}, message ? h("p", { class: "notice", role: "status" }, message) : null);
    const code = h("input", {
      type: "text", name: "one-time-code", autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: "false",
      inputmode: "text", required: true, maxlength: "40", class: "one-time-code",
    });
    const enrol = h("button", { type: "submit", class: "primary" }, t("Sign in"));
    const form = h("form", {
      class: "panel",
      onsubmit: (event) => {
        event.preventDefault();
        const { length } = normalise(code.value);
        if (length !== LENGTH) {
          return failed(null, t("A one-time code has {all} letters and digits, and this has {n}. Please compare it with what you were given.", { all: LENGTH, n: length }));
        }
        busy(enrol, () => claim(slot, code.value).then(resolve), failed);
      },
    },
    h("h2", {}, t("Sign in with a one-time code")),
    h("p", {}, t("The code comes from whoever enrols you. It is good once: this browser then keeps a key that cannot be copied out of it.")),
    field(t("One-time code"), code, { hint: t("Four groups of four letters and digits.") }),
    h("div", { class: "actions" }, enrol));
    const panels = [problems, form];
    if ("sample" in document.documentElement.dataset) panels.push(samplePanel(slot, roles, resolve, failed));
    show(target, h("div", { class: "sign-in" }, panels));
  });
}

function samplePanel(slot, roles, resolve, failed) {
  const list = h("ul", { class: "people" }, h("li", {}, t("Loading …")));
  const api = new Api();
  const name = (names) => names[language] ?? names.en;
  const choose = (person) => async () => {
    const { code } = await api.post("/sample/invitations", { person: person.id });
    await claim(slot, code);
    resolve();
  };
  api.get("/sample/people").then(({ people }) => {
    show(list, people.filter((person) => roles.includes(person.role)).map((person) =>
      h("li", {},
        h("button", {
          type: "button", class: "person",
          onclick: (event) => busy(event.currentTarget, choose(person), failed),
        },
        h("strong", {}, name(person.name)),
        h("span", {}, name(person.about))))));
  }, failed);
  return h("section", { class: "panel sample" },
    h("h2", {}, t("Or be a sample person")),
    h("p", {}, badge("wait", t("Sample city only: nobody is asked who they are."))),
    list);
}
