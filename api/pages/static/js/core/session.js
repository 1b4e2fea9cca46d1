// Who is here: the session of this browser's key, and its end. How one comes to have a key is in
// sign-in.js, which is loaded where there is none.

import { Api, Problem, pause } from "./api.js";
import { $, h, show } from "./dom.js";
import { institutionName, siteName, t } from "./i18n.js";
import { forgetKey, loadKey } from "./keys.js";
import { explain } from "./problems.js";

/**
 * @typedef {{api: Api, who: object, signOut: () => Promise<void>}} Session
 * `who` is the answer of GET /v1/whoami: kid, role, institution?, terminal?, site?, holder?
 */

const SIGNED_OUT = "signed-out"; // in the tab's storage until it was said: the key that was given up
const channel = new BroadcastChannel("certledger-session");

/**
 * The session of this page; shows the sign-in in `target` until there is one.
 * @param {{slot: string, roles: string[], target?: Element,
 *   reader?: (key: object, api: Api) => Promise<(path: string) => Promise<object>>}} options
 *   `reader`: how to ask who this is where an answer kept from last time will do
 * @returns {Promise<Session>}
 */
export async function requireSession({ slot, roles, target = $("#app"), reader }) {
  let message = signedOutWords();
  for (;;) {
    const key = await loadKey(slot);
    if (key) {
      const api = new Api(key);
      try {
        const ask = reader ? await reader(key, api) : (path) => api.get(path, {}, { tries: Infinity });
        const who = await ask("/v1/whoami");
        if (roles.includes(who.role)) {
          endWithOthers(slot, key.kid);
          return { api, who, signOut: () => signOut(slot, key.kid) };
        }
        message = t("This sign-in belongs to another page.");
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (!error.code.startsWith("key.")) {
          // The service is not well, or the clock is wrong: no reason to give up a key for good.
          show(target, h("p", { class: "notice bad", role: "alert" }, explain(error)));
          await pause(4000);
          continue;
        }
        message = explain(error);
      }
      await leave(slot);
    }
    const { signIn } = await fetchSignIn();
    await signIn(slot, roles, target, message);
    message = undefined;
  }
}

/** Signed out in one tab, this browser is signed out in all of them. */
function endWithOthers(slot, kid) {
  const end = () => {
    sessionStorage.clear();
    sessionStorage.setItem(SIGNED_OUT, kid);
    location.reload();
  };
  channel.addEventListener("message", ({ data }) => data.slot === slot && data.kid === kid && end());
  // A page that was put aside by the browser hears of nothing.
  const look = async () => document.visibilityState === "visible" && (await loadKey(slot))?.kid !== kid && end();
  document.addEventListener("visibilitychange", look);
  addEventListener("pageshow", (event) => event.persisted && look());
}

/** What signing out did to the key, and what it did not. */
function signedOutWords() {
  const kid = sessionStorage.getItem(SIGNED_OUT);
  sessionStorage.removeItem(SIGNED_OUT);
  return kid && [
    t("You are signed out in all tabs. The key of this browser is deleted: nobody can sign with it any more."), " ",
    t("The service still lists it as enrolled. To have it withdrawn there too, tell whoever enrolled you this key number:"), " ",
    h("span", { class: "mono key-number" }, kid)];
}

async function fetchSignIn() {
  try {
    return await import("./sign-in.js");
  } catch {
    // A script that failed to load may be remembered as failed; a fresh page is not.
    await pause(3000);
    location.reload();
    return new Promise(() => {});
  }
}

async function signOut(slot, kid) {
  await leave(slot);
  channel.postMessage({ slot, kid });
  sessionStorage.setItem(SIGNED_OUT, kid);
  location.reload();
}

/** Nothing of who was here stays for whoever comes next. */
async function leave(slot) {
  await forgetKey(slot);
  sessionStorage.clear();
}

/** Who is signed in, in words, for a page's head. */
export function whoIs(who) {
  return [who.institution && institutionName(who.institution), who.site && siteName(who.site), who.terminal]
    .filter(Boolean).join(" · ");
}
