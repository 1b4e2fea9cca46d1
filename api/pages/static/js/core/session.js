// Who is here: the session of this browser's key. How one comes to have a key is in sign-in.js, how
// it ends in ending.js; neither is part of a first view.

import { Api, Problem, pause } from "./api.js";
import { $, h, show } from "./dom.js";
import { institutionName, siteName, t } from "./i18n.js";
import { loadKey } from "./keys.js";
import { explain } from "./problems.js";

const SETTLED = 3000;

/**
 * @typedef {{api: Api, who: object, signOut: () => Promise<void>}} Session
 * `who` is the answer of GET /v1/whoami: kid, role, institution?, terminal?, site?, holder?
 */

/**
 * The session of this page; shows the sign-in in `target` until there is one.
 * @param {{slot: string, roles: string[], target?: Element,
 *   reader?: (key: object, api: Api) => Promise<(path: string) => Promise<object>>,
 *   frozen?: () => Promise<object>}} options
 *   `reader`: how to ask who this is where an answer kept from last time will do;
 *   `frozen`: loads what is shown of a device that is frozen, which only people's can be
 * @returns {Promise<Session>}
 */
export async function requireSession({ slot, roles, target = $("#app"), reader, frozen }) {
  let message;
  for (;;) {
    const key = await loadKey(slot);
    if (key) {
      const api = new Api(key);
      try {
        const ask = reader ? await reader(key, api) : (path) => api.get(path, {}, { tries: Infinity });
        const who = await ask("/v1/whoami");
        if (roles.includes(who.role)) {
          listen(slot, key.kid);
          return { api, who, signOut: async () => (await ending()).signOut(slot, key.kid) };
        }
        message = t("This sign-in belongs to another page.");
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (error.code === "key.suspended" && frozen) {
          const shown = await fetched(frozen);
          await shown.frozen(target, async () => (await ending()).signOut(slot, key.kid));
          continue;
        } else if (error.code === "ledger.other") {
          await atAnotherLedger(target, error);
        } else if (!error.code.startsWith("key.")) {
          // The service is not well, or the clock is wrong: no reason to give up a key for good.
          show(target, h("p", { class: "notice bad", role: "alert" }, explain(error)));
          await pause(4000);
          continue;
        } else {
          message = explain(error);
        }
      }
      await (await ending()).leave(slot);
    }
    const { signIn } = await fetched(() => import("./sign-in.js"));
    await signIn(slot, roles, target, message);
    message = undefined;
  }
}

/** A wrong address or a mistake of whoever runs it, so only a person gives the key up. */
const atAnotherLedger = (target, error) => new Promise((resolve) => {
  show(target, h("p", { class: "notice bad", role: "alert" }, explain(error)),
    h("button", { type: "button", onclick: resolve }, t("Give up this browser's key and sign in anew")));
});

const ending = () => fetched(() => import("./ending.js"));

/** For a sign-out in another tab. */
const listen = (slot, kid) =>
  setTimeout(() => import("./ending.js").then((module) => module.endWithOthers(slot, kid), () => listen(slot, kid)), SETTLED);

async function fetched(load) {
  try {
    return await load();
  } catch {
    // A script that failed to load may be remembered as failed; a fresh page is not.
    await pause(3000);
    location.reload();
    return new Promise(() => {});
  }
}

/** Who is signed in, in words, for a page's head. */
export function whoIs(who) {
  return [who.institution && institutionName(who.institution), who.site && siteName(who.site), who.terminal]
    .filter(Boolean).join(" · ");
}
