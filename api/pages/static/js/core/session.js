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

/**
 * The session of this page; shows the sign-in in `target` until there is one.
 * @param {{slot: string, roles: string[], target?: Element}} options
 * @returns {Promise<Session>}
 */
export async function requireSession({ slot, roles, target = $("#app") }) {
  let message;
  for (;;) {
    const key = await loadKey(slot);
    if (key) {
      const api = new Api(key);
      try {
        const who = await api.get("/v1/whoami", {}, { tries: Infinity });
        if (roles.includes(who.role)) return { api, who, signOut: () => signOut(slot) };
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
  }
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

async function signOut(slot) {
  await leave(slot);
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
